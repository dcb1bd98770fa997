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
    argv = ["sh", str(script), *map(str, songs_of(shared)[:songs]), str(target), *more]
    subprocess.run(argv, check=True, capture_output=True)
    return target
