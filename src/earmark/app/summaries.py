"""Tracks in short, as lists show them: who, what, and what the model in use calls it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from earmark.inference.records import Prediction, path_fields

if TYPE_CHECKING:
    from earmark.inference.records import Failure, HeadPrediction
    from earmark.library.records import LibraryModel, LibraryTrack
    from earmark.library.store import Library

__all__ = ["Answer", "Guess", "Summary", "Trouble", "summaries"]

_MOST_TAGS = 6


@dataclass(frozen=True, slots=True)
class Guess:
    """A label that the model is not sure of."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a head calls a track: a label with its confidence; or none, and the best guesses."""

    label: str | None
    confidence: float
    guesses: tuple[Guess, ...]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a file could not be analysed."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Summary:
    r"""A track in short.

    Attributes:
        id: Its row.
        path: Of the file; bytes that are no text are written as ``\xNN``.
        artist: By the file's own tags, as are title, album and year.
        seconds: Length.
        error: Why it could not be analysed; null where it was.
        vanished: Whether the file is not there any more.
        genre: What the head that is about genre says, with the user's correction; null where there is no such head.
        mood: The same of mood.
        energy: 0..1; null where the model tells none, as is positivity.
        cluster: Its name; null before there are clusters.
        tags: What is named of instruments, voices and the like, the surest first.
        features: Tempo, key, loudness and further numbers, by name, as in records; null where no scan looked for them.
    """

    id: int
    path: str
    artist: str
    title: str
    album: str
    year: str
    seconds: float
    error: Trouble | None
    vanished: bool
    genre: Answer | None
    mood: Answer | None
    energy: float | None
    positivity: float | None
    cluster: str | None
    tags: tuple[str, ...]
    features: dict[str, dict[str, Any]] | None = None


def summaries(library: Library, model: LibraryModel | None, tracks: Iterable[LibraryTrack]) -> list[Summary]:
    """The tracks in short, in their order.

    Args:
        library: The library.
        model: Whose results; None where nothing was analysed yet.
        tracks: Of the library, or any file's.
    """
    from earmark.library.labels import GENRE, MOOD, heads_about, main_head

    tracks = list(tracks)
    known = [track for track in tracks if track.audio is not None]
    predictions = {track.id: one for track, one in library.predictions(model, known)} if model else {}
    clusters = library.cluster_names(model) if model else {}
    heads = model.heads if model else ()
    genre, mood = main_head(heads, GENRE), main_head(heads, MOOD)
    main = {head.name for head in (*heads_about(heads, GENRE), *heads_about(heads, MOOD)) if model}
    names = (genre.name if genre else "", mood.name if mood else "")
    return [_summary(track, predictions.get(track.id), names, main, clusters) for track in tracks]


def _summary(
    track: LibraryTrack,
    prediction: Prediction | Failure | None,
    names: tuple[str, str],
    main: set[str],
    clusters: Mapping[int, str],
) -> Summary:
    heads, features = (prediction.heads, prediction.features) if isinstance(prediction, Prediction) else ({}, {})
    genre, mood = (_answer(heads[name]) if name in heads else None for name in names)
    numbers = {name: heads[name].value if name in heads else None for name in ("energy", "positivity")}
    error = None if track.error is None else Trouble(track.error, track.message)
    return Summary(
        track.id,
        str(path_fields(track.path)["path"]),
        track.artist,
        track.title,
        track.album,
        track.year,
        round(track.seconds, 3),
        error,
        track.vanished is not None,
        genre,
        mood,
        numbers["energy"],
        numbers["positivity"],
        clusters.get(track.audio or 0),
        _tags(heads, main),
        {name: one.to_dict() for name, one in features.items()} or None,
    )


def _answer(head: HeadPrediction) -> Answer:
    if head.task == "multilabel":
        label = head.labels[0] if head.labels else None
        confidence = head.scores.get(label, 1.0) if label else max(head.scores.values(), default=0.0)
    else:
        label, confidence = head.label, head.confidence or 0.0
    return Answer(label, confidence, tuple(Guess(*guess) for guess in head.guesses))


def _tags(heads: Mapping[str, HeadPrediction], main: set[str]) -> tuple[str, ...]:
    """What heads with several labels name, beside genres and moods, each name once."""
    named: dict[str, tuple[float, str]] = {}
    for name, head in heads.items():
        if head.task == "multilabel" and name not in main:
            for label in head.labels:
                score = head.scores.get(label, 1.0)
                if score > named.get(label.casefold(), (-1.0, ""))[0]:
                    named[label.casefold()] = (score, label)
    ranked: Sequence[tuple[float, str]] = sorted(named.values(), key=lambda one: -one[0])
    return tuple(label for _, label in ranked[:_MOST_TAGS])
