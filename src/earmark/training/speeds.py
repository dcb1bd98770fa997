"""How many songs a second exported models hear, measured in turns: what slows one of them slows all alike."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from earmark.errors import AudioError
from earmark.inference.tagger import Tagger, load_model

__all__ = ["songs_per_second"]

_SONGS = 8


def songs_per_second(models: Mapping[str, Path], songs: Sequence[Path]) -> dict[str, float]:
    """Of each model on one core, decoding included, by processor time: other programs do not count.

    Args:
        models: Model folders by name.
        songs: Eight of them, spread evenly, are heard by one model after the other; the first one twice, since the
            first hearing of a model is slower.

    Returns:
        By name; empty where none of the songs can be heard by all.
    """
    taggers = {name: load_model(folder) for name, folder in models.items()}
    spread = dict.fromkeys(np.linspace(0, len(songs) - 1, min(_SONGS, len(songs))).round().astype(int).tolist())
    rounds: list[dict[str, float]] = []
    for place in (*list(spread)[:1], *spread):
        try:
            rounds.append({name: _seconds(tagger, songs[place]) for name, tagger in taggers.items()})
        except AudioError:
            continue
    counted = rounds[1:] or rounds
    spent = {name: sum(one[name] for one in counted) for name in taggers if counted}
    return {name: float(f"{len(counted) / max(seconds, 1e-6):.3g}") for name, seconds in spent.items()}


def _seconds(tagger: Tagger, song: Path) -> float:
    begun = time.process_time()
    tagger.predict(song)
    return time.process_time() - begun
