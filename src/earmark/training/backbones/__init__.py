"""Networks: spectrogram in, embedding out; one file a family, which is imported when one of it is built.

A builder is a function ``name(frames, bands, **options) -> Backbone``; its key in the registry has ``-`` where the
function has ``_``. :func:`build` makes the network with random weights.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from earmark.errors import RecipeError, UnknownName

__all__ = ["Backbone", "build", "lean", "names"]


class Backbone(nn.Module):
    """A network from spectrograms to embeddings.

    ``forward`` takes (batch, frames, bands) float32 and gives (batch, features).

    Attributes:
        features: Numbers in an embedding.
        published_prefixes: Beginnings of the names in a published state dict that are called otherwise here.
        own_parts: Beginnings of the names of what a published network does not have.
        any_length: Whether clips of other numbers of frames than it was built for are taken.
    """

    features: int
    any_length: ClassVar[bool] = True
    own_parts: ClassVar[tuple[str, ...]] = ()
    published_prefixes: ClassVar[Mapping[str, str]] = {}

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """Embeddings (batch, features) of spectrograms (batch, frames, bands)."""
        raise NotImplementedError


def lean(layers: nn.Module, maps: torch.Tensor) -> torch.Tensor:
    """Layers whose inner maps are computed again for the gradient instead of kept (Chen et al. 2016).

    For layers of large maps, without dropout. They take a little more time; the weights that they learn are the same.
    """
    if not (layers.training and torch.is_grad_enabled()):
        return torch.as_tensor(layers(maps))
    return torch.as_tensor(checkpoint(layers, maps, use_reentrant=False, preserve_rng_state=False))


_MODULES: Mapping[str, str] = MappingProxyType(
    {
        "bbnn": "bbnn",
        "choi-crnn": "won",
        "choi-fcn": "won",
        "multi-output": "multi_output",
        "musicnn": "won",
        "patch-residual": "patch_residual",
        "short-chunk-res": "short_chunk_res",
        "slices": "slices",
        "slices-plus": "slices_plus",
        "time-axis": "time_axis",
        "vggish": "vggish",
        "yamnet": "yamnet",
        "zhang-nnet1": "zhang",
        "zhang-nnet2": "zhang",
    }
)


def names() -> tuple[str, ...]:
    """All networks, sorted."""
    return tuple(_MODULES)


def build(name: str, frames: int, bands: int, options: Mapping[str, Any] | None = None) -> Backbone:
    """The network of that name with random weights.

    Args:
        name: One of :func:`names`.
        frames: Frames of the clips that it will take; networks that take any length only start from it.
        bands: Bands of the spectrogram.
        options: Keyword arguments of the builder.

    Raises:
        UnknownName: There is no such network, or the builder has no such option.
        RecipeError: The options do not fit, or the clip is too small for the network.
    """
    if name not in _MODULES:
        raise UnknownName("backbone", name, _MODULES)
    builder = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name.replace("-", "_"))
    allowed = list(inspect.signature(builder).parameters)[2:]
    for key in options or {}:
        if key not in allowed:
            raise UnknownName(f"option of backbone {name}", key, allowed)
    try:
        network: Backbone = builder(frames, bands, **dict(options or {}))
    except (TypeError, ValueError) as error:
        raise RecipeError(f"backbone {name}: {error}") from error
    return network
