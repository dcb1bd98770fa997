"""Tags in what a file is built of: chunks (WAV, AIFF, DSDIFF), an APE tag at its end, and the atoms of MP4.

Read and written byte by byte: what is not changed is written as it was. FFmpeg hands out only the first of several
values of these.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from earmark.tags.id3 import GENRES

__all__ = ["APE", "Chunk", "Form", "Info", "Item", "find_ape", "new_item", "read_form", "read_ilst", "splice"]

_MOST_CHUNKS = 10_000  # chunks of a file
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
    while at + 4 + wide <= min(end, size) and len(found) < _MOST_CHUNKS:
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


_MARK = b"APETAGEX"
_FIXED = 32  # bytes of a header or footer
_LARGEST_APE = 1 << 26  # bytes of a tag that is believed
_HAS_HEADER = 1 << 31
_IS_HEADER = 1 << 29


@dataclass(frozen=True, slots=True)
class Item:
    """One item: its name as it stands there, all of its bytes, and its values where it is text."""

    name: str
    raw: bytes
    texts: tuple[str, ...]

    @property
    def key(self) -> str:
        """Its name in capitals: case does not matter."""
        return self.name.upper()


@dataclass(frozen=True, slots=True)
class APE:
    """A tag as it stands in a file, from byte ``start`` to byte ``end``; ``damaged`` where items cannot be read."""

    items: tuple[Item, ...] = ()
    start: int = 0
    end: int = 0
    version: int = 2000
    damaged: bool = False

    def with_item(self, name: str, texts: Sequence[str]) -> APE:
        """The tag with these values in place of the item of that name; none takes it out."""
        new = [new_item(name, texts)] if texts else []
        places = [at for at, item in enumerate(self.items) if item.key == name.upper()]
        first = places[0] if places else len(self.items)
        kept = [item for at, item in enumerate(self.items) if at not in places]
        return replace(self, items=(*kept[:first], *new, *kept[first:]))

    def to_bytes(self) -> bytes:
        """The tag for a file, with a header."""
        body = b"".join(item.raw for item in self.items)
        head, foot = (
            struct.pack("<8sIIII8x", _MARK, 2000, len(body) + _FIXED, len(self.items), _HAS_HEADER | which)
            for which in (_IS_HEADER, 0)
        )
        return head + body + foot


def new_item(name: str, texts: Sequence[str]) -> Item:
    """An item of text."""
    value = "\0".join(texts).encode("utf-8", "replace")
    return Item(name, struct.pack("<II", len(value), 0) + name.encode("ascii") + b"\0" + value, tuple(texts))


def find_ape(file: BinaryIO, end: int) -> APE | None:
    """The tag that ends at byte ``end`` of a file (where ID3v1 and lyrics behind it begin); None where none does."""
    if end < _FIXED:
        return None
    file.seek(end - _FIXED)
    mark, version, size, count, flags = struct.unpack("<8sIIII8x", file.read(_FIXED))
    if mark != _MARK or flags & _IS_HEADER or not _FIXED <= size <= min(end, _LARGEST_APE):
        return None
    file.seek(end - size)
    body = file.read(size - _FIXED)
    items, damaged = _ape_items(body, "latin-1" if version < 2000 else "utf-8")
    start = end - size - (_FIXED if flags & _HAS_HEADER and end >= size + _FIXED else 0)
    return APE(items, start, end, version, damaged or len(items) != count)


def _ape_items(body: bytes, codec: str) -> tuple[tuple[Item, ...], bool]:
    found: list[Item] = []
    at = 0
    while at + 9 < len(body):
        size, flags = struct.unpack_from("<II", body, at)
        stop = body.find(b"\0", at + 8)
        if stop < 0 or stop + 1 + size > len(body):
            return tuple(found), True
        value = body[stop + 1 : stop + 1 + size]
        texts = () if flags & 6 else tuple(value.decode(codec, "replace").rstrip("\0").split("\0"))
        found.append(Item(body[at + 8 : stop].decode("latin-1"), body[at : stop + 1 + size], texts))
        at = stop + 1 + size
    return tuple(found), at != len(body)


_NAMES = {
    b"\xa9nam": "title", b"\xa9ART": "artist", b"aART": "albumartist", b"\xa9alb": "album", b"\xa9gen": "genre",
    b"gnre": "genre", b"\xa9day": "date", b"\xa9cmt": "comment", b"\xa9wrt": "composer", b"\xa9grp": "grouping",
    b"cprt": "copyright",
}  # fmt: skip
_LARGEST_ILST = 1 << 24  # bytes of tags that are read; a picture that is larger hides what stands behind it


def read_ilst(file: BinaryIO, size: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name and values of each text in an MP4 file of that many bytes."""
    start, end = 0, size
    for name in (b"moov", b"udta", b"meta", b"ilst"):
        found = next((atom for atom in _in_file(file, start, end) if atom[0] == name), None)
        if found is None:
            return
        start, end = found[1:]
        if name == b"meta":
            start += 4  # its version and flags
    file.seek(start)
    for name, body in _in_bytes(file.read(min(end - start, _LARGEST_ILST))):
        parts = list(_in_bytes(body))
        label = _NAMES.get(name, "")
        if name == b"----":
            label = next((part[4:].decode("utf-8", "replace") for kind, part in parts if kind == b"name"), "")
        texts = tuple(_text(name, part) for kind, part in parts if kind == b"data" and len(part) >= 8)
        if label and any(texts):
            yield label, texts


def _text(name: bytes, data: bytes) -> str:
    if name == b"gnre":
        number = int.from_bytes(data[8:10], "big")
        return GENRES[number - 1] if 0 < number <= len(GENRES) else ""
    return data[8:].decode("utf-8", "replace")


def _in_file(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and end of what each atom holds."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(16)
        length, body = int.from_bytes(head[:4], "big"), start + 8
        if length == 1:
            length, body = int.from_bytes(head[8:16], "big"), start + 16
        stop = end if length == 0 else start + length
        if not body <= stop <= end:
            return
        yield head[4:8], body, stop
        start = stop


def _in_bytes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if length < 8:
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + length]
        at += length
