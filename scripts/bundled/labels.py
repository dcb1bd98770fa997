"""What the bundled model's heads are called and which of the corpora's labels they learn from.

A multiclass head learns from *sets*: a track's label may be any of several names ("Pop/Rock" is Pop, Rock or Metal),
and the likelihood of the set is what counts. The corpora's own names are kept as aliases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.core import Label, Track
from earmark.recipe import Task

__all__ = ["LabelledHead", "labelled_heads", "targets"]

GENRE: Mapping[str, tuple[str, ...]] = {
    "Blues": ("blues",),
    "Classical": ("classical",),
    "Country": ("country",),
    "Disco": ("disco",),
    "Easy Listening": ("easy listening", "vocal"),
    "Electronic": ("electronic",),
    "Experimental": ("avant-garde",),
    "Folk": ("folk",),
    "Gospel": ("religious",),
    "Hip-Hop": ("hiphop", "rap"),
    "Jazz": ("jazz",),
    "Latin": ("latin",),
    "Metal": ("metal", "pop/rock"),
    "New Age": ("new age",),
    "Pop": ("pop", "pop/rock"),
    "R&B & Soul": ("r&b",),
    "Reggae": ("reggae",),
    "Rock": ("rock", "pop/rock"),
    "Soundtrack": ("stage & screen",),
    "World": ("international",),
}
"""Display name and the corpora's names (lower case) that may mean it. Left out: Holiday, Comedy/Spoken, Children's."""

GENRES: Mapping[str, tuple[str, ...]] = {
    "Avant-Garde": ("avant-garde",),
    "Blues": ("blues",),
    "Children's": ("children's",),
    "Classical": ("classical",),
    "Comedy & Spoken": ("comedy/spoken",),
    "Country": ("country",),
    "Easy Listening": ("easy listening",),
    "Electronic": ("electronic",),
    "Folk": ("folk",),
    "Hip-Hop": ("rap", "hiphop"),
    "Holiday": ("holiday",),
    "Jazz": ("jazz",),
    "Latin": ("latin",),
    "New Age": ("new age",),
    "Pop & Rock": ("pop/rock", "pop", "rock", "metal"),
    "R&B": ("r&b", "disco"),
    "Reggae": ("reggae",),
    "Religious": ("religious",),
    "Stage & Screen": ("stage & screen",),
    "Vocal": ("vocal",),
    "World": ("international",),
}
"""The multi-label head, in AllMusic's vocabulary as moods900 has it."""

QUADRANT: Mapping[str, tuple[str, ...]] = {"joyful": ("Q1",), "tense": ("Q2",), "gloomy": ("Q3",), "peaceful": ("Q4",)}
MOOD_OF_QUADRANT: Mapping[str, tuple[str, ...]] = {
    "Q1": ("happy",),
    "Q2": ("sad", "neutral"),
    "Q3": ("sad",),
    "Q4": ("neutral", "happy"),
}
"""What a quadrant means for sad / neutral / happy, where mood is valence alone: tense music (Q2) is not happy."""
EMOTIONS: tuple[str, ...] = (
    "calmness", "joyful activation", "nostalgia", "power", "sadness", "solemnity", "tenderness", "tension",
)  # fmt: skip
"""Emotify's, without amazement, which hardly a track of it has."""


@dataclass(frozen=True, slots=True)
class LabelledHead:
    """A head of the bundled model.

    Attributes:
        name: Of the head.
        task: ``multiclass`` or ``multilabel``.
        labels: Display names, in the order of the outputs.
        aliases: By label, the corpora's names for it.
        read: A track's targets: for each label 1 (may be, or is), 0 (is not), NaN (not known); None: unlabelled.
    """

    name: str
    task: Task
    labels: tuple[str, ...]
    aliases: Mapping[str, tuple[str, ...]]
    read: Callable[[str, Track], Sequence[float] | None]


def _named(labels: Mapping[str, Label], head: str) -> set[str]:
    given = labels.get(head)
    found = (given,) if isinstance(given, str) else given if isinstance(given, tuple) else ()
    return {name.lower() for name in found}


def _in_any(table: Mapping[str, tuple[str, ...]], names: set[str]) -> list[float] | None:
    row = [float(bool(names.intersection(own))) for own in table.values()]
    return row if any(row) else None


