"""The convolutional network of FMA slices (poster "Music genre classification using deep learning", CS230).

Three convolutions and a fully connected layer over a square picture of a spectrogram, as the predecessor's code has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import nn

from earmark.training.backbones import Backbone

__all__ = ["Slices", "slices"]


class Slices(Backbone):
    """Three times 3 x 3 convolution, batch norm, 2 x 2 maximum, ReLU; then a fully connected layer.

    Shapes with 128 x 128: (batch, 128, 128) -> (64, 64, 64) -> (128, 32, 32) -> (256, 16, 16) -> (batch, 256).
    """

    any_length: ClassVar[bool] = False

    def __init__(self, frames: int, bands: int, channels: Sequence[int], features: int) -> None:
        super().__init__()
        self.features = features
        layers: list[nn.Module] = [nn.BatchNorm2d(1)]
        inputs = 1
        for outputs in channels:
            layers += [
                nn.Conv2d(inputs, outputs, 3, padding=1),
                nn.BatchNorm2d(outputs),
                nn.MaxPool2d(2),
                nn.ReLU(inplace=True),
            ]
            frames, bands, inputs = frames // 2, bands // 2, outputs
        self.maps = nn.Sequential(*layers)
        self.full = nn.Sequential(
            nn.Flatten(), nn.Linear(inputs * frames * bands, features), nn.BatchNorm1d(features), nn.ReLU(inplace=True)
        )

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) of any unit to (batch, features); the head brings the dropout."""
        embedding: torch.Tensor = self.full(self.maps(spectrograms[:, None]))
        return embedding


def slices(frames: int, bands: int, channels: Sequence[int] = (64, 128, 256), features: int = 256) -> Slices:
    """The network of FMA slices, for clips of exactly ``frames`` frames."""
    least = 2 ** len(channels)
    if frames < least or bands < least:
        raise ValueError(f"{len(channels)} halvings need at least {least} frames and bands, not {frames} and {bands}")
    return Slices(frames, bands, channels, features)
