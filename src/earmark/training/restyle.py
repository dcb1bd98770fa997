"""Style transfer between songs, an experiment: the picture of one song takes on the statistics of others.

A style is what the correlations of convolution features say, whatever the moment (Gatys et al. 2016). Features are
those of one layer of wide random filters along time (Ulyanov and Lebedev 2016; Grinstein et al. 2018), or those of
every convolution of a trained recipe. The picture is optimised by Adam, from the content.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from earmark.errors import ModelError, RecipeError, UnknownName
from earmark.features.frontend import Frontend
from earmark.features.sox import RANGE_DB
from earmark.features.sox import STEPS as SOX_STEPS
from earmark.features.spectrogram import mel_filterbank
from earmark.models.card import Card, read_card
from earmark.training.backbones import Backbone, build
from earmark.training.module import TaggerModule, load_matching

__all__ = ["STEPS", "Features", "State", "Style", "model_features", "random_features", "restyle"]

Array = NDArray[np.float32]
Style = tuple[NDArray[np.float32], ...]
"""A Gram matrix (features, features) a layer."""

STEPS = 80
"""Of Adam."""

_RATE = 0.05  # standard deviations of the content's picture a step, at the beginning
_FRONTEND = Frontend(
    sample_rate=22050, n_fft=2048, win_length=2048, hop_length=512, bands=256, f_min=20.0, f_max=11025.0
)
_FILTERS, _LENGTH = 512, 11  # frames: a quarter of a second
_WIDEST = 1024  # features of a layer: maps of more channels times bands are averaged over neighbouring bands


@dataclass(frozen=True, slots=True)
class Features:
    """What makes features of pictures.

    Attributes:
        frontend: That gives the pictures, in plain decibels.
        layers: Takes a picture (frames, bands) and gives (features, places) for each layer.
    """

    frontend: Frontend
    layers: Callable[[torch.Tensor], list[torch.Tensor]]

    def style(self, picture: Array) -> Style:
        """Gram matrices of a picture (frames, bands)."""
        with torch.inference_mode():
            return tuple(gram.numpy() for gram in _grams(self.layers(torch.from_numpy(picture))))

    def distance(self, picture: Array, style: Style) -> float:
        """Squared distance of the Gram matrices, in squares of the style's, mean of the layers: 0 where they agree."""
        with torch.inference_mode():
            return _distance(_grams(self.layers(torch.from_numpy(picture))), _tensors(style)).item()


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """How far the optimisation is.

    Attributes:
        step: Steps done.
        picture: (frames, bands).
        style: Distance to the style that is left, 1 at the beginning.
        change: Mean square of what was changed of the picture, in variances of the content.
    """

    step: int
    picture: Array
    style: float
    change: float


def random_features(seed: int = 0) -> Features:
    """One layer of random filters over all bands and a quarter of a second, rectified."""
    draw = torch.Generator().manual_seed(seed)
    filters = torch.randn((_FILTERS, _FRONTEND.bands, _LENGTH), generator=draw) / (_FRONTEND.bands * _LENGTH) ** 0.5

    def layers(picture: torch.Tensor) -> list[torch.Tensor]:
        scaled = (picture.T[None] + 50) / 80  # songs of one level have their loudest near 30 dB
        return [torch.relu(functional.conv1d(scaled, filters)[0])]

    return Features(_FRONTEND, layers)


def model_features(folder: Path) -> Features:
    """Every convolution of a model's network.

    Raises:
        ModelError: It was trained on images, is no network of a recipe, has no weights, or no convolution.
    """
    card = read_card(folder)
    frontend = card.frontend
    if frontend is None or frontend.kind == "image":
        raise ModelError(f"{folder}: the model {card.id} was trained on images and takes no audio")
    network = _network(folder, card)
    convolutions = [layer for layer in network.modules() if isinstance(layer, (nn.Conv1d, nn.Conv2d))]
    frames = None if network.any_length else card.clip_shape[0]

    def layers(picture: torch.Tensor) -> list[torch.Tensor]:
        found: list[torch.Tensor] = []
        # A copy, because some networks rectify their maps in place.
        hooks = [one.register_forward_hook(lambda *call: found.append(_flat(call[2].clone()))) for one in convolutions]
        try:
            network(_related(_windows(picture, frames), frontend))
        finally:
            for hook in hooks:
                hook.remove()
        return found

    return Features(replace(frontend, relative=False, range_db=0.0), layers)


