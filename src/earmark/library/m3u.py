"""Playlist files: UTF-8 ``.m3u8`` with paths relative to the file, as players read them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from earmark.library.records import LibraryTrack
from earmark.text import encode_path, is_plain, plain_text

__all__ = ["m3u_text"]


def m3u_text(tracks: Iterable[LibraryTrack], folder: Path | None) -> str:
    """The playlist's text.

    Args:
        tracks: In order.
        folder: Where the file will be; paths are relative to it. None gives absolute ones.
    """
    lines = ["#EXTM3U"]
    for track in tracks:
        name = f"{track.artist} - {track.title}" if track.artist and track.title else track.title or track.artist
        name = plain_text(name or Path(track.path).stem)
        lines += [f"#EXTINF:{round(track.seconds) or -1},{name}", _entry(track.path, folder)]
    return "\n".join(lines) + "\n"


def _entry(path: str, folder: Path | None) -> str:
    """One song's line. A name that is no plain text (line ends, direction overrides, other bytes) is a file URI."""
    if not is_plain(path):
        return "file://" + ("" if path.startswith("/") else "/") + quote(encode_path(path).replace(b"\\", b"/"))
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
