"""Key from the spectral peaks of a few clips: a tuned histogram of pitch classes against the profiles of 24 keys."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from earmark.analyses.facts import Key

__all__ = ["KeyMeter"]

Array = NDArray[np.float32]
Double = NDArray[np.float64]

_RATE, _SIZE, _HOP = 16_000, 8192, 4096
_LOWEST, _HIGHEST = 65.0, 2100.0  # Hz
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_LEAST = 0.1
# Counts of scale degrees in pieces of the common practice (Albrecht and Shanahan 2013).
_MAJOR = (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081)
_MINOR = (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052)


class KeyMeter:
    """The key of a track from its clips."""

    def __init__(self) -> None:
        self._pitches: list[Double] = []
        self._weights: list[Double] = []

    def add(self, waveform: Array) -> None:
        """Count a clip in: (samples,) float32 at 16 kHz."""
        padded = np.pad(waveform, (0, max(0, _SIZE - len(waveform))))
        frames = sliding_window_view(padded, _SIZE)[::_HOP] * np.hanning(_SIZE).astype(np.float32)
        level = np.abs(np.fft.rfft(frames, axis=1)).astype(np.float64)
        before, here, after = level[:, :-2], level[:, 1:-1], level[:, 2:]
        loudest = here.max(axis=1, keepdims=True)
        rows, bins = np.nonzero((here > before) & (here >= after) & (here > 0.01 * loudest))
        low, mid, high = (np.log(part[rows, bins] + 1e-9) for part in (before, here, after))
        shift = np.clip(0.5 * (low - high) / np.minimum(low - 2 * mid + high, -1e-9), -0.5, 0.5)
        hertz = (bins + 1 + shift) * (_RATE / _SIZE)
        inside = (hertz > _LOWEST) & (hertz < _HIGHEST)
        rows, hertz, weight = rows[inside], hertz[inside], here[rows, bins][inside] ** 0.75
        total = np.bincount(rows, weight, minlength=len(level))
        self._weights.append(weight / np.sqrt(np.maximum(total[rows], 1e-9)))
        self._pitches.append(69 + 12 * np.log2(hertz / 440))

    def result(self) -> Key:
        """The key of what was counted in."""
        pitches, weights = (np.concatenate([np.zeros(0), *parts]) for parts in (self._pitches, self._weights))
        if not weights.sum() > 0:
            return Key()
        tuned = pitches - np.angle((weights * np.exp(2j * np.pi * pitches)).sum()) / (2 * np.pi)
        nearest = np.round(tuned)
        classes = np.bincount(
            nearest.astype(int) % 12, weights * np.square(np.cos(np.pi * (tuned - nearest))), minlength=12
        )
        fits = np.array(
            [np.corrcoef(classes, np.roll(profile, tonic))[0, 1] for profile in (_MAJOR, _MINOR) for tonic in range(12)]
        )
        best = int(fits.argmax())
        confidence = round(float(np.clip(4 * (fits[best] - np.sort(fits)[-2]), 0, 1)), 4)
        if confidence < _LEAST or not np.isfinite(fits[best]):
            return Key(None, None, confidence)
        tonic, minor = best % 12, best >= 12
        number = ((tonic + (3 if minor else 0)) * 7 + 7) % 12 + 1  # C major is 8B, a fifth up is one further
        return Key(f"{_NAMES[tonic]} {'minor' if minor else 'major'}", f"{number}{'A' if minor else 'B'}", confidence)
