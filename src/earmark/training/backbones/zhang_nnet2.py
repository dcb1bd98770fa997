"""nnet2: Zhang et al. 2016, "Improved music genre classification with convolutional neural networks".

The paper's second idea: a shortcut past two convolutions, after residual learning.
"""

from __future__ import annotations

import torch
from torch import nn

from earmark.training.backbones import Backbone, register
from earmark.training.backbones.zhang_nnet1 import both_poolings, conv_unit

__all__ = ["ZhangNnet2", "zhang_nnet2"]


class ZhangNnet2(Backbone):
    """A convolution over all frequencies, two more with a shortcut past them, then maximum and mean over time.

    Shapes with 3 s of 512 frequencies: (batch, 128, 512) -> (256, 125) -> (256, 125) -> (batch, 512).
    """

    def __init__(self, bands: int, filters: int) -> None:
        super().__init__()
        self.features = 2 * filters
        self.norm = nn.BatchNorm1d(bands)
        self.first = conv_unit(bands, filters)
        self.block = nn.Sequential(
            nn.ConstantPad1d((3, 3), 0.0),
            conv_unit(filters, filters),
            nn.Conv1d(filters, filters, 4),
            nn.BatchNorm1d(filters),
        )

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) of any unit to (batch, features)."""
        steps = self.first(self.norm(spectrograms.transpose(1, 2)))
        return both_poolings(torch.relu(self.block(steps) + steps))


@register
def zhang_nnet2(frames: int, bands: int, filters: int = 256) -> ZhangNnet2:
    """Zhang's nnet2; at least 5 frames."""
    if frames < 5:
        raise ValueError(f"needs at least 5 frames, not {frames}")
    return ZhangNnet2(bands, filters)
