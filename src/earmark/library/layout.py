"""The map: a place in the plane for every track, near to what sounds like it, and several ways to colour them.

Places are kept; new tracks are put in between.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.library.kmeans import assign
from earmark.library.labels import GENRE, MOOD, LabelProbabilities, main_head
from earmark.library.records import LibraryModel
from earmark.library.store import Library
from earmark.library.vectors import Vectors, read_vectors

__all__ = ["MapData", "MapLayout", "MapSong", "MapView", "energy_of", "has_tsne", "known_layout", "lay_out", "map_data",
           "named_views", "plane"]  # fmt: skip

Array = NDArray[np.float32]

_BY_TSNE = 30_000  # tracks that t-SNE places itself; of more, it places so many, and they the others
_BY_TSNE_OF_VERY_MANY = 10_000  # so many of more than a page holds: minutes otherwise
_MOST_DRAWN = 100_000  # songs on a page: a browser has no use for more, nor have the axes
_NEAR = 5
_ALONE = 10_000  # up to so many, one thread is as quick, and much quicker where the cores are busy
_BLOCK = 2_048
_PARTS, _CANDIDATES = 64, 600  # parts of the space, and neighbours that a row of one is compared with


@dataclass(frozen=True, slots=True, eq=False)
class MapLayout:
    """Where everything is.

    Attributes:
        audio: (n,) rows of the library's audio, ascending.
        places: (n, 2) float32 in -1..1.
        method: ``t-SNE`` or ``PCA``.
        joined: Tracks put in between since the layout was made.
    """

    audio: NDArray[np.int64]
    places: Array
    method: str
    joined: int


def has_tsne() -> bool:
    """Whether the extra ``map`` is installed."""
    return importlib.util.find_spec("openTSNE") is not None


def lay_out(library: Library, model: LibraryModel, *, rebuild: bool = False) -> MapLayout:
    """The library's map: made at the first call, kept from then on.

    Args:
        library: Open for writing.
        model: Whose embeddings are compared.
        rebuild: Make it again. It is made again anyway once a third of the tracks are new.
    """
    vectors = read_vectors(library, model)
    note = f"map {model.key}"
    method = library.fact(note)
    old, old_places = library.places(model)
    known = np.isin(vectors.audio, old)
    if rebuild or method is None or known.sum() < 2 * len(vectors) / 3 or (method == "PCA" and has_tsne()):
        method = "t-SNE" if has_tsne() and len(vectors) > 3 else "PCA"
        places = plane(vectors, tsne=method == "t-SNE")
        with library.change():
            library.set_fact(note, method)
            library.set_places(model, vectors.audio, places, joined=False)
        return MapLayout(vectors.audio, places, method, 0)
    places = np.zeros((len(vectors), 2), np.float32)
    places[known] = old_places[np.searchsorted(old, vectors.audio[known])]
    if not known.all():
        some = np.flatnonzero(known)[:: -(-int(known.sum()) // _BY_TSNE)]
        places[~known] = _between(vectors.of(vectors.audio[some]), places[some], vectors.of(vectors.audio[~known]))
        with library.change():
            library.set_places(model, vectors.audio[~known], places[~known], joined=True)
    return MapLayout(vectors.audio, places, method, library.joined_places(model))


def known_layout(library: Library, model: LibraryModel) -> MapLayout | None:
    """The map as it is, of songs that are still there; None where none was made. Nothing is written."""
    method = library.fact(f"map {model.key}")
    if method is None:
        return None
    audio, places = library.places(model)
    there = np.isin(audio, read_vectors(library, model).audio)
    return MapLayout(audio[there], places[there], method, library.joined_places(model))


def plane(vectors: Vectors, *, tsne: bool) -> Array:
    """Songs in the plane: (n, 2) in -1..1; the same vectors give the same places."""
    count = len(vectors)
    if count < 2:
        return np.zeros((count, 2), np.float32)
    flat = _principal(vectors)
    if not tsne:
        return _spread(flat)
    step = -(-count // (_BY_TSNE if count <= _MOST_DRAWN else _BY_TSNE_OF_VERY_MANY))
    some = vectors.of(vectors.audio[::step])
    places = _tsne(some, flat[::step])
    if step > 1:
        whole = np.empty((count, 2), np.float32)
        for rows, block in vectors.blocks():
            whole[rows] = _between(some, places, block)
        whole[::step] = places
        places = whole
    return _spread(places)


def _principal(vectors: Vectors) -> Array:
    """The two directions of most variance (PCA), each with its largest part positive so that maps do not flip."""
    some = vectors.of(vectors.audio[:: -(-len(vectors) // _MOST_DRAWN)])
    center = some.mean(axis=0)
    some -= center
    _, axes = np.linalg.eigh((some.T @ some).astype(np.float64))
    axes = axes[:, ::-1][:, :2]
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1, 1)
    flat = np.zeros((len(vectors), 2), np.float32)
    for rows, block in vectors.blocks():
        flat[rows, : axes.shape[1]] = (block - center) @ axes.astype(np.float32)
    return flat


def _tsne(matrix: Array, start: Array) -> Array:
    """By openTSNE (Policar et al. 2024), from the principal plane, as Kobak and Berens 2019 advise."""
    import openTSNE

    from earmark.engine.local import default_workers

    first = start / max(float(start[:, 0].std()), 1e-9) * 1e-4
    perplexity = min(30.0, max(1.0, (len(matrix) - 1) / 3))
    learnt = openTSNE.TSNE(
        perplexity=perplexity,
        initialization=first.astype(np.float64),
        metric="cosine" if len(matrix) <= 2_000 else "euclidean",  # the same order on rows of length 1
        neighbors="exact" if len(matrix) <= 2_000 else "approx",
        n_jobs=default_workers() if len(matrix) > _ALONE else 1,
        random_state=0,
    ).fit(matrix)
    return np.asarray(learnt, np.float32)


def _between(known: Array, places: Array, fresh: Array) -> Array:
    """Places for new rows: among those of their nearest neighbours, the nearer the more.

    Of many neighbours a row is compared with those near the middle of its part of the space.
    """
    found = np.empty((len(fresh), 2), np.float32)
    middles = known[:: -(-len(known) // _PARTS)]
    part = assign(fresh, middles)[0]
    for number in np.unique(part):
        rows = np.flatnonzero(part == number)
        some = np.arange(len(known))
        if len(known) > _CANDIDATES:
            some = np.argpartition(-(known @ middles[number]), _CANDIDATES)[:_CANDIDATES]
        for start in range(0, len(rows), _BLOCK):
            few = rows[start : start + _BLOCK]
            found[few] = _among(known[some], places[some], fresh[few])
    return found


def _among(known: Array, places: Array, fresh: Array) -> Array:
    cosine = fresh @ known.T
    count = min(_NEAR, len(known))
    near = np.argpartition(-cosine, count - 1, axis=1)[:, :count]
    closeness = np.take_along_axis(cosine, near, axis=1)
    weight = np.exp((closeness - closeness.max(axis=1, keepdims=True)) / 0.02)
    weight /= weight.sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("ij,ijk->ik", weight, places[near]), np.float32)


def _spread(places: Array) -> Array:
    """Into -1..1, with the shape kept and far outliers drawn in."""
    low, high = np.quantile(places, [0.001, 0.999], axis=0)
    reach = float((high - low).max()) / 2 or 1.0
    return np.asarray(np.clip((places - (low + high) / 2) / (1.05 * reach), -1, 1), np.float32)


_LEVELS = ("very low (to 0.2)", "low (to 0.4)", "middle (to 0.6)", "high (to 0.8)", "very high (to 1)")


@dataclass(frozen=True, slots=True)
class MapSong:
    """One song: its file's own artist and title, its path (undecodable bytes as surrogate escapes), its seconds."""

    artist: str
    title: str
    path: str
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class MapView:
    """One way to colour the map.

    Attributes:
        name: ``Genre``, ``Mood``, ``Cluster`` or ``Energy``.
        names: What songs are told apart by, the commonest first; ranges of a number the lowest first.
        index: (songs,) which of the names, -1 where a song has none.
        sure: (songs,) whether the model is sure enough to give the label, or a correction gives it; otherwise it is
            the model's best guess.
        ordered: Whether the names are ranges of a number.
    """

    name: str
    names: tuple[str, ...]
    index: NDArray[np.int64]
    sure: NDArray[np.bool_]
    ordered: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class MapData:
    """The map.

    Attributes:
        songs: One of each audio (of very many, some), in an order of no meaning, so that no genre is drawn on top of
            the others.
        places: (songs, 2) float32 in -1..1.
        method: ``t-SNE`` or ``PCA``.
        model: Whose labels they are, for people.
        views: Those that the model and the library have.
    """

    songs: tuple[MapSong, ...]
    places: NDArray[np.float32]
    method: str
    model: str
    views: tuple[MapView, ...]


