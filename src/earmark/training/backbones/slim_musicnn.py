"""A slim network with musicnn's front end (Pons et al. 2018): tall filters for timbre, long ones for rhythm."""

from __future__ import annotations

import torch
from torch import nn

from earmark.training.backbones import Backbone, register
from earmark.training.backbones.slim_parts import Level, TimePooling

__all__ = ["SlimMusicnn", "slim_musicnn"]

TALL = 16
"""Tall filters of either height."""
WIDTH = 128
"""Channels of the back end."""


class _Steps(nn.Module):
    """Residual convolution over time: width 5, batch norm, ReLU; optionally every second step."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(channels, channels, 5, stride, 2, bias=False), nn.BatchNorm1d(channels), nn.ReLU()
        )
        self.shortcut = nn.AvgPool1d(stride, ceil_mode=True)

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        """(batch, channels, steps) to (batch, channels, steps / stride)."""
        changed: torch.Tensor = self.body(steps)
        beside: torch.Tensor = self.shortcut(steps)
        return changed + beside


class SlimMusicnn(Backbone):
    """Tall and long filters every 40 ms, their maximum over bands, residual convolutions over time, pooling, linear."""

    def __init__(self, bands: int, features: int, pooling: str, level: float | None) -> None:
        super().__init__()
        self.features = features
        self.level = Level(level)
        heights = (int(0.7 * bands), int(0.4 * bands))
        self.tall = nn.ModuleList(
            nn.Sequential(nn.Conv2d(1, TALL, (h, 7), 2, (0, 3), bias=False), nn.BatchNorm2d(TALL), nn.ReLU())
            for h in heights
        )
        self.long = nn.ModuleList(
            nn.Sequential(nn.Conv1d(1, 16, w, 2, w // 2, bias=False), nn.BatchNorm1d(16), nn.ReLU()) for w in (65, 33)
        )
        self.narrow = nn.Sequential(nn.Conv1d(2 * TALL + 32, WIDTH, 1, bias=False), nn.BatchNorm1d(WIDTH), nn.ReLU())
        self.back = nn.Sequential(_Steps(WIDTH, 2), _Steps(WIDTH, 2), _Steps(WIDTH, 1), _Steps(WIDTH, 2))
        self.widen = nn.Conv1d(WIDTH, 256, 1)
        self.pooling = TimePooling(256, pooling)
        self.norm = nn.BatchNorm1d(self.pooling.features)
        self.linear = nn.Linear(self.pooling.features, features)

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) dB to (batch, features)."""
        scaled = self.level(spectrograms).transpose(1, 2)[:, None]
        front = [layer(scaled).amax(2) for layer in self.tall] + [layer(scaled.mean(2)) for layer in self.long]
        steps = self.back(self.narrow(torch.cat(front, 1)))
        embedding: torch.Tensor = self.linear(self.norm(self.pooling(torch.relu(self.widen(steps)))))
        return embedding


@register
def slim_musicnn(
    frames: int,
    bands: int,
    features: int = 256,
    pooling: str = "mean",
    level: float | None = None,
) -> SlimMusicnn:
    """A front end as in musicnn and a narrow residual back end over time; about 0.2 GFLOP for 10 s."""
    return SlimMusicnn(bands, features, pooling, level)
