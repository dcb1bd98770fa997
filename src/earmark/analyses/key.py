"""Key from the spectral peaks of a few clips: a tuned histogram of pitch classes against what 24 keys make likely."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from earmark.analyses.facts import KEYS, Key

__all__ = ["MAJOR", "MINOR", "MINOR_FIRST", "KeyMeter", "log_odds"]

Array = NDArray[np.float32]
Double = NDArray[np.float64]

_RATE, _SIZE, _HOP = 16_000, 8192, 4096
_LOWEST, _HIGHEST = 45.0, 4000.0  # Hz
_CENTRE, _OCTAVES = 280.0, 1.5  # Hz that count most, and how widely around; no edge, lest a song that moves crosses it
_BINS = slice(int(_LOWEST * _SIZE / _RATE), int(_HIGHEST * _SIZE / _RATE) + 2)
_SHORTEST = 6.0  # seconds of clips: two that overlap may be less than 5 s of a track
MAJOR = (29.5, -2.1, 11.5, -2.3, 16.7, 9.5, -0.8, 25.8, -1.8, 8.7, -2.6, 8.0)
MINOR = (26.9, -1.6, 10.9, 13.3, 0.8, 10.9, -0.5, 25.0, 4.3, -0.1, 6.3, 3.7)
MINOR_FIRST = 0.7
"""Log-odds of a key for the share of a song on each degree, from the tonic up, and of minor before any: fitted by
``bench/keys.py``, from the profiles of Albrecht and Shanahan (2013) on, to songs whose key people wrote down."""
_SLOPE, _OFFSET = 1.7, 2.3  # from the odds of the best key to those of it being right, for music and what is none
_LEAST = 0.4  # drums, speech, noise and rows of twelve tones stay below


class KeyMeter:
    """The key of a track from its clips."""

    def __init__(self) -> None:
        self._pitches: list[Double] = []
        self._weights: list[Double] = []
        self._seconds = 0.0

    def add(self, waveform: Array) -> None:
        """Count a clip in: (samples,) float32 at 16 kHz."""
        self._seconds += len(waveform) / _RATE
        padded = np.pad(waveform, (0, max(0, _SIZE - len(waveform))))
        frames = sliding_window_view(padded, _SIZE)[::_HOP] * np.hanning(_SIZE).astype(np.float32)
        level = np.abs(np.fft.rfft(frames, axis=1)[:, _BINS])
        before, here, after = level[:, :-2], level[:, 1:-1], level[:, 2:]
        loudest = here.max(axis=1, keepdims=True)
        rows, bins = np.nonzero((here > before) & (here >= after) & (here > 0.01 * loudest))
        low, mid, high = (np.log(part[rows, bins].astype(np.float64) + 1e-9) for part in (before, here, after))
        shift = np.clip(0.5 * (low - high) / np.minimum(low - 2 * mid + high, -1e-9), -0.5, 0.5)
        hertz = (bins + _BINS.start + 1 + shift) * (_RATE / _SIZE)
        away = np.log2(hertz / _CENTRE) / _OCTAVES
        weight = np.exp(0.6 * mid - 0.5 * np.square(away))
        weight /= np.sqrt(np.bincount(rows, weight, minlength=len(level)))[rows]  # half way to frames that count alike
        self._weights.append(weight)
        self._pitches.append(69 + 12 * np.log2(hertz / 440))

    def result(self) -> Key:
        """The key of what was counted in."""
        classes = self.classes()
        if self._seconds <= _SHORTEST or not classes.any():
            return Key()
        odds = log_odds(classes)
        best = int(odds.argmax())
        others = float(np.log(np.exp(np.delete(odds, best) - odds[best]).sum()))
        confidence = round(1 / (1 + float(np.exp(_SLOPE * others - _OFFSET))), 4)
        if confidence < _LEAST:
            return Key(None, None, confidence)
        return replace(KEYS[best], confidence=confidence)

    def classes(self) -> Double:
        """(12,) shares of the pitch classes from C up, in the tuning of most peaks; zeros where there are none."""
        pitches, weights = (np.concatenate([np.zeros(0), *parts]) for parts in (self._pitches, self._weights))
        if not weights.sum() > 0:
            return np.zeros(12)
        tuned = pitches - np.angle((weights * np.exp(2j * np.pi * pitches)).sum()) / (2 * np.pi)
        nearest = np.round(tuned)
        near = weights * np.cos(np.pi * (tuned - nearest)) ** 6  # what lies between two pitches counts little
        found = np.bincount(nearest.astype(int) % 12, near, minlength=12)
        return np.asarray(found / found.sum(), np.float64)


def log_odds(classes: Double) -> Double:
    """(24,) log-odds, up to a constant, of the twelve major keys from C up and of the twelve minor ones."""
    degrees = classes[(np.arange(12)[:, None] + np.arange(12)) % 12]
    return np.concatenate([degrees @ np.array(MAJOR), degrees @ np.array(MINOR) + MINOR_FIRST])
