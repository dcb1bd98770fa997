"""Changes of spectrograms (frames, bands); all but the warp after Park et al. 2019 (SpecAugment).

Masks fill with the quietest value, ``floor``: a hole in the music, not a blow. Ranges are those of the BBNN repository.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from earmark.features.frontend import Frontend
from earmark.features.sox import RANGE_DB, STEPS

__all__ = ["frequency_mask", "mean_power", "random_dropout", "time_mask", "time_warp"]

Array = NDArray[np.float32]


def time_mask(
    spectrogram: Array, rng: np.random.Generator, floor: float, frames: Sequence[int] = (10, 100), masks: int = 1
) -> Array:
    """Fill ``masks`` stretches of ``frames`` (least, most) frames with the floor; at most half of the clip each."""
    changed = spectrogram.copy()
    for _ in range(masks):
        start, stop = _stretch(len(changed), frames, rng)
        changed[start:stop] = floor
    return changed


def frequency_mask(
    spectrogram: Array, rng: np.random.Generator, floor: float, bands: Sequence[int] = (5, 27), masks: int = 1
) -> Array:
    """Fill ``masks`` stretches of ``bands`` (least, most) bands with the floor; at most half of the clip each."""
    changed = spectrogram.copy()
    for _ in range(masks):
        start, stop = _stretch(changed.shape[1], bands, rng)
        changed[:, start:stop] = floor
    return changed


def time_warp(spectrogram: Array, rng: np.random.Generator, floor: float, frames: Sequence[int] = (25, 80)) -> Array:
    """Shift an inner frame by ``frames`` (least, most) to the left or right, stretching what lies on both sides."""
    length = len(spectrogram)
    least, most = _range(frames, "frames")
    shift = min(int(rng.integers(least, most + 1)), max(0, length // 4))
    if not shift:
        return spectrogram.copy()
    centre = int(rng.integers(shift + 1, length - shift - 1)) if length > 2 * shift + 2 else length // 2
    goal = centre + shift * int(rng.choice((-1, 1)))
    places = np.interp(np.arange(length), [0, goal, length - 1], [0, centre, length - 1])
    left = np.minimum(places.astype(int), length - 2)
    weight = (places - left).astype(np.float32)[:, None]
    return np.asarray((1 - weight) * spectrogram[left] + weight * spectrogram[left + 1], np.float32)


def random_dropout(spectrogram: Array, rng: np.random.Generator, floor: float, share: float = 0.005) -> Array:
    """Fill that share of all points with the floor."""
    if not 0 <= share <= 1:
        raise ValueError(f"share = {share}: must be from 0 to 1")
    return np.where(rng.random(spectrogram.shape, np.float32) < share, np.float32(floor), spectrogram)


def mean_power(spectrogram: Array, factor: int, frontend: Frontend) -> Array:
    """Mean of every ``factor`` frames in power, whatever the values are: dB, logarithms or a picture's grey."""
    grouped = spectrogram[: len(spectrogram) // factor * factor].reshape(-1, factor, spectrogram.shape[1])
    if frontend.kind == "image":  # what its grey stands for is not known
        return np.asarray(grouped.mean(axis=1), np.float32)
    scale = 10 / np.log(10)  # of the natural logarithm of power in a step of dB
    if frontend.kind == "sox":
        scale *= STEPS / RANGE_DB
        return np.asarray(np.floor(_log_mean(grouped, scale) * (grouped > 0).any(axis=1)), np.float32)
    if frontend.log == "ln":
        scale = 1.0 if frontend.power == 2 else 0.5
    return _log_mean(grouped, scale)


def _log_mean(grouped: Array, scale: float) -> Array:
    peak = grouped.max(axis=1, keepdims=True)
    powers = np.exp((grouped - peak) / scale)
    return np.asarray(peak[:, 0] + scale * np.log(powers.mean(axis=1)), np.float32)


def _range(limits: Sequence[int], name: str) -> tuple[int, int]:
    if len(limits) != 2 or not 0 <= limits[0] <= limits[1]:
        raise ValueError(f"{name} = {list(limits)}: must be [least, most]")
    return int(limits[0]), int(limits[1])


def _stretch(length: int, limits: Sequence[int], rng: np.random.Generator) -> tuple[int, int]:
    least, most = _range(limits, "frames or bands")
    width = min(int(rng.integers(least, most + 1)), length // 2)
    start = int(rng.integers(0, length - width + 1))
    return start, start + width
