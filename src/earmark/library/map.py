"""What the map of a library shows, as values: every song with its place, and several ways to colour them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.library.layout import Layout
from earmark.library.records import LibraryModel
from earmark.library.store import Library
from earmark.library.words import given_labels
from earmark.models.card import HeadCard

__all__ = ["MapData", "MapSong", "MapView", "map_data"]

_VIEWS = (("Genre", ("genre", "style")), ("Mood", ("mood", "quadrant", "emotion")))
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
        songs: One of each audio, in an order of no meaning, so that no genre is drawn on top of the others.
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


def map_data(library: Library, model: LibraryModel, layout: Layout) -> MapData:
    """The map of a library.

    Args:
        library: The library.
        model: Whose labels colour it.
        layout: From :func:`earmark.library.layout.lay_out`.
    """
    files = library.tracks_of(layout.audio.tolist())
    rows = np.asarray([row for row, one in enumerate(layout.audio.tolist()) if files[one]], np.int64)
    rows = np.random.default_rng(0).permutation(rows)
    audio = layout.audio[rows]
    first = [files[one][0] for one in audio.tolist()]
    songs = tuple(MapSong(track.artist, track.title, track.path, track.seconds) for track in first)
    views = [_labels(library, model, audio, name, kinds) for name, kinds in _VIEWS]
    views += [_clusters(library, model, audio), _energy(library, model, audio)]
    found = tuple(view for view in views if view is not None)
    return MapData(songs, layout.places[rows], layout.method, model.title, found)


def _labels(
    library: Library, model: LibraryModel, audio: NDArray[np.int64], name: str, kinds: Sequence[str]
) -> MapView | None:
    """By the best label of the head that is about this: one with a single label a song, if there is one."""
    heads = [
        (rank, head.task != "multiclass", number, head)
        for number, head in enumerate(model.heads)
        for rank, kind in enumerate(kinds)
        if head.labels and kind in head.name.casefold()
    ]
    if not heads:
        return None
    head = min(heads)[-1]
    keys, scores = library.scores(model, head)
    scores = scores[np.searchsorted(keys, audio)]
    best = scores.argmax(axis=1)
    sure = given_labels(head, scores)[np.arange(len(best)), best]
    aliases = model.aliases.get(head.name, {})
    names = [aliases.get(label, label) for label in head.labels]
    # A silent song has no score at all.
    words = [names[label] if most > 0 else None for label, most in zip(best, scores.max(axis=1), strict=True)]
    _correct(library, audio, head, words, sure)
    return _view(name, words, sure)


def _correct(
    library: Library, audio: NDArray[np.int64], head: HeadCard, words: list[str | None], sure: NDArray[np.bool_]
) -> None:
    """Put the user's corrections in place of the model's labels."""
    corrections = library.labels()
    for row, one in enumerate(audio.tolist()):
        given = corrections.get(one, {}).get(head.name)
        if given is not None:
            words[row] = given if isinstance(given, str) else next(iter(given), None)
            sure[row] = True


def _clusters(library: Library, model: LibraryModel, audio: NDArray[np.int64]) -> MapView | None:
    member = library.cluster_names(model)
    return _view("Cluster", [member.get(one) for one in audio.tolist()], np.ones(len(audio), bool)) if member else None


def _energy(library: Library, model: LibraryModel, audio: NDArray[np.int64]) -> MapView | None:
    """By a head's number from 0 to 1, or else by the probability of the label "energetic", in five ranges."""
    number = next((head for head in model.heads if head.task == "regression" and head.name == "energy"), None)
    label = next((h for h in model.heads if h.task == "multiclass" and "energetic" in h.labels), None)
    if number is not None:
        keys, values = library.numbers(model, number)
    elif label is not None:
        keys, scores = library.scores(model, label)
        values = scores[:, label.labels.index("energetic")]
    else:
        return None
    steps = np.clip(np.nan_to_num(values[np.searchsorted(keys, audio)]) * len(_LEVELS), 0, len(_LEVELS) - 1)
    return MapView("Energy", _LEVELS, steps.astype(np.int64), np.ones(len(audio), bool), ordered=True)


def _view(name: str, words: Sequence[str | None], sure: NDArray[np.bool_]) -> MapView:
    counts = Counter(word for word in words if word is not None)
    names = sorted(counts, key=lambda word: (-counts[word], word))
    number: dict[str | None, int] = {word: i for i, word in enumerate(names)}
    return MapView(name, tuple(names), np.asarray([number.get(word, -1) for word in words], np.int64), sure)
