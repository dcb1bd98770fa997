"""YAMNet: Plakal and Ellis 2020, AudioSet on VGGish's front end; MobileNet v1 (Howard et al. 2017)."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import nn
from torch.nn import functional

from earmark.training.backbones import Backbone

__all__ = ["BLOCKS", "CLASSES", "Yamnet", "yamnet"]

CLASSES = 521
"""AudioSet's classes that the published classifier behind the embedding knows."""
BLOCKS: tuple[tuple[int, int], ...] = (
    (1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), (1, 512), (1, 512), (1, 512), (1, 512), (1, 512),
    (2, 1024), (1, 1024),
)  # fmt: skip
"""Stride and channels of the separable convolutions."""


class _Unit(nn.Module):
    """Convolution padded as TensorFlow's ``same``, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-4)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, frames, bands) to (batch, outputs, frames / stride, bands / stride), rounded up."""
        left, top = self._before(maps.shape[3]), self._before(maps.shape[2])
        spare = self.kernel - 1
        padded = functional.pad(maps, (left, spare - left, top, spare - top)) if spare else maps
        return torch.relu_(self.norm(self.conv(padded)))

    def _before(self, length: int) -> int:
        """What ``same`` puts before the first value: less than behind the last one, where the length is even."""
        spare = self.kernel - 1
        return spare // 2 if self.stride == 1 or length % 2 else (spare - 1) // 2


class Yamnet(Backbone):
    """A convolution and thirteen separable ones; the embedding is the mean over both axes.

    Shapes: (batch, 96, 64) -> (32, 48, 32) -> (64, 48, 32) -> (128, 24, 16) -> (256, 12, 8) -> (512, 6, 4) ->
    (1024, 3, 2) -> (batch, 1024).

    ``folded`` is 1 once published weights are loaded: they have batch norm within their convolutions, so that its
    layers stay as they are when the network is trained further.
    """

    features = 1024
    any_length: ClassVar[bool] = False  # where "same" pads depends on whether a length is odd
    folded: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_Unit(1, 32, 3, 2)]
        inputs = 32
        for stride, outputs in BLOCKS:
            layers += [_Unit(inputs, inputs, 3, stride, groups=inputs), _Unit(inputs, outputs, 1, 1)]
            inputs = outputs
        self.maps = nn.Sequential(*layers)
        self.register_buffer("folded", torch.zeros(1))

    def train(self, mode: bool = True) -> Self:
        """Batch norm that is folded into published weights is never trained."""
        super().train(mode)
        if mode and bool(self.folded.item()):
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) natural logarithms to (batch, 1024)."""
        embedding: torch.Tensor = self.maps(spectrograms[:, None]).mean((2, 3))
        return embedding


def yamnet(frames: int, bands: int) -> Yamnet:
    """YAMNet's network, for clips of exactly ``frames`` frames; from 16 frames and bands on, published for 96 x 64."""
    if frames < 16 or bands < 16:
        raise ValueError(f"needs at least 16 frames and bands, not {frames} and {bands}")
    return Yamnet()
