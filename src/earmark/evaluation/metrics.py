"""Metrics as functions of arrays, in NumPy; the tests check each against scikit-learn.

Conventions:
    A truth that is NaN (multi-label: a row that holds one) is not labelled, and its track counts for nothing.
    ``weights`` weigh the tracks: (tracks,) gives one figure, (resamples, tracks) gives one figure a row, so that a
    whole bootstrap is one call. A figure that is not defined is NaN.

Sources: Fawcett 2006 (ROC), Davis and Goadrich 2006 (precision-recall), Guo et al. 2017 (calibration error).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Answered",
    "ClassTable",
    "Float",
    "accuracy",
    "answered",
    "average_precision",
    "class_table",
    "class_table_of_decisions",
    "confusion",
    "ece",
    "ece_limit",
    "labelled",
    "macro",
    "macro_f1",
    "mae",
    "placements",
    "r2",
    "ratio",
    "reliability",
    "roc_auc",
]

Float = NDArray[np.float64]
ECE_BINS = 10
_CELLS = 1 << 20  # numbers held at once (8 MB)


def labelled(truth: ArrayLike) -> NDArray[np.bool_]:
    """Which tracks carry a label: (tracks,) True where no number of the track's truth is NaN."""
    given = np.asarray(truth, np.float64)
    return np.asarray(~np.isnan(given.reshape(len(given), -1)).any(1)) if given.size else np.zeros(len(given), np.bool_)


def accuracy(truth: ArrayLike, guess: ArrayLike, weights: ArrayLike | None = None) -> Float:
    """Share of the tracks whose guess is the truth.

    Args:
        truth: (tracks,) index of the true label, or NaN.
        guess: (tracks,) index of the label that was guessed.
        weights: See the module.
    """
    known = labelled(truth)
    right = (np.asarray(guess, np.float64) == np.asarray(truth, np.float64)).astype(np.float64)
    return _mean(right, _weights(weights, known))


def confusion(truth: ArrayLike, guess: ArrayLike, classes: int) -> NDArray[np.int64]:
    """How often what was taken for what: (classes, classes), rows are the truth."""
    known = labelled(truth)
    rows = np.asarray(truth, np.float64)[known].astype(np.int64)
    columns = np.asarray(guess)[known].astype(np.int64)
    table = np.bincount(rows * classes + columns, minlength=classes * classes)
    return table.reshape(classes, classes).astype(np.int64)


@dataclass(frozen=True, slots=True)
class ClassTable:
    """Figures a class, each (classes,): NaN where a class has no track (recall) or was never guessed (precision)."""

    precision: Float
    recall: Float
    f1: Float
    tracks: NDArray[np.int64]


def class_table(table: ArrayLike) -> ClassTable:
    """Precision, recall and F1 a class from a confusion table (classes, classes) with the truth in its rows."""
    counts = np.asarray(table, np.float64)
    hits, truths, guesses = np.diag(counts), counts.sum(1), counts.sum(0)
    return ClassTable(
        precision=ratio(hits, guesses),
        recall=ratio(hits, truths),
        f1=ratio(2 * hits, truths + guesses),
        tracks=truths.astype(np.int64),
    )


def class_table_of_decisions(truth: ArrayLike, given: ArrayLike) -> ClassTable:
    """Precision, recall and F1 a label from yes and no.

    Args:
        truth: (tracks, labels) 0 or 1; a row with NaN is not labelled.
        given: (tracks, labels) whether each label was named.
    """
    known = labelled(truth)
    yes, named = np.asarray(truth, np.float64)[known] == 1, np.asarray(given, np.bool_)[known]
    hits, truths, guesses = (yes & named).sum(0), yes.sum(0), named.sum(0)
    return ClassTable(ratio(hits, guesses), ratio(hits, truths), ratio(2 * hits, truths + guesses), truths)


def macro_f1(truth: ArrayLike, guess: ArrayLike, classes: int, weights: ArrayLike | None = None) -> Float:
    """Mean of the classes' F1; a class that is neither in the truth nor in the guesses is left out."""
    known = labelled(truth)
    weighed = _weights(weights, known)
    index = np.arange(classes)
    is_truth = np.asarray(truth, np.float64)[:, None] == index
    is_guess = (np.asarray(guess, np.float64)[:, None] == index) & known[:, None]
    hits = weighed @ (is_truth & is_guess).astype(np.float64)
    seen = weighed @ (is_truth.astype(np.float64) + is_guess)
    return macro(ratio(2 * hits, seen))


