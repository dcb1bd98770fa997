"""What Ogg and files of chunks really hold, by a look at their pages and chunks; nothing is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from earmark.audio.views import Layout, Part, Piece

__all__ = ["ASF", "au_layout", "chunk_layout", "joined_layout", "ogg_layout"]

_BLOCK = 1 << 20


@dataclass(slots=True)
class _Link:
    """One link of a chained Ogg file, by its first stream of audio: positions count samples at ``rate``."""

    start: int
    end: int = 0
    serial: bytes = b""
    rate: int = 0
    skip: int = 0
    first: int = -1
    last: int = 0

    @property
    def seconds(self) -> float:
        """Its length; a stream taken from the middle of a broadcast does not begin at zero."""
        if not self.rate:
            return 0.0
        begun = self.first if self.first > 3 * self.rate else 0
        return max(0.0, (self.last - begun - (0 if begun else self.skip)) / self.rate)


def ogg_layout(file: BinaryIO, size: int) -> Layout | None:
    """The links of a chained Ogg file (a recording of a radio); None where it is a single one, or holds no audio."""
    links: list[_Link] = []
    begins = False  # whether the page before began a stream too: then the two play at once
    for position, head, body in _pages(file, size):
        granule, serial = int.from_bytes(head[6:14], "little", signed=True), head[14:18]
        if head[5] & 2:
            if links and not begins:
                links[-1].end = position
            if not begins:
                links.append(_Link(position))
            if not links[-1].rate:
                links[-1].serial, (links[-1].rate, links[-1].skip) = serial, _ogg_codec(body)
        elif links and granule > 0 and serial == links[-1].serial:
            links[-1].first = granule if links[-1].first < 0 else links[-1].first
            links[-1].last = max(links[-1].last, granule)
        begins = bool(head[5] & 2)
    if len(links) < 2:
        return None
    links[-1].end = size
    parts = tuple(Part(((link.start, link.end - link.start),), link.seconds) for link in links if link.seconds > 0)
    return Layout(parts, sum(part.seconds for part in parts), 0.0, False) if parts else None


def _pages(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Offset, header and first bytes of every page."""
    position = 0
    while position < size - 27:
        file.seek(position)
        data = file.read(_BLOCK)
        place = 0
        while place + 27 + 255 + 64 <= len(data) or (position + len(data) >= size and place + 27 <= len(data)):
            if data[place : place + 4] != b"OggS":
                found = data.find(b"OggS", place + 1)
                place = found if found >= 0 else max(place + 1, len(data) - 3)
                continue
            body = place + 27 + data[place + 26]
            yield position + place, data[place : place + 27], data[body : body + 64]
            place = body + sum(data[place + 27 : body])
        if not place:
            return
        position += place


def _ogg_codec(body: bytes) -> tuple[int, int]:
    """Rate that positions count at, and samples before the beginning; zeros for what is no audio, or unknown."""
    if body.startswith(b"\x01vorbis"):
        return int.from_bytes(body[12:16], "little"), 0
    if body.startswith(b"OpusHead"):
        return 48000, int.from_bytes(body[10:12], "little")
    if body.startswith(b"\x7fFLAC"):
        return int.from_bytes(body[27:30], "big") >> 4, 0
    if body.startswith(b"Speex   "):
        return int.from_bytes(body[36:40], "little"), 0
    return 0, 0


_FORMS = {b"RIFF": ("little", b"data"), b"RIFX": ("big", b"data"), b"FORM": ("big", b"SSND")}
_ENDLESS = 0x7FFFF000  # a size from here on means that nobody knew it when the file was begun


def chunk_layout(file: BinaryIO, start: int, size: int) -> Layout | None:
    """What a WAV or AIFF file holds whose data goes on behind their stated end, or ends before it; None for others."""
    file.seek(start)
    form = file.read(12)
    order, name = _FORMS[form[:4]]
    position = start + 12
    while position + 8 <= size:
        file.seek(position)
        head = file.read(8)
        length = int.from_bytes(head[4:], "little" if order == "little" else "big")
        if head[:4] == name:
            break
        position += 8 + length + (length & 1)
    else:
        return None
    there = size - position - 8
    if length >= _ENDLESS or length == there:
        return None
    if length > there:
        return Layout((), 0.0, 0.0, True, missing=1 - there / length) if there > 0 else None
    after = position + 8 + length
    for follows in (after + (length & 1), after):
        file.seek(follows)
        kind = file.read(4)
        if kind == form[:4] and file.read(8)[4:] == form[8:]:
            rest = chunk_layout(file, follows, size)
            others = rest.parts if rest and rest.parts else (Part(((follows, size - follows),), 0.0),)
            return Layout((Part(((start, follows - start),), 0.0), *others), 0.0, 0.0, False)
    if length and (size - after < 4096 or _is_chunk(file, after, length, size, order)):
        return None
    file.seek(start)
    before = file.read(position + 4 - start)
    pieces: tuple[Piece, ...] = (
        before + min(there, _ENDLESS - 1).to_bytes(4, "little" if order == "little" else "big"),
        (position + 8, there),
    )
    return Layout((Part(pieces, 0.0),), 0.0, 0.0, False)


def _is_chunk(file: BinaryIO, after: int, length: int, size: int, order: str) -> bool:
    """Whether a chunk (or a tag) follows, and no more sound."""
    for place in (after + (length & 1), after):
        file.seek(place)
        head = file.read(8)
        count = int.from_bytes(head[4:], "little" if order == "little" else "big")
        if head[:3] in (b"TAG", b"ID3", b"APE") or (
            all(32 <= byte < 127 for byte in head[:4]) and place + 8 + count <= size + 1
        ):
            return True
    return False


