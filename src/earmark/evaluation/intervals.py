"""How sure a figure is: 95 % intervals, and the paired test of two models.

Tracks of one artist resemble each other, so that the unit that is drawn, or swapped, is the group and never the track
(cluster bootstrap: Davison and Hinkley 1997, 3.8). A bootstrap alone has no width where every answer is right, and too
little of it where groups are few. So every interval here is the union of two: what the bootstrap says, widened for few
groups, and what holds at the edges:

    a rate: Clopper and Pearson 1934 on as many independent answers as the groups are worth (Korn and Graubard 1998);
    an area under the ROC curve: Newcombe 2006, method 5; an average precision: as a rate of its positives (Boyd et
    al. 2013); a mean over labels, and a difference of two figures: Zou and Donner 2008 from the intervals of its parts;
    R2 and an error: on the scale of their logarithm.

With one group there is no interval: nothing tells how groups differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "RESAMPLES",
    "Bounds",
    "Figure",
    "Paired",
    "Statistic",
    "area_interval",
    "bootstrap",
    "difference_interval",
    "effective_size",
    "join",
    "mean_interval",
    "paired",
    "part_of_one",
    "positive",
    "rate",
    "share_interval",
    "sign_flip",
    "widened",
]

Float = NDArray[np.float64]
Statistic = Callable[[Float], Float]
"""A figure as a function of weights (resamples, tracks): (resamples,)."""
Bounds = tuple[float, float] | None
"""Lower and upper end; None where there is no telling."""

RESAMPLES = 1000
PERMUTATIONS = 10_000
CELLS = 1 << 20
"""Weights held at once (8 MB): resamples come in blocks, so that many tracks need no more memory than few."""

_TAIL = 0.025
_Z = 1.959964


def bootstrap(statistic: Statistic, groups: Sequence[str], resamples: int = RESAMPLES, seed: int = 0) -> Float:
    """The statistic on data drawn group by group with replacement: (resamples,)."""
    blocks = [statistic(weights) for weights in _drawn(groups, resamples, seed)] if len(groups) else []
    return np.concatenate(blocks) if blocks else np.zeros(0)


def widened(drawn: Float, figure: float, groups: Sequence[str], scale: str = "linear") -> Bounds:
    """The middle 95 % of resampled figures, as much wider as few groups ask for (Hesterberg 2015, 3.7.1).

    Args:
        drawn: (resamples,) by :func:`bootstrap`.
        figure: The figure itself, which the interval holds.
        groups: (tracks,) names.
        scale: ``log`` where the figure is a positive number without an upper end; its logarithm is widened.

    Returns:
        None where there is one group, where fewer than half of the figures are defined, or none differs.
    """
    count = len(set(groups))
    defined = drawn[np.isfinite(drawn)]
    if scale == "log":
        defined, figure = np.log(defined[defined > 0]), math.log(figure) if figure > 0 else math.nan
    if count < 2 or math.isnan(figure) or len(defined) < max(2, len(drawn) / 2) or np.ptp(defined) == 0:
        return None
    low, high = np.quantile(defined, [_TAIL, 1 - _TAIL])
    factor = _student(count - 1) / _Z * math.sqrt(count / (count - 1))
    ends = figure - factor * max(0.0, figure - low), figure + factor * max(0.0, high - figure)
    return (math.exp(ends[0]), math.exp(ends[1])) if scale == "log" else (float(ends[0]), float(ends[1]))


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A figure, its 95 % interval, and what it is in each resample (resamples,)."""

    value: float
    bounds: Bounds
    drawn: Float


def rate(right: ArrayLike, groups: Sequence[str], resamples: int = RESAMPLES, seed: int = 0) -> Figure:
    """The share of right answers.

    Args:
        right: (answers,) 1 where right, 0 where wrong.
        groups: (answers,) names of artists.
        resamples: Of the bootstrap; 0 gives no interval.
        seed: Of the bootstrap.
    """
    values = np.asarray(right, np.float64)
    if not len(values):
        return Figure(math.nan, None, np.full(resamples, np.nan))
    share = float(values.mean())
    drawn = bootstrap(lambda weights: (weights @ values) / weights.sum(-1), groups, resamples, seed)
    if not len(drawn) or len(set(groups)) < 2:
        return Figure(share, None, drawn)
    # Clopper and Pearson's interval allows for few groups already: the bootstrap is joined as it is.
    low, high = np.quantile(drawn, [_TAIL, 1 - _TAIL])
    return Figure(share, join(share_interval(share, effective_size(values, groups)), (float(low), float(high))), drawn)


