"""Several recipes, or one with several settings, trained and scored on one split of a data set."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from earmark.datasets.core import Dataset
from earmark.datasets.splits import Split, split
from earmark.engine.base import Engine
from earmark.errors import DatasetError, EarmarkError, RecipeError, UnknownName
from earmark.evaluation.comparison import MARGIN, Comparison, Row, advise, pair_up
from earmark.evaluation.history import read_history
from earmark.evaluation.scores import HeadAnswers, ModelPredictions, main_figure, score_head
from earmark.events import Notice, Steps
from earmark.inference.tagger import load_model
from earmark.models.card import Card
from earmark.models.device import Device
from earmark.recipe import SplitPlan, load_recipe
from earmark.training.classical import NOTES as CLASSICAL_NOTES
from earmark.training.classical import baseline
from earmark.training.job import TrainOptions
from earmark.training.naive import NaivePlan, naive_row
from earmark.training.run import train_model
from earmark.training.scoring import parameters_of, scored_row, songs_per_second

__all__ = ["ComparePlan", "Variant", "compare", "variants"]

_FAILURES = (EarmarkError, RuntimeError, ValueError, MemoryError, OSError)
"""What ends one recipe and not the comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparePlan:
    """What to compare.

    Attributes:
        recipes: Names or files.
        settings: ``KEY=VALUE``, laid over every recipe, or ``RECIPE:KEY=VALUE`` for one.
        sweep: By key, the values to try; every combination is one.
        seed: Of split and training.
        device: Where.
        split: Fractions, where the data set assigns no parts.
        naive: Whether every row is trained once more, on clips split at random.
        margin: How much behind the best still counts as no worse, in units of the score.
    """

    recipes: tuple[str, ...]
    settings: tuple[str, ...] = ()
    sweep: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seed: int = 0
    device: Device = "auto"
    split: SplitPlan = field(default_factory=SplitPlan)
    naive: bool = False
    margin: float = MARGIN


@dataclass(frozen=True, slots=True)
class Variant:
    """One recipe with its settings: ``name`` is that of its model folder."""

    name: str
    recipe: str
    settings: tuple[str, ...]

    @property
    def table(self) -> dict[str, str]:
        """Settings by key."""
        return {key: value for key, _, value in (setting.partition("=") for setting in self.settings)}


def variants(plan: ComparePlan) -> tuple[Variant, ...]:
    """All that is to be trained, in the order asked for.

    Raises:
        UnknownName: No such recipe.
        RecipeError: A recipe or setting that makes no sense, or is named twice.
    """
    found: list[Variant] = []
    own = _own_settings(plan)
    for recipe in plan.recipes:
        for values in itertools.product(*plan.sweep.values()):
            swept = [f"{key}={value}" for key, value in zip(plan.sweep, values, strict=True)]
            settings = (*own[recipe], *swept)
            found.append(Variant(_model_name(recipe, settings), recipe, settings))
    for variant in found:
        if sum(other.name == variant.name for other in found) > 1:
            raise RecipeError(f"{variant.recipe} is named twice; every row must be one of its own")
    return tuple(found)


def _model_name(recipe: str, settings: tuple[str, ...]) -> str:
    """The recipe's, with a digest of what the settings make of it: their order and spelling do not count."""
    settled = replace(load_recipe(recipe, settings), about="", source="", notes=())
    digest = hashlib.sha256(json.dumps(asdict(settled), sort_keys=True, default=str).encode()).hexdigest()[:6]
    return f"{Path(recipe).stem}-{digest}" if settings else Path(recipe).stem


def _own_settings(plan: ComparePlan) -> dict[str, tuple[str, ...]]:
    """By recipe: the settings of all, and then those that are for it alone."""
    known = {Path(recipe).stem: recipe for recipe in plan.recipes} | {recipe: recipe for recipe in plan.recipes}
    common: list[str] = []
    alone: dict[str, list[str]] = {recipe: [] for recipe in plan.recipes}
    for setting in plan.settings:
        name, colon, rest = setting.partition("=")[0].rpartition(":")
        if not colon:
            common.append(setting)
        elif name in known:
            alone[known[name]].append(f"{rest}={setting.partition('=')[2]}")
        else:
            raise UnknownName("recipe of this comparison", name, known)
    return {recipe: (*common, *alone[recipe]) for recipe in plan.recipes}


