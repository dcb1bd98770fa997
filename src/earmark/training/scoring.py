"""A trained recipe scored: its figures on tracks of other artists, what its nodes stand for, and what it costs.

Costs are its numbers, its arithmetic, and the songs a second that it analyses, measured in turns with other models:
what slows one of them slows all alike.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch.utils.flop_counter import FlopCounterMode

from earmark.audio.track import starts
from earmark.datasets.core import Dataset, HeadSpec
from earmark.engine.base import Alive, Engine, Task
from earmark.errors import RecipeError, UnknownName
from earmark.evaluation.comparison import Row
from earmark.evaluation.evaluate import analyse_dataset, explain_layers
from earmark.evaluation.scores import ModelPredictions, answers_of, score_head
from earmark.events import Steps
from earmark.inference.records import Failure, Prediction
from earmark.inference.tagger import Tagger, load_model
from earmark.models.card import Card
from earmark.recipe import Recipe
from earmark.training.backbones import Backbone, build
from earmark.training.heads import build_head

__all__ = ["count_flops", "count_parameters", "gflop_of", "parameters_of", "scored_row", "songs_per_second"]


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


_SONGS = 8


@dataclass(frozen=True, slots=True)
class TimeModels(Task[Path, Mapping[str, float]]):
    """Seconds of processor time that each of some models takes for a song, decoding included."""

    models: Mapping[str, Path]

    def start(self, alive: Alive) -> Callable[[Path], Mapping[str, float]]:
        """Load the models; their first song is analysed twice, since the first analysis of a model is slower."""
        taggers = {name: load_model(folder, "cpu") for name, folder in self.models.items()}
        warm = False

        def work(song: Path) -> Mapping[str, float]:
            nonlocal warm
            for _ in range(1 if warm else 2):
                spent = {name: _seconds(tagger, song) for name, tagger in taggers.items()}
            warm = True
            return spent

        return work


def songs_per_second(models: Mapping[str, Path], songs: Sequence[Path], engine: Engine) -> dict[str, float]:
    """Of each model on one core, decoding included, by processor time: other programs do not count.

    Args:
        models: Model folders by name.
        songs: Eight of them, spread evenly, are analysed by one model after the other.
        engine: That analyses.

    Returns:
        By name; empty where none of the songs can be analysed by all.
    """
    if not models:
        return {}
    spread = dict.fromkeys(np.linspace(0, len(songs) - 1, min(_SONGS, len(songs))).round().astype(int).tolist())
    results = engine.map(TimeModels(models), [songs[place] for place in spread])
    rounds = [result.value for result in results if not isinstance(result, Failure)]
    spent = {name: sum(one[name] for one in rounds) for name in models if rounds}
    return {name: float(f"{len(rounds) / max(seconds, 1e-6):.3g}") for name, seconds in spent.items()}


def _seconds(tagger: Tagger, song: Path) -> float:
    begun = time.process_time()
    tagger.predict(song)
    return time.process_time() - begun


def scored_row(
    row: Row, models: Path, part: Dataset, unseen: Dataset, engine: Engine
) -> Steps[tuple[Row, ModelPredictions | None]]:
    """The row with its figures on the part that scores and what it costs; and its predictions, for paired tests.

    Args:
        row: Of a trained model.
        models: Folder of the model folders.
        part: To score on.
        unseen: Tracks that the network did not learn from; they explain its nodes.
        engine: That analyses the tracks.
    """
    tagger = load_model(models / row.name)
    mine = yield from analyse_dataset(tagger, part, engine)
    predictions = [result for result in mine.results if isinstance(result, Prediction)]
    if not predictions:
        return replace(row, error="not one track of the part that scores could be analysed"), None
    figures = {name: score_head(answers_of([mine], part, name)) | known for name, known in row.heads.items()}
    scored = replace(
        row,
        heads=figures,
        gflop=gflop_of(tagger.folder, tagger.card, statistics.median(result.seconds for result in predictions)),
        nodes=(yield from explain_layers(tagger, unseen, engine)),
    )
    return scored, mine
