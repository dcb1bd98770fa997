"""Audio known by its bytes: whether a file is any, and what it holds, whatever its name or header says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from earmark.audio.flac import flac_layout
from earmark.audio.layouts import ASF, au_layout, chunk_layout, joined_layout, ogg_layout
from earmark.audio.mpeg import frame_bytes, mpeg_layout, tag_bytes
from earmark.audio.views import Layout

__all__ = ["HEAD_BYTES", "is_audio", "layout_of"]

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
_CHUNKED = {b"RIFF": (b"WAVE",), b"RIFX": (b"WAVE",), b"FORM": (b"AIFF", b"AIFC")}
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
        if head[8:12] in _CHUNKED.get(head[:4], ()):
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
