"""Raw scores of clips to calibrated scores of a track: the only place where probabilities are made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from earmark.inference.records import HeadPrediction, Taggram
from earmark.models.card import HeadCard

__all__ = ["answer", "pool", "probabilities", "taggram"]

Array = NDArray[np.float32]

DECIMALS = 4
"""Scores are rounded to so many decimals, so that runs and machines can be compared."""


def probabilities(raw: Array, head: HeadCard) -> NDArray[np.float64]:
    """Calibrated probabilities of clips.

    Args:
        raw: (clips, labels) logits; of a regression (clips, 1) values, which pass through.
        head: Its task and temperature (Guo et al. 2017).

    Returns:
        (clips, labels).
    """
    scores = raw.astype(np.float64)
    if head.task == "regression":
        return scores
    scores /= head.temperature
    if head.task == "multilabel":
        return np.asarray(0.5 * (1 + np.tanh(0.5 * scores)))
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(scores / scores.sum(axis=1, keepdims=True))


def pool(clips: NDArray[np.float64], how: str, task: str) -> NDArray[np.float64]:
    """Probabilities of a track from those of its clips: (clips, labels) to (labels,).

    ``mean``, or ``mean-log``: the geometric mean, which for a multiclass head is made to add up to one again.
    """
    if how == "mean" or task == "regression":
        return np.asarray(clips.mean(axis=0))
    pooled = np.exp(np.log(np.maximum(clips, 1e-12)).mean(axis=0))
    return np.asarray(pooled / pooled.sum() if task == "multiclass" else pooled)


def answer(head: HeadCard, scores: Sequence[float], over_time: Taggram | None = None) -> HeadPrediction:
    """What a head says, from its scores of a track (labels in the head's order)."""
    rounded = [round(float(score), DECIMALS) for score in scores]
    if head.task == "regression":
        return HeadPrediction("regression", value=rounded[0], taggram=over_time)
    named = dict(zip(head.labels, rounded, strict=True))
    ranked = sorted(named, key=lambda label: -named[label])  # stable: ties go to the label that stands first
    if head.task == "multilabel":
        above = tuple(label for label in ranked if named[label] >= head.thresholds.get(label, 0.5))
        return HeadPrediction("multilabel", labels=above, scores=named, taggram=over_time)
    confidence = named[ranked[0]]
    label = ranked[0] if confidence >= head.threshold else None
    return HeadPrediction("multiclass", label=label, confidence=confidence, scores=named, taggram=over_time)


def taggram(head: HeadCard, times: Sequence[tuple[float, float]], clips: NDArray[np.float64]) -> Taggram:
    """Scores over time, from (clips, labels) and each clip's start and end."""
    columns = np.round(clips, DECIMALS).T.tolist()
    labels = head.labels or (head.name,)
    return Taggram(
        start=tuple(round(start, 3) for start, _ in times),
        end=tuple(round(end, 3) for _, end in times),
        scores={label: tuple(column) for label, column in zip(labels, columns, strict=True)},
    )
