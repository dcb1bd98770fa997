"""Slices for few songs: passages instead of 128 columns, an ensemble of narrow residual networks and of statistics.

For pictures of a linear spectrogram, whose grey is scaled for each picture and whose upper bands say little that their
neighbours do not: bands are gathered as hearing has them, and every picture is centred. Residual pairs are those of
:mod:`earmark.training.backbones.patch_residual`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from earmark.training.backbones import Backbone
from earmark.training.backbones.patch_residual import WIDTH, Pair

__all__ = ["SlicesPlus", "slices_plus"]

_SCALE = 32.0
"""Grey steps that are 1 for the network: about one standard deviation of a picture."""
_SMALL = 1e-4
_GROUPS, _LAGS = 4, 31
_DROPOUT = 0.3
_QUANTILES = (0.05, 0.25, 0.75, 0.95)


class _Tower(nn.Module):
    """One network: a 5 x 7 stem, residual stages, collapse of the bands, pooling over time, batch norm."""

    def __init__(self, bands: int, stages: Sequence[tuple[int, int, int]]) -> None:
        super().__init__()
        channels, left = stages[0][0], -(-bands // 2)
        layers: list[nn.Module] = [
            nn.Conv2d(1, channels, (5, 7), (2, 4), (2, 3), bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
        ]  # fmt: skip
        for outputs, depth, stride in stages[1:]:
            for i in range(depth):
                layers.append(Pair(channels, outputs, stride if i == 0 else 1))
                channels = outputs
            left = -(-left // stride)
        layers += [
            nn.Conv2d(channels, channels, (left, 1), groups=channels, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, WIDTH, 1), nn.ReLU(),
        ]  # fmt: skip
        self.maps = nn.Sequential(*layers)
        self.norm = nn.BatchNorm1d(WIDTH)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(batch, 1, bands, frames) to (batch, features)."""
        embedding: torch.Tensor = self.norm(self.maps(pictures)[:, :, 0].float().mean(2))
        return embedding


