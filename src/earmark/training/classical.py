"""The first row of every table: an SVM on hand-made statistics, without any network.

The statistics are those of :mod:`earmark.features.statistics`, over the whole track. The SVM has a Gaussian kernel
(Tzanetakis and Cook's task as Li et al. 2003 solve it); C and gamma are chosen on artists set aside inside the training
part.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from earmark.datasets import load_dataset
from earmark.datasets.cache import content_hashes, keep_arrays, open_store
from earmark.datasets.core import Dataset
from earmark.datasets.splits import Split, apply_split, load_split, split
from earmark.engine import Each, Engine, LocalEngine
from earmark.errors import DatasetError
from earmark.evaluation import metrics
from earmark.evaluation.metrics import Float
from earmark.evaluation.scores import HeadAnswers, main_figure, score_head
from earmark.events import Run, Steps
from earmark.features.statistics import COEFFICIENTS, FRONTEND, track_statistics
from earmark.inference.records import Failure
from earmark.models.registry import find_model
from earmark.recipe import SplitPlan, Task
from earmark.training.fitting import Examples, group_folds

__all__ = ["Baseline", "baseline", "statistics_of"]

NOTES = (
    "No network: an SVM on mean, deviation, skewness and quantiles of 20 cepstral coefficients and of their changes.",
    "It learns from the training and validation part; C and the kernel's width are chosen by folds inside them.",
)
"""For a reader of a table in which this is the first row."""
_CS = (1.0, 10.0, 100.0)
_GAMMAS: tuple[float | Literal["scale"], ...] = ("scale", 0.001, 0.0003)


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """The SVM's answers of one head.

    Attributes:
        train: Of the tracks that it learnt from (training and validation part).
        test: Of the test part.
        c: Penalty that the folds chose.
        gamma: Width of the kernel that they chose.
    """

    train: HeadAnswers
    test: HeadAnswers
    c: float
    gamma: float | Literal["scale"]


def baseline(dataset: Dataset, head: str, parts: Split, engine: Engine, seed: int = 0) -> Steps[Baseline]:
    """Train on the training and validation parts (C and gamma by folds of groups), answer on the test part.

    A multi-label head has one C and gamma for all labels, and balanced classes.

    Raises:
        DatasetError: No track of either part can be read, or only one label is left to learn.
    """
    spec, targets = dataset.head(head), dataset.targets(head).astype(np.float64)
    rows = yield from statistics_of(dataset, engine)
    labelled = metrics.labelled(targets)
    known = np.array([row is not None for row in rows]) & labelled
    train = np.array([row for row in sorted({*parts.train, *parts.valid}) if known[row]], np.intp)
    test = np.array([row for row in parts.test if known[row]], np.intp)
    if not len(test) or not len(train):
        raise DatasetError(f"{dataset.name}: no labelled track that can be read in the test (or training) part")
    if spec.task == "multiclass" and len(np.unique(targets[train])) < 2:
        raise DatasetError(f"{dataset.name}: head {head} has a single label in the training part")
    numbers = {group: number for number, group in enumerate(dict.fromkeys(t.group for t in dataset.tracks))}
    group = np.array([numbers[dataset.tracks[row].group] for row in train], np.intp)
    features = np.stack([row for row in rows if row is not None])
    place = np.cumsum([row is not None for row in rows]) - 1
    learnt = Examples(spec.task, len(spec.labels), features[place[train]], np.arange(len(train)), targets[train], group)
    c, gamma = _choice(learnt, seed)
    machine = _Machine(spec.task, len(spec.labels), c, gamma).fit(learnt.clips, learnt.truth)

    def answers(tracks: NDArray[np.intp]) -> HeadAnswers:
        scores = machine.scores(features[place[tracks]])
        return HeadAnswers(
            name=head,
            task=spec.task,
            labels=spec.labels,
            tracks=tuple(dataset.tracks[row].name for row in tracks),
            groups=tuple(dataset.tracks[row].group for row in tracks),
            truth=targets[tracks],
            scores=scores,
            given=scores >= 0.5 if spec.task == "multilabel" else np.ones(len(tracks), np.bool_),
        )

    return Baseline(answers(train), answers(test), c, gamma)


class _Machine:
    """Standardised statistics to scores: one SVM, or one for each label of a multi-label head."""

    def __init__(self, task: Task, labels: int, c: float, gamma: float | str) -> None:
        self.task, self.labels, self.c, self.gamma = task, labels, c, gamma
        self.scaler = StandardScaler()
        self.machines: list[Any] = []
        self.classes: NDArray[np.intp] = np.zeros(0, np.intp)

    def fit(self, features: NDArray[Any], truth: Float) -> _Machine:
        """Learn (tracks, numbers) and their truth."""
        scaled = self.scaler.fit_transform(features)
        if self.task == "regression":
            self.machines = [SVR(C=self.c, gamma=self.gamma, epsilon=0.1 * float(truth.std())).fit(scaled, truth)]
        elif self.task == "multiclass":
            self.machines = [SVC(C=self.c, gamma=self.gamma).fit(scaled, truth.astype(np.intp))]
            self.classes = self.machines[0].classes_
        else:
            self.machines = [self._label(scaled, column) for column in truth.T]
        return self

    def _label(self, scaled: NDArray[Any], column: Float) -> Any:
        known = ~np.isnan(column)
        if len(np.unique(column[known])) < 2:
            return None
        return SVC(C=self.c, gamma=self.gamma, class_weight="balanced").fit(scaled[known], column[known])

    def scores(self, features: NDArray[Any]) -> Float:
        """(tracks, labels) numbers between 0 and 1 that order as the SVM does; a regression (tracks, 1) values."""
        scaled = self.scaler.transform(features)
        if self.task == "regression":
            return np.asarray(self.machines[0].predict(scaled)[:, None], np.float64)
        if self.task == "multilabel":
            far = [np.full(len(scaled), -9.0) if m is None else m.decision_function(scaled) for m in self.machines]
            return np.asarray(1 / (1 + np.exp(-np.stack(far, 1))), np.float64)
        far = self.machines[0].decision_function(scaled)
        both = np.stack([-far, far], 1) if far.ndim == 1 else far
        found = np.zeros((len(scaled), self.labels))
        found[:, self.classes] = softmax(both, axis=1) / 2
        # Its own answer is the vote of its pairs of classes, up to five points better than the largest margin.
        found[np.arange(len(scaled)), self.machines[0].predict(scaled)] += 0.5
        return found


def _choice(examples: Examples, seed: int) -> tuple[float, float | Literal["scale"]]:
    """The C and gamma with the best mean figure over folds of groups."""
    folds = group_folds(examples, 5, seed)
    wide = _GAMMAS if examples.task == "multiclass" else _GAMMAS[:1]

    def figure(choice: tuple[float, float | Literal["scale"]]) -> float:
        found = []
        for held in folds:
            machine = _Machine(examples.task, examples.labels, *choice)
            machine.fit(examples.clips[~held], examples.truth[~held])
            found.append(_figure(examples.task, examples.truth[held], machine.scores(examples.clips[held])))
        return float(np.nanmean(found))

    return max(itertools.product(_CS, wide), key=figure)


def _figure(task: Task, truth: Float, scores: Float) -> float:
    if task == "multiclass":
        return float((scores.argmax(1) == truth).mean())
    if task == "regression":
        return float(metrics.r2(truth, scores[:, 0]))
    areas = [metrics.roc_auc(column, score) for column, score in zip(truth.T, scores.T, strict=True)]
    return float(metrics.macro(np.array(areas)))


def statistics_of(dataset: Dataset, engine: Engine) -> Steps[list[NDArray[np.float32] | None]]:
    """(tracks,) of (240,) numbers, kept on disk; None for a file that cannot be read."""
    facts = {"frontend": asdict(FRONTEND), "coefficients": COEFFICIENTS, "version": 1}
    store = open_store("statistics", facts, "float32")
    paths = [track.path for track in dataset.tracks]
    hashes = yield from content_hashes(paths, engine)
    files = {digest: path for digest, path in zip(hashes, paths, strict=True) if isinstance(digest, str)}
    failures = yield from keep_arrays(Each(track_statistics, lively=True), store, files, engine)
    return [
        None if isinstance(digest, Failure) or digest in failures else np.asarray(store[digest]) for digest in hashes
    ]


def _main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m earmark.training.classical", description=__doc__.splitlines()[0])
    parser.add_argument("dataset", metavar="DATASET")
    parser.add_argument("--heads", metavar="HEAD", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split-from", metavar="MODEL", help="the parts that a model was trained with")
    args = parser.parse_args(arguments)
    dataset = load_dataset(args.dataset, heads=[args.heads], training=True)
    with LocalEngine() as engine:
        if args.split_from:
            hashes = Run(content_hashes([track.path for track in dataset.tracks], engine)).wait()
            parts = apply_split(dataset, load_split(find_model(args.split_from) / "split.tsv"), list(map(str, hashes)))
        else:
            parts = split(dataset, SplitPlan(0.7, 0.1, 0.2), args.seed, args.heads)
        found = Run(baseline(dataset, args.heads, parts, engine, args.seed)).wait()
    known = score_head(found.train, resamples=0)
    key = main_figure(found.test.task)
    facts = {"dataset": dataset.name, "head": args.heads, "group": parts.group_by, "c": found.c, "gamma": found.gamma}
    return facts | score_head(found.test) | {f"train_{key}": known[key]}


if __name__ == "__main__":
    import sys

    sys.stdout.write(json.dumps(_main()) + "\n")
