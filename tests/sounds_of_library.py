"""A scanned library of made sounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from earmark.inference.tagger import load_model
from earmark.library.records import LibraryModel
from earmark.library.scan import Scan
from earmark.library.store import Library
from earmark.library.survey import real_root


def make_songs(folder: Path, count: int, seconds: float = 5.0) -> Path:
    """Files ``0.wav``, ``1.wav``, ... with chords of their own, an artist for every two of them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds * 22050)) / 22050
    for number in range(count):
        pitches = 110 * 2 ** (rng.integers(0, 48, 4) / 12)
        wave = sum(np.sin(2 * np.pi * pitch * t) * np.exp(-(t % (0.2 + 0.1 * number))) for pitch in pitches)
        with soundfile.SoundFile(folder / f"{number}.wav", "w", 22050, 1) as file:
            file.artist, file.title = f"Artist {number // 2}", f"Song {number}"
            file.write(0.1 * wave + 0.02 * rng.standard_normal(len(t)))
    return folder


def scanned(library: Library, folder: Path, music: Path, count: int) -> LibraryModel:
    """Makes songs and scans them with the model in ``folder``."""
    card = load_model(folder).card
    model = LibraryModel(0, card.id, "x", "", str(folder), card.embedding, card.heads)
    scan = Scan(library, [real_root(str(make_songs(music, count)))], model)
    for _ in scan.run(1):
        pass
    return scan.model
