"""Published networks that are no teachers, as embeddings to stand beside: their penultimate layers, computed once.

Those that learned from MagnaTagATune may have heard Emotify's music, which is Magnatune's too: they stand last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.events import Steps
from scripts.bundled import musicnn
from scripts.bundled.taggers import Source, analysed
from scripts.bundled.teachers import load_teacher

__all__ = ["ANCHORS", "PLACES", "anchor_vectors", "places"]

Array = NDArray[np.float32]
MAGNATUNE = "MagnaTagATune"
ANCHORS: Mapping[str, Source] = {
    "jamendo-musicnn": Source("won-musicnn", "won2020/jamendo-musicnn.pth", "MTG-Jamendo"),
    "msd-vgg": Source("vgg", "musicnn/msd-vgg.safetensors", "Million Song Dataset"),
    "mtat-fcn": Source("won-fcn", "won2020/mtat-fcn.pth", MAGNATUNE),
    "mtat-crnn": Source("won-crnn", "won2020/mtat-crnn.pth", MAGNATUNE),
    "mtt-musicnn": Source("musicnn", "musicnn/mtt-musicnn.safetensors", MAGNATUNE),
    "mtt-vgg": Source("vgg", "musicnn/mtt-vgg.safetensors", MAGNATUNE),
}
WIDTHS: Mapping[str, int] = {"won-musicnn": 200, "vgg": 256, "won-fcn": 64, "won-crnn": 160, "musicnn": 200}
"""By kind, the numbers of the penultimate layer."""
WINDOWS: Mapping[str, int] = {
    "won-musicnn": 3 * musicnn.SAMPLE_RATE,
    "vgg": musicnn.FRAMES * musicnn.HOP,
    "musicnn": musicnn.FRAMES * musicnn.HOP,
}
"""By kind, samples that a network hears at once; the others hear the half minute."""
PLACES = 3
"""Windows of a track that are analysed, evenly spaced: half a second to a second of one core each ten."""


def places(sound: Array, window: int, count: int = PLACES) -> Array:
    """(samples,) the windows one after the other; all of a sound that is not longer."""
    if len(sound) <= count * window:
        return sound
    starts = np.linspace(0, len(sound) - window, count).astype(int)
    return np.concatenate([sound[start : start + window] for start in starts])


def anchor_vectors(
    paths: Sequence[Path], weights: Path, work: Path, names: Sequence[str] = tuple(ANCHORS)
) -> Steps[dict[str, Array]]:
    """By anchor, (tracks, features) the mean of its penultimate layer; NaN as of :func:`analysed`."""

    def load(name: str) -> tuple[int, Callable[[Array], Array]]:
        kind, file, _ = ANCHORS[name]
        teacher = load_teacher(kind, weights / file, mixed_precision=True)

        def vector(sound: Array) -> Array:
            thin = places(sound, WINDOWS[kind]) if kind in WINDOWS else sound
            return np.asarray(teacher.analyse(thin)[0].mean(0), np.float32)

        return teacher.sample_rate, vector

    widths = {name: WIDTHS[ANCHORS[name].kind] for name in names}
    return analysed(paths, "anchor", widths, {name: weights / ANCHORS[name].file for name in names}, load, work)