def _network(folder: Path, card: Card) -> Backbone:
    options = dict(card.recipe.get("backbone", {})).get("options", {})
    try:
        network = build(card.backbone, *card.clip_shape, options)
    except (UnknownName, RecipeError) as error:
        raise ModelError(f"{folder}: the model {card.id} has no convolution features: its network {card.backbone!r} is "
                         "none of a recipe; give -m random, or a model that a recipe trained") from error  # fmt: skip
    load_matching(TaggerModule(network, {}), folder, ())
    return network.eval().requires_grad_(False)


def _windows(picture: torch.Tensor, frames: int | None) -> torch.Tensor:
    """(clips, frames, bands) that cover a picture; one that is shorter than a clip is repeated."""
    if frames is None:
        return picture[None]
    starts = torch.linspace(0, max(0, len(picture) - frames), -(-len(picture) // frames)).round().long()
    return picture[(starts[:, None] + torch.arange(frames)) % len(picture)]


def _related(clips: torch.Tensor, frontend: Frontend) -> torch.Tensor:
    """As :func:`earmark.features.spectrogram.relate_to_peak` has it, with a gradient."""
    if frontend.kind == "sox":
        return clips.clamp(0, SOX_STEPS)
    if frontend.log == "db" and (frontend.range_db or frontend.relative):
        peak = clips.detach().amax((1, 2), keepdim=True)
        clips = torch.maximum(clips, peak - frontend.range_db) if frontend.range_db else clips
        clips = clips - peak if frontend.relative else clips
    return clips


def _flat(maps: torch.Tensor) -> torch.Tensor:
    """Maps (clips, channels, ...) as (features, places in time); features are channels times bands.

    Networks lay time out along either axis; it is the longer one.
    """
    if maps.ndim == 3:
        return maps.transpose(0, 1).flatten(1)
    maps = maps if maps.shape[3] >= maps.shape[2] else maps.transpose(2, 3)
    bands = max(1, min(maps.shape[2], _WIDEST // maps.shape[1]))
    maps = functional.adaptive_avg_pool2d(maps, (bands, maps.shape[3]))
    return maps.permute(1, 2, 0, 3).flatten(2).flatten(0, 1)


def _loudness(picture: torch.Tensor, frontend: Frontend) -> torch.Tensor:
    """Of the sound that has the picture, in the picture's unit."""
    if frontend.kind == "sox":
        rate, weights = math.log(10) / 10 * RANGE_DB / SOX_STEPS, torch.zeros(picture.shape[1])
    else:
        rate = math.log(10) / 10 if frontend.log == "db" else 2.0 / frontend.power
        weights = -torch.from_numpy(mel_filterbank(frontend).max(1)).clamp_min(1e-9).log()  # triangles of one height
    return torch.logsumexp((rate * picture + weights).flatten(), 0) / rate


def _grams(layers: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return [layer @ layer.T / layer.shape[1] for layer in layers]


def _distance(grams: Sequence[torch.Tensor], style: Sequence[torch.Tensor]) -> torch.Tensor:
    pairs = zip(grams, style, strict=True)
    return torch.stack([(one - two).square().sum() / two.square().sum() for one, two in pairs]).mean()


def _tensors(style: Style) -> list[torch.Tensor]:
    return [torch.from_numpy(gram) for gram in style]


def restyle(content: Array, style: Style, features: Features, strength: float = 1.0) -> Iterator[State]:
    """Optimise a picture, from the content; a state after every step, of which there are :data:`STEPS`.

    What gets smaller is ``strength`` times the distance to the style that is left, plus the change. The picture stays
    as loud as it is: otherwise much of a style would be its loudness.

    Args:
        content: (frames, bands).
        style: Where to.
        features: That made the style.
        strength: Of the style.
    """
    start, aim = torch.from_numpy(content.copy()), _tensors(style)
    spread, begun = start.std().clamp_min(1e-3), max(features.distance(content, style), 1e-12)
    loudness = _loudness(start, features.frontend)
    moved = torch.zeros_like(start).requires_grad_()
    optimiser = torch.optim.Adam([moved], lr=_RATE, betas=(0.9, 0.9))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for step in range(1, STEPS + 1):
        optimiser.zero_grad()
        picture = start + spread * moved
        picture = picture + (loudness - _loudness(picture, features.frontend))
        left = _distance(_grams(features.layers(picture)), aim) / begun
        change = moved.square().mean()
        state = State(step, picture.detach().numpy(), left.item(), change.item())
        (strength * left + change).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        yield state