def compare(dataset: Dataset, plan: ComparePlan, folder: Path, engine: Engine) -> Steps[Comparison]:
    """Train every variant on the same tracks and score it on the same ones.

    What was finished by an earlier call in the same folder is kept. A recipe that fails is a row with the reason. With
    a sweep the validation part chooses one variant of each recipe, and the test part meets that one alone: the
    others are trained without it.

    Args:
        dataset: As :func:`earmark.datasets.load_dataset` reads it (with ``training=True``).
        plan: What.
        folder: Models go to ``models/NAME``.
        engine: That reads the tracks.

    Raises:
        UnknownName, RecipeError: A recipe or setting that does not exist.
        DatasetError: Nothing to score on.
    """
    every = variants(plan)
    parts = split(dataset, plan.split, plan.seed)
    scoring = parts.test if len(parts.test) else parts.valid
    if not len(scoring):
        raise DatasetError(f"{dataset.name}: no track is left to score on; give more tracks, or a split of your own")
    models = folder / "models"
    learned = replace(parts, test=np.zeros(0, np.intp)) if plan.sweep else parts
    rows: list[Row] = []
    for number, variant in enumerate(every, 1):
        yield Notice(f"Training {number} of {len(every)}: {' '.join([variant.recipe, *variant.settings])}.")
        rows.append((yield from _trained(dataset, variant, plan, learned, models, engine)))
    part = dataset.subset(scoring)
    rows, predictions = yield from _scored(rows, plan, models, part, _unseen(dataset, parts), engine)
    without: list[str] = []
    if plan.naive:

        def again(row: Row) -> Steps[Row]:
            leaky = NaivePlan(tuple(row.heads), plan.split, plan.seed, plan.device)
            return naive_row(row, models, dataset, leaky, engine)

        rows, without = yield from _with_naive(rows, predictions, again)
    base, answers = (yield from _statistics(dataset, parts, plan.seed, engine)) if len(parts.test) else (None, {})
    paired = pair_up(predictions, part, {base.title: answers} if base is not None else None, plan.seed)
    return Comparison(
        dataset=dataset.name,
        part="test" if len(parts.test) else "valid",
        group_by=parts.group_by,
        rows=tuple(rows),
        baseline=base,
        paired=paired,
        advice=advise(rows, paired, base, plan.margin),
        notices=(*dataset.notices, *parts.notices, *_swept(plan, rows), *without),
    )


def _trained(
    dataset: Dataset, variant: Variant, plan: ComparePlan, parts: Split, models: Path, engine: Engine
) -> Steps[Row]:
    """A row with a trained model and its figures on the training and validation parts, or with an error."""
    recipe = load_recipe(variant.recipe, variant.settings)
    common = {setting.partition("=")[0] for setting in plan.settings}
    varied = {key: value for key, value in variant.table.items() if key in plan.sweep or key not in common}
    plain = Row(name=variant.name, recipe=variant.recipe, settings=variant.table, varied=varied, notes=recipe.notes)
    options = TrainOptions(seed=plan.seed, device=plan.device, split=parts)
    out, clock = models / variant.name, models / f"{variant.name}.seconds"
    finished, begun = (out / "card.json").is_file(), time.monotonic()
    try:
        yield from train_model(dataset, recipe, out, options, engine)
    except _FAILURES as error:
        return replace(plain, error=_message(error))
    finally:
        if not finished:
            clock.parent.mkdir(parents=True, exist_ok=True)
            clock.write_text(f"{_seconds(clock) + time.monotonic() - begun:.1f}\n", "utf-8")
    card = load_model(out).card
    return replace(
        plain,
        heads={head.name: _beside(card, head.name) for head in card.heads},
        parameters=parameters_of(out),
        train_seconds=round(_seconds(clock), 1),
        history=read_history(out / "history.csv"),
    )


def _scored(
    rows: Sequence[Row], plan: ComparePlan, models: Path, part: Dataset, unseen: Dataset, engine: Engine
) -> Steps[tuple[list[Row], dict[str, ModelPredictions]]]:
    """The rows with their figures on the part that scores (of a sweep the chosen ones), and the predictions."""
    chosen = _chosen(rows) if plan.sweep else {row.name for row in rows}
    found, predictions = list(rows), {}
    for place, row in enumerate(rows):
        if row.error is None and row.name in chosen:
            found[place], model = yield from scored_row(row, models, part, unseen, engine)
            if model is not None:
                predictions[row.title] = model
        elif row.error is None:
            found[place] = replace(row, chosen=False)
    named = {row.name: models / row.name for row in found if row.title in predictions}
    speeds = songs_per_second(named, [track.path for track in part.tracks], engine)
    return [replace(row, songs_per_second=speeds.get(row.name)) for row in found], predictions


