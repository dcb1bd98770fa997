"""Train a model from a data set by a recipe: the checks before, the folder around, and the way to go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.cache import content_hashes
from earmark.datasets.core import Dataset, check_trainable, conflicts_in_words, label_conflicts, lost_in_words
from earmark.datasets.splits import Split, shortened, split
from earmark.engine.base import Engine
from earmark.errors import DatasetError, UnknownName
from earmark.events import Notice, Steps
from earmark.inference.records import Failure
from earmark.models.writer import ModelFolderWriter, check_place, work_folder
from earmark.recipe import Recipe
from earmark.training.job import Job, KnownTracks, TrainOptions, settings_of
from earmark.training.module import device_notices, find_device

__all__ = ["Job", "known_hashes", "prepare", "train_job", "train_model"]


def train_model(dataset: Dataset, recipe: Recipe, out: Path, options: TrainOptions, engine: Engine) -> Steps[Path]:
    """Train a model folder; an interrupted run goes on where it was, a finished one is left as it is.

    Args:
        dataset: As :func:`earmark.datasets.load_dataset` reads it (with ``training=True``).
        recipe: How.
        out: The model folder to be; work is done in ``OUT.part/``, which is renamed at the end.
        options: Seed, device, heads, model to start from.
        engine: That reads the tracks.

    Returns:
        The model folder.

    Raises:
        DatasetError: The data set cannot be learnt from as it is; names head, class or track.
        RecipeError: Settings that make no sense, differ from those of the run that was begun, or need a missing GPU.
        ModelError: The model to start from does not fit, or ``out`` is something else.
        StorageError: No space, or no permission.
    """
    job = yield from prepare(dataset, recipe, out, options, engine)
    return (yield from train_job(job, out))


def train_job(job: Job, out: Path) -> Steps[Path]:
    """Do a run that is prepared; as :func:`train_model`."""
    with ModelFolderWriter.open(out, settings_of(job), overwrite=job.options.overwrite) as writer:
        if writer.finished:
            yield Notice(f"{out} is finished already; --overwrite begins again.")
            return out
        if job.recipe.training.method == "transfer":
            from earmark.training.transfer import train_transfer

            yield from train_transfer(job)
        else:
            from earmark.training.network import train_network

            yield from train_network(job)
        return writer.complete()


def prepare(dataset: Dataset, recipe: Recipe, out: Path, options: TrainOptions, engine: Engine) -> Steps[Job]:
    """Read every file once, refuse what cannot be learnt, and divide the tracks.

    Raises:
        As :func:`train_model`.
    """
    device = find_device(options.device, elsewhere=engine.elsewhere)
    check_place(out)
    given = dataset
    dataset = _with_heads(dataset, options.heads)
    labelled = _labelled(dataset)
    dataset = dataset.subset(labelled)
    check_trainable(dataset, one_artist=recipe.split.test == 0)
    draft = Job(
        name=out.name,
        dataset=dataset,
        hashes=(),
        split=Split(np.arange(len(labelled)), np.zeros(0, np.intp), np.zeros(0, np.intp)),
        recipe=recipe,
        options=options,
        work=work_folder(out),
        folder=work_folder(out) / "model",
        engine=engine,
    )
    _check_network(draft)
    if recipe.training.method == "transfer":
        from earmark.training.transfer import base_model, embed_files

        # Before the files are read: their content hashes come from the same decoding as their embeddings.
        base = base_model(recipe, options.init, dataset)
        yield from embed_files(base, [track.path for track in dataset.tracks], engine, options.known)
    known, hashes, notices = yield from _readable(dataset, engine, options.known)
    lost = dataset.lost_labels(None, known)
    notices += lost_in_words(
        dataset, lost, "cannot be read, or are copies of others: the label is left out of the model"
    )
    dataset = dataset.without_labels(lost).subset(known)
    try:
        notices = (*dataset.notices, *notices, *check_trainable(dataset, one_artist=recipe.split.test == 0))
    except DatasetError as error:
        raise DatasetError("; ".join((str(error), *notices))) from error
    if dataset.kind == "images" and recipe.training.method == "network":
        from earmark.training.draws import picture_recipe

        recipe = picture_recipe(recipe, dataset)
    parts = _given_split(given, dataset, options.split) if options.split else split(dataset, recipe.split, options.seed)
    if not len(parts.train):
        raise DatasetError(f"{dataset.name}: no track is left to learn from")
    parts = shortened(dataset, parts, recipe.training.train_size, options.seed)
    if recipe.training.method == "network":
        notices = (*notices, *device_notices(recipe.training, device))
    notices = tuple(dict.fromkeys((*notices, *parts.notices)))
    return replace(draft, dataset=dataset, hashes=hashes, split=parts, recipe=recipe, notices=notices)


def _check_network(job: Job) -> None:
    """Build the network once before any file is read: what does not fit together is refused at once."""
    if job.recipe.training.method != "network":
        return
    from earmark.training.augment import check_augmentations
    from earmark.training.network import build_module

    check_augmentations(job.recipe.augment)
    if job.dataset.kind == "audio":  # the network of pictures has their size
        build_module(job, job.options.seed)


def _with_heads(dataset: Dataset, heads: Sequence[str] | None) -> Dataset:
    if heads is None:
        return dataset
    known = {spec.name: spec for spec in dataset.heads}
    for name in heads:
        if name not in known:
            raise UnknownName("head", name, known)
    return replace(dataset, heads=tuple(known[name] for name in dict.fromkeys(heads)))


def _labelled(dataset: Dataset) -> list[int]:
    """Tracks with a label for any head."""
    rows = [
        row
        for row, track in enumerate(dataset.tracks)
        if any(track.labels.get(spec.name) is not None for spec in dataset.heads)
    ]
    if not rows:
        names = ", ".join(spec.name for spec in dataset.heads)
        raise DatasetError(f"{dataset.name}: no track has a label of {names}")
    return rows


def _readable(
    dataset: Dataset, engine: Engine, known: KnownTracks | None
) -> Steps[tuple[list[int], tuple[str, ...], tuple[str, ...]]]:
    """Tracks that can be read, each recording once; their content hashes; what was left out, in words."""
    found = yield from known_hashes([track.path for track in dataset.tracks], engine, known)
    failures = [f"{entry.path}: {entry.message}" for entry in found if isinstance(entry, Failure)]
    if len(failures) == len(found):
        raise DatasetError(f"{dataset.name}: not one track can be read, as {failures[0]}")
    first: dict[str, int] = {}
    for row, entry in enumerate(found):
        if isinstance(entry, str):
            first.setdefault(entry, row)
    notices = []
    if failures:
        notices.append(f"{len(failures)} of {len(found)} tracks cannot be read, as {failures[0]}: left out")
    twice = len(found) - len(failures) - len(first)
    if twice:
        notices.append(f"{twice} tracks are copies of others: left out, so that no recording stands in two parts")
    pairs = [(first[entry], row) for row, entry in enumerate(found) if isinstance(entry, str) and first[entry] != row]
    notices += conflicts_in_words(dataset, label_conflicts(dataset, pairs))
    return list(first.values()), tuple(first), tuple(notices)


def known_hashes(paths: Sequence[Path], engine: Engine, known: KnownTracks | None) -> Steps[list[str | Failure]]:
    """Content hash of each file, or why it has none; what is known of before is not decoded."""
    before = known.tracks if known else {}
    rest = iter((yield from content_hashes([path for path in paths if path not in before], engine)))
    return [before[path].hash if path in before else next(rest) for path in paths]


def _given_split(given: Dataset, dataset: Dataset, parts: Split) -> Split:
    """A split of the data set as it was given, for the tracks that are left of it."""
    place = {track.name: row for row, track in enumerate(dataset.tracks)}

    def kept(rows: NDArray[np.intp]) -> NDArray[np.intp]:
        names = [given.tracks[int(row)].name for row in rows]
        return np.array(sorted(place[name] for name in names if name in place), np.intp)

    return replace(parts, train=kept(parts.train), valid=kept(parts.valid), test=kept(parts.test))
