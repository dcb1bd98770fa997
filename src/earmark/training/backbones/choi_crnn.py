"""CRNN: Choi et al. 2017, "Convolutional recurrent neural networks for music classification", as Won et al. 2020 do.

Won's networks were trained with waveforms as input and 50 tags as output; here both ends are left to the recipe.
"""

from __future__ import annotations

from earmark.training.backbones import register
from earmark.training.backbones.won_crnn import WonCrnn, won_crnn

__all__ = ["choi_crnn"]


@register
def choi_crnn(frames: int, bands: int) -> WonCrnn:
    """(batch, frames, 96) dB -> (64, 48, f/2) -> (128, 16, f/6) -> (128, 4, f/24) -> (128, 1, f/96) -> GRU (batch, 32).

    Any length from 96 frames (1.54 s) on; the embedding is the second GRU layer's last step.
    """
    network = won_crnn(frames, bands)
    del network.spec, network.dense
    return network
