"""What Ogg, FLAC and files of chunks really hold, by a look at their pages, frames and chunks; nothing is decoded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from earmark.audio.views import Layout, Part, Piece

__all__ = ["ASF", "au_layout", "chunk_layout", "flac_layout", "joined_layout", "ogg_layout"]

_SLACK = 0.25  # seconds that a header may be wrong by
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


class _FlacInfo(NamedTuple):
    """What STREAMINFO says, and the bytes that it says it in."""

    block: int
    largest: int
    rate: int
    total: int
    raw: bytes


class _FlacFrame(NamedTuple):
    """A frame's place in the data, its first sample and how many it holds."""

    place: int
    first: int
    samples: int


def flac_layout(file: BinaryIO, start: int, size: int) -> Layout | None:
    """What a FLAC file holds that is cut off, joined to another, or has a header that lies; None for a sound one."""
    info = _flac_info(file, start)
    if info is None:
        return None
    last = _last_flac_frame(file, start + 42, size, info)
    if last is None:
        return None
    heads = _flac_heads(file, start, size) if _flac_is_joined(file, start, size, info, last) else [start]
    if len(heads) == 1 and abs(last.first + last.samples - info.total) <= _SLACK * info.rate:
        return None
    parts = [_flac_part(file, head, end) for head, end in zip(heads, [*heads[1:], size], strict=True)]
    found = tuple(part for part in parts if part is not None)
    stated = info.total / info.rate if len(heads) == 1 else 0.0
    return Layout(found, sum(part.seconds for part in found), stated, False) if found else None


def _flac_info(file: BinaryIO, start: int) -> _FlacInfo | None:
    file.seek(start)
    head = file.read(42)
    if len(head) < 42 or head[:4] != b"fLaC" or head[4] & 0x7F != 0:
        return None
    packed = int.from_bytes(head[18:26], "big")
    block, largest, rate = int.from_bytes(head[8:10], "big"), int.from_bytes(head[15:18], "big"), packed >> 44
    return _FlacInfo(block, largest, rate, packed & (1 << 36) - 1, head) if rate else None


def _flac_part(file: BinaryIO, start: int, end: int) -> Part | None:
    """One stream with the length in its header that it really has; a frame that is cut off is left out."""
    info = _flac_info(file, start)
    last = info and _last_flac_frame(file, start + 42, end, info)
    if info is None or last is None:
        return None
    file.seek(last.place)
    whole = _crc16(file.read(end - last.place)) == 0
    total = last.first + (last.samples if whole else 0)
    packed = int.from_bytes(info.raw[18:26], "big") >> 36 << 36 | total & (1 << 36) - 1
    head = info.raw[:18] + packed.to_bytes(8, "big") + bytes(16)
    pieces: tuple[Piece, ...] = (head, (start + 42, (end if whole else last.place) - start - 42))
    return Part(pieces, total / info.rate)


def _last_flac_frame(file: BinaryIO, start: int, end: int, info: _FlacInfo) -> _FlacFrame | None:
    """The last frame of a stream, whole or not; its place is that in the file."""
    for window in (max(1 << 16, 3 * info.largest), 1 << 22):
        begin = max(start, end - window)
        file.seek(begin)
        frames = list(_flac_frames(file.read(end - begin), info))
        if frames:
            # The frame that another one leads up to is no chance.
            sure = [f for b, f in itertools.pairwise(frames) if b.first + b.samples == f.first]
            frame = sure[-1] if sure else frames[-1]
            return frame._replace(place=begin + frame.place)
        if begin == start:
            break
    return None


def _flac_is_joined(file: BinaryIO, start: int, size: int, info: _FlacInfo, last: _FlacFrame) -> bool:
    """Whether sample numbers fall on the way through the file: then another stream begins in it."""
    before = -1
    for share in range(1, 8):
        file.seek(start + (size - start) * share // 8)
        frame = next(_flac_frames(file.read(max(1 << 15, 2 * info.largest)), info), None)
        if frame is not None:
            if frame.first < before:
                return True
            before = frame.first
    return last.first < before


def _flac_heads(file: BinaryIO, start: int, size: int) -> list[int]:
    """Where streams begin."""
    heads, position = [start], start + 42
    while position < size:
        file.seek(position)
        data = file.read(_BLOCK + 41)
        place = data.find(b"fLaC")
        while 0 <= place < _BLOCK:
            if _flac_info(file, position + place) is not None and data[place + 4 : place + 8] in _STREAMINFO:
                heads.append(position + place)
            place = data.find(b"fLaC", place + 1)
        position += _BLOCK
    return heads


_STREAMINFO = (b"\x00\x00\x00\x22", b"\x80\x00\x00\x22")
_FLAC_BLOCKS = (0, 192, 576, 1152, 2304, 4608, 0, 0, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)


def _flac_frames(data: bytes, info: _FlacInfo) -> Iterator[_FlacFrame]:
    """Headers of frames in a stretch of a stream, each proven by its check sum."""
    place = data.find(b"\xff")
    while 0 <= place < len(data) - 16:
        if data[place + 1] & 0xFE == 0xF8:
            frame = _flac_frame(data, place, info)
            if frame is not None:
                yield frame
        place = data.find(b"\xff", place + 1)


def _flac_frame(data: bytes, place: int, info: _FlacInfo) -> _FlacFrame | None:
    block_code, rate_code = data[place + 2] >> 4, data[place + 2] & 15
    if block_code == 0 or rate_code == 15 or data[place + 3] >> 4 > 10 or data[place + 3] & 1:
        return None
    lead, after = data[place + 4], place + 5
    extra = 0 if lead < 0x80 else 8 - (~lead & 0xFF).bit_length() - 1  # coded as in UTF-8
    number = lead if lead < 0x80 else lead & (0x3F >> extra)
    if lead >= 0x80 and not 1 <= extra <= 6:
        return None
    for byte in data[after : after + extra]:
        number = number << 6 | byte & 0x3F
    after += extra
    samples = _FLAC_BLOCKS[block_code]
    if block_code in (6, 7):
        width = block_code - 5
        samples, after = int.from_bytes(data[after : after + width], "big") + 1, after + width
    after += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if after >= len(data) or _crc8(data[place:after]) != data[after]:
        return None
    return _FlacFrame(place, number if data[place + 1] & 1 else number * info.block, samples)


def _crc_table(polynomial: int, bits: int) -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> bits - 1 else 0)
        table.append(value & (1 << bits) - 1)
    return tuple(table)


_CRC8, _CRC16 = _crc_table(0x107, 8), _crc_table(0x18005, 16)


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value = _CRC8[value ^ byte]
    return value


def _crc16(data: bytes) -> int:
    value = 0
    for byte in data:
        value = (value << 8 & 0xFFFF) ^ _CRC16[value >> 8 ^ byte]
    return value


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
