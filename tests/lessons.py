"""Small data sets and recipes that training tests make for themselves: tones against hiss, learnt in a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from earmark.audio.images import write_image
from earmark.datasets.core import Dataset
from earmark.engine import InlineEngine
from earmark.events import Event, Run
from earmark.recipe import Recipe, override, recipe_from

if TYPE_CHECKING:
    from earmark.training.job import TrainOptions

__all__ = ["TABLE", "make_pictures", "make_songs", "recipe", "recipe_file", "train"]

RATE = 8000

TABLE: dict[str, Any] = {
    "name": "tiny",
    "about": "for tests",
    "backbone": {"name": "time-axis", "options": {"filters": [4, 4], "hidden": [16]}},
    "frontend": {
        "sample_rate": RATE, "n_fft": 512, "win_length": 512, "hop_length": 256, "bands": 24,
        "f_min": 0.0, "f_max": 4000.0, "range_db": 80.0, "relative": True,
    },
    "clip": {"seconds": 1.0, "count": 2},
    "split": {"train": 0.6, "valid": 0.2, "test": 0.2},
    "training": {
        "epochs": 3, "batch_size": 8, "clips_per_track": 4, "learning_rate": 0.003, "schedule": "constant",
        "weight_decay": 0.0,
    },
}  # fmt: skip


def recipe(*settings: str) -> Recipe:
    """A recipe that trains in a second, with ``KEY=VALUE`` laid over it."""
    return recipe_from(override(TABLE, settings), "tiny")


def recipe_file(path: Path) -> Path:
    """The same as a TOML file."""
    lines = ['name = "tiny"', 'about = "for tests"', '[backbone]\nname = "time-axis"']
    lines += ["[backbone.options]", "filters = [4, 4]", "hidden = [16]"]
    for table in ("frontend", "clip", "split", "training"):
        lines.append(f"[{table}]")
        for key, value in TABLE[table].items():
            text = str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')
            lines.append(f"{key} = {text}")
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def make_songs(
    folder: Path, tracks: int = 10, seconds: float = 1.0, classes: tuple[str, ...] = ("hiss", "tone")
) -> Path:
    """A folder of class folders; every class sounds otherwise."""
    random = np.random.default_rng(0)
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for track in range(tracks):
            t = np.arange(round(seconds * RATE)) / RATE
            hiss = random.standard_normal(len(t)) * 0.05
            tone = sum(np.sin(2 * np.pi * (300 + 500 * number) * k * t + track) / k for k in (1, 2)) * 0.2
            soundfile.write(folder / name / f"{track:02}.wav", hiss + (tone if number else 0), RATE)
    return folder


def make_pictures(folder: Path, tracks: int = 8, size: tuple[int, int] = (40, 24)) -> Path:
    """A folder of class folders with PNG spectrograms of (frames, bands)."""
    random = np.random.default_rng(0)
    for number, name in enumerate(("low", "high")):
        (folder / name).mkdir(parents=True)
        for track in range(tracks):
            picture = random.uniform(0, 60, size)
            picture[:, (16 if number else 2) : (22 if number else 8)] += 150
            write_image(folder / name / f"{track:02}.png", picture)
    return folder


def train(
    dataset: Dataset,
    recipe: Recipe,
    out: Path,
    options: TrainOptions,
    look: Callable[[Event], None] = lambda event: None,
) -> Path:
    """Train to the end; ``look`` sees every event."""
    from earmark.training.run import train_model

    with InlineEngine() as engine:
        run = Run(train_model(dataset, recipe, out, options, engine))
        for event in run:
            look(event)
        return run.result