def joined_layout(file: BinaryIO, size: int, head: bytes) -> Layout | None:
    """The files that were joined to one, each told by the sizes that it states; None where it is a single one."""
    found = next(((magic, at, length_of) for magic, at, length_of in _SIZED if head[at:].startswith(magic)), None)
    heads, position = [0], 0
    while found and len(heads) < 1000:
        magic, at, length_of = found
        length = length_of(file, position, size)
        if position + length >= size:
            break
        file.seek(position + length)
        gap = file.read(_BLOCK if length else 0).find(magic)  # tags may stand between
        if gap < at:
            break
        position += length + gap - at
        heads.append(position)
    if len(heads) < 2:
        return None
    parts = [Part(((head, end - head),), 0.0) for head, end in zip(heads, [*heads[1:], size], strict=True)]
    return Layout(tuple(parts), 0.0, 0.0, False)


_Elements = tuple[
    int, int, str, int
]  # bytes of a name, bytes of a size, their order, and bytes that the size counts too


def _elements(file: BinaryIO, start: int, size: int, shape: _Elements, magic: bytes, at: int) -> int:
    """Bytes up to the second element of the first one's name; 0 where there is none."""
    name, width, order, counted = shape
    position = start
    while position + name + width <= size:
        file.seek(position)
        head = file.read(name + width)
        sized, other = (head[:width], head[width:]) if at else (head[name:], head[:name])
        if position > start and other.startswith(magic):
            return position - start
        length = int.from_bytes(sized, "big" if order == "big" else "little")
        if length < counted:
            return 0
        position += length + name + width - counted
    return 0


def _mp4_bytes(file: BinaryIO, start: int, size: int) -> int:
    return _elements(file, start, size, (4, 4, "big", 8), b"ftyp", 4)


def _asf_bytes(file: BinaryIO, start: int, size: int) -> int:
    return _elements(file, start, size, (16, 8, "little", 24), ASF, 0)


def _caf_bytes(file: BinaryIO, start: int, size: int) -> int:
    position = start + 8
    while position + 12 <= size:
        file.seek(position)
        head = file.read(12)
        if head[:4] == b"caff":
            return position - start
        length = int.from_bytes(head[4:], "big", signed=True)
        if length < 0:
            return 0
        position += 12 + length
    return 0


def au_layout(file: BinaryIO, size: int) -> Layout | None:
    """What an AU file holds whose data goes on behind their stated end: nothing else may follow them."""
    file.seek(4)
    words = file.read(20)
    begin, length = int.from_bytes(words[:4], "big"), int.from_bytes(words[4:8], "big")
    if length >= _ENDLESS or not 24 <= begin < size or begin + length > size - 4096:
        return None
    head = b".snd" + words[:4] + b"\xff" * 4 + words[8:]
    return Layout((Part((head, (24, size - 24)), 0.0),), 0.0, 0.0, False)


def _au_bytes(file: BinaryIO, start: int, _size: int) -> int:
    file.seek(start)
    head = file.read(12)
    length = int.from_bytes(head[8:12], "big")
    return int.from_bytes(head[4:8], "big") + length if length < _ENDLESS else 0


def _ebml_bytes(file: BinaryIO, start: int, size: int) -> int:
    """Of the EBML header and the segment behind it; 0 where its end is not stated."""
    position = start
    for _ in range(2):
        if position >= size:
            return 0
        file.seek(position + 4)
        data = file.read(8)
        width = 9 - data[0].bit_length() if data and data[0] else 0
        value = int.from_bytes(data[:width], "big") & (1 << 7 * width) - 1
        if not width or value == (1 << 7 * width) - 1:
            return 0
        position += 4 + width + value
    return position - start


def _tta_bytes(file: BinaryIO, start: int, _size: int) -> int:
    file.seek(start)
    head = file.read(22)
    rate, samples = int.from_bytes(head[10:14], "little"), int.from_bytes(head[14:18], "little")
    frames = -(-samples // max(1, 256 * rate // 245))
    table = file.read(4 * min(frames, 1 << 20))
    sizes = (int.from_bytes(table[place : place + 4], "little") for place in range(0, len(table), 4))
    return 22 + len(table) + 4 + sum(sizes)


def _wavpack_bytes(file: BinaryIO, start: int, size: int) -> int:
    position, seen = start, False
    while position + 32 <= size:
        file.seek(position)
        head = file.read(32)
        if head[:4] != b"wvpk":
            return position - start if head[:3] in (b"APE", b"TAG") else 0
        begins = int.from_bytes(head[16:20], "little") == 0 and head[25] & 8
        if begins and seen:
            return position - start
        seen = seen or (int.from_bytes(head[20:24], "little") > 0 and not begins)
        position += 8 + int.from_bytes(head[4:8], "little")
    return position - start


ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
"""What a WMA file begins with."""

_SIZED = (
    (b"ftyp", 4, _mp4_bytes), (ASF, 0, _asf_bytes), (b"caff", 0, _caf_bytes), (b".snd", 0, _au_bytes),
    (b"\x1a\x45\xdf\xa3", 0, _ebml_bytes), (b"TTA1", 0, _tta_bytes), (b"wvpk", 0, _wavpack_bytes),
)  # fmt: skip
