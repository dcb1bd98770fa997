"""A slim residual network of plain 3 x 3 convolutions, after Won et al. 2020's short-chunk CNN with residuals.

Few channels while the maps are large, more where they are small: about 0.2 GFLOP for 10 s of music. Plain convolutions
train several times faster on a CPU than depthwise ones of the same arithmetic.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import nn

from earmark.training.backbones import Backbone, register
from earmark.training.backbones.slim_parts import Level, TimePooling

__all__ = ["Residual", "SlimResidual", "slim_residual"]

WIDTH = 256
"""Channels that are pooled over time."""


class Residual(nn.Module):
    """Two 3 x 3 convolutions with batch norm, the first with the stride, beside a 1 x 1 shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int | tuple[int, int] = 2) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(stride, ceil_mode=True), nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, bands, frames) to (batch, outputs, bands / stride, frames / stride), rounded up."""
        return torch.relu(self.body(maps) + self.shortcut(maps))


class SlimResidual(Backbone):
    """Stem, residual blocks that each halve bands and frames, collapse of the bands, pooling over time, linear."""

    def __init__(self, bands: int, channels: Sequence[int], features: int, pooling: str, level: float | None) -> None:
        super().__init__()
        self.features = features
        self.level = Level(level)
        self.stem = nn.Sequential(
            nn.Conv2d(1, channels[0], 3, 2, 1, bias=False), nn.BatchNorm2d(channels[0]), nn.ReLU()
        )
        pairs = itertools.pairwise(channels)
        self.blocks = nn.Sequential(*(Residual(i, o) for i, o in pairs))
        left = bands
        for _ in channels:
            left = (left + 1) // 2
        last = channels[-1]
        self.collapse = nn.Sequential(
            nn.Conv2d(last, last, (left, 1), groups=last, bias=False), nn.BatchNorm2d(last), nn.ReLU()
        )
        self.widen = nn.Conv2d(last, WIDTH, 1)
        self.pooling = TimePooling(WIDTH, pooling)
        self.norm = nn.BatchNorm1d(self.pooling.features)
        self.linear = nn.Linear(self.pooling.features, features)

    def pooled(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) dB to (batch, pooled features), normalised."""
        maps = self.level(spectrograms).transpose(1, 2)[:, None]
        maps = self.collapse(self.blocks(self.stem(maps)))
        steps = torch.relu(self.widen(maps))[:, :, 0]
        normalised: torch.Tensor = self.norm(self.pooling(steps))
        return normalised

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) dB to (batch, features): linear outputs, without a bound."""
        embedding: torch.Tensor = self.linear(self.pooled(spectrograms))
        return embedding


@register
def slim_residual(
    frames: int,
    bands: int,
    channels: Sequence[int] = (16, 32, 48, 72, 128),
    features: int = 256,
    pooling: str = "mean",
    level: float | None = None,
) -> SlimResidual:
    """Plain residual network; any number of frames from one stride (32) on."""
    least = 2 ** len(channels)
    if frames < least or bands < least:
        raise ValueError(f"{len(channels)} halvings need at least {least} frames and bands, not {frames} and {bands}")
    return SlimResidual(bands, channels, features, pooling, level)
