"""Tags inside files of chunks: WAV (``id3 `` and ``LIST INFO``), AIFF and DSDIFF (``ID3 ``)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

__all__ = ["Chunk", "Form", "Info", "read_form", "splice"]

_MOST = 10_000  # chunks of a file
_BLOCK = 1 << 20  # bytes that are moved at a time


@dataclass(frozen=True, slots=True)
class Chunk:
    """From byte ``start`` to ``end`` of a file, head and filling byte included; its content is ``[body, stop)``."""

    name: bytes
    start: int
    body: int
    stop: int
    end: int


@dataclass(frozen=True, slots=True)
class Form:
    """A file of chunks.

    Attributes:
        order: How its sizes are written: ``<I``, ``>I`` or ``>Q``.
        chunks: In their order.
        end: Where the last one ends, by the file's own account.
        whole: Whether they fill the file as its head says: only then may its sizes be changed.
    """

    order: str
    chunks: tuple[Chunk, ...]
    end: int
    whole: bool

    def chunk_of(self, name: bytes, content: bytes) -> bytes:
        """A chunk for such a file."""
        return name + struct.pack(self.order, len(content)) + content + b"\0" * (len(content) % 2)

    def id3(self) -> Chunk | None:
        """The chunk that holds an ID3 tag."""
        return next((chunk for chunk in self.chunks if chunk.name.upper() == b"ID3 "), None)

    def put(self, file: BinaryIO, old: Chunk | None, new: bytes) -> None:
        """Put a chunk in place of an old one, or behind the last one, and the file's own size to it."""
        start, end = (old.start, min(old.end, self.end)) if old else (self.end, self.end)
        if old is None and self.chunks and self.chunks[-1].end > self.end:
            new = b"\0" + new  # the last one lacks the byte that fills it
        splice(file, start, end, new)
        head = 12 if self.order == ">Q" else 8
        file.seek(4)
        file.write(struct.pack(self.order, self.end - head + len(new) - (end - start)))


def splice(file: BinaryIO, start: int, end: int, data: bytes) -> None:
    """Put data in place of the bytes from ``start`` to ``end`` of an open file; what follows moves."""
    shift = len(data) - (end - start)
    size = file.seek(0, 2)
    if shift:
        places = range(end, size, _BLOCK)
        for at in reversed(places) if shift > 0 else places:
            file.seek(at)
            block = file.read(_BLOCK)
            file.seek(at + shift)
            file.write(block)
        file.truncate(size + shift)
    file.seek(start)
    file.write(data)


def read_form(file: BinaryIO, size: int) -> Form | None:
    """The chunks of a WAV, AIFF or DSDIFF file; None for any other file."""
    file.seek(0)
    head = file.read(16)
    order = {b"RIFF": "<I", b"FORM": ">I", b"FRM8": ">Q"}.get(head[:4])
    wide = 8 if order == ">Q" else 4
    if order is None or head[4 + wide : 8 + wide] not in (b"WAVE", b"AIFF", b"AIFC", b"DSD "):
        return None
    (length,) = struct.unpack(order, head[4 : 4 + wide])
    end = 4 + wide + length
    found: list[Chunk] = []
    at = 8 + wide
    while at + 4 + wide <= min(end, size) and len(found) < _MOST:
        file.seek(at)
        name, raw = file.read(4), file.read(wide)
        (length,) = struct.unpack(order, raw)
        body = at + 4 + wide
        found.append(Chunk(name, at, body, body + length, body + length + length % 2))
        at = found[-1].end
    last = found[-1].stop if found else at
    return Form(order, tuple(found), end, last <= end <= size and at <= end + 1)


@dataclass(frozen=True, slots=True)
class Info:
    """A ``LIST INFO`` chunk of a WAV: (identifier, raw text) in their order."""

    entries: tuple[tuple[str, bytes], ...] = ()
    chunk: Chunk | None = None
    damaged: bool = False

    @classmethod
    def find(cls, file: BinaryIO, form: Form) -> Info | None:
        """That of a file; None where it has none."""
        for chunk in form.chunks:
            if chunk.name == b"LIST" and form.order == "<I":
                file.seek(chunk.body)
                data = file.read(min(chunk.stop - chunk.body, 1 << 22))
                if data[:4] == b"INFO":
                    return _read_info(data, chunk)
        return None

    def text(self, name: str) -> str:
        """What stands under an identifier."""
        raw = next((raw for key, raw in self.entries if key == name), b"").split(b"\0")[0]
        try:
            return raw.decode("utf-8").strip()
        except UnicodeDecodeError:
            return raw.decode("cp1252", "replace").strip()

    def with_text(self, name: str, texts: Sequence[str]) -> Info:
        """The chunk with these texts, as one, under an identifier; none takes it out."""
        raw = "; ".join(texts).encode("utf-8", "replace") + b"\0"
        others = [(key, raw if key == name else old) for key, old in self.entries if texts or key != name]
        if texts and name not in dict(self.entries):
            others.append((name, raw))
        return replace(self, entries=tuple(others))

    def to_bytes(self) -> bytes:
        """What the chunk holds."""
        parts = (
            key.encode("latin-1") + struct.pack("<I", len(raw)) + raw + b"\0" * (len(raw) % 2)
            for key, raw in self.entries
        )
        return b"INFO" + b"".join(parts)


def _read_info(data: bytes, chunk: Chunk) -> Info:
    found: list[tuple[str, bytes]] = []
    at = 4
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        found.append((data[at : at + 4].decode("latin-1"), data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    damaged = not len(data) <= at <= len(data) + 1 or chunk.stop - chunk.body != len(data)
    return Info(tuple(found), chunk, damaged)
