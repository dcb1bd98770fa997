"""A data set looked over before anybody learns from it: bad files, duplicates, leaks, label issues, balance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.core import Dataset, lost_in_words, spelling_notices
from earmark.engine.base import Each, Engine, Task
from earmark.engine.predict import Analyse
from earmark.evaluation.duplicates import Duplicate, Leak, find_duplicates, find_leaks, take_prints
from earmark.evaluation.label_issues import LabelIssue, find_label_issues
from earmark.events import Progress, Steps
from earmark.features.statistics import track_statistics
from earmark.inference.options import HearingOptions
from earmark.inference.records import Failure, path_fields
from earmark.inference.tagger import Tagger

__all__ = ["Audit", "audit"]


@dataclass(frozen=True, slots=True, eq=False)
class Audit:
    """What was found.

    Attributes:
        dataset: What was looked over.
        duplicates: Pairs of copies.
        leaks: What stands in two parts of the split.
        label_issues: Labels that a quick model disagrees with.
        balance: By head, tracks of each label.
        failures: Files that could not be read.
        notices: Lines for people.
    """

    dataset: Dataset
    duplicates: tuple[Duplicate, ...]
    leaks: tuple[Leak, ...]
    label_issues: tuple[LabelIssue, ...]
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
                    "path": self.path(issue.row),
                    "head": issue.head,
                    "given": issue.given,
                    "heard": issue.predicted,
                    "confidence": issue.confidence,
                }
                for issue in self.label_issues
            ],
            "balance": self.balance,
            "failures": [failure.to_dict() for failure in self.failures],
            "notices": list(self.notices),
        }

    def path(self, row: int) -> str:
        """The path of a track, as text that is always valid UTF-8."""
        return path_fields(str(self.dataset.tracks[row].path))["path"]


def audit(dataset: Dataset, tagger: Tagger | None, engine: Engine) -> Steps[Audit]:
    """Look a data set over.

    Args:
        dataset: Of audio or images.
        tagger: Whose embeddings the quick model learns from; without it, and of images, statistics take their place.
        engine: That reads the files.
    """
    prints = yield from take_prints(dataset, engine)
    failures = {row: one for row, one in enumerate(prints) if isinstance(one, Failure)}
    duplicates = find_duplicates(prints)
    notices = [*dataset.notices, *_notices(dataset, duplicates)]
    notices += spelling_notices(dataset.labels)
    readable = [row for row in range(len(dataset.tracks)) if row not in failures]
    vectors = yield from _vectors(dataset, readable, tagger, engine)
    failures |= {row: one for row, one in vectors.items() if isinstance(one, Failure)}
    lost = dataset.lost_labels(None, set(range(len(dataset.tracks))) - set(failures))
    notices += lost_in_words(dataset, lost, "cannot be read: training leaves the label out")
    issues, more = (
        find_label_issues(dataset, _table(vectors, len(dataset.tracks))) if len(failures) < len(prints) else ((), ())
    )
    return Audit(
        dataset=dataset,
        duplicates=duplicates,
        leaks=find_leaks(dataset, duplicates),
        label_issues=issues,
        balance=_balance(dataset),
        failures=tuple(failures[row] for row in sorted(failures)),
        notices=(*notices, *more),
    )


def _vectors(
    dataset: Dataset, rows: Sequence[int], tagger: Tagger | None, engine: Engine
) -> Steps[dict[int, NDArray[np.float32] | Failure]]:
    """What the quick model is given of each track: its embedding, or its statistics."""
    task: Task[str, Any] = Each(_statistics)
    if tagger is not None and dataset.kind != "images":
        task = Analyse.of([tagger.folder], HearingOptions(embedding=True))
    found: dict[int, NDArray[np.float32] | Failure] = {}
    with closing(engine.map(task, [str(dataset.tracks[row].path) for row in rows])) as results:
        for row, result in zip(rows, results, strict=True):
            found[row] = result if isinstance(result, Failure) else getattr(result.value, "embedding", result.value)
            yield Progress(len(found), len(rows), "analysing")
    return found


def _table(vectors: Mapping[int, NDArray[np.float32] | Failure], tracks: int) -> NDArray[np.float64]:
    """(tracks, dimensions), NaN where a track has no vector."""
    known = {row: vector for row, vector in vectors.items() if not isinstance(vector, Failure)}
    table = np.full((tracks, len(next(iter(known.values())))), np.nan)
    for row, vector in known.items():
        table[row] = vector
    return table


def _statistics(path: str) -> NDArray[np.float32]:
    return track_statistics(Path(path), seconds=60.0)


def _balance(dataset: Dataset) -> dict[str, dict[str, int]]:
    found = {spec.name: (spec.labels, dataset.counts(spec.name)) for spec in dataset.heads if spec.task != "regression"}
    return {head: {label: counts[label] for label in labels} for head, (labels, counts) in found.items()}


def _notices(dataset: Dataset, duplicates: Sequence[Duplicate]) -> list[str]:
    """What a later split could tear apart, where the data set has none of its own."""
    groups = [(dataset.tracks[d.first].group, dataset.tracks[d.second].group) for d in duplicates]
    torn = sum(first != second for first, second in groups)
    if dataset.has_split or not torn:
        return []
    what = "pair of copies stands" if torn == 1 else "pairs of copies stand"
    return [f"{torn} {what} under two {dataset.group_by} names: a split may put them in two parts"]
