"""What a trained model costs: its numbers and its arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from torch.utils.flop_counter import FlopCounterMode

from earmark.audio.track import starts
from earmark.datasets.core import HeadSpec
from earmark.errors import RecipeError, UnknownName
from earmark.models.card import Card
from earmark.recipe import Recipe
from earmark.training.backbones import Backbone, build
from earmark.training.heads import build_head

__all__ = ["count_flops", "count_parameters", "gflop_of", "parameters_of"]


def gflop_of(folder: Path, card: Card, seconds: float) -> float | None:
    """Billions of floating point operations for a song of that many seconds (of a picture: columns).

    None where the model's network is not one of ours, so that its arithmetic is not known.
    """
    frontend, clip = card.frontend, card.clip
    if frontend is None:
        return None
    frames = round(clip.seconds)
    if frontend.kind != "image":
        frames = frontend.frames(round(clip.seconds * frontend.sample_rate))
    try:
        network = build(card.backbone, frames, frontend.bands, card.recipe.get("backbone", {}).get("options"))
    except (UnknownName, RecipeError):
        return None
    heads = sum(math.prod(shape) for name, shape in _shapes(folder) if name.startswith("heads.") and len(shape) == 2)
    one = count_flops(network, frames, frontend.bands) + 2 * heads
    return float(f"{len(starts(seconds, clip.seconds, clip.count)) * one / 1e9:.4g}")


def count_flops(network: Backbone, frames: int, bands: int) -> int:
    """Floating point operations for one clip: a multiplication and an addition count as two.

    Convolutions, matrix products and recurrent layers count; what they leave is a few per cent.
    """
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network.eval()(torch.zeros(1, frames, bands))
    return int(counter.get_total_flops())


def count_parameters(recipe: Recipe) -> int | None:
    """Numbers in the weights of a recipe's network with one head of ten labels; None for a trained model's network."""
    clip, frontend = recipe.clip, recipe.frontend
    frames = frontend.frames(round(clip.seconds * frontend.sample_rate))
    try:
        network = build(recipe.backbone.name, frames, frontend.bands, recipe.backbone.options)
    except UnknownName:
        return None
    head = build_head(recipe.heads, network.features, HeadSpec("genre", "multiclass", tuple("0123456789")), 0)
    states = {**network.state_dict(prefix="backbone."), **head.state_dict(prefix="head.")}
    return sum(int(value.numel()) for name, value in states.items() if not name.endswith("num_batches_tracked"))


def parameters_of(folder: Path) -> int:
    """Numbers in a model folder's weights; the counters of batch norm are none."""
    return sum(math.prod(shape) for name, shape in _shapes(folder) if not name.endswith("num_batches_tracked"))


def _shapes(folder: Path) -> Iterator[tuple[str, Sequence[int]]]:
    with safe_open(str(folder / "weights.safetensors"), "np") as weights:
        for name in weights.keys():  # noqa: SIM118 - not a dictionary
            yield name, weights.get_slice(name).get_shape()
