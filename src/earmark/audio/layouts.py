"""Audio known by its bytes: whether a file is any, and what it really holds, whatever its name or header says.

Nothing is decoded: pages of Ogg, chunks and boxes are looked at here; frames of MPEG audio and FLAC beside this module.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from earmark.audio.flac import flac_layout
from earmark.audio.mpeg import frame_bytes, mpeg_layout, tag_bytes
from earmark.audio.views import Layout, Piece, Stretch

__all__ = ["ASF", "HEAD_BYTES", "au_layout", "chunk_layout", "is_audio", "joined_layout", "layout_of", "ogg_layout"]

HEAD_BYTES = 4096
"""So much of a file's beginning is enough for :func:`is_audio`: two frames of MPEG audio, or a container's head."""

_BEGINNINGS = (
    b"fLaC", b"ID3", b"wvpk", b"MAC ", b"MPCK", b"MP+", b"TTA1", b"TTA2", b"tBaK", b"DSD ", b"FRM8", b".snd", b"caff",
    b"#!AMR", b"ADIF", b"Creative Voice File\x1a", b".ra\xfd", b"ajkg", b"OFR ", b"\x7f\xfe\x80\x01",
    b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00",
)  # fmt: skip
_FORMS = {
    b"RIFF": (b"WAVE",),
    b"RIFX": (b"WAVE",),
    b"RF64": (b"WAVE",),
    b"BW64": (b"WAVE",),
    b"FORM": (b"AIFF", b"AIFC", b"8SVX"),
}
_MPEG_NAMES = (".mp3", ".mp2", ".mp1", ".mpa", ".mpga", ".m2a")
_CHUNK_FORMS = {b"RIFF": (b"WAVE",), b"RIFX": (b"WAVE",), b"FORM": (b"AIFF", b"AIFC")}
_ASF_VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_MP4_AUDIO = (b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B ")
_MP4_EITHER = (b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"dash")
_MATROSKA = b"\x1a\x45\xdf\xa3"
_MATROSKA_AUDIO = re.compile(rb"A_[A-Z]{3}")
_MATROSKA_VIDEO = re.compile(rb"V_(VP|AV1|MPEG|MS/|THEORA|REAL|QUICKTIME|UNCOMPRESSED)")


def is_audio(head: bytes) -> bool:
    """Whether a file that begins so holds audio and no moving pictures.

    Args:
        head: Its first :data:`HEAD_BYTES` bytes, or all where it is shorter.
    """
    if head.startswith(_BEGINNINGS) or head[8:12] in _FORMS.get(head[:4], ()):
        return True
    if head.startswith(b"OggS"):
        return b"theora" not in head
    if head.startswith(ASF):
        return _ASF_VIDEO not in head
    if head.startswith(_MATROSKA):
        return bool(_MATROSKA_AUDIO.search(head)) and not _MATROSKA_VIDEO.search(head)
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return brand in _MP4_AUDIO or (b"vide" not in head and (brand in _MP4_EITHER or b"soun" in head))
    return _is_stream(head)


def layout_of(name: str) -> Layout | None:
    """What a file really holds, by a look at its stream; None where only decoding tells.

    Costs a few milliseconds: the headers of an mp3's frames or of Ogg's pages are passed, the ends of others looked at.
    """
    with Path(name).open("rb") as file:
        head, size = file.read(HEAD_BYTES), file.seek(0, 2)
        tag = tag_bytes(head)
        if tag:
            file.seek(tag)
            head = file.read(HEAD_BYTES)
        if head.startswith(b"OggS"):
            return ogg_layout(file, size)
        if head.startswith(b"fLaC"):
            return flac_layout(file, tag, size)
        if head[8:12] in _CHUNK_FORMS.get(head[:4], ()):
            return chunk_layout(file, tag, size)
        if _frames_follow(head, frame_bytes) or (name.lower().endswith(_MPEG_NAMES) and not is_audio(head)):
            return mpeg_layout(file, size)
        joined = joined_layout(file, size, head)
        return au_layout(file, size) if joined is None and head.startswith(b".snd") else joined


def _is_stream(head: bytes) -> bool:
    """Bare frames: two in a row, since a lone sync word is found in any binary file (and in UTF-16 text)."""
    if head.startswith(b"\x0b\x77"):  # AC-3: at most 2,560 bytes at the usual rates
        return head.find(b"\x0b\x77", 64) > 0
    return _frames_follow(head, frame_bytes) or _frames_follow(head, _adts_bytes)


def _frames_follow(head: bytes, length_of: Callable[[bytes], int]) -> bool:
    first = length_of(head)
    return first > 0 and length_of(head[first:]) > 0


def _adts_bytes(data: bytes) -> int:
    """Length of the ADTS frame (AAC) that begins here; 0 where none does."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0 or data[2] >> 2 & 15 >= 13:
        return 0
    length = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    return length if length > 7 else 0


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
    parts = tuple(Stretch(((link.start, link.end - link.start),), link.seconds) for link in links if link.seconds > 0)
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


_DATA_CHUNKS = {b"RIFF": ("little", b"data"), b"RIFX": ("big", b"data"), b"FORM": ("big", b"SSND")}
_ENDLESS = 0x7FFFF000  # a size from here on means that nobody knew it when the file was begun


def chunk_layout(file: BinaryIO, start: int, size: int) -> Layout | None:
    """What a WAV or AIFF file holds whose data goes on behind their stated end, or ends before it; None for others."""
    file.seek(start)
    form = file.read(12)
    order, name = _DATA_CHUNKS[form[:4]]
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
            others = rest.parts if rest and rest.parts else (Stretch(((follows, size - follows),), 0.0),)
            return Layout((Stretch(((start, follows - start),), 0.0), *others), 0.0, 0.0, False)
    if length and (size - after < 4096 or _is_chunk(file, after, length, size, order)):
        return None
    file.seek(start)
    before = file.read(position + 4 - start)
    pieces: tuple[Piece, ...] = (
        before + min(there, _ENDLESS - 1).to_bytes(4, "little" if order == "little" else "big"),
        (position + 8, there),
    )
    return Layout((Stretch(pieces, 0.0),), 0.0, 0.0, False)


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
    parts = [Stretch(((head, end - head),), 0.0) for head, end in zip(heads, [*heads[1:], size], strict=True)]
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
    return Layout((Stretch((head, (24, size - 24)), 0.0),), 0.0, 0.0, False)


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
