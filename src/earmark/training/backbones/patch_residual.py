"""A residual network on patches: a coarse first convolution (ConvNeXt, Liu et al. 2022), then pairs (He et al. 2016).

On a CPU the large maps of the first layers cost more time in batch norm and ReLU than in arithmetic. Here the first
convolution already goes four bands and four frames a step; the arithmetic is spent on small maps with more channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from earmark.training.backbones import Backbone

__all__ = ["FLOOR", "Level", "Pair", "PatchResidual", "TimePooling", "patch_residual"]

FLOOR = -90.0
"""dB of silence, as :class:`earmark.features.frontend.Frontend` gives it."""
SOFTEST = -50.0
"""dB: sounds with a level below this are raised as if they had it, so that silence stays silent."""
STEM = 32
"""Channels of the first convolution."""
WIDTH = 256
"""Channels that are pooled over time."""


class Level(nn.Module):
    """Every clip moved to one level, so that the same song louder or softer gives the same answer.

    The level is the mean over the bands of each band's loudest frame: clipping and silence around the music hardly
    change it. ``None`` leaves spectrograms as they are.
    """

    def __init__(self, level: float | None) -> None:
        super().__init__()
        self.level = level

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) dB to the same shape, scaled for a network: 20 dB are 1, -30 dB are 0."""
        if self.level is not None:
            found = spectrograms.amax(1, keepdim=True).mean(2, keepdim=True).clamp_min(SOFTEST)
            spectrograms = (spectrograms + (self.level - found)).clamp_min(FLOOR)
        return (spectrograms + 30.0) / 20.0


class TimePooling(nn.Module):
    """(batch, channels, steps) to (batch, features): ``mean``, ``mean-std`` or ``attention`` over the steps.

    ``attention`` weighs the steps for each of eight groups of channels (Safari et al. 2020, split into heads).
    """

    def __init__(self, channels: int, kind: str) -> None:
        super().__init__()
        if kind not in ("mean", "mean-std", "attention"):
            raise ValueError(f"pooling {kind!r} is none of mean, mean-std, attention")
        self.kind, self.heads = kind, 8
        self.features = channels * (2 if kind == "mean-std" else 1)
        self.scores = nn.Conv1d(channels, self.heads, 1) if kind == "attention" else nn.Identity()

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        """Weighted or plain statistics over the last axis."""
        if self.kind == "attention":
            weights = torch.softmax(self.scores(steps).float(), 2)[:, :, None]
            grouped = steps.float().reshape(len(steps), self.heads, -1, steps.shape[2])
            return (weights * grouped).sum(3).flatten(1)
        steps = steps.float()
        mean = steps.mean(2)
        if self.kind == "mean":
            return mean
        spread = ((steps - mean[:, :, None]).square().mean(2) + 1e-5).sqrt()
        return torch.cat([mean, spread], 1)


class Pair(nn.Module):
    """Two 3 x 3 convolutions, the first with the stride, beside the maps as they are (or a strided 1 x 1)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, stride, stride, stride // 2)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, bands, frames) to (batch, outputs, bands / stride, frames / stride), rounded up."""
        changed = torch.relu(self.norm1(self.first(maps)))
        changed = self.norm2(self.second(changed))
        beside = self.shortcut(maps)[:, :, : changed.shape[2], : changed.shape[3]]
        return torch.relu(changed + beside)


class PatchResidual(Backbone):
    """7 x 7 stem with stride 4, stages of residual pairs, collapse of the bands, pooling over time, linear."""

    def __init__(
        self, bands: int, stages: Sequence[tuple[int, int, int]], features: int, pooling: str, level: float | None
    ) -> None:
        super().__init__()
        self.features = features
        self.level = Level(level)
        self.stem = nn.Sequential(nn.Conv2d(1, STEM, 7, 4, 3, bias=False), nn.BatchNorm2d(STEM), nn.ReLU())
        layers: list[nn.Module] = []
        channels, left = STEM, -(-bands // 4)
        for outputs, depth, stride in stages:
            for i in range(depth):
                layers.append(Pair(channels, outputs, stride if i == 0 else 1))
                channels = outputs
            left = -(-left // stride)
        self.blocks = nn.Sequential(*layers)
        self.collapse = nn.Sequential(
            nn.Conv2d(channels, channels, (left, 1), groups=channels, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.widen = nn.Conv2d(channels, WIDTH, 1)
        self.pooling = TimePooling(WIDTH, pooling)
        self.norm = nn.BatchNorm1d(self.pooling.features)
        self.linear = nn.Linear(self.pooling.features, features)

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) dB to (batch, features): linear outputs, without a bound."""
        maps = self.stem(self.level(spectrograms).transpose(1, 2)[:, None])
        steps = torch.relu(self.widen(self.collapse(self.blocks(maps))))[:, :, 0]
        embedding: torch.Tensor = self.linear(self.norm(self.pooling(steps)))
        return embedding


def patch_residual(
    frames: int,
    bands: int,
    stages: Sequence[tuple[int, int, int]] = ((48, 1, 2), (96, 1, 2), (192, 1, 2)),
    features: int = 256,
    pooling: str = "mean",
    level: float | None = None,
) -> PatchResidual:
    """Residual network on 4 x 4 patches; a stage is (channels, pairs, stride). Any number of frames from 32 on."""
    return PatchResidual(bands, stages, features, pooling, level)