def _genre(corpus: str, track: Track) -> list[float] | None:
    return _in_any(GENRE, _named(track.labels, "genre") | _named(track.labels, "genres"))


def _genres(corpus: str, track: Track) -> list[float] | None:
    row = _in_any(GENRES, _named(track.labels, "genre") | _named(track.labels, "genres"))
    if row is None or "genres" in track.labels:
        return row
    return [
        value if value else float("nan") if name in _COMPANIONS else 0.0
        for name, value in zip(GENRES, row, strict=True)
    ]


_COMPANIONS = frozenset(
    {"Vocal", "World", "Pop & Rock", "Religious", "Holiday", "Stage & Screen", "Easy Listening", "R&B"}
)
"""Names that AllMusic often adds to another: a corpus with one genre a track does not mean that they are absent."""


def _mood(corpus: str, track: Track) -> list[float] | None:
    given, quadrant = track.labels.get("mood"), track.labels.get("quadrant")
    names = (given,) if isinstance(given, str) else MOOD_OF_QUADRANT.get(str(quadrant), ())
    return [float(label in names) for label in ("sad", "neutral", "happy")] if names else None


def _one_of(head: str, table: Mapping[str, tuple[str, ...]]) -> Callable[[str, Track], list[float] | None]:
    def read(corpus: str, track: Track) -> list[float] | None:
        given = track.labels.get(head)
        return [float(given in own) for own in table.values()] if isinstance(given, str) else None

    return read


def _several(head: str, table: Mapping[str, tuple[str, ...]]) -> Callable[[str, Track], list[float] | None]:
    def read(corpus: str, track: Track) -> list[float] | None:
        given = track.labels.get(head)
        return [float(bool(set(own) & set(given))) for own in table.values()] if isinstance(given, tuple) else None

    return read


VALENCE: Mapping[str, tuple[str, ...]] = {"negative": ("-",), "positive": ("+",)}
AROUSAL: Mapping[str, tuple[str, ...]] = {"calm": ("-",), "energetic": ("+",)}


def labelled_heads(words: Sequence[str]) -> tuple[LabelledHead, ...]:
    """The heads that learn from labels, in the order of the card.

    Args:
        words: moods900's mood words that enough tracks have.
    """
    mood = ("sad", "neutral", "happy")
    moods = {word.lower(): (word,) for word in words}
    emotions = {name: (name.replace(" ", "_"),) for name in EMOTIONS}
    return (
        LabelledHead("genre", "multiclass", tuple(GENRE), _own_names(GENRE), _genre),
        LabelledHead("mood", "multiclass", mood, {}, _mood),
        LabelledHead("genres", "multilabel", tuple(GENRES), _own_names(GENRES), _genres),
        LabelledHead("moods", "multilabel", tuple(moods), moods, _several("moods", moods)),
        LabelledHead("emotions", "multilabel", tuple(emotions), emotions, _several("emotions", emotions)),
        LabelledHead("quadrant", "multiclass", tuple(QUADRANT), QUADRANT, _one_of("quadrant", QUADRANT)),
        LabelledHead("valence", "multiclass", tuple(VALENCE), VALENCE, _one_of("valence", VALENCE)),
        LabelledHead("arousal", "multiclass", tuple(AROUSAL), AROUSAL, _one_of("arousal", AROUSAL)),
    )


def _own_names(table: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Aliases without the names that match by themselves and those that would mean several labels."""
    uses: dict[str, int] = {}
    for own in table.values():
        for name in own:
            uses[name] = uses.get(name, 0) + 1
    return {label: tuple(n for n in own if uses[n] == 1 and n != label.lower()) for label, own in table.items()}


def targets(head: LabelledHead, corpus: str, tracks: Sequence[Track]) -> NDArray[np.float32]:
    """(tracks, labels) of 1, 0 and NaN; a row of NaN where a track is unlabelled."""
    rows = np.full((len(tracks), len(head.labels)), np.nan, np.float32)
    for row, track in zip(rows, tracks, strict=True):
        found = head.read(corpus, track)
        if found is not None:
            row[:] = found
    return rows
