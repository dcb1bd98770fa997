"""APE tags (versions 1 and 2) at the end of a file, byte by byte: items that are not changed are written as they were.

https://wiki.hydrogenaud.io/index.php?title=APEv2_specification
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

__all__ = ["APE", "Item", "find", "new_item"]

_MARK = b"APETAGEX"
_FIXED = 32  # bytes of a header or footer
_LARGEST = 1 << 26  # bytes of a tag that is believed
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


def find(file: BinaryIO, end: int) -> APE | None:
    """The tag that ends at byte ``end`` of a file (where ID3v1 and lyrics behind it begin); None where none does."""
    if end < _FIXED:
        return None
    file.seek(end - _FIXED)
    mark, version, size, count, flags = struct.unpack("<8sIIII8x", file.read(_FIXED))
    if mark != _MARK or flags & _IS_HEADER or not _FIXED <= size <= min(end, _LARGEST):
        return None
    file.seek(end - size)
    body = file.read(size - _FIXED)
    items, damaged = _items(body, "latin-1" if version < 2000 else "utf-8")
    start = end - size - (_FIXED if flags & _HAS_HEADER and end >= size + _FIXED else 0)
    return APE(items, start, end, version, damaged or len(items) != count)


def _items(body: bytes, codec: str) -> tuple[tuple[Item, ...], bool]:
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
