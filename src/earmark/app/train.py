"""Train a model on people's own labels: of a data set, of the files' own tags, of corrections in the library."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.app import corrections, own_tags
from earmark.app.selection import EngineOptions, for_songs, opened_engine
from earmark.errors import DatasetError, MissingExtra, RecipeError, UnknownName
from earmark.events import Notice, Steps, use_case

if TYPE_CHECKING:
    from earmark.app.corrections import Corrections
    from earmark.app.own_tags import OwnTags, TagWorth
    from earmark.datasets.core import Dataset
    from earmark.engine import Engine
    from earmark.models.card import Card

__all__ = ["TrainRequest", "Trained", "describe", "train"]


@dataclass(frozen=True, kw_only=True)
class TrainRequest(own_tags.TagOptions, EngineOptions):
    """What to train, and on what: a folder of class folders, one with ``dataset.toml``, or the files' own tags.

    Attributes:
        output: The model folder to be; run again, the training goes on where it stopped.
        recipe: A name or a TOML file.
        heads: Only these heads of the data set; all where there are none.
        exclude: Labels that are left out, as ``HEAD=LABEL``.
        epochs: At most; the recipe's where None.
        seed: Of split, weights and order.
        settings: ``KEY=VALUE`` of the recipe.
        overwrite: Begin again where there is a model already.
        from_library: Learn from the corrections in the library, too.
        from_tags: Learn from the files' own tags, by the embeddings that the library holds.
    """

    output: str
    recipe: str = "transfer"
    heads: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    epochs: int | None = None
    seed: int = 0
    settings: tuple[str, ...] = ()
    overwrite: bool = False
    from_library: bool = False
    from_tags: bool = False


@dataclass(frozen=True)
class Trained:
    """A trained model.

    Attributes:
        card: What it says of itself, with its scores.
        corrections: By head, what corrections were worth; None where none were asked for.
        tags: What the files' own tags are worth; None where they were not learned from.
    """

    card: Card
    corrections: Mapping[str, Mapping[str, Any]] | None
    tags: TagWorth | None = None


def describe(found: Trained) -> dict[str, Any]:
    """A trained model for machines: its id, what it scores by head, and what corrections and tags were worth."""
    facts: dict[str, Any] = {"model": found.card.id, "heads": dict(found.card.scores)}
    facts |= {} if found.corrections is None else {"corrections": found.corrections}
    return facts if found.tags is None else facts | {"tags": found.tags.to_dict()}


@use_case
def train(request: TrainRequest, engine: Engine | None = None) -> Steps[Trained]:
    """Train; what is done when it is stopped lies in ``MODEL.part``, and the same request goes on.

    Raises:
        EarmarkError: The data set, the recipe, a setting or the folder cannot be used.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingExtra("train", "training")
    from earmark.datasets.core import spelling_notices
    from earmark.models.card import read_card
    from earmark.models.registry import find_model
    from earmark.recipe import load_recipe
    from earmark.training.job import TrainOptions
    from earmark.training.run import prepare, train_job

    epochs = [] if request.epochs is None else [f"training.epochs={request.epochs}"]
    recipe, out = load_recipe(request.recipe, [*request.settings, *epochs]), Path(request.output).absolute()
    with opened_engine(engine, replace(request, device=for_songs(request.device))) as workers:
        tags = (yield from own_tags.collect(request, recipe, workers)) if request.from_tags else None
        options = TrainOptions(
            seed=request.seed,
            device=request.device,
            init=find_model(request.init) if request.init else tags.init if tags else None,
            overwrite=request.overwrite,
            known=tags.known if tags else None,
        )
        dataset, corrected = yield from _data(request, tags, workers)
        yield from map(Notice, spelling_notices(dataset.labels))
        job = yield from prepare(dataset, recipe, out, options, workers)
        yield from map(Notice, (*workers.notices, *job.notices))
        yield from train_job(job, out)
        worth = (yield from corrections.measure(corrected, job, out)) if corrected else None
        told = (yield from own_tags.measure(tags, job, out, workers)) if tags else None
    return Trained(read_card(out), worth, told)


def _data(request: TrainRequest, tags: OwnTags | None, engine: Engine) -> Steps[tuple[Dataset, Corrections | None]]:
    """What is learned from, and the corrections in it where they are asked for."""
    from earmark.datasets import load_dataset, without_files

    heads = request.heads or None
    if tags is not None:
        dataset: Dataset | None = tags.found.dataset
        for name in set(request.heads) - {request.field.casefold()}:
            raise UnknownName("head", name, [request.field.casefold()])
    else:
        _only_for_tags(request)
        dataset = load_dataset(request.dataset, heads=heads, training=True) if request.dataset is not None else None
        if dataset is not None:
            dataset = without_files(dataset, request.exclude_files)
    if not request.from_library:
        if dataset is None:
            raise DatasetError("no data set: give a folder of class folders, --from-tags, or --from-library")
        return _without(dataset, request.exclude), None
    corrected = corrections.corrections_of(request.library)
    if dataset is None:
        found = corrections.alone(corrected, heads)
    else:
        found = yield from corrections.join(dataset, corrected, engine, tags.known if tags else None)
    return _without(found.dataset, request.exclude), found


def _only_for_tags(request: TrainRequest) -> None:
    """Refuse options that would say nothing."""
    if request.library and not request.from_library:
        raise DatasetError("--library: is for --from-library and --from-tags")
    for name in ("field", "multi_label", "labels", "min_tracks", "min_artists"):
        if getattr(request, name) != getattr(TrainRequest, name):
            raise DatasetError(f"--{name.replace('_', '-')}: is for --from-tags")


def _without(dataset: Dataset, excluded: Sequence[str]) -> Dataset:
    from earmark.datasets import without_label

    for item in excluded:
        head, equals, label = item.partition("=")
        if not equals:
            raise RecipeError(f"--exclude {item}: expected HEAD=LABEL, as in genre=pop")
        dataset = without_label(dataset, head, label)
    return dataset
