"""A scanned library of made sounds."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soundfile

from earmark.engine import InlineEngine
from earmark.events import Run
from earmark.inference.tagger import load_model
from earmark.library.records import LibraryModel
from earmark.library.scan import real_root, scan_folders
from earmark.library.store import Library


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


def songs_of_format_1(folder: Path) -> Path:
    """What the library in ``library/format_1.sql`` was scanned from, with the same sizes and times of change.

    Two chords; a copy of the first; two tracks over a minute that differ but in their middle, and shared a hash then;
    silence; and what is no audio.
    """
    folder.mkdir(parents=True)
    rate = 8000
    t = np.arange(5 * rate) / rate
    long = np.arange(61 * rate) / rate
    middle = np.sin(2 * np.pi * 330 * long) * (np.abs(long - 30.5) < 8)
    sounds = {
        "a.wav": sum(np.sin(2 * np.pi * pitch * t) for pitch in (220, 277, 330)),
        "b.wav": sum(np.sin(2 * np.pi * pitch * t) for pitch in (196, 233, 294)) * (t % 0.5),
        "copy.wav": sum(np.sin(2 * np.pi * pitch * t) for pitch in (220, 277, 330)),
        "show 1.wav": middle + np.sin(2 * np.pi * 440 * long) * (middle == 0),
        "show 2.wav": middle + np.sin(2 * np.pi * 550 * long) * (long % 0.25) * (middle == 0),
        "silence.wav": np.zeros(5 * rate),
    }
    for name, wave in sounds.items():
        soundfile.write(folder / name, 0.2 * wave, rate, "PCM_16")
    (folder / "bad.mp3").write_text("no sound")
    for file in folder.iterdir():
        os.utime(file, (1_700_000_000, 1_700_000_000))
    return folder


def scanned(library: Library, folder: Path, music: Path, count: int) -> LibraryModel:
    """Makes songs and scans them with the model in ``folder``."""
    model = LibraryModel.of(folder, load_model(folder).card)
    return Run(scan_folders(library, [real_root(str(make_songs(music, count)))], model, InlineEngine())).wait().model
