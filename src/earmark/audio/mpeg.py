"""What an mp3 file says of its length, where libsndfile only guesses it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

__all__ = ["music_share", "states_length"]

_COUNTS = (b"Xing", b"Info", b"VBRI")  # frames that state how many follow


def states_length(name: str) -> bool:
    """Whether an mp3 file has a frame that states how many follow (Xing, Info, VBRI)."""
    with Path(name).open("rb") as file:
        file.seek(_tag_bytes(file))
        first = file.read(4096)
    return any(word in first for word in _COUNTS)


def music_share(name: str) -> float:
    """Which part of an mp3 file's bytes a length guessed from its size should have counted.

    Without a frame that states the length, libmpg123 divides the size of the file by the bit rate, and takes a cover
    picture in the ID3 tag for minutes of music.
    """
    with Path(name).open("rb") as file:
        tag, size = _tag_bytes(file), file.seek(0, 2)
    return 1 - tag / size if tag < size else 1.0


def _tag_bytes(file: BinaryIO) -> int:
    """Length of the ID3v2 tag at the file's beginning."""
    head = file.read(10)
    if len(head) < 10 or not head.startswith(b"ID3"):
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
