"""How sure a figure is: bootstrap over groups, a paired test of two models, and chance in calibration error.

Tracks of one artist resemble each other, so that the unit that is drawn, or swapped, is the group and never the track
(cluster bootstrap: Davison and Hinkley 1997, 3.8). A statistic is a function of weights (resamples, tracks) ->
(resamples,), as those of :mod:`earmark.evaluation.metrics` are; one call then serves a whole bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.evaluation import metrics
from earmark.evaluation.metrics import Float

__all__ = ["RESAMPLES", "Paired", "Statistic", "bootstrap", "ece_limit", "interval", "paired", "placements"]

RESAMPLES = 1000
PERMUTATIONS = 10_000
CELLS = 1 << 20
"""Weights held at once (8 MB): resamples come in blocks, so that many tracks need no more memory than few."""

Statistic = Callable[[Float], Float]


def bootstrap(statistic: Statistic, groups: Sequence[str], resamples: int = RESAMPLES, seed: int = 0) -> Float:
    """The statistic on data drawn group by group with replacement: (resamples,)."""
    return np.concatenate([statistic(weights) for weights in _drawn(groups, resamples, seed)])


def interval(values: Float) -> tuple[float, float] | None:
    """The middle 95 % of resampled figures (percentile interval); None where fewer than half are defined."""
    defined = values[~np.isnan(values)]
    if len(defined) < max(2, len(values) / 2):
        return None
    low, high = np.quantile(defined, [0.025, 0.975])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Paired:
    """Two models on the same tracks.

    Attributes:
        difference: First model's figure minus the second's.
        ci95: Bootstrap interval of the difference over groups.
        p: How often chance alone gives a difference as large, were the models equally good (two-sided).
    """

    difference: float
    ci95: tuple[float, float] | None
    p: float


def paired(
    statistic: Statistic, shares: ArrayLike, groups: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> Paired:
    """Test whether two models differ, by swapping them at random in whole groups (sign-flip permutation).

    Args:
        statistic: Difference of the two models' figures as a function of weights.
        shares: (tracks,) what each track contributes to the difference: for an accuracy the difference of right and
            wrong over the number of tracks; for an area under the ROC curve :func:`placements`.
        groups: (tracks,) names.
        resamples: Of the bootstrap.
        seed: Of both draws.
    """
    difference = float(statistic(np.ones((1, len(groups))))[0])
    index, count = _numbered(groups)
    by_group = np.bincount(index, np.asarray(shares, np.float64), count)
    rng = np.random.default_rng([seed, 1])
    extreme, done = 0, 0
    while done < PERMUTATIONS:
        block = min(PERMUTATIONS - done, max(1, CELLS // max(1, count)))
        signs = rng.integers(0, 2, (block, count), np.int8) * 2.0 - 1
        extreme += int((np.abs(signs @ by_group) >= abs(difference) - 1e-12).sum())
        done += block
    p = (1 + extreme) / (1 + PERMUTATIONS)
    return Paired(difference, interval(bootstrap(statistic, groups, resamples, seed)), p)


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


def ece_limit(confidence: ArrayLike, simulations: int = RESAMPLES, seed: int = 0) -> float:
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
    block = max(1, CELLS // len(promised))
    errors = [
        metrics.ece(rng.random((min(block, simulations - start), len(promised))) < promised, promised)
        for start in range(0, simulations, block)
    ]
    return float(np.quantile(np.concatenate(errors), 0.95))


def _drawn(groups: Sequence[str], resamples: int, seed: int) -> Iterator[Float]:
    """Weights of the tracks in each resample, in blocks (resamples, tracks)."""
    index, count = _numbered(groups)
    rng = np.random.default_rng([seed, 0])
    block = max(1, CELLS // max(1, len(groups)))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = rng.integers(0, count, (rows, count)) + np.arange(rows)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        yield times[:, index].astype(np.float64)


def _numbered(groups: Sequence[str]) -> tuple[NDArray[np.intp], int]:
    """Each track's group as a number, in order of appearance, and how many groups there are."""
    numbers: dict[str, int] = {}
    index = [numbers.setdefault(group, len(numbers)) for group in groups]
    return np.asarray(index, np.intp), len(numbers)


def _below(values: Float, thresholds: Float) -> Float:
    """How many values lie below each threshold, ties half."""
    ordered = np.sort(values)
    return (np.searchsorted(ordered, thresholds, "left") + np.searchsorted(ordered, thresholds, "right")) / 2
