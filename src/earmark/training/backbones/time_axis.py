"""Network along the time axis: S2, "Music classification with deep learning" (Smith), with its code's widths.

Its first kernel is as high as the spectrogram, so that it looks at all bands of one frame at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from earmark.training.backbones import Backbone, register

__all__ = ["TimeAxis", "time_axis"]

_PAD = 2


class TimeAxis(Backbone):
    """Two convolutions, the first (bands, 1) along time; flatten with dropout; fully connected layers."""

    def __init__(
        self, frames: int, bands: int, filters: Sequence[int], hidden: Sequence[int], dropout: float, batch_norm: bool
    ) -> None:
        """Make the layers for clips of exactly ``frames`` frames."""
        super().__init__()
        first, second = filters
        self.along = nn.Conv2d(1, first, (bands, 1), padding=_PAD)
        self.local = nn.Conv2d(first, second, 5, padding=_PAD)
        self.norm = nn.BatchNorm2d(second)
        self.dropout = nn.Dropout(dropout)
        # (bands, frames) -> (5, frames + 4) -> (2, half) -> the same -> (1, quarter)
        width = second * ((frames + 2 * _PAD) // 2 // 2)
        layers: list[nn.Module] = []
        for size in hidden:
            layers += [nn.Linear(width, size), *([nn.BatchNorm1d(size)] if batch_norm else []), nn.ReLU()]
            width = size
        self.connected = nn.Sequential(*layers)
        self.features = width

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) to (batch, features): of S2's size 3240 -> 1024 -> 256."""
        maps = functional.max_pool2d(torch.relu(self._first(_by_mean(spectrograms))), 2)
        maps = functional.max_pool2d(torch.relu(self.norm(self.local(maps))), 2)
        embedding: torch.Tensor = self.connected(self.dropout(maps.flatten(1)))
        return embedding

    def _first(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """The convolution ``along`` as one matrix product: (batch, frames, bands) to (batch, filters, 5, frames + 4).

        A kernel of the picture's full height has five places in it (padding 2): five shifts of each filter over the
        bands, side by side in a matrix. Beyond the clip's ends there is silence (zeros), as padding has it.
        """
        kernel = self.along.weight[:, 0, :, 0]
        bands = kernel.shape[1]
        shifts = [functional.pad(kernel, (place, 2 * _PAD - place))[:, _PAD:-_PAD] for place in range(2 * _PAD + 1)]
        matrix = torch.stack(shifts, 1).reshape(-1, bands)
        maps = functional.pad(spectrograms, (0, 0, _PAD, _PAD)) @ matrix.T
        batch, frames = maps.shape[0], maps.shape[1]
        maps = maps.reshape(batch, frames, -1, 2 * _PAD + 1).permute(0, 2, 3, 1)
        bias = self.along.bias
        assert bias is not None
        return maps + bias[:, None, None]


def _by_mean(spectrograms: torch.Tensor) -> torch.Tensor:
    """Each clip divided by its mean, as S2's code does: dB below the maximum become positive numbers around 1."""
    mean = spectrograms.mean((1, 2), keepdim=True)
    return spectrograms / torch.where(mean.abs() < 1e-3, torch.ones_like(mean), mean)


@register
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
