"""Frames of FLAC, found by their headers and proven by check sums: what a file holds whatever its header says."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from earmark.audio.views import Layout, Piece, Stretch

__all__ = ["flac_layout"]

_SLACK = 0.25  # seconds that a header may be wrong by
_BLOCK = 1 << 20


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


def _flac_part(file: BinaryIO, start: int, end: int) -> Stretch | None:
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
    return Stretch(pieces, total / info.rate)


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
