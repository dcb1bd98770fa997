"""Tempo and key of songs that follow one another: which keys go together, and what a step from song to song costs.

Keys stand on the circle of fifths as DJs number it (Camelot): twelve hours, of which each has a minor key and its
relative major one. Keys go together that share an hour, or that are of one mode and an hour apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.analyses.facts import Feature, Key, Tempo
from earmark.library.records import LibraryTrack
from earmark.library.store import Library

__all__ = ["Harmony", "aligned", "clashes", "goes_with", "key_steps", "songs_in_key", "step_costs"]

Array = NDArray[np.float32]
Double = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]

_HOURS = 12
_UNKNOWN = -1

_TEMPO_COST, _MOST_OCTAVES = 0.5, 0.3  # of a step in tempo, an octave; beyond the second it is a jump like any other
_KEY_COST = 0.02  # of a step between keys beyond one that goes together
_CLASH = 2.0  # where keys must go together: more than any two songs are apart in sound


@dataclass(frozen=True, slots=True, eq=False)
class Harmony:
    """Tempo and key of songs, row by row.

    Attributes:
        tempo: (songs,) beats a minute; NaN where unknown.
        key: (songs,) places on the wheel, as of :attr:`earmark.analyses.facts.Key.number`; -1 where unknown.
    """

    tempo: Double
    key: Rows

    @classmethod
    def of(cls, library: Library, audio: Rows) -> Harmony:
        """Of songs of a library, row by row."""
        tempo = aligned(audio, library.stored_numbers("tempo"))
        return cls(tempo, np.nan_to_num(aligned(audio, library.stored_numbers("key")), nan=_UNKNOWN).astype(np.int64))

    @classmethod
    def of_track(cls, features: Mapping[str, Feature]) -> Harmony:
        """Of one track."""
        tempo, key = features.get("tempo", Tempo()), features.get("key", Key())
        assert isinstance(tempo, Tempo) and isinstance(key, Key)
        place = _UNKNOWN if key.number is None else int(key.number)
        return cls(np.asarray([tempo.value or np.nan]), np.asarray([place]))

    @classmethod
    def of_tracks(
        cls, library: Library, tracks: Sequence[LibraryTrack], own: Mapping[str, Mapping[str, Feature]]
    ) -> Harmony:
        """Of some songs, by path those that have features of their own: files that the library does not know."""
        found = cls.of(library, np.asarray([track.audio or 0 for track in tracks], np.int64))
        for place, track in enumerate(tracks):
            if track.path in own:
                one = cls.of_track(own[track.path])
                found.tempo[place], found.key[place] = one.tempo[0], one.key[0]
        return found


def key_steps(one: Rows, other: Rows) -> Rows:
    """How far keys are apart: hours on the wheel, and one more between minor and major; -1 where one is unknown.

    Args:
        one: Places on the wheel.
        other: The same, of a shape that broadcasts with it.
    """
    hours = np.abs(one // 2 - other // 2)
    steps = np.minimum(hours, _HOURS - hours) + np.abs(one % 2 - other % 2)
    return np.where((one < 0) | (other < 0), _UNKNOWN, steps)


def goes_with(one: Rows, other: Rows) -> Bools:
    """Which keys go together: the same, neighbours on the wheel, and relatives; an unknown one goes with none."""
    steps = key_steps(one, other)
    return np.asarray((steps >= 0) & (steps <= 1))


def step_costs(one: Harmony, other: Harmony, *, strict: bool = False) -> Array:
    """What steps between songs cost beside their distance in sound: (songs of one, songs of the other).

    Half or double the tempo is the same beat. What is not known costs nothing, unless ``strict``: then keys that do not
    go together cost more than any distance.
    """
    octaves = np.log2(one.tempo)[:, None] - np.log2(other.tempo)[None, :]
    octaves = np.minimum(np.abs(octaves - np.round(octaves)), _MOST_OCTAVES)
    steps = key_steps(one.key[:, None], other.key[None, :])
    cost = _TEMPO_COST * np.nan_to_num(octaves) + _KEY_COST * np.maximum(steps - 1, 0)
    if strict:
        cost = cost + _CLASH * ~goes_with(one.key[:, None], other.key[None, :])
    return np.asarray(cost, np.float32)


def clashes(key: Rows) -> list[int]:
    """Places in a row of keys where one does not go with the one before, or is unknown."""
    return (np.flatnonzero(~goes_with(key[:-1], key[1:])) + 1).tolist()


def songs_in_key(library: Library, place: int) -> Rows:
    """Rows of audio, ascending, of the songs in a key."""
    audio, places = library.stored_numbers("key")
    return np.asarray(audio[places == place])


def aligned(audio: Rows, column: tuple[Rows, Double]) -> Double:
    """Values of audio rows in the order asked for; NaN where there is none."""
    known, values = column
    found = np.full(len(audio), np.nan)
    if len(known):
        place = np.minimum(np.searchsorted(known, audio), len(known) - 1)
        there = known[place] == audio
        found[there] = values[place[there]]
    return found
