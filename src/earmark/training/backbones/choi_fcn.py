"""FCN: Choi et al. 2016, "Automatic tagging using deep convolutional neural networks", in the form of Won et al. 2020.

Won's networks were trained with waveforms as input and 50 tags as output; here both ends are left to the recipe.
"""

from __future__ import annotations

from earmark.training.backbones import register
from earmark.training.backbones.won_fcn import WonFcn, won_fcn

__all__ = ["choi_fcn"]


@register
def choi_fcn(frames: int, bands: int) -> WonFcn:
    """(batch, frames, 96) dB -> (64, 48, f/4) -> (128, 24, f/16) -> (128, 12, f/64) -> (128, 4, f/320) -> (batch, 64).

    Any length from 320 frames (5.12 s) on; the last step is the maximum over time.
    """
    network = won_fcn(frames, bands)
    del network.spec, network.dense
    return network
