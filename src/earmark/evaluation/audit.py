"""A data set looked over before anybody learns from it: bad files, copies, leaks, labels in doubt, balance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.contents import content_hash
from earmark.datasets.core import Dataset
from earmark.errors import AudioError
from earmark.evaluation.duplicates import Duplicate, find_duplicates, take_prints
from earmark.evaluation.label_issues import Doubt, doubt_labels
from earmark.evaluation.leaks import Leak, find_leaks
from earmark.features.statistics import track_statistics
from earmark.inference.records import Failure, Prediction, path_fields

__all__ = ["Audit", "Hear", "audit"]

Hear = Callable[[Sequence[Path]], Iterable[Prediction | Failure]]
"""How tracks are heard for the quick model: predictions with embeddings, in the paths' order."""


@dataclass(frozen=True, slots=True, eq=False)
class Audit:
    """What was found.

    Attributes:
        dataset: What was looked over.
        duplicates: Pairs of copies.
        leaks: What stands on two sides of the split.
        doubts: Labels that a quick model hears otherwise.
        balance: By head, tracks of each label.
        failures: Files that could not be heard or seen.
        notices: Lines for people.
    """

    dataset: Dataset
    duplicates: tuple[Duplicate, ...]
    leaks: tuple[Leak, ...]
    doubts: tuple[Doubt, ...]
    balance: dict[str, dict[str, int]]
    failures: tuple[Failure, ...]
    notices: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As ``audit -f json`` prints it; paths as the data set's folder was given, joined with the way below it."""
        return {
            "duplicates": [
                {"paths": [self.path(d.first), self.path(d.second)], "kind": d.kind, "score": d.score}
                for d in self.duplicates
            ],
            "leaks": [
                {"group": leak.group, "parts": list(leak.parts)}
                | ({"paths": [self.path(row) for row in leak.rows]} if leak.rows else {})
                for leak in self.leaks
            ],
            "labels": [
                {
                    "path": self.path(doubt.row),
                    "head": doubt.head,
                    "given": doubt.given,
                    "heard": doubt.heard,
                    "confidence": doubt.confidence,
                }
                for doubt in self.doubts
            ],
            "balance": self.balance,
            "failures": [failure.to_dict() for failure in self.failures],
            "notices": list(self.notices),
        }

    def path(self, row: int) -> str:
        """The path of a track, as text that is always valid UTF-8."""
        return path_fields(str(self.dataset.tracks[row].path))["path"]


def audit(
    dataset: Dataset,
    hear: Hear | None = None,
    *,
    workers: int = 1,
    hash_of: Callable[[Path], str] = content_hash,
    progress: Callable[[], None] = lambda: None,
) -> Audit:
    """Look a data set over.

    Args:
        dataset: Of audio or images.
        hear: Hears tracks for the quick model; without it, and of images, statistics of the DCT take its place.
        workers: Threads for the fingerprints.
        hash_of: The content hash of a file.
        progress: Called after each track, once for its fingerprint and once for its embedding.
    """
    prints = take_prints(dataset, workers=workers, hash_of=hash_of, progress=progress)
    failures = {row: one for row, one in enumerate(prints) if isinstance(one, Failure)}
    duplicates = find_duplicates(prints)
    notices = list(dataset.notices) + _notices(dataset, duplicates)
    doubts: tuple[Doubt, ...] = ()
    readable = [row for row in range(len(dataset.tracks)) if row not in failures]
    embeddings = _embeddings(dataset, readable, hear, failures, progress)
    if embeddings is not None:
        doubts, said = doubt_labels(dataset, embeddings)
        notices += said
    return Audit(
        dataset=dataset,
        duplicates=duplicates,
        leaks=find_leaks(dataset, duplicates),
        doubts=doubts,
        balance=_balance(dataset),
        failures=tuple(failures[row] for row in sorted(failures)),
        notices=tuple(notices),
    )


def _embeddings(
    dataset: Dataset,
    rows: Sequence[int],
    hear: Hear | None,
    failures: dict[int, Failure],
    progress: Callable[[], None],
) -> NDArray[np.float64] | None:
    """(tracks, dimensions), NaN where a track could not be heard; further failures are added to ``failures``."""
    vectors: dict[int, NDArray[np.float64]] = {}
    paths = [dataset.tracks[row].path for row in rows]
    plainly = map(_statistics, paths)
    results = plainly if dataset.kind == "images" or hear is None else hear(paths)
    for row, result in zip(rows, results, strict=True):
        progress()
        if isinstance(result, Failure):
            failures[row] = result
        elif isinstance(result, Prediction):
            if result.embedding is not None:
                vectors[row] = result.embedding.astype(np.float64)
        else:
            vectors[row] = result
    if not vectors:
        return None
    table = np.full((len(dataset.tracks), len(next(iter(vectors.values())))), np.nan)
    for row, vector in vectors.items():
        table[row] = vector
    return table


def _statistics(path: Path) -> NDArray[np.float64] | Failure:
    try:
        return track_statistics(path, seconds=60.0).astype(np.float64)
    except AudioError as error:
        return Failure(str(path), error.kind, error.message)


def _balance(dataset: Dataset) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for spec in dataset.heads:
        if spec.task == "regression":
            continue
        counts[spec.name] = dict.fromkeys(spec.labels, 0)
        for track in dataset.tracks:
            given = track.labels.get(spec.name)
            for label in (given,) if isinstance(given, str) else given if isinstance(given, tuple) else ():
                if label in counts[spec.name]:
                    counts[spec.name][label] += 1
    return counts


def _notices(dataset: Dataset, duplicates: Sequence[Duplicate]) -> list[str]:
    """What a later split could tear apart, where the data set has none of its own."""
    groups = [(dataset.tracks[d.first].group, dataset.tracks[d.second].group) for d in duplicates]
    torn = sum(first != second for first, second in groups)
    if dataset.has_split or not torn:
        return []
    what = "pair of copies stands" if torn == 1 else "pairs of copies stand"
    return [f"{torn} {what} under two {dataset.group_by} names: a split may put them on two sides"]
