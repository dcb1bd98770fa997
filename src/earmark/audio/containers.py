"""Audio known by its first bytes, whatever the file is called."""

from __future__ import annotations

import re

__all__ = ["HEAD_BYTES", "is_audio"]

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
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_MP4_AUDIO = (b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B ")
_MP4_EITHER = (b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"dash")
_MATROSKA = b"\x1a\x45\xdf\xa3"
_MATROSKA_AUDIO = re.compile(rb"A_[A-Z]{3}")
_MATROSKA_VIDEO = re.compile(rb"V_(VP|AV1|MPEG|MS/|THEORA|REAL|QUICKTIME|UNCOMPRESSED)")

_MPEG1 = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
}  # kbit/s by the two bits that name the layer (1 is layer III)
_MPEG2 = {
    1: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    3: (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
}
_RATES = (44100, 48000, 32000)


def is_audio(head: bytes) -> bool:
    """Whether a file that begins so holds audio and no moving pictures.

    Args:
        head: Its first :data:`HEAD_BYTES` bytes, or all where it is shorter.
    """
    if head.startswith(_BEGINNINGS) or head[8:12] in _FORMS.get(head[:4], ()):
        return True
    if head.startswith(b"OggS"):
        return b"theora" not in head
    if head.startswith(_ASF):
        return _ASF_VIDEO not in head
    if head.startswith(_MATROSKA):
        return bool(_MATROSKA_AUDIO.search(head)) and not _MATROSKA_VIDEO.search(head)
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return brand in _MP4_AUDIO or (b"vide" not in head and (brand in _MP4_EITHER or b"soun" in head))
    return _is_stream(head)


def _is_stream(head: bytes) -> bool:
    """Bare frames: two in a row, since a lone sync word is found in any binary file (and in UTF-16 text)."""
    if head.startswith(b"\x0b\x77"):  # AC-3: at most 2,560 bytes at the usual rates
        return head.find(b"\x0b\x77", 64) > 0
    first = _frame_bytes(head)
    return first > 0 and _frame_bytes(head[first:]) > 0


def _frame_bytes(data: bytes) -> int:
    """Length of the MPEG audio or ADTS frame that begins here; 0 where none does."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return 0
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    if layer == 0:
        adts = data[1] & 0xF0 == 0xF0 and data[2] >> 2 & 15 < 13
        length = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
        return length if adts and length > 7 else 0
    rate_index, bitrate_index = data[2] >> 2 & 3, data[2] >> 4
    if version == 1 or rate_index == 3 or bitrate_index in (0, 15):
        return 0
    rate = _RATES[rate_index] // {3: 1, 2: 2, 0: 4}[version]
    kilobits = (_MPEG1 if version == 3 else _MPEG2)[layer][bitrate_index]
    padding = data[2] >> 1 & 1
    if layer == 3:
        return (12000 * kilobits // rate + padding) * 4
    return (72000 if layer == 1 and version != 3 else 144000) * kilobits // rate + padding
