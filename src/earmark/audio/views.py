"""Stretches of a file as files of their own: what a file holds where its header lies, or where it is several in one."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

__all__ = ["Layout", "Piece", "Stretch", "merge_stretches", "open_view"]

Piece = bytes | tuple[int, int]
"""Bytes as they are; or offset and length in the file."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stream of audio: the bytes that a decoder gets, their length, and what must agree to be joined to another.

    A length of 0 is the decoder's to tell.
    """

    pieces: tuple[Piece, ...]
    seconds: float
    stream: Any = None


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file really holds.

    Attributes:
        parts: Its streams, one after the other.
        seconds: Length of all of them.
        stated: Length that its header states; 0 where it states none.
        whole: Whether the file as it is gives a decoder all of it.
        missing: Part of the data that its header states and that is not there.
    """

    parts: tuple[Stretch, ...]
    seconds: float
    stated: float
    whole: bool
    missing: float = 0.0


def merge_stretches(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Stretches with neighbours of the same stream joined."""
    merged = []
    for stream, group in itertools.groupby(stretches, lambda stretch: stretch.stream):
        same = list(group)
        pieces = tuple(piece for stretch in same for piece in stretch.pieces)
        merged.append(Stretch(pieces, sum(one.seconds for one in same), stream))
    return merged


def open_view(name: str, pieces: tuple[Piece, ...]) -> BinaryIO:
    """Pieces of a file, one behind the other, as a file to read."""
    return cast(BinaryIO, io.BufferedReader(_View(name, pieces), 1 << 16))


@dataclass(eq=False)
class _View(io.RawIOBase):
    name: str
    pieces: tuple[Piece, ...]
    _position: int = 0
    _starts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        lengths = [len(piece) if isinstance(piece, bytes) else piece[1] for piece in self.pieces]
        self._starts = [0, *itertools.accumulate(lengths)]
        self._file = Path(self.name).open("rb", buffering=0)  # noqa: SIM115 - closed by close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        base = (0, self._position, self._starts[-1])[whence]
        if base + offset < 0:
            raise OSError("a place before the beginning")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        wanted = memoryview(buffer).cast("B")
        filled = 0
        for piece, start, end in zip(self.pieces, self._starts, self._starts[1:], strict=False):
            if filled == len(wanted):
                break
            if not start <= self._position < end:
                continue
            inside, count = self._position - start, min(end - self._position, len(wanted) - filled)
            if isinstance(piece, bytes):
                data = piece[inside : inside + count]
            else:
                self._file.seek(piece[0] + inside)
                data = self._file.read(count) or b""
            wanted[filled : filled + len(data)] = data
            filled, self._position = filled + len(data), self._position + len(data)
            if len(data) < count:
                break
        return filled

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