def macro(values: Float) -> Float:
    """Mean over the last axis of what is defined; NaN where nothing is."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0).sum(-1), defined.sum(-1).astype(np.float64))


def roc_auc(truth: ArrayLike, score: ArrayLike, weights: ArrayLike | None = None) -> Float:
    """Area under the ROC curve of one label: how often a positive scores above a negative, ties half.

    Args:
        truth: (tracks,) 0 or 1, or NaN.
        score: (tracks,) the higher the more likely.
        weights: See the module.

    Returns:
        NaN where there is no positive or no negative.
    """
    positives, negatives = _by_threshold(truth, score, weights)
    below = negatives.sum(-1, keepdims=True) - np.cumsum(negatives, -1)
    won = (positives * (below + 0.5 * negatives)).sum(-1)
    return ratio(won, positives.sum(-1) * negatives.sum(-1))


def average_precision(truth: ArrayLike, score: ArrayLike, weights: ArrayLike | None = None) -> Float:
    """PR-AUC of one label as average precision: the sum of precision times gain in recall, without interpolation.

    Arguments as in :func:`roc_auc`. NaN where there is no positive or no negative.
    """
    positives, negatives = _by_threshold(truth, score, weights)
    hits = np.cumsum(positives, -1)
    precision = ratio(hits, hits + np.cumsum(negatives, -1))
    gained = np.where(positives > 0, positives * np.nan_to_num(precision), 0).sum(-1)
    total = positives.sum(-1)
    return np.where(negatives.sum(-1) > 0, ratio(gained, total), np.nan)


def reliability(right: ArrayLike, confidence: ArrayLike, bins: int = ECE_BINS) -> tuple[Float, Float, Float]:
    """The reliability curve: what was promised against what was kept, in equal bins of confidence.

    Args:
        right: (answers,) whether each answer was right.
        confidence: (answers,) the probability that it was given, 0..1.
        bins: Number of bins.

    Returns:
        Mean confidence, share of right answers (NaN in an empty bin) and number of answers, each (bins,).
    """
    member = _bins(confidence, bins)
    count = member.sum(0)
    return (
        ratio(np.asarray(confidence, np.float64) @ member, count),
        ratio(np.asarray(right, np.float64) @ member, count),
        count,
    )


def ece(right: ArrayLike, confidence: ArrayLike, bins: int = ECE_BINS, weights: ArrayLike | None = None) -> Float:
    """Expected calibration error: the gap of the reliability curve, weighed by the answers in each bin.

    Args:
        right: (answers,) whether each answer was right; (simulations, answers) gives one figure a row.
        confidence: (answers,) probabilities, 0..1.
        bins: Equal bins of confidence; a confidence on an edge belongs below it.
        weights: See the module.
    """
    promised = np.asarray(confidence, np.float64)
    weighed = _weights(weights, np.ones(len(promised), np.bool_))
    gaps = (weighed * (np.asarray(right, np.float64) - promised)) @ _bins(promised, bins)
    return ratio(np.abs(gaps).sum(-1), weighed.sum(-1))


def r2(truth: ArrayLike, guess: ArrayLike, weights: ArrayLike | None = None) -> Float:
    """Share of the variance that the guess explains; NaN where the truth does not vary."""
    known = labelled(truth)
    weighed = _weights(weights, known)
    actual = np.where(known, np.asarray(truth, np.float64), 0)
    mean = ratio(weighed @ actual, weighed.sum(-1))
    missed = weighed @ (actual - np.where(known, np.asarray(guess, np.float64), 0)) ** 2
    spread = (weighed * (actual - mean[..., None]) ** 2).sum(-1)
    return 1 - ratio(missed, np.where(spread > 1e-12, spread, 0))


def mae(truth: ArrayLike, guess: ArrayLike, weights: ArrayLike | None = None) -> Float:
    """Mean absolute error, in the truth's unit."""
    known = labelled(truth)
    missed = np.abs(np.asarray(truth, np.float64) - np.asarray(guess, np.float64))
    return _mean(np.where(known, missed, 0), _weights(weights, known))


@dataclass(frozen=True, slots=True)
class Answered:
    """What holds of the answers that were given: how many there are of all, and how many of them are right."""

    coverage: float
    precision: float


def answered(right: ArrayLike, given: ArrayLike) -> Answered:
    """Coverage and precision where a model may keep silent.

    Args:
        right: (tracks,) whether the best label is the truth.
        given: (tracks,) whether the model was sure enough to answer.
    """
    silent = ~np.asarray(given, np.bool_)
    weighed = (~silent).astype(np.float64)
    coverage = float(weighed.mean()) if len(silent) else float("nan")
    return Answered(coverage, float(_mean(np.asarray(right, np.float64), weighed)))


