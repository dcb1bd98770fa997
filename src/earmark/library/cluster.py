"""Clusters of the library, named by what tells them apart. New tracks join; the old stay where they are.

They are found by k-means++ (Arthur and Vassilvitskii 2007) in NumPy: the same points give the same clusters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.errors import UnknownName
from earmark.library.labels import MOOD, LabelProbabilities, heads_about, user_heads
from earmark.library.records import LibraryModel, LibraryTrack
from earmark.library.similar import Vectors, read_vectors, telling
from earmark.library.store import Library, StoredCluster
from earmark.models.card import HeadCard
from earmark.text import fold

__all__ = [
    "Cluster",
    "Clustering",
    "assign",
    "choose_count",
    "cluster_named",
    "cluster_names",
    "cluster_tracks",
    "kmeans",
    "known_clusters",
    "make_clusters",
]

Array = NDArray[np.float32]

_ROUNDS = 30
_SAMPLE = 256  # points a cluster that its centre is found from
_JUDGED = 4_000  # points that a number of clusters is judged by
_BLOCK = 32_768
_NEARLY = 0.95
_EACH = 16  # numbers up to here are all tried, larger ones in steps


def kmeans(points: Array, count: int, seed: int = 0) -> Array:
    """Centres of clusters.

    Of very many points a sample finds the centres, and all of them then settle in two rounds.

    Args:
        points: (n, dimensions) float32, n >= 1.
        count: Clusters, at most n.
        seed: Of the choice of first centres.

    Returns:
        (count, dimensions); fewer where the points have fewer different values.
    """
    rng = np.random.default_rng(seed)
    some = _sample(points, max(10_000, _SAMPLE * count))
    tries = 4 if len(some) * count <= 20_000 else 1
    best, least = np.zeros((0, points.shape[1]), np.float32), np.inf
    for _ in range(tries):
        centers = _settled(some, _first(some, count, rng), _ROUNDS)
        loss = float(assign(some, centers)[1].sum(dtype=np.float64))
        if loss < least:
            best, least = centers, loss
    return best if len(some) == len(points) else _settled(points, best, 2)


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


def _settled(points: Array, centers: Array, rounds: int) -> Array:
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


_TAGS = 6
_TYPICAL = 5


@dataclass(frozen=True, slots=True)
class Cluster:
    """A part of the library.

    Attributes:
        number: 0 is the largest when they were made.
        name: Made of its most telling labels; no two are the same.
        tags: Those labels, the most telling first.
        audio: Rows of its audio, nearest to its centre first.
    """

    number: int
    name: str
    tags: tuple[str, ...]
    audio: tuple[int, ...]

    def typical(self, library: Library) -> list[LibraryTrack]:
        """Tracks near its centre, of different artists where there are enough."""
        files = library.tracks_of(self.audio[: 10 * _TYPICAL])
        tracks = [found[0] for one in self.audio[: 10 * _TYPICAL] if (found := files[one])]
        seen: set[str] = set()
        ahead: list[LibraryTrack] = []
        behind: list[LibraryTrack] = []
        for track in tracks:
            artist = fold(track.artist)
            (behind if artist and artist in seen else ahead).append(track)
            seen.add(artist)
        return [*ahead, *behind][:_TYPICAL]


@dataclass(frozen=True, slots=True)
class Clustering:
    """All clusters, the largest first, and how it stands with them.

    Attributes:
        clusters: By size now.
        made: Whether they were made now; otherwise an earlier run made them.
        joined: Tracks that came since they were made.
    """

    clusters: tuple[Cluster, ...]
    made: bool
    joined: int


def cluster_tracks(
    library: Library, model: LibraryModel, count: int | None = None, *, rebuild: bool = False
) -> Clustering:
    """The library's clusters: made at the first call, kept from then on.

    Args:
        library: Open for writing.
        model: Whose embeddings are compared.
        count: How many; None goes by the data, or keeps those that there are.
        rebuild: Make them again, though there are as many.
    """
    vectors = read_vectors(library, model)
    known = library.clusters(model)
    made = rebuild or not known or (count is not None and count != len(known))
    if not len(vectors):
        return Clustering((), made, 0)
    if made:
        make_clusters(library, model, vectors, count)
    else:
        _join(library, model, vectors, np.stack([one.center for one in known]))
    return _read(library, model, vectors, made)


def known_clusters(library: Library, model: LibraryModel) -> tuple[Cluster, ...]:
    """The clusters as they are, the largest first; none where none were made. Nothing is written."""
    return library.remember(
        ("known clusters", model.key), lambda: _read(library, model, read_vectors(library, model), made=False).clusters
    )


def make_clusters(library: Library, model: LibraryModel, vectors: Vectors, count: int | None) -> None:
    """Find clusters, name them and keep them, the largest first."""
    matrix = vectors.matrix[_settled_order(library, vectors)]  # so that the order of scanning changes nothing
    centers = kmeans(matrix, min(count or choose_count(matrix), len(vectors)))
    near, _ = assign(vectors.matrix, centers)
    sizes = np.bincount(near, minlength=len(centers))
    order = np.argsort(-sizes, kind="stable")
    centers = centers[order[sizes[order] > 0]]
    near, _ = assign(vectors.matrix, centers)
    heads = user_heads(model).values()
    tags = _telling_labels(
        ((head, LabelProbabilities(library, model, vectors.audio).names(head.name)) for head in heads if head.labels),
        near,
        len(centers),
    )
    names = cluster_names(tags, _moody_labels(heads))
    with library.change():
        made = zip(names, map(tuple, tags), centers, strict=True)
        library.set_clusters(model, [StoredCluster(*one) for one in made])
        library.add_members(model, vectors.audio, near, joined=False)


def cluster_named(library: Library, model: LibraryModel, name: str) -> Cluster:
    """The cluster of that name, without case; clusters are made where there are none and the library may be written.

    Raises:
        UnknownName: There is none.
    """
    found = cluster_tracks(library, model).clusters if library.writable else known_clusters(library, model)
    for one in found:
        if fold(name) == fold(one.name):
            return one
    raise UnknownName("cluster", name, [one.name for one in found])


def cluster_names(tags: Sequence[Sequence[str]], moods: frozenset[str]) -> list[str]:
    """A short name for each cluster that no other has: a mood and something else, as in ``calm piano``.

    Args:
        tags: (clusters,) most telling labels of each, the most telling first.
        moods: Those of them that are about mood.
    """
    names: list[str] = []
    for number, telling_ones in enumerate(tags):
        before = [tag for tag in telling_ones if tag in moods]
        behind = [tag for tag in telling_ones if tag not in moods]
        words = [*before[:1], *behind[:1]] if before and behind else list(telling_ones[:2])
        spare = [tag for tag in telling_ones if tag not in words]
        name = " ".join(words).casefold()
        while spare and (name in names or not name):
            words.append(spare.pop(0))
            name = " ".join(words).casefold()
        if not name:
            name = f"cluster {number + 1}"
        while name in names:
            name = f"{name} {number + 1}"
        names.append(name)
    return names


def _settled_order(library: Library, vectors: Vectors) -> NDArray[np.intp]:
    """The rows by content hash."""
    hashes = library.content_hashes()
    return np.argsort(np.asarray([hashes[one] for one in vectors.audio.tolist()]), kind="stable")


def _join(library: Library, model: LibraryModel, vectors: Vectors, centers: Array) -> None:
    """Tracks that came since the clusters were made go to the nearest."""
    fresh = ~np.isin(vectors.audio, list(library.members(model)))
    if fresh.any():
        near, _ = assign(vectors.matrix[fresh], centers)
        with library.change():
            library.add_members(model, vectors.audio[fresh], near, joined=True)


def _read(library: Library, model: LibraryModel, vectors: Vectors, made: bool) -> Clustering:
    member = library.members(model)
    near = np.asarray([member.get(one, -1) for one in vectors.audio.tolist()], np.intp)
    found = []
    for number, one in enumerate(library.clusters(model)):
        inside = np.flatnonzero(near == number)
        closeness = vectors.matrix[inside] @ one.center
        ranked = vectors.audio[inside[np.argsort(-closeness, kind="stable")]]
        found.append(Cluster(number, one.name, one.tags, tuple(ranked.tolist())))
    ordered = sorted(found, key=lambda one: (-len(one.audio), one.number))
    return Clustering(tuple(one for one in ordered if one.audio), made, library.joined_members(model))


def _moody_labels(heads: Iterable[HeadCard]) -> frozenset[str]:
    """Names that are about mood; they go before the others, as adjectives do."""
    return frozenset(name for head in heads_about(heads, MOOD) for name in head.names)


def _telling_labels(heads: Iterable[tuple[HeadCard, Array]], near: NDArray[np.intp], count: int) -> list[list[str]]:
    """The most telling names of each cluster by their mean probabilities, over all heads, each once.

    Heads come one by one with the probabilities of their names, to save memory.
    """
    values: list[dict[str, tuple[float, str]]] = [{} for _ in range(count)]
    for head, scores in heads:
        inside, _ = means(scores, near, count)
        value_of = telling(inside, scores.mean(axis=0), scores.std(axis=0))
        for number in range(count):
            for label in np.flatnonzero(value_of[number] > 0):
                name, value = head.names[label], float(value_of[number, label])
                key = name.casefold()
                if value > values[number].get(key, (0.0, ""))[0]:
                    values[number][key] = (value, name)
    return [[name for _, name in sorted(one.values(), key=lambda pair: -pair[0])[:_TAGS]] for one in values]
