"""VGGish: Hershey et al. 2017, "CNN architectures for large-scale audio classification"; with autopool (McFee 2018).

Its convolutions alone, as system S4 takes them: a pooling stands in place of the fully connected layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, get_args

import torch
from torch import nn

from earmark.training.backbones import Backbone

__all__ = ["AutoPool", "Vggish", "vggish"]

Pooling = Literal["average", "autopool"]
_LAYERS = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0)  # channels of a convolution; 0: 2 x 2 maximum


class AutoPool(nn.Module):
    """A mean weighted by the values themselves, from average (alpha 0) to maximum: McFee et al. 2018.

    ``alpha`` is learnt for each feature.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(features))

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        """(batch, features, steps) to (batch, features)."""
        weights = torch.softmax(self.alpha[:, None] * steps, 2)
        return (weights * steps).sum(2)


class Vggish(Backbone):
    """Six 3 x 3 convolutions with ReLU, four 2 x 2 maxima, pooling, batch norm.

    Shapes: (batch, 96, 64) -> (64, 48, 32) -> (128, 24, 16) -> (256, 12, 8) -> (512, 6, 4) -> (batch, 512). Autopool
    works along time, on the mean over the bands.
    """

    published_prefixes: ClassVar[Mapping[str, str]] = {"features.": "maps."}
    own_parts: ClassVar[tuple[str, ...]] = ("norm.", "pool.")

    def __init__(self, pooling: Pooling = "average") -> None:
        super().__init__()
        self.features = 512
        layers: list[nn.Module] = []
        inputs = 1
        for channels in _LAYERS:
            layers += (
                [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU(inplace=True)] if channels else [nn.MaxPool2d(2)]
            )
            inputs = channels or inputs
        self.maps = nn.Sequential(*layers)
        for layer in self.maps:
            if isinstance(layer, nn.Conv2d):  # without batch norm the usual weights fade from layer to layer
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.pool = AutoPool(self.features) if pooling == "autopool" else None
        self.norm = nn.BatchNorm1d(self.features)

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, 96, 64) natural logarithms to (batch, 512)."""
        steps = self.maps(spectrograms[:, None]).mean(3)
        pooled = self.pool(steps) if self.pool is not None else steps.mean(2)
        embedding: torch.Tensor = self.norm(pooled)
        return embedding


def vggish(frames: int, bands: int, pooling: Pooling = "average") -> Vggish:
    """VGGish's convolutions; at least 16 frames and bands."""
    if pooling not in get_args(Pooling):
        raise ValueError(f"pooling = {pooling!r}: must be one of {', '.join(get_args(Pooling))}")
    if frames < 16 or bands < 16:
        raise ValueError(f"needs at least 16 frames and bands, not {frames} and {bands}")
    return Vggish(pooling)
