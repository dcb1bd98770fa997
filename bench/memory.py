"""Peaks of memory for ``bench/run.py``: one file of minutes and of hours, and a folder of more and more files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import materials
from measure import peak_megabytes

HOURS = 10
COUNTS = (200, 1000, 2000)
CHOICES = {
    "": (),
    ", `--features`": ("--features",),
    ", `--excerpt whole`": ("--excerpt", "whole"),
    ", `--excerpt whole --features`": ("--excerpt", "whole", "--features"),
}


def section(model: Path, shared: Path, folder: Path) -> list[str]:
    """The part of the page."""
    return [
        "## Memory",
        "",
        "Peaks of the command with its workers: proportional set sizes, looked at fifty times a second and added up.",
        "",
        *_one_file(model, shared, folder),
        "",
        *_many_files(model, shared, folder),
        "",
    ]


def _earmark(verb: str, model: Path, *more: object) -> str:
    peak = peak_megabytes([sys.executable, "-m", "earmark", verb, "-m", str(model), *map(str, more)])
    return "not measured here" if peak is None else f"{peak:.0f} MB"


def _one_file(model: Path, shared: Path, folder: Path) -> list[str]:
    kinds: dict[str, Callable[[Path], Path]] = {
        "three minutes, mp3": lambda _: next(song for song in materials.songs(shared) if song.suffix == ".mp3"),
        f"{HOURS} hours, mp3": lambda home: materials.long_mp3(shared, home, 3600.0 * HOURS),
        f"{HOURS} hours, flac": lambda home: materials.long_flac(shared, home, 3600.0 * HOURS),
    }
    lines = [
        f"| one file, `-j 1` | {' | '.join(f'`tag`{name}' for name in CHOICES)} |",
        "|---" * (len(CHOICES) + 1) + "|",
    ]
    for name, make in kinds.items():
        with TemporaryDirectory(dir=folder) as home:
            file = make(Path(home))
            cells = [_earmark("tag", model, "-j", 1, *more, file) for more in CHOICES.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _many_files(model: Path, shared: Path, folder: Path) -> list[str]:
    """Each count in a folder of its own, into which the files go on from the last."""
    music = folder / "many"
    music.mkdir()
    files = materials.many(shared, music, COUNTS[-1])
    lines = [f"| different files of 10 to 20 s, mp3 and flac, `-j 2` | {' | '.join(f'{n:,}' for n in COUNTS)} |"]
    lines.append("|---" * (len(COUNTS) + 1) + "|")
    for verb in ("tag", "scan"):
        cells = []
        for count in COUNTS:
            where = folder / f"{verb} {count}"
            where.mkdir()
            for file in files[:count]:
                (where / file.name).hardlink_to(file)
            more = ("--library", folder / f"{count}.db") if verb == "scan" else ("-o", folder / f"{count}.jsonl")
            cells.append(_earmark(verb, model, "-j", 2, *more, where))
        lines.append(f"| `{verb}` | {' | '.join(cells)} |")
    return lines
