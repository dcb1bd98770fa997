"""The features of a track, as facts and as records hold them. Needs no NumPy.

A value that cannot be told is None. Names and scales are Spotify's where the meaning is the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from earmark.errors import UnknownName

__all__ = [
    "ANALYSES",
    "KEYS",
    "Analysis",
    "Feature",
    "Key",
    "Loudness",
    "Score",
    "Tempo",
    "choose",
    "feature_from",
    "key_named",
    "untold",
]


@dataclass(frozen=True, slots=True)
class Tempo:
    """How fast the beat is.

    Attributes:
        value: Beats a minute, one decimal; None where there is no steady beat.
        confidence: 0..1, how likely ``value`` is within 4 % of what a listener taps.
        alternative: Half or double of it, whichever is the likelier other one.
    """

    value: float | None = None
    confidence: float = 0.0
    alternative: float | None = None

    @property
    def number(self) -> float | None:
        """To choose and sort by: beats a minute."""
        return self.value

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a record."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Key:
    """The key that a track is in most of its time.

    Attributes:
        value: As ``A minor`` or ``F# major``, sharps only; None where there is none.
        camelot: The same on the wheel of DJs: ``8A``; None where there is no key.
        confidence: 0..1, how likely ``value`` is right.
    """

    value: str | None = None
    camelot: str | None = None
    confidence: float = 0.0

    @property
    def number(self) -> float | None:
        """Its place on the wheel, two an hour: 0 is 1A, 1 is 1B, 23 is 12B; a fifth up is two further."""
        return None if self.camelot is None else 2.0 * int(self.camelot[:-1]) - 2 + (self.camelot[-1] == "B")

    @property
    def musical(self) -> str | None:
        """As ID3 has it: ``Am`` for ``A minor``, ``F#`` for ``F# major``."""
        return None if self.value is None else self.value.removesuffix(" major").replace(" minor", "m")

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a record."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Loudness:
    """How loud a track is as a whole (ITU-R BS.1770-5).

    Attributes:
        lufs: Integrated loudness; None where all of it is silent.
        true_peak: dBTP, the highest peak between the samples too; None for digital silence.
        gain: dB that bring it to -18 LUFS (ReplayGain 2); None where ``lufs`` is.
    """

    lufs: float | None = None
    true_peak: float | None = None
    gain: float | None = None

    @property
    def number(self) -> float | None:
        """To choose and sort by: LUFS."""
        return self.lufs

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a record."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Score:
    """A number from 0 to 1.

    Attributes:
        value: None where it cannot be told.
        estimate: Whether no listener's labels could check it.
    """

    value: float | None = None
    estimate: bool = False

    @property
    def number(self) -> float | None:
        """To choose and sort by."""
        return self.value

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a record."""
        return {"value": self.value} | ({"estimate": True} if self.estimate else {})


Feature = Tempo | Key | Loudness | Score

_TONICS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_FLATS = {"Db": "C#", "Eb": "D#", "Gb": "F#", "Ab": "G#", "Bb": "A#", "Cb": "B", "Fb": "E", "E#": "F", "B#": "C"}

KEYS: tuple[Key, ...] = tuple(
    # C major is 8B on the wheel, its relative A minor 8A; a fifth up is an hour further.
    Key(f"{tonic} {mode}", f"{((place + (3 if mode == 'minor' else 0)) * 7 + 7) % 12 + 1}{letter}")
    for mode, letter in (("major", "B"), ("minor", "A"))
    for place, tonic in enumerate(_TONICS)
)
"""The 24 keys: twelve major ones upwards from C, then the minor ones."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What computes one feature.

    Attributes:
        name: Of the feature.
        version: Raised whenever its numbers change, so that a library knows which to compute again.
        needs: ``clips`` of the track; the whole ``track``; a regression head of the feature's name (``heads``); or the
            ``embedding`` of the bundled network.
    """

    name: str
    version: int
    needs: Literal["clips", "track", "heads", "embedding"]

    @property
    def untold(self) -> Feature:
        """The feature of a track that has none."""
        return _KINDS.get(self.name, Score)()


_KINDS: Mapping[str, type[Feature]] = {"tempo": Tempo, "key": Key, "loudness": Loudness}

ANALYSES: Mapping[str, Analysis] = {
    one.name: one
    for one in (
        Analysis("tempo", 1, "clips"),
        Analysis("key", 1, "clips"),
        Analysis("loudness", 1, "track"),
        Analysis("energy", 1, "heads"),
        Analysis("valence", 1, "heads"),
        Analysis("danceability", 1, "embedding"),
        Analysis("acousticness", 1, "embedding"),
        Analysis("instrumentalness", 1, "embedding"),
        Analysis("speechiness", 1, "embedding"),
        Analysis("liveness", 1, "embedding"),
    )
}
"""By name, in the order in which records have them."""


def choose(names: Iterable[str] | None) -> tuple[str, ...]:
    """Names of features in the order of records, each once; all where None (UnknownName)."""
    if names is None:
        return tuple(ANALYSES)
    asked = set(names)
    for name in sorted(asked - ANALYSES.keys()):
        raise UnknownName("feature", name, ANALYSES)
    return tuple(name for name in ANALYSES if name in asked)


def key_named(text: str) -> Key:
    """The key that a text names: ``A minor``, ``Am``, ``8A``, ``Bb`` (UnknownName)."""
    words = text.strip().replace("♯", "#").replace("♭", "b")
    found = re.fullmatch(r"([A-Ga-g][#b]?)[ -]*(?:(m|min|minor)|M|maj|major|dur)?", words)
    if found:
        tonic = found[1][0].upper() + found[1][1:]
        words = f"{_FLATS.get(tonic, tonic)} {'minor' if found[2] else 'major'}"
    for key in KEYS:
        if words == key.value or words.upper() == key.camelot:
            return key
    raise UnknownName("key", text, (key.value or "" for key in KEYS))


def feature_from(name: str, facts: Mapping[str, Any]) -> Feature:
    """A feature from what stands in a record."""
    return _KINDS.get(name, Score)(**facts)


def untold(feature: Feature) -> Feature:
    """The same without a value, for what turns out to be no music; loudness is that of any sound."""
    if isinstance(feature, Loudness):
        return feature
    return replace(feature, value=None) if isinstance(feature, Score) else type(feature)()