def part_of_one(value: float, edge: Bounds, drawn: Float, groups: Sequence[str]) -> Figure:
    """A figure between 0 and 1, whose interval joins what holds at the edges with the bootstrap."""
    if math.isnan(value) or not len(drawn) or len(set(groups)) < 2:
        return Figure(value, None, drawn)
    sides = join(edge, widened(drawn, value, groups))
    return Figure(value, None if sides is None else (max(0.0, sides[0]), min(1.0, sides[1])), drawn)


def positive(statistic: Statistic, groups: Sequence[str], resamples: int = RESAMPLES, seed: int = 0) -> Figure:
    """A figure that is a positive number without an upper end, such as an error."""
    if not groups:
        return Figure(math.nan, None, np.full(resamples, np.nan))
    drawn = bootstrap(statistic, groups, resamples, seed)
    value = float(statistic(np.ones((1, len(groups))))[0])
    return Figure(value, widened(drawn, value, groups, "log"), drawn)


def share_interval(rate: float, size: float) -> tuple[float, float]:
    """Clopper and Pearson's interval of a rate among so many independent answers, which need not be a whole number."""
    hits = rate * size
    low = 0.0 if hits < 1e-9 else _beta_quantile(_TAIL, hits, size - hits + 1)
    high = 1.0 if size - hits < 1e-9 else _beta_quantile(1 - _TAIL, hits + 1, size - hits)
    return low, high


def effective_size(values: ArrayLike, groups: Sequence[str]) -> float:
    """How many independent answers the answers of groups are worth.

    It is ``n / (1 + rho (m - 1))`` with ``m`` tracks a group, as the answers of a group resemble each other
    (``rho``, by moments), less what few groups leave unknown of it. Groups of only right answers say nothing of
    ``rho``: it is drawn towards 1 as though one group more were all of one kind.

    Args:
        values: (answers,) 1 or 0, or a part of it, such as the share of negatives that a positive beats.
        groups: (answers,) names.

    Returns:
        From the effective number of groups (Kish 1965: all of a group alike) to the number of answers.
    """
    marks = np.asarray(values, np.float64)
    index, count = _numbered(groups)
    sizes = np.bincount(index, minlength=count).astype(np.float64)
    total, pairs = sizes.sum(), (sizes * (sizes - 1)).sum()
    if not pairs or count < 2:
        return float(count)
    spread = marks.var()
    between = (np.bincount(index, marks - marks.mean(), count) ** 2).sum() * count / (count - 1)
    alike = float(np.clip((between - total * spread) / (pairs * spread), 0, 1)) if spread > 1e-12 else 1.0
    wrong, right = np.zeros(count), np.zeros(count)
    np.maximum.at(wrong, index, 1 - marks)
    np.maximum.at(right, index, marks)
    telling = min(wrong.sum(), right.sum())
    alike = (telling * alike + 1) / (telling + 1)
    unsure = (_student(total - 1) / _student(count - 1)) ** 2
    return float(np.clip(total / (1 + alike * pairs / total) * unsure, total / (1 + pairs / total), total))


def area_interval(area: float, positives: float, negatives: float) -> tuple[float, float]:
    """Of an area under the ROC curve of so many independent positives and negatives (Newcombe 2006, method 5)."""
    more = (positives + negatives) / 2 - 1

    def beyond(guess: float) -> float:
        spread = guess * (1 - guess) * (1 + more * (1 - guess) / (2 - guess) + more * guess / (1 + guess))
        return abs(area - guess) - _Z * math.sqrt(max(0.0, spread) / (positives * negatives))

    low = 0.0 if area <= 0 else area - _last(lambda step: beyond(area - step) <= 0, area)
    high = 1.0 if area >= 1 else area + _last(lambda step: beyond(area + step) <= 0, 1 - area)
    return low, high


def mean_interval(figures: Sequence[float], bounds: Sequence[tuple[float, float]]) -> Bounds:
    """Of the mean of figures, from theirs, as though they were independent."""
    if not figures:
        return None
    below = math.hypot(*(figure - low for figure, (low, _) in zip(figures, bounds, strict=True))) / len(figures)
    above = math.hypot(*(high - figure for figure, (_, high) in zip(figures, bounds, strict=True))) / len(figures)
    mean = math.fsum(figures) / len(figures)
    return mean - below, mean + above


