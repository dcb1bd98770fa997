"""Network along the time axis: S2, "Music classification with deep learning" (Smith), with its code's widths.

Its first kernel is as high as the spectrogram, so that it looks at all bands of one frame at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from earmark.training.backbones import Backbone

__all__ = ["TimeAxis", "time_axis"]

_PAD = 2


class TimeAxis(Backbone):
    """Two convolutions, the first as high as the spectrogram; flatten with dropout; fully connected layers.

    Maps are laid out (batch, filters, frames, bands): S2's picture lies on its side, as spectrograms do here.
    """

    any_length: ClassVar[bool] = False

    def __init__(
        self, frames: int, bands: int, filters: Sequence[int], hidden: Sequence[int], dropout: float, batch_norm: bool
    ) -> None:
        """Make the layers for clips of exactly ``frames`` frames."""
        super().__init__()
        first, second = filters
        self.along = nn.Conv2d(1, first, (1, bands), padding=_PAD)
        self.local = nn.Conv2d(first, second, 5, padding=_PAD)
        self.norm = nn.BatchNorm2d(second)
        self.dropout = nn.Dropout(dropout)
        # (frames, bands) -> (frames + 4, 5) -> (half, 2) -> the same -> (quarter, 1)
        width = second * ((frames + 2 * _PAD) // 2 // 2)
        layers: list[nn.Module] = []
        for size in hidden:
            layers += [nn.Linear(width, size), *([nn.BatchNorm1d(size)] if batch_norm else []), nn.ReLU()]
            width = size
        self.connected = nn.Sequential(*layers)
        self.features = width

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) to (batch, features): of S2's size 3240 -> 1024 -> 256."""
        # The largest of a rectified map is the rectified largest: ReLU stands behind the pools, where maps are small.
        maps = torch.relu_(functional.max_pool2d(self._first(spectrograms), 2))
        maps = torch.relu_(functional.max_pool2d(self.norm(self.local(maps)), 2))
        embedding: torch.Tensor = self.connected(self.dropout(maps.flatten(1)))
        return embedding

    def _first(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """What ``along`` gives of clips divided by their mean, as one matrix product: (batch, filters, frames + 4, 4).

        A kernel of the full height has five places in it (padding 2): shifts of the filter over the bands, side by side
        in a matrix. The pool after it passes the fifth over, so it is not made. The division, as S2's code has it (dB
        below the maximum become positive numbers around 1), is made afterwards, where there is less to divide.
        """
        kernel = self.along.weight[:, 0, 0]
        filters, bands = kernel.shape
        shifts = [functional.pad(kernel, (place, 2 * _PAD - place))[:, _PAD:-_PAD] for place in range(2 * _PAD)]
        matrix = torch.stack(shifts).reshape(-1, bands)
        mean = spectrograms.mean((1, 2), keepdim=True)
        mean = torch.where(mean.abs() < 1e-3, torch.ones_like(mean), mean)
        maps = functional.linear(spectrograms, matrix) / mean
        maps = functional.pad(maps, (0, 0, _PAD, _PAD))  # beyond the clip's ends there are zeros
        bias = self.along.bias
        assert bias is not None
        return (maps.reshape(*maps.shape[:2], 2 * _PAD, filters) + bias).permute(0, 3, 1, 2)


def time_axis(
    frames: int,
    bands: int,
    filters: Sequence[int] = (20, 40),
    hidden: Sequence[int] = (1024, 256),
    dropout: float = 0.2,
    batch_norm: bool = False,
) -> TimeAxis:
    """S2's network.

    Args:
        frames: Of a clip; at least 4.
        bands: Of the spectrogram.
        filters: Of the two convolutions.
        hidden: Widths of the fully connected layers; the last is the embedding's; empty for the flattened map.
        dropout: Of the flattened map.
        batch_norm: Also between the fully connected layers (S2 has none there; more and larger layers want it).
    """
    if len(filters) != 2:
        raise ValueError(f"filters = {list(filters)}: there are two convolutions")
    if frames < 4:
        raise ValueError(f"clips of {frames} frames are too short: at least 4 are needed")
    return TimeAxis(frames, bands, filters, hidden, dropout, batch_norm)
