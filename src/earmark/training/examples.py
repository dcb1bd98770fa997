"""Embeddings with the truth of one head, as arrays: what heads are fitted to. Tracks count, not clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.core import HeadSpec
from earmark.datasets.splits import stratified_group_folds
from earmark.inference.scores import pool, probabilities
from earmark.models.card import HeadCard
from earmark.recipe import Task

__all__ = ["Examples", "examples_of", "group_folds", "log_loss", "pooled"]

Array = NDArray[np.float32]
Double = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Clips of labelled tracks.

    Attributes:
        task: Of the head.
        labels: Number of raw scores.
        clips: (clips, features) float32.
        owner: (clips,) row of the track that each clip is from, ascending from 0.
        truth: (tracks,) index of the label or the number; multi-label (tracks, labels) 0, 1 or NaN.
        group: (tracks,) a number an artist.
        balance: Whether rare labels weigh more.
        offset: (clips, labels) raw scores that are there already and are added to; None where there are none.
    """

    task: Task
    labels: int
    clips: Array
    owner: NDArray[np.intp]
    truth: Double
    group: NDArray[np.intp]
    balance: bool = False
    offset: Double | None = None

    @property
    def clip_truth(self) -> Double:
        """The truth of each clip's track."""
        return np.asarray(self.truth[self.owner])

    @property
    def clip_weights(self) -> Double:
        """(clips,) one over the number of clips of the track."""
        return np.asarray(1.0 / np.bincount(self.owner, minlength=len(self.truth))[self.owner])

    def replaced(self, clips: Array) -> Examples:
        """The same with other numbers a clip."""
        return replace(self, clips=clips)

    def subset(self, tracks: NDArray[np.bool_]) -> Examples:
        """Only the tracks marked True."""
        kept = tracks[self.owner]
        renumbered = np.cumsum(tracks) - 1
        owner = renumbered[self.owner[kept]]
        offset = None if self.offset is None else self.offset[kept]
        group, truth = self.group[tracks], self.truth[tracks]
        return replace(self, clips=self.clips[kept], owner=owner, truth=truth, group=group, offset=offset)

    def loss_weights(self) -> Double:
        """Weights that add up to 1 a score: (clips,); multi-label (clips, labels), 0 where not labelled.

        With ``balance`` every class (multi-label: presence and absence of every label) weighs the same; ten-fold at
        most, so that a label of two songs does not rule.
        """
        weights = self.clip_weights
        truth = self.clip_truth
        if self.task != "multilabel":
            if self.balance and self.task == "multiclass":
                shares = np.bincount(truth.astype(np.intp), weights, self.labels) / weights.sum()
                weights = weights * _rarity(shares)[truth.astype(np.intp)]
            return np.asarray(weights / weights.sum())
        table = np.where(np.isnan(truth), 0.0, weights[:, None])
        if self.balance:
            present = (table * np.nan_to_num(truth)).sum(0) / np.maximum(table.sum(0), 1e-12)
            gain = np.stack([_rarity(1 - present, 2), _rarity(present, 2)])
            table = table * gain[np.nan_to_num(truth).astype(np.intp), np.arange(self.labels)]
        return np.asarray(table / np.maximum(table.sum(0), 1e-12))


def _rarity(shares: Double, classes: int | None = None) -> Double:
    """What a class of that share weighs more than in a balanced set, between 0.1 and 10."""
    return np.clip(1.0 / np.maximum(shares * (classes or len(shares)), 1e-12), 0.1, 10.0)


def examples_of(
    spec: HeadSpec,
    embeddings: Sequence[Array | None],
    targets: NDArray[np.float32],
    groups: Sequence[str] | NDArray[np.integer],
    *,
    balance: Literal["none", "sample", "loss"] = "none",
) -> Examples:
    """The tracks that one head has a label for and that could be analysed.

    Args:
        spec: The head.
        embeddings: (tracks,) of (clips, features).
        targets: As :meth:`earmark.datasets.Dataset.targets`.
        groups: (tracks,) names or numbers.
        balance: With all clips in every step, ``sample`` and ``loss`` come to the same.
    """
    unlabelled = [bool(np.isnan(target).all()) for target in targets]
    rows = [row for row, one in enumerate(embeddings) if one is not None and not unlabelled[row]]
    clips = [np.asarray(embeddings[row], np.float32) for row in rows]
    numbers: dict[object, int] = {}
    return Examples(
        task=spec.task,
        labels=len(spec.labels) or 1,
        clips=np.concatenate(clips) if clips else np.zeros((0, 0), np.float32),
        owner=np.repeat(np.arange(len(rows)), [len(one) for one in clips]).astype(np.intp),
        truth=targets[rows].astype(np.float64),
        group=np.array([numbers.setdefault(groups[row], len(numbers)) for row in rows], np.intp),
        balance=balance != "none",
    )


def pooled(raw: NDArray[np.floating], owner: NDArray[np.intp], head: HeadCard, pooling: str) -> Double:
    """Probabilities of tracks (tracks, labels) from raw scores of clips (clips, labels), as inference makes them."""
    clips = probabilities(np.asarray(raw, np.float32), head)
    edges = np.flatnonzero(np.diff(owner)) + 1
    parts = np.split(clips, edges) if len(clips) else []
    return np.array([pool(part, pooling, head.task) for part in parts]).reshape(len(parts), raw.shape[1])


def log_loss(examples: Examples, raw: NDArray[np.floating]) -> float:
    """Loss of the tracks, summed: cross-entropy of the mean probability; of a number the squared error.

    Args:
        examples: The truth.
        raw: (clips, labels) scores, to which the examples' offset is added.
    """
    if not len(examples.truth):
        return 0.0
    if examples.offset is not None:
        raw = raw + examples.offset
    scores = pooled(raw, examples.owner, HeadCard("", examples.task), "mean")
    truth = examples.truth
    if examples.task == "regression":
        return float(((scores[:, 0] - truth) ** 2).sum())
    scores = np.clip(scores, 1e-7, 1 - 1e-7)
    if examples.task == "multiclass":
        return float(-np.log(scores[np.arange(len(truth)), truth.astype(np.intp)]).sum())
    return float(-np.nansum(truth * np.log(scores) + (1 - truth) * np.log(1 - scores)))


def group_folds(examples: Examples, count: int, seed: int) -> list[NDArray[np.bool_]]:
    """Tracks set aside in each fold: (tracks,) True; see :func:`~earmark.datasets.splits.stratified_group_folds`."""
    truth = examples.truth
    if examples.task == "multiclass":
        truth = (truth[:, None] == np.arange(examples.labels)).astype(np.float64)
    labels = truth if truth.ndim == 2 else np.zeros((len(truth), 0))
    parts = stratified_group_folds(examples.group.tolist(), labels, count, seed)
    return [np.isin(np.arange(len(truth)), part) for part in parts]