def _weights(weights: ArrayLike | None, known: NDArray[np.bool_]) -> Float:
    """Weights with unlabelled tracks at 0: (tracks,) or (resamples, tracks)."""
    return known.astype(np.float64) if weights is None else np.asarray(weights, np.float64) * known


def _mean(values: Float, weights: Float) -> Float:
    return ratio(np.asarray(weights @ values), weights.sum(-1))


def ratio(above: ArrayLike, below: ArrayLike) -> Float:
    """``above / below``, NaN where there is nothing below."""
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    undefined: Float = np.full(np.broadcast_shapes(above.shape, below.shape), np.nan)
    np.divide(above, below, out=undefined, where=below != 0)
    return undefined


def _bins(confidence: ArrayLike, bins: int) -> Float:
    """(answers, bins): 1 where an answer lies in a bin; bins are (lower, upper], the first holds 0."""
    place = np.clip(np.ceil(np.asarray(confidence, np.float64) * bins - 1e-9).astype(np.int64) - 1, 0, bins - 1)
    member: Float = (place[:, None] == np.arange(bins)).astype(np.float64)
    return member


def _by_threshold(truth: ArrayLike, score: ArrayLike, weights: ArrayLike | None) -> tuple[Float, Float]:
    """Weight of positives and of negatives at each distinct score, from the highest: (..., thresholds)."""
    known = np.flatnonzero(labelled(truth))
    marks = np.asarray(truth, np.float64)[known]
    values = np.asarray(score, np.float64)[known]
    order = np.argsort(-values, kind="stable")
    marks, values = marks[order], values[order]
    ones = np.ones(len(known)) if weights is None else np.asarray(weights, np.float64)[..., known[order]]
    if len(values) == 0:
        return np.zeros((*ones.shape[:-1], 1)), np.zeros((*ones.shape[:-1], 1))
    starts = np.flatnonzero(np.r_[True, np.diff(values) != 0])
    if len(starts) == len(values):
        return ones * marks, ones * (1 - marks)
    return np.add.reduceat(ones * marks, starts, -1), np.add.reduceat(ones * (1 - marks), starts, -1)


def placements(truth: ArrayLike, score: ArrayLike) -> Float:
    """What each track contributes to an area under the ROC curve, to first order (DeLong et al. 1988).

    A positive's share is the part of the negatives that it beats, a negative's the part of the positives that beat it,
    each less half the area and over the number of its kind: so the variance of their sum is that of the area, and the
    sum is the area itself.

    Returns:
        (tracks,) shares; zeros where the label has no positive or no negative, and for unlabelled tracks.
    """
    marks, values = np.asarray(truth, np.float64), np.asarray(score, np.float64)
    positive, negative = np.flatnonzero(marks == 1), np.flatnonzero(marks == 0)
    shares = np.zeros(len(marks))
    if len(positive) and len(negative):
        beaten = _below(values[negative], values[positive]) / len(negative)
        beating = _below(-values[positive], -values[negative]) / len(positive)
        shares[positive] = (beaten - beaten.mean() / 2) / len(positive)
        shares[negative] = (beating - beating.mean() / 2) / len(negative)
    return shares


def ece_limit(confidence: ArrayLike, simulations: int = 1000, seed: int = 0) -> float:
    """Largest calibration error that chance gives a perfectly calibrated model: the 95 % quantile.

    A calibration error is above zero even where every promise is kept, the more so the fewer the answers; only one
    above this limit says that the model is not calibrated (Vaicenavicius et al. 2019).

    Args:
        confidence: (answers,) probabilities that were promised.
        simulations: Draws of right and wrong answers at just these probabilities.
        seed: Of the draws.
    """
    promised = np.asarray(confidence, np.float64)
    if not len(promised):
        return float("nan")
    rng = np.random.default_rng([seed, 2])
    block = max(1, _CELLS // len(promised))
    errors = [
        ece(rng.random((min(block, simulations - start), len(promised))) < promised, promised)
        for start in range(0, simulations, block)
    ]
    return float(np.quantile(np.concatenate(errors), 0.95))


def _below(values: Float, thresholds: Float) -> Float:
    """How many values lie below each threshold, ties half."""
    ordered = np.sort(values)
    return (np.searchsorted(ordered, thresholds, "left") + np.searchsorted(ordered, thresholds, "right")) / 2
