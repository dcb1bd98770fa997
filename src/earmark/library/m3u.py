"""Playlist files: UTF-8 ``.m3u8`` with paths relative to the file, as players read them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from earmark.library.records import LibraryTrack
from earmark.library.text import encode_path

__all__ = ["m3u_text"]


def m3u_text(tracks: Iterable[LibraryTrack], folder: Path | None) -> str:
    """The playlist's text.

    Args:
        tracks: In order.
        folder: Where the file will be; paths are relative to it. None gives absolute ones.
    """
    lines = ["#EXTM3U"]
    for track in tracks:
        shown = f"{track.artist} - {track.title}" if track.artist and track.title else track.title or track.artist
        shown = " ".join((shown or _shown(Path(track.path).stem)).split())
        lines += [f"#EXTINF:{round(track.seconds) or -1},{shown}", _entry(track.path, folder)]
    return "\n".join(lines) + "\n"


def _entry(path: str, folder: Path | None) -> str:
    """One song's line. A name that no line of text can hold (line ends, bytes that are no text) is a file URI."""
    raw = encode_path(path)
    if any(end in path for end in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029") or _undecodable(raw):
        return "file://" + ("" if path.startswith("/") else "/") + quote(raw.replace(b"\\", b"/"))
    if folder is None:
        return path
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:  # another drive
        return path
    relative = Path(relative).as_posix()
    first = relative.split("/", 1)[0]
    # A comment, a URI, or blanks that players take away: "./" makes it plainly a name.
    return f"./{relative}" if first[:1] in "# \t" or ":" in first or "%" in first else relative


def _undecodable(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def _shown(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
