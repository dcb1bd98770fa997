"""Clusters of the library, named by what tells them apart. New tracks join; the old stay where they are.

The same songs give the same clusters, in whatever order they were scanned.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.errors import UnknownName
from earmark.library.kmeans import assign, choose_count, kmeans, means
from earmark.library.labels import MOOD, LabelProbabilities, heads_about, user_heads
from earmark.library.records import LibraryModel, LibraryTrack
from earmark.library.similar import telling
from earmark.library.store import Library, StoredCluster
from earmark.library.vectors import Vectors, read_vectors
from earmark.models.card import HeadCard
from earmark.text import fold

__all__ = [
    "Cluster",
    "Clustering",
    "cluster_named",
    "cluster_names",
    "cluster_tracks",
    "known_clusters",
    "make_clusters",
]

Array = NDArray[np.float32]

_FOUND_FROM, _EACH = 20_000, 256  # songs that the centres are found from: so many, and so many more for each cluster
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
    by_key = vectors.known(library.audio_by_key(_FOUND_FROM + _EACH * (count or 0)))
    some = vectors.of(by_key)  # so that the order of scanning changes nothing
    centers = kmeans(some, min(count or choose_count(some), len(some)))
    near = _nearest(vectors, centers)
    sizes = np.bincount(near, minlength=len(centers))
    order = np.argsort(-sizes, kind="stable")
    centers, near = centers[order[sizes[order] > 0]], np.argsort(order)[near]
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


def _nearest(vectors: Vectors, centers: Array) -> NDArray[np.intp]:
    near = np.zeros(len(vectors), np.intp)
    for rows, block in vectors.blocks():
        near[rows] = assign(block, centers)[0]
    return near


def _join(library: Library, model: LibraryModel, vectors: Vectors, centers: Array) -> None:
    """Tracks that came since the clusters were made go to the nearest."""
    fresh = ~np.isin(vectors.audio, list(library.members(model)))
    if fresh.any():
        near, _ = assign(vectors.of(vectors.audio[fresh]), centers)
        with library.change():
            library.add_members(model, vectors.audio[fresh], near, joined=True)


def _read(library: Library, model: LibraryModel, vectors: Vectors, made: bool) -> Clustering:
    member = library.members(model)
    audio, stored = vectors.audio, library.clusters(model)
    near = np.asarray([member.get(one, -1) for one in audio.tolist()], np.intp)
    closeness = np.zeros(len(near), np.float32)
    if stored:
        centers = np.stack([one.center for one in stored])
        for rows, block in vectors.blocks():
            closeness[rows] = np.einsum("ij,ij->i", block, centers[near[rows]])
    found = []
    for number, one in enumerate(stored):
        inside = np.flatnonzero(near == number)
        ranked = audio[inside[np.argsort(-closeness[inside], kind="stable")]]
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
