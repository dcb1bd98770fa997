"""Files and folders as other people's collections hold them, by the generators in ``../shared/cases``."""

from __future__ import annotations

import subprocess
from pathlib import Path

from conftest import program

__all__ = ["make_case", "songs_of"]


def songs_of(shared: Path) -> list[Path]:
    """Two whole songs."""
    return sorted((shared / "data" / "full-songs").glob("* - *"))


def make_case(shared: Path, number: str, target: Path, *more: str, songs: int = 2) -> Path:
    """The folder that a case's generator makes, of one or two songs."""
    for name in ("ffmpeg", "sox"):
        program(name)
    (script,) = (shared / "cases").glob(f"{number}-*/make.sh")
    given = songs_of(shared)[:songs]
    if number == "11":  # many short cuts, which FFmpeg finds in a WAV at once
        given = [_as_wav(given[0], target.parent / "song.wav")]
    argv = ["sh", str(script), *map(str, given), str(target), *more]
    subprocess.run(argv, check=True, capture_output=True)
    return target


def _as_wav(song: Path, wav: Path) -> Path:
    if not wav.exists():
        cut = ["-t", "130", "-ac", "1", "-ar", "16000"]
        subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-i", str(song), *cut, str(wav)], check=True)
    return wav
