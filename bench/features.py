"""How good tempo, key and loudness are, as a page of documentation (``make bench``).

Each part is a module beside this one with ``section(settings) -> list of lines``; parts that are not asked for stay on
the page as they were.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from measure import sections

ROOT = Path(__file__).parent.parent
PARTS: Mapping[str, str] = {"Tempo": "tempi", "Key": "keys", "Loudness": "loud", "Speed": "cost"}
"""Headings in the order of the page, and the modules that write what stands below them."""


@dataclass(frozen=True)
class Settings:
    """What the parts measure on.

    Attributes:
        shared: The shared data.
        songs: Folder of song files of games, read as labels; None measures without.
        work: Rendered pieces stay there for the next run.
        seed: Of everything that is drawn.
        pieces: How many are rendered, about.
    """

    shared: Path
    songs: Path | None
    work: Path
    seed: int
    pieces: int


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--songs", type=Path, help="folder of song files of games (docs/bench-features.md says which)")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "features", help="keeps rendered pieces")
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--pieces", type=int, default=200)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, by comma")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "bench-features.md")
    args = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    settings = Settings(args.shared, args.songs, args.work, args.seed, args.pieces)
    kept = sections(args.output)
    for name in args.only.split(","):
        lines = importlib.import_module(PARTS[name]).section(settings)
        kept[name] = "\n".join([*_made(name, settings), *lines]).strip()
    page = ["# How good tempo, key and loudness are", *(f"## {name}\n\n{kept[name]}" for name in PARTS if name in kept)]
    args.output.write_text("\n\n".join(page) + "\n", "utf-8")
    print("\n\n".join(page))


def _made(name: str, settings: Settings) -> list[str]:
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    songs = " --songs SONGS" if settings.songs else ""
    command = f"python bench/features.py --only {name} --seed {settings.seed} --pieces {settings.pieces}{songs}"
    day = time.strftime("%d %B %Y", time.gmtime())
    return [f"Written by `{command}` on {day} at commit {commit.stdout.strip()}.", ""]


if __name__ == "__main__":
    main()
