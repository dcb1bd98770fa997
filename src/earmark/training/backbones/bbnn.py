"""BBNN: Liu et al. 2019, "Bottom-up broadcast neural network for music genre classification" (arXiv 1901.08928)."""

from __future__ import annotations

import torch
from torch import nn

from earmark.training.backbones import Backbone, lean

__all__ = ["Bbnn", "bbnn"]

_EPSILON = 1e-3


def _unit(inputs: int, filters: int, kernel: int) -> nn.Sequential:
    """Batch norm and ReLU before the convolution."""
    return nn.Sequential(
        nn.BatchNorm2d(inputs, eps=_EPSILON),
        nn.ReLU(inplace=True),
        nn.Conv2d(inputs, filters, kernel, padding=kernel // 2),
    )


class _Inception(nn.Module):
    """1 x 1; 1 x 1 then 3 x 3; 1 x 1 then 5 x 5; maximum over 3 x 3 then 1 x 1; joined to the input."""

    def __init__(self, inputs: int, filters: int) -> None:
        super().__init__()
        self.one = _unit(inputs, filters, 1)
        self.three = nn.Sequential(_unit(inputs, filters, 1), _unit(filters, filters, 3))
        self.five = nn.Sequential(_unit(inputs, filters, 1), _unit(filters, filters, 5))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), _unit(inputs, filters, 1))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(batch, channels, frames, bands) to (batch, channels + 4 x filters, frames, bands)."""
        branches = (self.one, self.three, self.five, self.pooled)
        return torch.cat([maps, *(lean(branch, maps) for branch in branches)], 1)


class Bbnn(Backbone):
    """Convolution, three densely joined inception blocks, transition; the embedding is a mean over both axes.

    Shapes with the published input: (batch, 647, 128) -> convolution (32, 647, 128) -> maximum over 4 frames
    (32, 161, 128) -> blocks (160, ...), (288, ...), (416, 161, 128) -> transition (32, 80, 64) -> (batch, 32).
    """

    def __init__(self, filters: int = 32) -> None:
        super().__init__()
        self.features = filters
        self.stem = nn.Sequential(
            nn.Conv2d(1, filters, 3, padding=1),
            nn.BatchNorm2d(filters, eps=_EPSILON),
            nn.ReLU(inplace=True),
            nn.MaxPool2d((4, 1)),
        )
        self.blocks = nn.Sequential(*(_Inception(filters * (1 + 4 * i), filters) for i in range(3)))
        self.transition = nn.Sequential(
            _unit(13 * filters, filters, 1),
            nn.AvgPool2d(2),
            nn.BatchNorm2d(filters, eps=_EPSILON),
            nn.ReLU(inplace=True),
        )

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) dB to (batch, filters)."""
        maps = lean(self.transition, self.blocks(lean(self.stem, spectrograms[:, None])))
        return torch.as_tensor(maps.mean((2, 3)))


def bbnn(frames: int, bands: int, filters: int = 32) -> Bbnn:
    """BBNN; with a linear head of 10 labels 190,826 values. At least 8 frames and 2 bands."""
    if frames < 8 or bands < 2:
        raise ValueError(f"needs at least 8 frames and 2 bands, not {frames} and {bands}")
    return Bbnn(filters)
