"""CRNN, FCN and musicnn in the form of Won et al. 2020, "Evaluation of CNN-based automatic music tagging models".

Choi et al. 2017, "Convolutional recurrent neural networks for music classification"; Choi et al. 2016, "Automatic
tagging using deep convolutional neural networks"; Pons et al. 2018, "End-to-end learning for music audio tagging at
scale". Won's networks take waveforms and end in 50 tags; here both ends are left to the recipe. Names of the weights
are the published ones.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from earmark.training.backbones import Backbone, lean

__all__ = ["CRNN_STEP", "FCN_STEP", "WonCrnn", "WonFcn", "WonMusicnn", "choi_crnn", "choi_fcn", "musicnn"]

BANDS = 96
CRNN_STEP, FCN_STEP = 96, 320
"""Frames that one step of the series stands for."""


class ConvPool(nn.Module):
    """3 x 3 convolution, batch norm, ReLU, max pooling over (bands, frames)."""

    def __init__(self, inputs: int, outputs: int, pooling: tuple[int, int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.bn = nn.BatchNorm2d(outputs)
        self.mp = nn.MaxPool2d(pooling)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, bands, frames) to (batch, outputs, bands / p, frames / q)."""
        # The largest of a rectified map is the rectified largest: ReLU stands behind the pool, where maps are small.
        return torch.relu(self.mp(self.bn(self.conv(maps))))


class WonCrnn(Backbone):
    """Choi et al. 2017: four 3 x 3 convolutions, then two GRU layers over time; the embedding is the GRU's last step.

    Shapes: (batch, frames, 96) dB -> (64, 48, f/2) -> (128, 16, f/6) -> (128, 4, f/24) -> (128, 1, f/96) -> GRU
    (batch, 32).
    """

    features = 32

    def __init__(self) -> None:
        super().__init__()
        self.spec_bn = nn.BatchNorm2d(1)
        self.layer1 = ConvPool(1, 64, (2, 2))
        self.layer2 = ConvPool(64, 128, (3, 3))
        self.layer3 = ConvPool(128, 128, (4, 4))
        self.layer4 = ConvPool(128, 128, (4, 4))
        self.layer5 = nn.GRU(128, 32, 2, batch_first=True)

    def series(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, 96) dB to (batch, frames / 96, 160): 128 of the convolutions, then 32 of the GRU."""
        maps = self.spec_bn(spectrograms.transpose(1, 2)[:, None])
        maps = lean(self.layer1, maps)
        for layer in (self.layer2, self.layer3, self.layer4):
            maps = layer(maps)
        steps = maps[:, :, 0].transpose(1, 2).float()
        recurrent, _ = self.layer5(steps)
        return torch.cat([steps, recurrent], 2)

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, 96) dB to (batch, 32)."""
        return self.series(spectrograms)[:, -1, 128:]


class WonFcn(Backbone):
    """Choi et al. 2016: five 3 x 3 convolutions with large max pooling; the embedding is the maximum over time.

    Shapes: (batch, frames, 96) dB -> (64, 48, f/4) -> (128, 24, f/16) -> (128, 12, f/64) -> (128, 4, f/320) ->
    (batch, 64).
    """

    features = 64

    def __init__(self) -> None:
        super().__init__()
        self.spec_bn = nn.BatchNorm2d(1)
        self.layer1 = ConvPool(1, 64, (2, 4))
        self.layer2 = ConvPool(64, 128, (2, 4))
        self.layer3 = ConvPool(128, 128, (2, 4))
        self.layer4 = ConvPool(128, 128, (3, 5))
        self.layer5 = ConvPool(128, 64, (4, 1))

    def series(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, 96) dB to (batch, frames / 320, 64): the last layer before its pooling over time."""
        maps = self.spec_bn(spectrograms.transpose(1, 2)[:, None])
        maps = lean(self.layer1, maps)
        for layer in (self.layer2, self.layer3, self.layer4, self.layer5):
            maps = layer(maps)
        steps: torch.Tensor = maps[:, :, 0].transpose(1, 2)
        return steps

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, 96) dB to (batch, 64)."""
        return self.series(spectrograms).amax(1)


class _Timbre(nn.Module):
    """Tall filters: convolution over most bands, batch norm, ReLU, maximum over the bands that are left."""

    def __init__(self, filters: int, height: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, filters, (height, width), padding=(0, width // 2))
        self.bn = nn.BatchNorm2d(filters)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(batch, 1, bands, frames) to (batch, filters, frames)."""
        trained_here = self.training and maps.device.type == "cpu"
        return torch.relu_(self.bn(self.sliding(maps) if trained_here else self.conv(maps))).amax(2)

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
        return torch.relu_(self.bn(self.conv(maps.mean(2))))


class _Conv1d(nn.Module):
    """Convolution of width 7 over time, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, 7, padding=3)
        self.bn = nn.BatchNorm1d(outputs)

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, frames) to (batch, outputs, frames)."""
        return torch.relu_(self.bn(self.conv(steps)))


class WonMusicnn(Backbone):
    """Pons et al. 2018: musically shaped filters, three residual convolutions over time, both poolings, a dense layer.

    Shapes: (batch, frames, 96) dB -> tall and long filters (561, f) -> three of ``width`` -> maximum and mean ->
    (batch, 200).
    """

    features = 200

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.spec_bn = nn.BatchNorm2d(1)
        tall: list[nn.Module] = [_Timbre(204, 67, 7), _Timbre(204, 38, 7)]
        self.layers = nn.ModuleList([*tall, *(_Tempo(51, frames) for frames in (129, 65, 33))])
        self.layer1 = _Conv1d(561, width)
        self.layer2 = _Conv1d(width, width)
        self.layer3 = _Conv1d(width, width)
        self.dense1 = nn.Linear(2 * (561 + 3 * width), self.features)
        self.bn = nn.BatchNorm1d(self.features)

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, 96) dB, 3 s as it was trained, to (batch, 200)."""
        maps = self.spec_bn(spectrograms.transpose(1, 2)[:, None])
        front = torch.cat([layer(maps) for layer in self.layers], 1)
        first = self.layer1(front)
        second = self.layer2(first) + first
        third = self.layer3(second) + second
        steps = torch.cat([front, first, second, third], 1)
        pooled = torch.cat([steps.amax(2), steps.mean(2)], 1)
        return torch.relu_(self.bn(self.dense1(pooled)))


def choi_crnn(frames: int, bands: int) -> WonCrnn:
    """CRNN; 96 bands, any length from 96 frames (1.54 s) on."""
    _check(frames, bands, CRNN_STEP)
    return WonCrnn()


def choi_fcn(frames: int, bands: int) -> WonFcn:
    """FCN; 96 bands, any length from 320 frames (5.12 s) on."""
    _check(frames, bands, FCN_STEP)
    return WonFcn()


def musicnn(frames: int, bands: int, width: int = 64) -> WonMusicnn:
    """Musicnn; 96 bands, any length, 3 s as published.

    ``width`` of the back end is 64 in Won's networks of MagnaTagATune, 512 on the Million Song Dataset.
    """
    _check(frames, bands, 1)
    return WonMusicnn(width)


def _check(frames: int, bands: int, least: int) -> None:
    if bands != BANDS or frames < least:
        raise ValueError(f"needs {BANDS} bands and at least {least} frames, not {bands} and {frames}")
