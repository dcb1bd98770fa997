"""nnet1 and nnet2: Zhang et al. 2016, "Improved music genre classification with convolutional neural networks".

The paper's first idea is to pool by maximum and mean; its second a shortcut past two convolutions (nnet2).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from earmark.training.backbones import Backbone

__all__ = ["ZhangNnet1", "ZhangNnet2", "zhang_nnet1", "zhang_nnet2"]


def conv_unit(inputs: int, outputs: int) -> nn.Sequential:
    """Convolution over four frames, batch norm, ReLU: (batch, inputs, frames) to (batch, outputs, frames - 3)."""
    return nn.Sequential(nn.Conv1d(inputs, outputs, 4), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True))


def both_poolings(steps: torch.Tensor) -> torch.Tensor:
    """Maximum and mean over time, the paper's first idea: (batch, channels, steps) to (batch, 2 x channels)."""
    return torch.cat([steps.amax(2), steps.mean(2)], 1)


class ZhangNnet1(Backbone):
    """Three convolutions along time, the first over all frequencies, then maximum and mean over time.

    Shapes with 3 s of 512 frequencies: (batch, 128, 512) -> (128, 125) -> (128, 62) -> (128, 59) -> (128, 29) ->
    (256, 26) -> (batch, 512).
    """

    def __init__(self, bands: int, filters: Sequence[int]) -> None:
        super().__init__()
        self.features = 2 * filters[2]
        self.norm = nn.BatchNorm1d(bands)
        self.steps = nn.Sequential(
            conv_unit(bands, filters[0]), nn.MaxPool1d(2), conv_unit(filters[0], filters[1]), nn.MaxPool1d(2),
            conv_unit(filters[1], filters[2]),
        )  # fmt: skip

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) of any unit to (batch, features)."""
        return both_poolings(self.steps(self.norm(spectrograms.transpose(1, 2))))


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
        return both_poolings(torch.relu_(self.block(steps) + steps))


def zhang_nnet1(frames: int, bands: int, filters: Sequence[int] = (128, 128, 256)) -> ZhangNnet1:
    """Zhang's nnet1; at least 22 frames."""
    if frames < 22:
        raise ValueError(f"needs at least 22 frames, not {frames}")
    return ZhangNnet1(bands, filters)


def zhang_nnet2(frames: int, bands: int, filters: int = 256) -> ZhangNnet2:
    """Zhang's nnet2; at least 5 frames."""
    if frames < 5:
        raise ValueError(f"needs at least 5 frames, not {frames}")
    return ZhangNnet2(bands, filters)
