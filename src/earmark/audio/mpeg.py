"""Frames of MPEG audio, counted by their headers: what an mp3 file really holds, whatever it says of its length."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from earmark.audio.views import Layout, Stretch, merge_stretches

__all__ = ["frame_bytes", "mpeg_layout", "tag_bytes"]

_BIT_RATES = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}  # kbit/s by version (2 is 2 and 2.5) and layer
_RATES = (44100, 48000, 32000)
_BLOCK = 1 << 20
_FEWEST = 3  # frames in a row, below which a sync word is taken for chance


class _Header(NamedTuple):
    """What a frame's first four bytes say."""

    length: int
    samples: int
    stream: tuple[int, int, bool]  # rate, layer and whether it is mono: one decoder plays what agrees in them


@dataclass(slots=True)
class _Run:
    """Frames without a gap between them."""

    start: int
    word: bytes
    header: _Header
    end: int = 0
    frames: int = 0
    lengths: dict[bytes, int] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """What they play."""
        return self.frames * self.header.samples / self.header.stream[0]


def frame_bytes(data: bytes) -> int:
    """Length of the MPEG audio frame that begins here; 0 where none does."""
    header = _header(data[:4])
    return header.length if header else 0


def tag_bytes(head: bytes) -> int:
    """Length of the ID3v2 tag that begins here; 0 where none does."""
    if len(head) < 10 or not head.startswith(b"ID3"):
        return 0
    footer = 10 if head[5] & 0x10 else 0
    return 10 + footer + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))


def mpeg_layout(file: BinaryIO, size: int) -> Layout | None:
    """What the file holds by its frames; None where it holds no MPEG audio (or of free format)."""
    runs = [run for run in _runs(file, size) if run.frames >= _FEWEST]
    if not runs:
        return None
    stated, skip = _stated(file, runs[0])
    if skip:
        runs[0].start, runs[0].frames = runs[0].start + skip, runs[0].frames - 1
    seconds = sum(run.seconds for run in runs)
    whole = len(runs) == 1 and (not stated or abs(stated - seconds) <= max(0.25, 0.002 * seconds))
    parts = merge_stretches(
        [Stretch(((run.start, run.end - run.start),), run.seconds, run.header.stream) for run in runs]
    )
    first = {run.header.stream: run.word for run in reversed(runs)}
    counted = tuple(
        Stretch((_count_frame(part.seconds, first[part.stream]), *part.pieces), part.seconds) for part in parts
    )
    return Layout(counted, seconds, stated, whole)


def _runs(file: BinaryIO, size: int) -> list[_Run]:
    """Frames in a row, wherever in the file."""
    runs: list[_Run] = []
    run: _Run | None = None
    position = 0
    while position < size - 3:
        file.seek(position)
        data = file.read(_BLOCK)
        place, last = 0, len(data) - 4
        if last < 0:
            break
        while place <= last:
            place = place if run is None else _pass(run, data, place, last)
            if place > last:
                break
            word = data[place : place + 4]
            header = _header(word)
            if run is not None and header is not None and header.stream == run.header.stream:
                run.lengths[word] = header.length
                continue
            if run is not None:
                run.end, run = position + place, None
            if header is not None and _followed(data, place, header, position + len(data) >= size):
                run = _Run(position + place, word, header)
                runs.append(run)
                continue
            step = _next_place(data, place)
            if header is not None and step is None and place > 0:
                break  # what follows is not in this block: read on from here
            place = len(data) - 3 if step is None else step
        position += place
    if run is not None:
        run.end = min(size, position)
    return runs


def _pass(run: _Run, data: bytes, place: int, last: int) -> int:
    """Count frames whose like the run has met, from a place in a block on; where that ends."""
    lengths, frames = run.lengths, run.frames
    while place <= last:
        length = lengths.get(data[place : place + 4])
        if length is None:
            break
        place += length
        frames += 1
    run.frames = frames
    return place


def _followed(data: bytes, place: int, header: _Header, last_block: bool) -> bool:
    """Whether another frame of the same stream follows: a lone sync word is found in any data."""
    after = place + header.length
    if after + 4 > len(data):
        return last_block and after <= len(data)
    following = _header(data[after : after + 4])
    return following is not None and following.stream == header.stream


def _next_place(data: bytes, place: int) -> int | None:
    """Where to look for a frame next: behind a tag, or at the next byte of a sync word."""
    tag = tag_bytes(data[place : place + 10])
    if tag:
        return place + tag
    found = data.find(b"\xff", place + 1)
    return found if found >= 0 else None


def _header(word: bytes) -> _Header | None:
    if len(word) < 4 or word[0] != 0xFF or word[1] & 0xE0 != 0xE0:
        return None
    version, layer = word[1] >> 3 & 3, 4 - (word[1] >> 1 & 3)
    rate_index, bit_rate_index = word[2] >> 2 & 3, word[2] >> 4
    if version == 1 or layer == 4 or rate_index == 3 or bit_rate_index in (0, 15):
        return None
    rate = _RATES[rate_index] // {3: 1, 2: 2, 0: 4}[version]
    kilobits = _BIT_RATES[1 if version == 3 else 2, layer][bit_rate_index]
    padding = word[2] >> 1 & 1
    stream = (rate, layer, word[3] >> 6 == 3)
    if layer == 1:
        return _Header((12000 * kilobits // rate + padding) * 4, 384, stream)
    samples = 576 if layer == 3 and version != 3 else 1152
    return _Header(samples * 125 * kilobits // rate + padding, samples, stream)


def _stated(file: BinaryIO, run: _Run) -> tuple[float, int]:
    """Seconds that the first frame states (Xing, Info, VBRI), and that frame's length; zeros where it holds sound."""
    file.seek(run.start)
    data = file.read(256)
    header = _header(data[:4])
    if header is None:
        return 0.0, 0
    for word, at in ((b"Xing", 8), (b"Info", 8), (b"VBRI", 14)):
        found = data.find(word, 4, 48)
        if found >= 0:
            counted = word == b"VBRI" or data[found + 7] & 1
            frames = int.from_bytes(data[found + at : found + at + 4], "big") if counted else 0
            return frames * header.samples / header.stream[0], header.length
    return 0.0, 0


def _count_frame(seconds: float, first: bytes) -> bytes:
    """A frame that states how many follow, as libmpg123 reads it; it plays as nothing."""
    word = bytearray(first)
    header = _header(first)
    if header is None or header.stream[1] != 3:
        return b""
    for index in range(1, 15):
        word[1], word[2] = word[1] | 1, index << 4 | word[2] & 0x0C
        length = frame_bytes(bytes(word))
        if length >= 64:
            break
    mpeg1, mono = word[1] >> 3 & 3 == 3, header.stream[2]
    side = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    frames = round(seconds * header.stream[0] / header.samples)
    body = bytes(word) + bytes(side) + b"Xing" + (1).to_bytes(4, "big") + frames.to_bytes(4, "big")
    return body + bytes(length - len(body))
