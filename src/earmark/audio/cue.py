"""Cue sheets: a file of several pieces is still one track, and its listener is told so."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["album_warning"]

_MOST_BYTES = 1 << 20
_FILE = re.compile(r'^\s*FILE\s+(?:"([^"\n]*)"|(\S+))', re.IGNORECASE | re.MULTILINE)
_TRACK = re.compile(r"^\s*TRACK\s+\d+\s+AUDIO", re.IGNORECASE | re.MULTILINE)


def album_warning(name: str) -> str:
    """A sentence where a cue sheet beside a file (``album.cue``, ``album.flac.cue``) lists several tracks in it."""
    if not name:
        return ""
    file = Path(name)
    for sheet in (file.with_suffix(".cue"), file.with_name(file.name + ".cue"), file.with_suffix(".CUE")):
        try:
            with sheet.open("rb") as stream:
                text = stream.read(_MOST_BYTES).decode("utf-8-sig", "replace")
        except (OSError, ValueError):
            continue
        tracks = _tracks(text, file.name)
        if tracks > 1:
            return f"the cue sheet {sheet.name} lists {tracks} tracks in this file; they count as one"
    return ""


def _tracks(text: str, name: str) -> int:
    """Tracks of the sheet that lie in the file; sheets often name another ending than the file has now."""
    files = list(_FILE.finditer(text))
    ends = [found.start() for found in files[1:]] + [len(text)]
    counts = {
        (found[1] or found[2]): len(_TRACK.findall(text[found.end() : end]))
        for found, end in zip(files, ends, strict=True)
    }
    stem = Path(name).stem.casefold()
    named = [count for told, count in counts.items() if Path(told.replace("\\", "/")).stem.casefold() == stem]
    return named[0] if named else (max(counts.values(), default=0) if len(counts) == 1 else 0)