def _with_naive(
    rows: Sequence[Row], predictions: Mapping[str, ModelPredictions], again: Callable[[Row], Steps[Row]]
) -> Steps[tuple[list[Row], list[str]]]:
    """Scored rows with their scores of the random split, and why some have none: the honest ones stand all the same."""
    found, without = list(rows), []
    places = [place for place, row in enumerate(rows) if row.title in predictions]
    for number, place in enumerate(places, 1):
        title = rows[place].title
        yield Notice(f"Training {number} of {len(places)} on clips split at random: {title}.")
        try:
            found[place] = yield from again(rows[place])
        except _FAILURES as error:
            without.append(f"{title} has no score of the random split: {_message(error)}")
    return found, without


def _message(error: BaseException) -> str:
    """In one line; what Earmark did not foresee with its kind, and short."""
    words = " ".join(str(error).split())
    return words if isinstance(error, EarmarkError) else f"{type(error).__name__}: {words[:200]}"


def _statistics(dataset: Dataset, parts: Split, seed: int, engine: Engine) -> Steps[tuple[Row, dict[str, HeadAnswers]]]:
    """What no network at all reaches, and its answers on the test part by head."""
    picture = all(track.path.suffix.lower() == ".png" for track in dataset.tracks)
    plain = Row(name="", recipe="DCT statistics + SVM" if picture else "MFCC statistics + SVM", notes=CLASSICAL_NOTES)
    heads: dict[str, dict[str, Any]] = {}
    answers: dict[str, HeadAnswers] = {}
    begun = time.monotonic()
    try:
        for spec in dataset.heads:
            found = yield from baseline(dataset, spec.name, parts, engine, seed)
            learnt, key = score_head(found.train, seed=seed), main_figure(spec.task)
            heads[spec.name] = score_head(found.test, seed=seed)
            heads[spec.name] |= {f"train_{key}{end}": learnt.get(f"{key}{end}") for end in ("", "_ci95")}
            answers[spec.name] = found.test
    except DatasetError as error:
        return replace(plain, error=str(error)), {}
    return replace(plain, heads=heads, train_seconds=round(time.monotonic() - begun, 1)), answers


def _seconds(clock: Path) -> float:
    """What earlier sessions took."""
    try:
        return float(clock.read_text("utf-8"))
    except (OSError, ValueError):
        return 0.0


def _beside(card: Card, head: str) -> dict[str, Any]:
    """Figures of the training and validation part, from the card."""
    task = card.head(head).task
    known = card.scores.get(head, {})
    keys = [f"{part}_{main_figure(task)}{end}" for part in ("train", "valid") for end in ("", "_ci95")]
    return {"task": task, **{key: known.get(key) for key in keys}}


def _chosen(rows: Sequence[Row]) -> set[str]:
    """The variant of each recipe that the validation part likes best; the smaller one where two are equal."""
    best: dict[str, Row] = {}
    for row in rows:
        if row.error is None and (row.recipe not in best or _rank(row) > _rank(best[row.recipe])):
            best[row.recipe] = row
    return {row.name for row in best.values()}


def _rank(row: Row) -> tuple[float, int]:
    found = [figures.get(f"valid_{main_figure(figures['task'])}") for figures in row.heads.values()]
    known = [value for value in found if value is not None]
    return (statistics.fmean(known) if known else -math.inf, -(row.parameters or 0))


def _unseen(dataset: Dataset, parts: Split) -> Dataset:
    return dataset.subset(np.sort(np.concatenate([parts.valid, parts.test])))


def _swept(plan: ComparePlan, rows: Sequence[Row]) -> tuple[str, ...]:
    shared = [setting for setting in plan.settings if ":" not in setting.partition("=")[0]]
    alike = (f"every recipe with {', '.join(shared)}",) if shared else ()
    if not plan.sweep:
        return alike
    tried = ", ".join(f"{key} ({', '.join(values)})" for key, values in plan.sweep.items())
    return (
        *alike,
        f"tried: {tried}; the validation part chose, {sum(row.chosen for row in rows)} rows were scored on the rest",
    )
