"""A data set looked over before anybody learns from it: bad files, duplicates, leaks, label issues, balance.

Label issues are labels that a quick model, which never learnt from the track or its artist, disagrees with. The quick
model is a logistic regression on embeddings, out of fold by group. Its probabilities are calibrated on themselves (one
temperature, Guo et al. 2017) and a label is an issue as in confident learning (Northcutt et al. 2021): where another
label is likelier than it usually is for tracks that carry it, and the given one is all but ruled out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.core import (
    Conflict,
    Dataset,
    conflicts_in_words,
    label_conflicts,
    lost_in_words,
    spelling_notices,
)
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
_ENOUGH = 100  # of more tracks nobody asks whether they are too few
_TRIALS = 16
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
        tracks = _Labelled(spec.name, spec.labels, rows, inputs, targets[rows], tests)
        multiclass = spec.task == "multiclass"
        found += _class_issues(tracks) if multiclass else _label_issues(tracks)
        notices += filter(None, [_too_few(tracks) if multiclass else _rare(tracks)])
    return tuple(sorted(found, key=lambda issue: (-issue.confidence, issue.row))), tuple(notices)


@dataclass(frozen=True, slots=True, eq=False)
class _Labelled:
    """The tracks that one head has a label for.

    Attributes:
        head: Its name.
        labels: Its vocabulary.
        rows: (tracks,) their indices in the data set.
        inputs: (tracks, dimensions) what the quick model is given.
        targets: (tracks,) or (tracks, labels) what they are labelled with.
        tests: Rows of each fold.
    """

    head: str
    labels: tuple[str, ...]
    rows: NDArray[np.intp]
    inputs: Float
    targets: Float
    tests: list[NDArray[np.intp]]

    def issue(self, row: int, given: str, predicted: str, confidence: float) -> LabelIssue:
        """About one of the tracks."""
        return LabelIssue(int(self.rows[row]), self.head, given, predicted, round(float(confidence), 4))


def _class_issues(tracks: _Labelled) -> list[LabelIssue]:
    labels, given, every = tracks.labels, tracks.targets.astype(np.intp), np.arange(len(tracks.rows))
    logits = _out_of_fold(tracks.inputs, np.eye(len(labels))[given], tracks.tests)
    probability = _softmax(logits * _temperature(logits, given))
    own = probability[every, given]
    usual = np.array([own[given == k].mean() if (given == k).any() else 1.0 for k in range(len(labels))])
    best = probability.argmax(1)
    sure = probability[every, best]
    # Among few songs one wrong label alone keeps the fitted temperature from ruling anything out by much.
    ruled_out = max(_RULED_OUT, 3 / max(1, len(every)))
    found = (best != given) & (sure >= np.maximum(_SURE, usual[best])) & (own <= ruled_out)
    return [tracks.issue(int(i), labels[given[i]], labels[best[i]], sure[i]) for i in np.flatnonzero(found)]


def _too_few(tracks: _Labelled) -> str:
    """Why the labels of few tracks cannot be judged, "" where they can: some are swapped on trial, one at a time."""
    many = len(tracks.rows)
    if many >= _ENOUGH or len(tracks.labels) < 2:
        return ""
    order = np.argsort(tracks.targets, kind="stable")  # so that each class has its trials
    tried = order[np.unique(np.linspace(0, many - 1, min(many, _TRIALS)).round().astype(int))]
    found = 0
    for row in tried:
        swapped = tracks.targets.copy()
        swapped[row] = (swapped[row] + 1) % len(tracks.labels)
        found += any(issue.row == tracks.rows[row] for issue in _class_issues(replace(tracks, targets=swapped)))
    if 2 * found >= len(tried):
        return ""
    trials = f"of {len(tried)} labels that were swapped on trial, {found} stood out; check the labels yourself"
    return f"{tracks.head}: its {many} songs are too few (or too alike) to judge their labels by: {trials}"


def _out_of_fold(inputs: Float, given: Float, tests: list[NDArray[np.intp]]) -> Float:
    """(tracks, labels) logits of regressions that did not learn from the track's fold."""
    logits = np.zeros(given.shape)
    for test in tests:
        train = np.setdiff1d(np.arange(len(given)), test)
        logits[test] = _regress(inputs[train], given[train], inputs[test])
    return logits


def _label_issues(tracks: _Labelled) -> list[LabelIssue]:
    """One regression a label; a label that is given is an issue where it is 20 times less likely than usual."""
    found = []
    for column, label in enumerate(tracks.labels):
        given = tracks.targets[:, column].astype(np.intp)
        share = float(given.mean()) if len(given) else 0.0
        if _is_rare(given):
            continue
        logits = _out_of_fold(tracks.inputs, np.eye(2)[given], tracks.tests)
        there = _softmax(logits * _temperature(logits, given))[:, 1]
        for i in np.flatnonzero((given == 0) & (there >= _SURE_OF_LABEL)):
            found.append(tracks.issue(int(i), f"not {label}", label, there[i]))
        for i in np.flatnonzero((given == 1) & (there <= min(1 - _SURE_OF_LABEL, share / 20))):
            found.append(tracks.issue(int(i), label, f"not {label}", 1 - there[i]))
    return found


def _is_rare(given: NDArray[np.intp]) -> bool:
    return bool(min(given.sum(), len(given) - given.sum()) < _RARE)


def _rare(tracks: _Labelled) -> str:
    """Which labels are not looked at, "" where all are."""
    rare = sum(_is_rare(column.astype(np.intp)) for column in tracks.targets.T)
    if not rare:
        return ""
    count = f"{rare} of {len(tracks.labels)} labels are"
    return f"{tracks.head}: {count} on fewer than {_RARE} tracks, or missing from fewer, and are not looked at"


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
        conflicts: Copies that have different labels.
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
    conflicts: tuple[Conflict, ...] = ()

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
            "conflicts": [
                {
                    "head": one.head,
                    "paths": [self.path(one.first), self.path(one.second)],
                    "labels": list(one.labels),
                    "counts": one.labels[0] if self.is_exact(one) else None,
                }
                for one in self.conflicts
            ],
        }

    def is_exact(self, conflict: Conflict) -> bool:
        """Whether both are the very same audio: then training takes the first alone, otherwise both."""
        pair = (conflict.first, conflict.second)
        return any(one.kind == "exact" and (one.first, one.second) == pair for one in self.duplicates)

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
    kinds = {kind: [(d.first, d.second) for d in duplicates if d.kind == kind] for kind in ("exact", "near")}
    same, alike = (label_conflicts(dataset, kinds[kind]) for kind in ("exact", "near"))
    notices += conflicts_in_words(dataset, same)
    notices += conflicts_in_words(dataset, alike, "both are learnt from, and contradict each other")
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
        conflicts=same + alike,
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
