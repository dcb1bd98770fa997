"""Tiny made-up copies of data sets: files that only need to be there, with tables around them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import soundfile


def touch(root: Path, *names: str) -> Path:
    """Files of one byte: the readers look at names, never into the sound."""
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    return root


def write_tone(file: Path, hertz: float = 440.0, seconds: float = 0.5, tags: Mapping[str, str] | None = None) -> Path:
    """A short tone; FLAC files carry tags."""
    file.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * 8000)) / 8000)
    with soundfile.SoundFile(file, "w", 8000, 1) as sound:
        for name, value in (tags or {}).items():
            setattr(sound, name, value)
        sound.write(wave)
    return file


def write_table(root: Path, rows: Iterable[Iterable[str]], toml: str, name: str = "tracks.tsv") -> Path:
    """A table with its dataset.toml, and the files of its first column."""
    root.mkdir(parents=True, exist_ok=True)
    rows = [list(row) for row in rows]
    separator = "\t" if name.endswith("tsv") else ","
    (root / name).write_text("".join(separator.join(row) + "\n" for row in rows), "utf-8")
    (root / "dataset.toml").write_text(f'table = "{name}"\n{toml}', "utf-8")
    touch(root, *(row[0] for row in rows[1:] if row[0] and not row[0].startswith("gone")))
    return root