class _Statistics(nn.Module):
    """What an SVM would read of a picture; nothing in it is learnt.

    Of each band its mean, deviation, change, four quantiles and the spectrum of its envelope in octaves; how each pair
    of bands goes together; and, in four groups of bands, how alike onsets are from 1 to 31 columns apart.
    """

    waves: torch.Tensor

    def __init__(self, frames: int, bands: int) -> None:
        super().__init__()
        self.frames = frames
        self.octaves = [2**i for i in range(8) if 2**i <= frames // 2]
        turns = 2 * np.pi * np.outer(np.arange(self.octaves[-1]), np.arange(frames)) / frames
        waves = np.stack([np.cos(turns), np.sin(turns)]) * np.hanning(frames)
        self.register_buffer("waves", torch.from_numpy(waves.astype(np.float32)), persistent=False)
        self.pairs = torch.triu_indices(bands // 2, bands // 2, 1)
        self.features = bands * (8 + len(self.octaves) - 1) + self.pairs.shape[1] + _GROUPS * _LAGS

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) to (batch, features)."""
        mean = pictures.mean(1)
        centred = pictures - mean[:, None]
        spread = (centred.square().mean(1) + _SMALL).sqrt()
        change = pictures[:, 1:] - pictures[:, :-1]
        ordered = centred.sort(1).values
        power = torch.log(((self.waves[0] @ centred).square() + (self.waves[1] @ centred).square()) + 1)
        halves = _means(centred / spread[:, None], centred.shape[2] // 2)
        together = halves.transpose(1, 2) @ halves / self.frames
        found = [
            mean, spread, (change.square().mean(1) + _SMALL).sqrt(), change.abs().mean(1),
            *(ordered[:, int(self.frames * share)] for share in _QUANTILES),
            *(power[:, low:high].mean(1) for low, high in itertools.pairwise(self.octaves)),
            together[:, self.pairs[0], self.pairs[1]], *_recurrence(_means(torch.relu(change), _GROUPS)),
        ]  # fmt: skip
        return torch.cat(found, 1)


class _Standardised(nn.BatchNorm1d):
    """Batch norm without weights; in use plain arithmetic, as ONNX export does not know the width before it."""

    def __init__(self, features: int) -> None:
        super().__init__(features, affine=False)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """(batch, features) to the same shape, each with mean 0 and deviation 1."""
        if self.training or self.running_mean is None or self.running_var is None:
            return super().forward(numbers)
        return (numbers - self.running_mean) / (self.running_var + self.eps).sqrt()


def _means(pictures: torch.Tensor, groups: int) -> torch.Tensor:
    """(batch, frames, bands) to (batch, frames, groups) of neighbours."""
    return pictures.reshape(pictures.shape[0], pictures.shape[1], groups, -1).mean(3)


def _recurrence(onsets: torch.Tensor) -> list[torch.Tensor]:
    """Autocorrelation of (batch, frames, groups) at each lag: (batch, groups)."""
    centred = onsets - onsets.mean(1, keepdim=True)
    power = centred.square().mean(1) + _SMALL / 10
    return [(centred[:, lag:] * centred[:, :-lag]).mean(1) / power for lag in range(1, _LAGS + 1)]


class SlicesPlus(Backbone):
    """Bands gathered and pictures centred; networks of their own, whose embeddings stand side by side.

    Each is one part of the embedding, for heads of ``ensemble = ["part-1/3", ...]``: those on statistics come first,
    each a dense layer of its own behind dropout.
    """

    any_length: ClassVar[bool] = False
    gather: torch.Tensor

    def __init__(
        self, frames: int, bands: int, kept: int, layers: Sequence[nn.Module], towers: Sequence[_Tower]
    ) -> None:
        super().__init__()
        self.register_buffer("gather", torch.from_numpy(_gather(bands, kept)), persistent=False)
        self.statistics = _Statistics(frames, kept // 2)
        self.layers, self.towers = nn.ModuleList(layers), nn.ModuleList(towers)
        self.features = WIDTH * (len(layers) + len(towers))

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) of grey steps to (batch, features)."""
        with torch.autocast(spectrograms.device.type, enabled=False):  # small differences of large numbers
            centred = (spectrograms - spectrograms.mean((1, 2), keepdim=True)) / _SCALE
            pictures = centred @ self.gather
            statistics = self.statistics(_means(pictures, self.gather.shape[1] // 2))
            found = [layers(statistics) for layers in self.layers]
        return torch.cat([*found, *(tower(pictures.transpose(1, 2)[:, None]) for tower in self.towers)], 1)


def _gather(bands: int, kept: int) -> NDArray[np.float32]:
    """(bands, kept) weights of triangles: the lowest bands as they are, above them ever wider ones."""
    linear = kept * 3 // 8
    places = np.concatenate([np.arange(linear), np.geomspace(linear, bands - 1, kept - linear)])
    width = np.maximum(1.0, np.gradient(places))
    weights = np.maximum(0.0, 1 - np.abs(np.arange(bands)[:, None] - places) / width)
    return np.asarray(weights / weights.sum(0), np.float32)


def slices_plus(
    frames: int,
    bands: int,
    kept: int = 64,
    statistics: int = 2,
    towers: int = 1,
    stages: Sequence[tuple[int, int, int]] = ((32, 0, 1), (48, 1, 2), (96, 1, 2), (192, 1, 2)),
) -> SlicesPlus:
    """The network of slices-plus, for clips of exactly ``frames`` frames.

    Args:
        frames: At least 32.
        bands: Of the picture.
        kept: Bands they are gathered in, a multiple of 8 and at most ``bands``.
        statistics: Networks on statistics.
        towers: Residual networks.
        stages: Of a tower: (channels, pairs, stride); of the first the channels alone count.
    """
    if frames < 32 or not 16 <= kept <= bands or kept % 8:
        raise ValueError(
            f"needs at least 32 frames and 16 <= kept <= {bands} by eights, not {frames} and kept = {kept}"
        )
    if min(statistics, towers) < 0 or statistics + towers < 1:
        raise ValueError(f"{statistics} networks on statistics and {towers} towers: at least one is needed")
    count = _Statistics(frames, kept // 2).features
    layers = [
        nn.Sequential(
            _Standardised(count), nn.Dropout(_DROPOUT), nn.Linear(count, WIDTH), nn.BatchNorm1d(WIDTH),
            nn.ReLU(),
        )
        for _ in range(statistics)
    ]  # fmt: skip
    return SlicesPlus(frames, bands, kept, layers, [_Tower(kept, stages) for _ in range(towers)])
