"""The fields that are written, and where each kind of tags holds them, so that players find them.

The mapping is Picard's (https://picard-docs.musicbrainz.org/en/appendices/tag_mapping.html). ID3 2.2 and 2.3 know no
mood, so that it stands in a free text frame there, as with Picard; Earmark's own scores stand in one everywhere. Where
Picard and the DJ program Mixxx name a field differently, what is written is read by most, and the other name is kept in
step.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

__all__ = ["FIELDS", "INHERITED", "MEASURED", "SCORES", "Field", "Values", "differences", "read_from", "written_as"]

SCORES = "EARMARK_SCORES"
"""The one field of our own: compact JSON."""

Values = Mapping[str, tuple[str, ...]]
"""What fields hold, by name; a field that is not there is empty."""

_ITUNES = "----:com.apple.iTunes:"
_OLD = {"TCON": "TCO", "COMM": "COM", "TXXX": "TXX", "TBPM": "TBP", "TKEY": "TKE"}  # names of frames in ID3 2.2


@dataclass(frozen=True, slots=True)
class Field:
    """Where one field stands.

    Attributes:
        id3: Frames of ID3 2.4; the first is written, the others are kept in step where they stand.
        id3_old: Those of 2.3 and, with shorter names, 2.2.
        vorbis, ape, mp4, asf: The keys there, the first as above.
        opus: In place of ``vorbis``, where that differs.
        info: In a WAV's ``LIST INFO``; "" where that has none.
        v1: Whether ID3v1 has it.
        single: Whether it is one text, so that several are joined.
    """

    id3: tuple[str, ...]
    id3_old: tuple[str, ...]
    vorbis: tuple[str, ...]
    ape: tuple[str, ...]
    mp4: tuple[str, ...]
    asf: tuple[str, ...]
    opus: tuple[str, ...] | None = None
    info: str = ""
    v1: bool = False
    single: bool = False

    def frames(self, version: int) -> tuple[str, ...]:
        """The keys of its frames in a version of ID3 (:attr:`earmark.tags.id3.Frame.key`)."""
        if version == 4:
            return self.id3
        if version == 3:
            return self.id3_old
        pairs = (key.partition(":") for key in self.id3_old)
        return tuple(_OLD[name] + colon + rest for name, colon, rest in pairs if name in _OLD)


def _gain(name: str, opus: tuple[str, ...]) -> Field:
    """Of ReplayGain 2; RFC 7845 wants none of its fields in Opus."""
    upper, lower = f"REPLAYGAIN_{name}", f"REPLAYGAIN_{name}".lower()
    frames = (f"TXXX:{upper}",)
    return Field(frames, frames, (upper,), (upper,), (_ITUNES + lower,), (lower,), opus, single=True)


FIELDS: Mapping[str, Field] = {
    "genre": Field(
        ("TCON", "TXXX:GENRE"), ("TCON", "TXXX:GENRE"), ("GENRE",), ("Genre",), ("\xa9gen",), ("WM/Genre",),
        info="IGNR", v1=True,
    ),
    "mood": Field(
        ("TMOO", "TXXX:MOOD"), ("TXXX:MOOD", "TMOO"), ("MOOD",), ("Mood",), (f"{_ITUNES}MOOD",), ("WM/Mood",),
    ),
    "comment": Field(
        ("COMM:", "TXXX:COMMENT"), ("COMM:", "TXXX:COMMENT"), ("COMMENT",), ("Comment",), ("\xa9cmt",),
        ("Description",), info="ICMT", v1=True, single=True,
    ),
    "scores": Field(
        (f"TXXX:{SCORES}",), (f"TXXX:{SCORES}",), (SCORES,), (SCORES,), (_ITUNES + SCORES,), (SCORES,), single=True,
    ),
    "bpm": Field(
        ("TBPM", "TXXX:BPM"), ("TBPM", "TXXX:BPM"), ("BPM",), ("BPM",), ("tmpo", f"{_ITUNES}BPM"),
        ("WM/BeatsPerMinute",), info="IBPM", single=True,
    ),
    "key": Field(
        ("TKEY", "TXXX:INITIALKEY"), ("TKEY", "TXXX:INITIALKEY"), ("INITIALKEY", "KEY"), ("INITIALKEY", "KEY"),
        (f"{_ITUNES}initialkey", f"{_ITUNES}KEY"), ("WM/InitialKey", "INITIALKEY"), single=True,
    ),
    "replaygain_track_gain": _gain("TRACK_GAIN", opus=("R128_TRACK_GAIN",)),
    "replaygain_track_peak": _gain("TRACK_PEAK", opus=()),
}  # fmt: skip

MEASURED = ("bpm", "key", "replaygain_track_gain", "replaygain_track_peak")
"""Fields of one value that is measured."""

INHERITED = {
    "title": ("TIT2", "INAM"), "artist": ("TPE1", "IART"), "album": ("TALB", "IPRD"), "year": ("TDRC", "ICRD"),
    "track": ("TRCK", "ITRK"), "comment": ("COMM:", "ICMT"), "genre": ("TCON", "IGNR"), "bpm": ("TBPM", "IBPM"),
}  # fmt: skip
"""What a new ID3 tag takes over from ID3v1 or INFO, since players that see it look no further: frame, identifier."""


_R128, _REPLAYGAIN = -23.0, -18.0  # LUFS that the gains bring a song to


def written_as(key: str, text: str) -> str:
    """A text as a frame, key or atom holds it.

    ID3 and iTunes know whole beats a minute only; Opus has a gain to -23 LUFS in 1/256 dB (RFC 7845, 5.2.1).
    """
    with suppress(ValueError, OverflowError):  # what other programs have written may be "inf"
        if key in ("TBPM", "TBP", "tmpo"):
            return str(round(float(text)))
        if key == "R128_TRACK_GAIN":
            return str(round(256 * (float(text.removesuffix(" dB")) + _R128 - _REPLAYGAIN)))
    return text


def read_from(key: str, text: str) -> str:
    """The way back of :func:`written_as`, as far as there is one."""
    with suppress(ValueError, OverflowError):
        if key == "R128_TRACK_GAIN":
            return f"{int(text) / 256 + _REPLAYGAIN - _R128:+.2f} dB".lstrip("+")
    return text


def differences(before: Values, after: Values) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Before and after of each field that differs."""
    pairs = {name: (before.get(name, ()), after.get(name, ())) for name in FIELDS}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
