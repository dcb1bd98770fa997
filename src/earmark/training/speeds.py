"""How many songs a second exported models hear, measured in turns: what slows one of them slows all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earmark.engine.base import Alive, Engine, Task
from earmark.inference.records import Failure
from earmark.inference.tagger import Tagger, load_model

__all__ = ["songs_per_second"]

_SONGS = 8


@dataclass(frozen=True, slots=True)
class TimeModels(Task[Path, Mapping[str, float]]):
    """Seconds of processor time that each of some models takes for a song, decoding included."""

    models: Mapping[str, Path]

    def start(self, alive: Alive) -> Callable[[Path], Mapping[str, float]]:
        """Load the models; their first song is analysed twice, since the first analysis of a model is slower."""
        taggers = {name: load_model(folder) for name, folder in self.models.items()}
        warm = False

        def work(song: Path) -> Mapping[str, float]:
            nonlocal warm
            for _ in range(1 if warm else 2):
                spent = {name: _seconds(tagger, song) for name, tagger in taggers.items()}
            warm = True
            return spent

        return work


def songs_per_second(models: Mapping[str, Path], songs: Sequence[Path], engine: Engine) -> dict[str, float]:
    """Of each model on one core, decoding included, by processor time: other programs do not count.

    Args:
        models: Model folders by name.
        songs: Eight of them, spread evenly, are analysed by one model after the other.
        engine: That analyses.

    Returns:
        By name; empty where none of the songs can be analysed by all.
    """
    if not models:
        return {}
    spread = dict.fromkeys(np.linspace(0, len(songs) - 1, min(_SONGS, len(songs))).round().astype(int).tolist())
    results = engine.map(TimeModels(models), [songs[place] for place in spread])
    rounds = [result.value for result in results if not isinstance(result, Failure)]
    spent = {name: sum(one[name] for one in rounds) for name in models if rounds}
    return {name: float(f"{len(rounds) / max(seconds, 1e-6):.3g}") for name, seconds in spent.items()}


def _seconds(tagger: Tagger, song: Path) -> float:
    begun = time.process_time()
    tagger.predict(song)
    return time.process_time() - begun
