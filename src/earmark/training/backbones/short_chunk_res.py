"""Short-chunk CNN with residuals: Won et al. 2020, "Evaluation of CNN-based automatic music tagging models"."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from earmark.training.backbones import Backbone

__all__ = ["ShortChunkRes", "short_chunk_res"]


def _conv(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs))


class _Block(nn.Module):
    """Two 3 x 3 convolutions, the first with stride 2, beside a third one where the shape changes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = _conv(inputs, outputs, 2), _conv(outputs, outputs, 1)
        self.shortcut = _conv(inputs, outputs, 2)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, bands, frames) to (batch, outputs, bands / 2, frames / 2), rounded up."""
        changed = self.second(torch.relu_(self.first(maps)))
        return torch.relu_(changed + self.shortcut(maps))


class ShortChunkRes(Backbone):
    """Seven residual blocks that each halve bands and frames, maximum over what is left, a dense layer.

    Shapes with 3.69 s: (batch, 231, 128) -> (128, 64, 116) -> (128, 32, 58) -> (256, 16, 29) -> (256, 8, 15) ->
    (256, 4, 8) -> (256, 2, 4) -> (512, 1, 2) -> (batch, 512).
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.features = channels[-1]
        self.norm = nn.BatchNorm2d(1)
        self.blocks = nn.Sequential(*(_Block(i, o) for i, o in zip((1, *channels), channels, strict=False)))
        self.dense = nn.Sequential(nn.Linear(self.features, self.features), nn.BatchNorm1d(self.features), nn.ReLU())

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) dB to (batch, features)."""
        maps = self.blocks(self.norm(spectrograms.transpose(1, 2)[:, None]))
        embedding: torch.Tensor = self.dense(maps.amax((2, 3)))
        return embedding


def short_chunk_res(
    frames: int, bands: int, channels: Sequence[int] = (128, 128, 256, 256, 256, 256, 512)
) -> ShortChunkRes:
    """Short-chunk CNN with residuals; any size, published for 3.69 s and 128 bands."""
    return ShortChunkRes(channels)