def map_data(library: Library, model: LibraryModel, layout: MapLayout) -> MapData:
    """The map of a library.

    Args:
        library: The library.
        model: Whose labels colour it.
        layout: From :func:`earmark.library.layout.lay_out`.
    """
    rows = np.random.default_rng(0).permutation(len(layout.audio))[:_MOST_DRAWN]
    files = library.tracks_of(layout.audio[rows].tolist())
    rows = rows[[bool(files[one]) for one in layout.audio[rows].tolist()]]
    audio = layout.audio[rows]
    first = [files[one][0] for one in audio.tolist()]
    songs = tuple(MapSong(track.artist, track.title, track.path, track.seconds) for track in first)
    views = named_views(library, model, audio)
    energy = energy_of(library, model, audio)
    if energy is not None:
        steps = np.clip(np.nan_to_num(energy) * len(_LEVELS), 0, len(_LEVELS) - 1)
        views += (MapView("Energy", _LEVELS, steps.astype(np.int64), np.ones(len(steps), bool), ordered=True),)
    return MapData(songs, layout.places[rows], layout.method, model.title, views)


def named_views(library: Library, model: LibraryModel, audio: NDArray[np.int64]) -> tuple[MapView, ...]:
    """What some songs are called by genre, mood and cluster: those views that the model and the library have."""
    labels = LabelProbabilities(library, model, audio)
    views = [_labels(labels, name, kinds) for name, kinds in (("Genre", GENRE), ("Mood", MOOD))]
    return tuple(view for view in (*views, _clusters(library, model, audio)) if view is not None)


