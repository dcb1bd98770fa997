"""Raw scores of clips to calibrated scores of a track: the only place where probabilities are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from earmark.errors import ModelError
from earmark.inference.answers import DECIMALS
from earmark.inference.records import Taggram
from earmark.models.card import HeadCard
from earmark.models.network import SMALLEST, HeadWeights

__all__ = ["pool", "probabilities", "raw_scores", "taggram", "track_probabilities"]

Double = NDArray[np.float64]

_PLAIN = HeadCard("", "multiclass")
_HUGE = 1e30  # a raw score beyond it is as good as infinite


def raw_scores(
    heads: Sequence[HeadCard], weights: Mapping[str, HeadWeights], vectors: Mapping[str, NDArray[np.floating]]
) -> dict[str, Double]:
    """Raw scores of clips by head, before calibration: (clips, labels) logits, or (clips, 1) values; in float64.

    Args:
        heads: In the order of the card: a head stands below those that it depends on.
        weights: Their arrays, by name.
        vectors: By layer, (clips, dimensions).

    Raises:
        ModelError: A score that is not a finite number.
    """
    doubles = {layer: np.asarray(values, np.float64) for layer, values in vectors.items()}
    cards = {head.name: head for head in heads}
    found: dict[str, Double] = {}
    for head in heads:
        mine = weights[head.name]
        with np.errstate(over="ignore", invalid="ignore"):  # looked for just below
            if head.derived:
                scores = _shares(probabilities(found[head.derived], cards[head.derived]), mine, head.task)
            else:
                scores = _mean("multiclass" if head.classes else head.task, mine, doubles[head.layer])
                if head.classes:
                    scores = _shares(probabilities(scores, _PLAIN), mine, head.task)
                if mine.added is not None:
                    scores = np.concatenate([scores, mine.added(doubles[head.layer])], axis=1)
                if mine.prior is not None:
                    rates = probabilities(found[head.prior], cards[head.prior]) @ mine.prior.T
                    scores = scores + head.prior_weight * _logits(rates, 1 - rates, "multilabel")
        if not (np.abs(scores) < _HUGE).all():
            raise ModelError(f"the head {head.name!r} is damaged: a score is not a finite number (NaN)")
        found[head.name] = scores
    return found


def _shares(others: Double, weights: HeadWeights, task: str) -> Double:
    """Raw scores, or numbers, of (clips, classes) probabilities through the matrix of a head."""
    assert weights.matrix is not None
    shares = others @ weights.matrix.T
    return shares if task == "regression" else _logits(shares, 1 - shares, task)


def _mean(task: str, weights: HeadWeights, vectors: Double) -> Double:
    """The raw scores of the members as one: raw scores again, whose softmax (sigmoid) is the mean that is asked for."""
    each = []
    for member in weights.members:
        scores = vectors
        for step in member:
            scores = step(scores)
        each.append(scores)
    if len(each) == 1 or weights.mean == "logits" or task == "regression":
        return np.asarray(np.mean(each, axis=0))
    plain = _PLAIN if task == "multiclass" else HeadCard("", "multilabel")
    yes = np.mean([probabilities(one, plain) for one in each], axis=0)
    no = np.mean([probabilities(-one, plain) for one in each], axis=0) if task == "multilabel" else yes
    return _logits(yes, no, task)


def _logits(yes: Double, no: Double, task: str) -> Double:
    """Raw scores of probabilities; with several labels a track, of each label's and its opposite's."""
    scores = np.log(np.maximum(yes, SMALLEST))
    return np.asarray(scores - np.log(np.maximum(no, SMALLEST)) if task == "multilabel" else scores)


def probabilities(raw: NDArray[np.floating], head: HeadCard) -> NDArray[np.float64]:
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


def track_probabilities(clips: NDArray[np.floating], head: HeadCard, pooling: str) -> NDArray[np.float64]:
    """Calibrated scores of a track, (labels,), from the raw ones of its clips; ``pooling`` where the head has none."""
    how = head.pooling or pooling
    if how == "logits":  # what two heads make of the same raw scores then has the same order
        return np.asarray(probabilities(np.mean(clips, axis=0, keepdims=True, dtype=np.float64), head)[0])
    return pool(probabilities(clips, head), how, head.task)


def taggram(head: HeadCard, times: Sequence[tuple[float, float]], clips: NDArray[np.float64]) -> Taggram:
    """Scores over time, from (clips, labels) and each clip's start and end."""
    columns = np.round(clips, DECIMALS).T.tolist()
    labels = head.labels or (head.name,)
    return Taggram(
        start=tuple(round(start, 3) for start, _ in times),
        end=tuple(round(end, 3) for _, end in times),
        scores={label: tuple(column) for label, column in zip(labels, columns, strict=True)},
    )
