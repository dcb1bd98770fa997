"""One training run as facts: what it is asked for beside its recipe. Needs no PyTorch."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.core import Dataset, check_trainable, lost_in_words
from earmark.datasets.splits import Split
from earmark.engine.base import Engine
from earmark.errors import DatasetError
from earmark.events import Notice, Steps
from earmark.inference.records import Failure
from earmark.models.device import Device
from earmark.models.registry import sha256
from earmark.recipe import Recipe

__all__ = ["Job", "KnownTracks", "TrackEmbeddings", "TrainOptions", "settings_of", "without_failures"]


@dataclass(frozen=True, slots=True, eq=False)
class TrackEmbeddings:
    """One track: its content hash, and the embeddings of its clips (clips, dimensions) float32."""

    hash: str
    clips: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class KnownTracks:
    """Tracks that were analysed before, as a library holds them: nothing of them is decoded again.

    Attributes:
        backbone: ``Card.backbone_digest`` of the model whose embeddings they are.
        tracks: By file; the file itself need not be there.
    """

    backbone: str
    tracks: Mapping[Path, TrackEmbeddings]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What a run is asked for.

    Attributes:
        seed: Of the split, the weights, the order and the changes of the data.
        device: ``auto`` takes a GPU where there is one; ``cuda`` without one is an error.
        init: Model folder to start from; its frontend must be the recipe's.
        heads: Of the data set; None for all.
        overwrite: Begin anew where there is a finished or a begun model.
        split: Parts of the tracks; None draws them as the recipe plans.
        known: Tracks that need not be decoded.
    """

    seed: int = 0
    device: Device = "auto"
    init: Path | None = None
    heads: tuple[str, ...] | None = None
    overwrite: bool = False
    split: Split | None = None
    known: KnownTracks | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Job:
    """One training run.

    Attributes:
        name: Of the model.
        dataset: Tracks that can be read, each once, with the heads that are asked for.
        hashes: (tracks,) content hashes.
        split: Their parts.
        recipe: How; of pictures with the frontend that they need.
        options: What else was asked for.
        work: Folder for checkpoints (``OUT.part``).
        folder: The model folder to be filled and finished, inside it.
        engine: That reads the tracks.
        notices: Lines for people about data and split.
    """

    name: str
    dataset: Dataset
    hashes: tuple[str, ...]
    split: Split
    recipe: Recipe
    options: TrainOptions
    work: Path
    folder: Path
    engine: Engine
    notices: tuple[str, ...] = ()


def without_failures(job: Job, failures: Mapping[int, Failure]) -> Steps[Job]:
    """The job without tracks that turned out to be unreadable, and without labels that only they taught.

    Args:
        job: Its data set keeps all of its tracks, so that their numbers stay.
        failures: By number of the track.

    Raises:
        DatasetError: What is left cannot be learned from.
    """
    if not failures:
        return job

    def kept(rows: NDArray[np.intp]) -> NDArray[np.intp]:
        return np.array([row for row in rows if int(row) not in failures], np.intp)

    parts, dataset, first = job.split, job.dataset, next(iter(failures.values()))
    left = replace(parts, train=kept(parts.train), valid=kept(parts.valid), test=kept(parts.test))
    notice = f"{len(failures)} tracks cannot be read to their end, as {first.path}: {first.message}: left out"
    if not len(left.train):
        raise DatasetError(f"{dataset.name}: no track is left to learn from: {notice}")
    lost = dataset.lost_labels(parts.train, left.train)
    notices = (notice, *lost_in_words(dataset, lost, "cannot be read: the label is left out of the model"))
    yield from map(Notice, notices)
    dataset = dataset.without_labels(lost)
    check_trainable(dataset.subset([row for row in range(len(job.hashes)) if row not in failures]), one_artist=True)
    return replace(job, dataset=dataset, split=left, notices=(*job.notices, *notices))


def settings_of(job: Job) -> dict[str, Any]:
    """All that decides the result, flat, by the names that people know: ``training.epochs``, ``seed``, ``dataset``."""
    facts = _flat(dataclasses.asdict(job.recipe))
    for words in ("about", "source", "notes"):
        facts.pop(words, None)
    facts["seed"] = job.options.seed
    facts["heads"] = [f"{head.name}: {head.task}, {len(head.labels)} labels" for head in job.dataset.heads]
    facts["dataset"] = f"{job.dataset.name} ({len(job.dataset.tracks)} tracks, {_digest(job)})"
    if job.options.init is not None:
        weights = job.options.init / "weights.safetensors"
        facts["init"] = sha256(weights)[:16] if weights.is_file() else str(job.options.init)
    parts = job.split.parts()
    listed = "".join(f"{job.hashes[row]} {part}\n" for row, part in sorted(parts.items()))
    facts["split"] = hashlib.sha256(listed.encode()).hexdigest()[:16]
    return json.loads(json.dumps(facts, default=str))  # type: ignore[no-any-return]


def _digest(job: Job) -> str:
    """Of content, groups and labels, in the data set's order; paths do not count."""
    lines = [
        json.dumps([digest, track.group, {head.name: track.labels.get(head.name) for head in job.dataset.heads}])
        for digest, track in zip(job.hashes, job.dataset.tracks, strict=True)
    ]
    heads = [[head.name, head.task, head.labels] for head in job.dataset.heads]
    return hashlib.sha256(json.dumps([heads, lines]).encode()).hexdigest()[:16]


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping) and key != "options":
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found
