"""A data set looked over before anybody learns from it: bad files, duplicates, leaks, label issues, balance.

Label issues are labels that a quick model, which never learnt from the track or its artist, disagrees with. The quick
model is a logistic regression on embeddings, out of fold by group. Its probabilities are calibrated on themselves (one
temperature, Guo et al. 2017) and a label is an issue as in confident learning (Northcutt et al. 2021): where another
label is likelier than it usually is for tracks that carry it, and the given one is all but ruled out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.core import Dataset, lost_in_words, spelling_notices
from earmark.datasets.splits import folds
from earmark.engine.base import Each, Engine, Task
from earmark.engine.predict import Analyse
from earmark.errors import DatasetError, MissingExtra
from earmark.evaluation.duplicates import Duplicate, Leak, find_duplicates, find_leaks, take_prints
from earmark.evaluation.regression import fit_strengths
from earmark.events import Progress, Steps
from earmark.features.statistics import track_statistics
from earmark.inference.options import HearingOptions
from earmark.inference.records import Failure, path_fields
from earmark.inference.tagger import Tagger

__all__ = ["Audit", "LabelIssue", "audit", "find_label_issues"]

Float = NDArray[np.float64]

_FOLDS = 5
_RULED_OUT = 0.1  # the given label's probability is below
_SURE = 0.7  # the predicted one's is above
_SURE_OF_LABEL = 0.95  # of a label of a multi-label head, that it is there
_RARE = 20  # labels of fewer tracks are left out
_STRENGTH = 1.0  # of the ridge, beside the mean loss times the tracks


@dataclass(frozen=True, slots=True)
class LabelIssue:
    """One label that the model disagrees with: the track's index, head, label given and predicted, and its confidence.

    Of a multi-label head one of the two is ``not LABEL``.
    """

    row: int
    head: str
    given: str
    predicted: str
    confidence: float


def find_label_issues(dataset: Dataset, embeddings: Float) -> tuple[tuple[LabelIssue, ...], tuple[str, ...]]:
    """Label issues, the surest first, and notices of heads that could not be looked at.

    Args:
        dataset: Tracks with labels.
        embeddings: (tracks, dimensions); a row of NaN where a track could not be analysed.
    """
    found: list[LabelIssue] = []
    notices = []
    analysed = ~np.isnan(embeddings).any(1)
    for spec in dataset.heads:
        if spec.task == "regression":
            continue
        targets = dataset.targets(spec.name).astype(np.float64)
        known = analysed & ~np.isnan(targets.reshape(len(targets), -1)).any(1)
        rows = np.flatnonzero(known)
        try:
            parts = folds(dataset.subset(rows), _FOLDS, head=spec.name, valid=0)
        except DatasetError as error:
            notices.append(f"{spec.name}: its labels were not looked at: {error}")
            continue
        tests = [part.test for part in parts]
        inputs = _standardised(embeddings[rows])
        find = _class_issues if spec.task == "multiclass" else _label_issues
        found += find(spec.name, spec.labels, rows, inputs, targets[rows], tests)
    return tuple(sorted(found, key=lambda issue: (-issue.confidence, issue.row))), tuple(notices)


def _class_issues(
    head: str,
    labels: tuple[str, ...],
    rows: NDArray[np.intp],
    inputs: Float,
    targets: Float,
    tests: list[NDArray[np.intp]],
) -> list[LabelIssue]:
    given = targets.astype(np.intp)
    logits = _out_of_fold(inputs, np.eye(len(labels))[given], tests)
    probability = _softmax(logits * _temperature(logits, given))
    own = probability[np.arange(len(rows)), given]
    usual = np.array([own[given == k].mean() if (given == k).any() else 1.0 for k in range(len(labels))])
    best = probability.argmax(1)
    sure = probability[np.arange(len(rows)), best]
    found = (best != given) & (sure >= np.maximum(_SURE, usual[best])) & (own <= _RULED_OUT)
    return [
        LabelIssue(int(rows[i]), head, labels[given[i]], labels[best[i]], round(float(sure[i]), 4))
        for i in np.flatnonzero(found)
    ]


def _out_of_fold(inputs: Float, given: Float, tests: list[NDArray[np.intp]]) -> Float:
    """(tracks, labels) logits of regressions that did not learn from the track's fold."""
    logits = np.zeros(given.shape)
    for test in tests:
        train = np.setdiff1d(np.arange(len(given)), test)
        logits[test] = _regress(inputs[train], given[train], inputs[test])
    return logits


def _label_issues(
    head: str,
    labels: tuple[str, ...],
    rows: NDArray[np.intp],
    inputs: Float,
    targets: Float,
    tests: list[NDArray[np.intp]],
) -> list[LabelIssue]:
    """One regression a label; a label that is given is an issue where it is 20 times less likely than usual."""
    found = []
    for column, label in enumerate(labels):
        given = targets[:, column].astype(np.intp)
        share = float(given.mean()) if len(given) else 0.0
        if min(given.sum(), len(given) - given.sum()) < _RARE:
            continue
        logits = _out_of_fold(inputs, np.eye(2)[given], tests)
        there = _softmax(logits * _temperature(logits, given))[:, 1]
        for i in np.flatnonzero((given == 0) & (there >= _SURE_OF_LABEL)):
            found.append(LabelIssue(int(rows[i]), head, f"not {label}", label, round(float(there[i]), 4)))
        for i in np.flatnonzero((given == 1) & (there <= min(1 - _SURE_OF_LABEL, share / 20))):
            found.append(LabelIssue(int(rows[i]), head, label, f"not {label}", round(float(1 - there[i]), 4)))
    return found


def _regress(inputs: Float, targets: Float, others: Float) -> Float:
    """Logits of ``others`` by a softmax regression with a ridge on ``inputs`` and one-hot ``targets``."""
    (linear,) = fit_strengths(inputs, targets, [_STRENGTH / max(1, len(inputs))], multiclass=True)
    return linear(others)


def _temperature(logits: Float, given: NDArray[np.intp]) -> float:
    """The factor that makes the logits' probabilities those that they keep, by the likelihood."""

    def loss(power: float) -> float:
        probability = _softmax(logits * np.exp(power))
        return -float(np.log(np.maximum(probability[np.arange(len(given)), given], 1e-12)).mean())

    return float(np.exp(_optimizers().minimize_scalar(loss, bounds=(-4, 1), method="bounded").x))


def _optimizers() -> Any:
    """SciPy, which a plain install has not."""
    try:
        import scipy.optimize
    except ImportError as error:
        raise MissingExtra("train", "finding label issues") from error
    return scipy.optimize


def _softmax(logits: Float) -> Float:
    exponent = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(exponent / exponent.sum(1, keepdims=True))


def _standardised(values: Float) -> Float:
    """Columns of mean 0 and deviation 1, over the square root of the dimensions: rows of length 1."""
    spread = values.std(0) if len(values) else np.ones(values.shape[1])
    scaled = (values - values.mean(0)) / np.where(spread > 1e-9, spread, 1.0)
    return np.asarray(scaled / np.sqrt(max(1, values.shape[1])) * 4.0)


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
