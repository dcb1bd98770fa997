"""Networks: spectrogram in, embedding out. One file an architecture; the builder's name is the registry key.

A builder is a function ``name(frames, bands, **options) -> Backbone`` marked with :func:`register`; its key has
``-`` where the function has ``_``. :func:`build` makes the network with random weights.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import torch
from torch import nn

from earmark.errors import RecipeError, UnknownName

__all__ = ["Backbone", "build", "names", "register"]


class Backbone(nn.Module):
    """A network from spectrograms to embeddings.

    ``forward`` takes (batch, frames, bands) float32 and gives (batch, features).

    Attributes:
        features: Numbers in an embedding.
        published_prefixes: Beginnings of the names in a published state dict that are called otherwise here.
        own_parts: Beginnings of the names of what a published network does not have.
        any_length: Whether clips of other numbers of frames than it was built for can be heard.
    """

    features: int
    any_length: ClassVar[bool] = True
    own_parts: ClassVar[tuple[str, ...]] = ()
    published_prefixes: ClassVar[Mapping[str, str]] = {}

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """Embeddings (batch, features) of spectrograms (batch, frames, bands)."""
        raise NotImplementedError


Builder = Callable[..., Backbone]
_F = TypeVar("_F", bound=Builder)
_BUILDERS: dict[str, Builder] = {}


def register(builder: _F) -> _F:
    """Enter a builder into the registry under its own name."""
    _BUILDERS[builder.__name__.replace("_", "-")] = builder
    return builder


def _known() -> Mapping[str, Builder]:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return _BUILDERS


def names() -> tuple[str, ...]:
    """All registered networks, sorted."""
    return tuple(sorted(_known()))


def build(name: str, frames: int, bands: int, options: Mapping[str, Any] | None = None) -> Backbone:
    """The network of that name with random weights.

    Args:
        name: A key of the registry.
        frames: Frames of the clips that it will hear; networks that take any length only start from it.
        bands: Bands of the spectrogram.
        options: Keyword arguments of the builder.

    Raises:
        UnknownName: There is no such network, or the builder has no such option.
        RecipeError: The options do not fit, or the clip is too small for the network.
    """
    known = _known()
    if name not in known:
        raise UnknownName("backbone", name, known)
    builder = known[name]
    allowed = list(inspect.signature(builder).parameters)[2:]
    for key in options or {}:
        if key not in allowed:
            raise UnknownName(f"option of backbone {name}", key, allowed)
    try:
        return builder(frames, bands, **dict(options or {}))
    except (TypeError, ValueError) as error:
        raise RecipeError(f"backbone {name}: {error}") from error
