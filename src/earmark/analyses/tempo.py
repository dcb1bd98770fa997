"""Tempo from the onsets of a few clips: autocorrelation of the spectral flux, a comb over beats, a listener's prior."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from earmark.analyses.facts import Tempo
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import spectrogram

__all__ = ["TempoMeter"]

Array = NDArray[np.float32]
Double = NDArray[np.float64]

_RATE, _FRAMES = 16_000, 50.0  # Hz of the clips; frames a second
_LAGS = round(_FRAMES * 2.6)
_SLOWEST, _FASTEST = 40.0, 250.0  # beats a minute
_CENTRE, _OCTAVES = 118.0, 0.75  # where people tap, and how widely around it (McKinney and Moelants 2006)
_COMB = ((1, 1.0), (2, 0.7), (3, 0.35), (4, 0.5))  # beats, and how much their lag counts
_SHORTEST = 1.5  # seconds
_LEAST = 0.1


class TempoMeter:
    """The tempo of a track from its clips."""

    def __init__(self) -> None:
        self._sum: Double = np.zeros(_LAGS + 1)
        self._power = 0.0

    def add(self, waveform: Array) -> None:
        """Count a clip in: (samples,) float32 at 16 kHz."""
        if len(waveform) < _SHORTEST * _RATE:
            return
        flux = _flux(spectrogram(waveform, _frontend()))
        flux -= flux.mean()
        count, lags = len(flux), min(_LAGS, len(flux) - 10)
        power = np.square(np.abs(np.fft.rfft(flux, 2 * count)))
        found = np.fft.irfft(power)[: lags + 1]
        self._power += float(found[0])
        self._sum[: lags + 1] += found * (count / (count - np.arange(lags + 1)))

    def result(self) -> Tempo:
        """The tempo of what was counted in."""
        if self._power <= 0:
            return Tempo()
        tempi = np.exp(np.arange(np.log(_SLOWEST), np.log(_FASTEST), 0.004))
        scores, weights = np.zeros(len(tempi)), np.zeros(len(tempi))
        lags = np.arange(_LAGS + 1) / _FRAMES
        for beats, weight in _COMB:
            lag = 60.0 / tempi * beats
            known = lag <= lags[-1] - 0.02
            scores[known] += weight * np.interp(lag[known], lags, self._sum / self._power)
            weights[known] += weight
        scores = np.maximum(scores / weights, 0)
        likely = scores * np.exp(-0.5 * np.square(np.log2(tempi / _CENTRE) / _OCTAVES))
        best = int(likely.argmax())
        other = max((0.5, 2.0), key=lambda ratio: float(np.interp(tempi[best] * ratio, tempi, likely, 0, 0)))
        confidence = round(float(min(1.0, scores[best])), 4)
        if confidence < _LEAST:
            return Tempo(None, confidence)
        return Tempo(round(float(tempi[best]), 1), confidence, round(float(tempi[best] * other), 1))


def _frontend() -> Frontend:
    return Frontend(kind="mel", sample_rate=_RATE, n_fft=1024, win_length=1024, hop_length=320, bands=96, f_min=30.0,
                    f_max=7800.0, log="db")  # fmt: skip


def _flux(decibels: Array) -> Double:
    """How much louder each frame is than two frames before, mean over the bands: (frames,)."""
    level = np.maximum(decibels, decibels.max() - 70)
    near = level.copy()
    near[:, 1:] = np.maximum(near[:, 1:], level[:, :-1])
    near[:, :-1] = np.maximum(near[:, :-1], level[:, 1:])
    flux = np.zeros(len(level))
    flux[2:] = np.clip(level[2:] - near[:-2], 0, 30).mean(axis=1)
    return flux
