"""What an embedding is worth: simple classifiers on it, scored on artists that they have not seen.

Protocol of the default model's comparison table: standardise, then an SVM with a Gaussian kernel and a logistic
regression, C by artist-grouped folds (one C for all labels of a multi-label task, balanced classes), the mean of the
two scores.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from earmark.datasets.splits import stratified_group_folds

__all__ = ["CHOICES", "ProbeTask", "answers_of", "draws", "folds", "out_of_fold", "resampled", "score"]

Array = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ProbeTask:
    """One row of the table.

    Attributes:
        name: For the table.
        measure: ``accuracy`` of one class, or macro ``roc-auc`` of several labels.
        rows: (tracks,) indices of the tracks that have it.
        targets: (tracks,) class numbers, or (tracks, labels) 0 and 1.
        groups: (tracks,) artist of each.
    """

    name: str
    measure: Literal["accuracy", "roc-auc"]
    rows: Ints
    targets: NDArray[Any]
    groups: NDArray[Any]


Kind = Literal["svm", "logistic", "probabilities"]
"""Classifiers; ``probabilities`` is the logistic regression that answers with them, for one class."""
CHOICES: Mapping[Kind, tuple[float, ...]] = {
    "svm": (0.5, 1.0, 2.0, 4.0, 8.0),
    "logistic": (1e-4, 1e-3, 1e-2, 1e-1, 1.0),
}
"""What C is chosen from."""


def _classifier(kind: Kind, c: float, balanced: bool) -> Any:
    weights = "balanced" if balanced else None
    if kind == "svm":
        return make_pipeline(StandardScaler(), SVC(C=c, class_weight=weights))
    return make_pipeline(StandardScaler(), LogisticRegression(C=c, class_weight=weights, max_iter=400))


def answers_of(kind: Kind, c: float, train: tuple[Array, NDArray[Any]], test: Array) -> NDArray[Any]:
    """Classes (tracks,), or decision values (tracks, labels), of the test part."""
    embeddings, targets = train
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if targets.ndim == 1:
            fitted = _classifier(kind, c, False).fit(embeddings, targets)
            return np.asarray(fitted.predict_proba(test) if kind == "probabilities" else fitted.predict(test))
        columns = []
        for column in targets.T:
            if column.min() == column.max():
                columns.append(np.zeros(len(test)))
                continue
            columns.append(_classifier(kind, c, True).fit(embeddings, column).decision_function(test))
        return np.stack(columns, 1)


def score(targets: NDArray[Any], answers: NDArray[Any]) -> float:
    """Accuracy of classes (tracks,), or macro ROC-AUC of decision values (tracks, labels)."""
    if targets.ndim == 1:
        return float((targets == answers).mean())
    count = targets.sum(0)
    known = (count > 0) & (count < len(targets))
    targets, count = targets[:, known], count[known]
    ranks = rankdata(answers[:, known], axis=0)  # many times faster than roc_auc_score, label by label
    areas = ((ranks * targets).sum(0) - count * (count + 1) / 2) / (count * (len(targets) - count))
    return float(areas.mean())


def folds(targets: NDArray[Any], groups: NDArray[Any], count: int) -> list[tuple[Ints, Ints]]:
    """Rows to learn from and to answer on: artists stay together, classes or labels are spread evenly."""
    labels = (targets[:, None] == np.unique(targets)) if targets.ndim == 1 else targets
    tests = stratified_group_folds(groups.tolist(), labels.astype(np.float64), count)
    return [(np.setdiff1d(np.arange(len(targets)), test), test) for test in tests]


def _best(kind: Kind, embeddings: Array, targets: NDArray[Any], groups: NDArray[Any]) -> float:
    """C by four artist-grouped folds."""
    scores = []
    for c in CHOICES[kind]:
        parts = folds(targets, groups, 4)
        scores.append(
            np.mean(
                [score(targets[b], answers_of(kind, c, (embeddings[a], targets[a]), embeddings[b])) for a, b in parts]
            )
        )
    return CHOICES[kind][int(np.argmax(scores))]


def out_of_fold(embeddings: Array, task: ProbeTask, kind: Kind, c: float | None = None, count: int = 5) -> NDArray[Any]:
    """Answers for each track of a task from classifiers that have not seen its artist.

    Args:
        embeddings: (all tracks, features).
        task: The task.
        kind: Of classifier.
        c: Fixed, or None for a search inside each fold.
        count: Folds.
    """
    mine, answers = embeddings[task.rows], None
    for train, test in folds(task.targets, task.groups, count):
        chosen = c if c is not None else _best(kind, mine[train], task.targets[train], task.groups[train])
        found = answers_of(kind, chosen, (mine[train], task.targets[train]), mine[test])
        if answers is None:
            answers = np.zeros((len(mine), *found.shape[1:]), found.dtype)
        answers[test] = found
    assert answers is not None
    return answers


def draws(groups: NDArray[Any], times: int, seed: int = 0) -> Iterator[Ints]:
    """Rows with artists resampled with replacement; the same where groups and seed are the same."""
    rng = np.random.default_rng(seed)
    names, member = np.unique(groups, return_inverse=True)
    tracks: Sequence[Ints] = [np.flatnonzero(member == i) for i in range(len(names))]
    for _ in range(times):
        yield np.concatenate([tracks[i] for i in rng.integers(len(names), size=len(names))])


def resampled(
    score: Callable[[Ints], float], groups: NDArray[Any], times: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of a score of tracks, artists resampled with replacement."""
    low, high = np.percentile([score(rows) for rows in draws(groups, times, seed)], [2.5, 97.5])
    return float(low), float(high)
