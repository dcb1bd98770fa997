"""The fields that are written, and where each kind of tags holds them, so that players find them.

The mapping is Picard's (https://picard-docs.musicbrainz.org/en/appendices/tag_mapping.html). ID3 2.2 and 2.3 know no
mood, so that it stands in a free text frame there, as with Picard; Earmark's own scores stand in one everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["FIELDS", "INHERITED", "SCORES", "Field", "Values", "differences"]

SCORES = "EARMARK_SCORES"
"""The one field of our own: compact JSON."""

Values = Mapping[str, tuple[str, ...]]
"""What fields hold, by name; a field that is not there is empty."""

_ITUNES = "----:com.apple.iTunes:"
_OLD = {"TCON": "TCO", "COMM": "COM", "TXXX": "TXX"}  # names of frames in ID3 2.2


@dataclass(frozen=True, slots=True)
class Field:
    """Where one field stands.

    Attributes:
        id3: Frames of ID3 2.4; the first is written, the others are kept in step where they stand.
        id3_old: Those of 2.3 and, with shorter names, 2.2.
        vorbis, ape, mp4, asf: The keys there.
        info: In a WAV's ``LIST INFO``; "" where that has none.
        v1: Whether ID3v1 has it.
        single: Whether it is one text, so that several are joined.
    """

    id3: tuple[str, ...]
    id3_old: tuple[str, ...]
    vorbis: str
    ape: str
    mp4: str
    asf: str
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


FIELDS: Mapping[str, Field] = {
    "genre": Field(
        ("TCON", "TXXX:GENRE"), ("TCON", "TXXX:GENRE"), "GENRE", "Genre", "\xa9gen", "WM/Genre", "IGNR", v1=True
    ),
    "mood": Field(("TMOO", "TXXX:MOOD"), ("TXXX:MOOD", "TMOO"), "MOOD", "Mood", f"{_ITUNES}MOOD", "WM/Mood"),
    "comment": Field(
        ("COMM:", "TXXX:COMMENT"), ("COMM:", "TXXX:COMMENT"), "COMMENT", "Comment", "\xa9cmt", "Description", "ICMT",
        v1=True, single=True,
    ),
    "scores": Field((f"TXXX:{SCORES}",), (f"TXXX:{SCORES}",), SCORES, SCORES, _ITUNES + SCORES, SCORES, single=True),
}  # fmt: skip

INHERITED = {
    "title": ("TIT2", "INAM"), "artist": ("TPE1", "IART"), "album": ("TALB", "IPRD"), "year": ("TDRC", "ICRD"),
    "track": ("TRCK", "ITRK"), "comment": ("COMM:", "ICMT"), "genre": ("TCON", "IGNR"),
}  # fmt: skip
"""What a new ID3 tag takes over from ID3v1 or INFO, since players that see it look no further: frame, identifier."""


def differences(before: Values, after: Values) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Before and after of each field that differs."""
    pairs = {name: (before.get(name, ()), after.get(name, ())) for name in FIELDS}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
