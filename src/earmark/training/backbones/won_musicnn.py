"""musicnn: Pons et al. 2018, "End-to-end learning for music audio tagging at scale", as trained by Won et al. 2020."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from earmark.training.backbones import Backbone, register
from earmark.training.backbones.won_parts import WonMel

__all__ = ["WonMusicnn", "won_musicnn"]


class _Timbre(nn.Module):
    """Tall filters: convolution over most bands, batch norm, ReLU, maximum over the bands that are left."""

    def __init__(self, filters: int, height: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, filters, (height, width), padding=(0, width // 2))
        self.bn = nn.BatchNorm2d(filters)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(batch, 1, bands, frames) to (batch, filters, frames)."""
        trained_here = self.training and maps.device.type == "cpu"
        return torch.relu(self.bn(self.sliding(maps) if trained_here else self.conv(maps))).amax(2)

    def sliding(self, maps: torch.Tensor) -> torch.Tensor:
        """What ``conv`` gives, with the bands under a filter as channels: CPUs train that 2.6 times as fast."""
        batch, _, _, frames = maps.shape
        filters, _, height, width = self.conv.weight.shape
        windows = maps[:, 0].unfold(1, height, 1).transpose(2, 3).reshape(-1, height, frames)
        found = functional.conv1d(windows, self.conv.weight[:, 0], self.conv.bias, padding=width // 2)
        return found.view(batch, -1, filters, frames).transpose(1, 2)


class _Tempo(nn.Module):
    """Long filters over the energy of all bands."""

    def __init__(self, filters: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, filters, width, padding=width // 2)
        self.bn = nn.BatchNorm1d(filters)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(batch, 1, bands, frames) to (batch, filters, frames)."""
        return torch.relu(self.bn(self.conv(maps.mean(2))))


class _Conv1d(nn.Module):
    """Convolution of width 7 over time, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, 7, padding=3)
        self.bn = nn.BatchNorm1d(outputs)

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, frames) to (batch, outputs, frames)."""
        return torch.relu(self.bn(self.conv(steps)))


class WonMusicnn(Backbone):
    """Musically shaped filters, three residual convolutions over time, maximum and mean over 3 s, a dense layer."""

    features = 200

    def __init__(self, tags: int = 50, width: int = 64) -> None:
        super().__init__()
        self.spec = WonMel()
        self.spec_bn = nn.BatchNorm2d(1)
        tall: list[nn.Module] = [_Timbre(204, 67, 7), _Timbre(204, 38, 7)]
        self.layers = nn.ModuleList([*tall, *(_Tempo(51, frames) for frames in (129, 65, 33))])
        self.layer1 = _Conv1d(561, width)
        self.layer2 = _Conv1d(width, width)
        self.layer3 = _Conv1d(width, width)
        self.dense1 = nn.Linear(2 * (561 + 3 * width), self.features)
        self.bn = nn.BatchNorm1d(self.features)
        self.dense2 = nn.Linear(self.features, tags)

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, 96) dB, 3 s as it was trained, to (batch, 200)."""
        maps = self.spec_bn(spectrograms.transpose(1, 2)[:, None])
        front = torch.cat([layer(maps) for layer in self.layers], 1)
        first = self.layer1(front)
        second = self.layer2(first) + first
        third = self.layer3(second) + second
        steps = torch.cat([front, first, second, third], 1)
        pooled = torch.cat([steps.amax(2), steps.mean(2)], 1)
        return torch.relu(self.bn(self.dense1(pooled)))


@register
def won_musicnn(frames: int, bands: int, tags: int = 50, width: int = 64) -> WonMusicnn:
    """The musicnn of Won et al. 2020 on MagnaTagATune and MTG-Jamendo (back end of 64 channels); 96 bands."""
    if bands != 96:
        raise ValueError(f"needs 96 bands, not {bands}")
    return WonMusicnn(tags, width)
