"""musicnn: Pons et al. 2018, "End-to-end learning for music audio tagging at scale", in the form of Won et al. 2020.

Won's networks were trained with waveforms as input and 50 tags as output; here both ends are left to the recipe.
"""

from __future__ import annotations

from earmark.training.backbones import register
from earmark.training.backbones.won_musicnn import WonMusicnn, won_musicnn

__all__ = ["musicnn"]


@register
def musicnn(frames: int, bands: int, width: int = 64) -> WonMusicnn:
    """(batch, frames, 96) dB -> tall and long filters (561, f) -> three of ``width`` -> max and mean -> (batch, 200).

    Any length; 3 s as published. ``width`` is 64 in Won's back end of MagnaTagATune, 512 on the Million Song Dataset.
    """
    network = won_musicnn(frames, bands, width=width)
    del network.spec, network.dense2
    return network