def _labels(labels: LabelProbabilities, name: str, kinds: Sequence[str]) -> MapView | None:
    """By what the head that is about this calls a song: one with a single label a song, if there is one."""
    head = main_head(labels.heads.values(), kinds)
    return _view(name, *labels.best(head.name)) if head is not None else None


def _clusters(library: Library, model: LibraryModel, audio: NDArray[np.int64]) -> MapView | None:
    member = library.cluster_names(model)
    return _view("Cluster", [member.get(one) for one in audio.tolist()], np.ones(len(audio), bool)) if member else None


def energy_of(library: Library, model: LibraryModel, audio: NDArray[np.int64]) -> Array | None:
    """Of some songs, 0..1: a head's number, or else the probability of the label "energetic"; None without both."""
    labels = LabelProbabilities(library, model, audio)
    label = next((h for h in model.heads if h.task == "multiclass" and "energetic" in h.labels), None)
    if "energy" in model.numbers():
        return labels.numbers("energy")
    if label is None:
        return None
    return labels.of(label.name, model.aliases.get(label.name, {}).get("energetic", "energetic"))


def _view(name: str, words: Sequence[str | None], sure: NDArray[np.bool_]) -> MapView:
    counts = Counter(word for word in words if word is not None)
    names = sorted(counts, key=lambda word: (-counts[word], word))
    number: dict[str | None, int] = {word: i for i, word in enumerate(names)}
    return MapView(name, tuple(names), np.asarray([number.get(word, -1) for word in words], np.int64), sure)
