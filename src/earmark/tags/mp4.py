"""The tags of an MP4 file (``moov.udta.meta.ilst``): FFmpeg hands out only the first of several values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from earmark.tags.id3 import GENRES

__all__ = ["read_ilst"]

_NAMES = {
    b"\xa9nam": "title", b"\xa9ART": "artist", b"aART": "albumartist", b"\xa9alb": "album", b"\xa9gen": "genre",
    b"gnre": "genre", b"\xa9day": "date", b"\xa9cmt": "comment", b"\xa9wrt": "composer", b"\xa9grp": "grouping",
    b"cprt": "copyright",
}  # fmt: skip
_LARGEST = 1 << 24  # bytes of tags that are read; a picture that is larger hides what stands behind it


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
    for name, body in _in_bytes(file.read(min(end - start, _LARGEST))):
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
