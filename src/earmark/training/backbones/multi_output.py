"""The multi-output tagger (poster "Music tagging with convolutional neural network", Yu)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import nn

from earmark.training.backbones import Backbone

__all__ = ["MultiOutput", "multi_output"]


class MultiOutput(Backbone):
    """Four 2 x 2 convolutions with batch norm, the last with stride 2; their flattened maps are the embedding.

    Each output's head has its own layer of 15 nodes (``heads.hidden = [15]``); with ``nodes`` one layer of so many
    nodes is shared by all outputs instead, and is the embedding.

    Shapes with 64 x 64: (batch, 64, 64) -> (16, 63, 63) -> (32, 62, 62) -> (32, 61, 61) -> (8, 30, 30) ->
    (batch, 7200), or (batch, nodes).
    """

    any_length: ClassVar[bool] = False

    def __init__(self, frames: int, bands: int, filters: Sequence[int], nodes: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.BatchNorm2d(1)]
        strides = [1] * (len(filters) - 1) + [2]
        for (inputs, outputs), stride in zip(itertools.pairwise((1, *filters)), strides, strict=True):
            layers += [nn.Conv2d(inputs, outputs, 2, stride), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
            frames, bands = (frames - 2) // stride + 1, (bands - 2) // stride + 1
        flat = filters[-1] * frames * bands
        self.maps = nn.Sequential(*layers, nn.Flatten())
        self.features = nodes or flat
        shared = (
            (nn.Dropout(dropout), nn.Linear(flat, nodes), nn.BatchNorm1d(nodes), nn.ReLU(inplace=True)) if nodes else ()
        )
        self.shared = nn.Sequential(*shared)

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) of any unit to (batch, features)."""
        embedding: torch.Tensor = self.shared(self.maps(spectrograms[:, None]))
        return embedding


def multi_output(
    frames: int, bands: int, filters: Sequence[int] = (16, 32, 32, 8), nodes: int = 0, dropout: float = 0.0
) -> MultiOutput:
    """The multi-output tagger's network, for clips of exactly ``frames`` frames."""
    least = len(filters) + 2
    if frames < least or bands < least:
        raise ValueError(f"{len(filters)} layers need at least {least} frames and bands, not {frames} and {bands}")
    return MultiOutput(frames, bands, filters, nodes, dropout)
