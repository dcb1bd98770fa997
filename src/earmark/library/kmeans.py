"""K-means++ (Arthur and Vassilvitskii 2007) in NumPy: the same points give the same clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["assign", "choose_count", "kmeans", "means", "settle"]

Array = NDArray[np.float32]

_ROUNDS = 30
_JUDGED = 4_000  # points that a number of clusters is judged by
_BLOCK = 8_192
_NEARLY = 0.95
_EACH = 16  # numbers up to here are all tried, larger ones in steps


def kmeans(points: Array, count: int, seed: int = 0) -> Array:
    """Centres of clusters.

    Args:
        points: (n, dimensions) float32, n >= 1.
        count: Clusters, at most n.
        seed: Of the choice of first centres.

    Returns:
        (count, dimensions); fewer where the points have fewer different values.
    """
    rng = np.random.default_rng(seed)
    tries = 4 if len(points) * count <= 20_000 else 1
    best, least = np.zeros((0, points.shape[1]), np.float32), np.inf
    for _ in range(tries):
        centers = settle(points, _first(points, count, rng), _ROUNDS)
        loss = float(assign(points, centers)[1].sum(dtype=np.float64))
        if loss < least:
            best, least = centers, loss
    return best


def assign(points: Array, centers: Array) -> tuple[NDArray[np.intp], Array]:
    """The nearest centre of each point (ties: the first), and the squared distance to it."""
    near, far = np.empty(len(points), np.intp), np.empty(len(points), np.float32)
    half = (centers * centers).sum(axis=1) / 2
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK]
        value = block @ centers.T - half
        best = value.argmax(axis=1)
        near[start : start + _BLOCK] = best
        far[start : start + _BLOCK] = (block * block).sum(axis=1) - 2 * value[np.arange(len(block)), best]
    return near, np.maximum(far, 0)


def choose_count(points: Array, seed: int = 0) -> int:
    """How many clusters the points have: the finest grouping that is nearly as clear as the clearest.

    Clear by the simplified silhouette (Hruschka et al. 2004): how much nearer points are to their own centre than to
    the next one, on average.
    """
    some = _sample(points, _JUDGED)
    most = int(min(64, np.sqrt(len(points)) + 1, len(some) - 1))
    if most < 2:
        return 1
    counts = sorted({*range(2, min(most, _EACH) + 1), *(round(most / 1.25**i) for i in range(7) if most > _EACH)})
    clear = {count: _silhouette(some, kmeans(some, count, seed)) for count in counts}
    best = max(clear.values())
    if best <= 0:
        return 1
    return int(max(count for count, value in clear.items() if value >= _NEARLY * best))


def _sample(points: Array, count: int) -> Array:
    """So many of the points, always the same, in their order."""
    if len(points) <= count:
        return points
    rows = np.random.default_rng(0).choice(len(points), count, replace=False)
    return points[np.sort(rows)]


def _silhouette(points: Array, centers: Array) -> float:
    if len(centers) < 2:
        return -1.0
    square = (centers * centers).sum(axis=1) - 2 * points @ centers.T + (points * points).sum(axis=1)[:, None]
    nearest = np.sqrt(np.maximum(np.partition(square, 1, axis=1)[:, :2], 0))
    return float(np.mean((nearest[:, 1] - nearest[:, 0]) / np.maximum(nearest[:, 1], 1e-9)))


def _first(points: Array, count: int, rng: np.random.Generator) -> Array:
    """First centres far from each other: each next one is drawn by its squared distance to those before."""
    chosen = [int(rng.integers(len(points)))]
    left = _square(points, points[chosen[0]])
    while len(chosen) < count:
        total = left.sum(dtype=np.float64)
        if total <= 0:
            break
        drawn = int(np.searchsorted(np.cumsum(left, dtype=np.float64), rng.random() * total))
        chosen.append(min(drawn, len(points) - 1))
        left = np.minimum(left, _square(points, points[chosen[-1]]))
    return points[chosen].copy()


def _square(points: Array, center: Array) -> Array:
    gap = points - center
    return np.asarray(np.einsum("ij,ij->i", gap, gap), np.float32)


def settle(points: Array, centers: Array, rounds: int) -> Array:
    """Lloyd's rounds until nothing moves; a centre that lost all its points takes the worst placed one."""
    before = None
    for _ in range(rounds):
        near, far = assign(points, centers)
        if before is not None and np.array_equal(near, before):
            break
        before = near
        centers, sizes = means(points, near, len(centers))
        for empty in np.flatnonzero(sizes == 0):
            worst = int(far.argmax())
            centers[empty], far[worst] = points[worst], 0
    return centers


def means(points: Array, near: NDArray[np.intp], count: int) -> tuple[Array, NDArray[np.intp]]:
    """Mean of each cluster's points (zeros where it has none), and how many it has."""
    sizes = np.bincount(near, minlength=count)
    order = np.argsort(near, kind="stable")
    sums = np.zeros((count, points.shape[1]), np.float64)
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    for number in np.flatnonzero(sizes):
        sums[number] = points[order[bounds[number] : bounds[number + 1]]].sum(axis=0, dtype=np.float64)
    return (sums / np.maximum(sizes, 1)[:, None]).astype(np.float32), sizes