def difference_interval(first: Figure, second: Figure, groups: Sequence[str]) -> Bounds:
    """Of the first figure minus the second, of the same tracks: never without width, though all answers are the same.

    The ends of both are joined by their correlation over the resamples, less two groups (as Newcombe 1998, method 10,
    takes half a track from each cell), and the bootstrap of the difference is joined to that.
    """
    if first.bounds is None or second.bounds is None:
        return None
    difference, count = first.value - second.value, len(set(groups))
    both = np.isfinite(first.drawn) & np.isfinite(second.drawn)
    drawn = first.drawn[both], second.drawn[both]
    related = 0.0
    if both.sum() > 2 and min(np.ptp(drawn[0]), np.ptp(drawn[1])) > 0:
        related = float(np.corrcoef(*drawn)[0, 1])
    related = max(0.0, related - 2 / count) if related > 0 else related

    def end(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one**2 - 2 * related * one * other + other**2))

    below = end(first.value - first.bounds[0], second.bounds[1] - second.value)
    above = end(first.bounds[1] - first.value, second.value - second.bounds[0])
    return join((difference - below, difference + above), widened(drawn[0] - drawn[1], difference, groups))


def join(first: Bounds, second: Bounds) -> Bounds:
    """The interval that holds both; the other one where one is missing."""
    if first is None or second is None:
        return second if first is None else first
    return min(first[0], second[0]), max(first[1], second[1])


@dataclass(frozen=True, slots=True)
class Paired:
    """Two models on the same tracks.

    Attributes:
        difference: First model's figure minus the second's.
        ci95: Interval of the difference over groups; None where there is one group.
        p: How often chance alone gives a difference as large, were the models equally good (two-sided).
    """

    difference: float
    ci95: Bounds
    p: float


def paired(first: Figure, second: Figure, shares: ArrayLike, groups: Sequence[str], seed: int = 0) -> Paired:
    """Compare two models' figures; arguments as of :func:`difference_interval` and :func:`sign_flip`."""
    difference = first.value - second.value
    return Paired(difference, difference_interval(first, second, groups), sign_flip(difference, shares, groups, seed))


def sign_flip(difference: float, shares: ArrayLike, groups: Sequence[str], seed: int = 0) -> float:
    """How often chance gives a difference as large, when two models are swapped at random in whole groups.

    Args:
        difference: Of the two models' figures.
        shares: (tracks,) what each track contributes to the difference: for an accuracy the difference of right and
            wrong over the number of tracks; for an area :func:`earmark.evaluation.metrics.placements`.
        groups: (tracks,) names.
        seed: Of the draw.
    """
    index, count = _numbered(groups)
    by_group = np.bincount(index, np.asarray(shares, np.float64), count)
    rng = np.random.default_rng([seed, 1])
    extreme, done = 0, 0
    while done < PERMUTATIONS:
        block = min(PERMUTATIONS - done, max(1, CELLS // max(1, count)))
        signs = rng.integers(0, 2, (block, count), np.int8) * 2.0 - 1
        extreme += int((np.abs(signs @ by_group) >= abs(difference) - 1e-12).sum())
        done += block
    return (1 + extreme) / (1 + PERMUTATIONS)


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


def _last(holds: Callable[[float], bool], most: float) -> float:
    """The last number from 0 to ``most`` up to which something holds, by halving."""
    low, high = 0.0, most
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


@lru_cache
def _student(freedom: float) -> float:
    """The 97.5 % point of Student's t."""
    part = _beta_quantile(2 * _TAIL, freedom / 2, 0.5)
    return math.sqrt(freedom * (1 - part) / part)


def _beta_quantile(share: float, a: float, b: float) -> float:
    """Where the beta distribution has so much below it (SciPy is not part of a plain install)."""
    return _last(lambda x: _beta_below(x, a, b) < share, 1.0)


def _beta_below(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function by its continued fraction (Press et al. 2007, 6.4)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if (
        x > (a + 1) / (a + b + 2) + 1e-12
    ):  # beyond rounding, by which either side might send it to the other without end
        return 1 - _beta_below(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny = 1e-300
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or tiny)
    found = d
    for m in range(1, 500):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 / (1 + term * d or tiny), 1 + term / c or tiny
            found *= d * c
        if abs(d * c - 1) < 1e-12:
            break
    return front * found
