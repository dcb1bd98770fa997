"""Made songs for the tests of training: a class is a register, an artist a timbre."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE = 16000
PITCHES = {"low": 90.0, "middle": 700.0, "high": 3000.0}


def write_song(path: Path, pitch: float, seed: int, seconds: float = 2.5, spread: float = 1.25) -> Path:
    random = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    f = pitch * random.uniform(1 / spread, spread)
    wave = sum(random.uniform(0.1, 0.4) / k * np.sin(2 * np.pi * f * k * t) for k in (1, 2, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave + 0.01 * random.standard_normal(len(t)), RATE)
    return path


def write_collection(
    folder: Path, classes: dict[str, float] = PITCHES, songs: int = 10, seed: int = 0, spread: float = 1.25
) -> Path:
    """CLASS/ARTIST/song.wav, two songs an artist."""
    for number, (label, pitch) in enumerate(classes.items()):
        for song in range(songs):
            path = folder / label / f"{label} artist {song // 2}" / f"{label}-{song}.wav"
            write_song(path, pitch, seed * 10_000 + number * 100 + song, spread=spread)
    return folder
