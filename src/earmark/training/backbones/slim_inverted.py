"""Slim networks of inverted residuals: MobileNet (Sandler et al. 2018) and, fused, EfficientNetV2 (Tan, Le 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from earmark.training.backbones import Backbone, register
from earmark.training.backbones.slim_parts import Level, TimePooling

__all__ = ["SlimInverted", "slim_efficient", "slim_inverted"]


class _Excitation(nn.Module):
    """Squeeze and excitation (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(8, channels // 8)
        self.gate = nn.Sequential(nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, channels), nn.Sigmoid())

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Each channel times a number from 0 to 1; the shape stays."""
        gate: torch.Tensor = self.gate(maps.mean((2, 3)))
        return maps * gate[:, :, None, None]


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]


class _Block(nn.Module):
    """Expand four times, filter depthwise (or both at once: fused), excite, project."""

    def __init__(self, inputs: int, outputs: int, stride: int, fused: bool) -> None:
        super().__init__()
        wide = 4 * inputs
        if fused:
            layers = [*_conv(inputs, wide, 3, stride), nn.Hardswish()]
        else:
            layers = [*_conv(inputs, wide, 1), nn.Hardswish(), *_conv(wide, wide, 3, stride, wide), nn.Hardswish()]
            layers.append(_Excitation(wide))
        self.body = nn.Sequential(*layers, *_conv(wide, outputs, 1))
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, bands, frames) to (batch, outputs, bands / stride, frames / stride)."""
        changed: torch.Tensor = self.body(maps)
        return changed + maps if self.shortcut else changed


class SlimInverted(Backbone):
    """Stem, stages of inverted residuals that each halve bands and frames, 1 x 1, pooling, linear."""

    def __init__(
        self, stages: Sequence[tuple[int, int, bool]], stem: int, features: int, pooling: str, level: float | None
    ) -> None:
        super().__init__()
        self.features = features
        self.level = Level(level)
        layers: list[nn.Module] = [*_conv(1, stem, 3, 2), nn.Hardswish()]
        channels = stem
        for outputs, depth, fused in stages:
            for i in range(depth):
                layers.append(_Block(channels, outputs, 2 if i == 0 else 1, fused))
                channels = outputs
        layers += [*_conv(channels, 256, 1), nn.Hardswish()]
        self.body = nn.Sequential(*layers)
        self.pooling = TimePooling(256, pooling)
        self.norm = nn.BatchNorm1d(self.pooling.features)
        self.linear = nn.Linear(self.pooling.features, features)

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) dB to (batch, features)."""
        maps = self.body(self.level(spectrograms).transpose(1, 2)[:, None])
        embedding: torch.Tensor = self.linear(self.norm(self.pooling(maps.mean(2))))
        return embedding


@register
def slim_inverted(
    frames: int, bands: int, features: int = 256, pooling: str = "mean", level: float | None = None
) -> SlimInverted:
    """MobileNet-like: depthwise filters with squeeze and excitation throughout; about 0.2 GFLOP for 10 s."""
    stages = ((24, 2, False), (40, 2, False), (64, 3, False), (112, 3, False))
    return SlimInverted(stages, 16, features, pooling, level)


@register
def slim_efficient(
    frames: int, bands: int, features: int = 256, pooling: str = "mean", level: float | None = None
) -> SlimInverted:
    """EfficientNetV2-like: the first two stages fused; about 0.2 GFLOP for 10 s."""
    stages = ((16, 1, True), (32, 2, True), (56, 2, False), (96, 3, False))
    return SlimInverted(stages, 12, features, pooling, level)
