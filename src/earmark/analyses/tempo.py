"""Tempo from the onsets of a few clips: what repeats, how often, in how many of the clips, and what people tap.

Candidates are the peaks of a comb over the autocorrelation of the spectral flux in three bands. A conditional logit
(McFadden 1974) chooses among them and *no tempo* by how the onsets repeat after a beat, its multiples and parts, how
strong these are in the spectrum of the flux (the two err into opposite octaves: Peeters 2006), how many onsets fall on
a beat, how many clips agree, and how fast people tap (McKinney and Moelants 2006). Its probability is the confidence.
"""

from __future__ import annotations

from itertools import pairwise

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
_BANDS = (0, 24, 60, 96)  # edges: up to about 720, 2,400 and 7,800 Hz
_SPECTRUM = 1024  # frames of the transform of the flux: a step is 2.9 beats a minute
_LOWEST, _HIGHEST, _STEP = 30.0, 300.0, 0.004  # beats a minute that the comb looks at, and the logarithm of its step
_SLOWEST, _FASTEST, _CANDIDATES = 40.0, 240.0, 10
_CENTRE = 118.0  # beats a minute
_COMB = ((1, 1.0), (2, 0.7), (3, 0.35), (4, 0.5))  # beats, and how much their lag counts
_SHORTEST, _SHORTEST_TRACK = 1.5, 4.9  # seconds of a clip and of all clips
_LEAST = 0.4
_MULTIPLES = (1, 2, 1 / 2, 4)  # of a beat, in the autocorrelation
_PARTS = (1, 2, 1 / 2, 4)  # of its frequency, in the spectrum
# By the recipe of bench/fit_tempo.py, of an earlier draw: it prints numbers near these (docs/bench-features.md).
_WEIGHTS = (
    *(-2.342, 0.995, -0.483, 1.814),  # how much repeats after 1, 2, 1/2, 4 beats
    *(1.423, 0.881, 0.709, 0.994),  # spectrum at 1, 2, 1/2, 4 times the beat, logarithms
    2.242,  # comb
    *(0.019, -2.171),  # octaves from the centre, and their square
    *(2.08, -0.337),  # octaves from onsets to beats, and their square
    *(5.433, -1.416),  # comb as a part of each clip's own best, mean and standard deviation over clips
)
_NONE = 6.598  # of no tempo


class TempoMeter:
    """The tempo of a track from its clips, in memory that does not grow with them."""

    def __init__(self) -> None:
        self._tempi = np.exp(np.arange(np.log(_LOWEST), np.log(_HIGHEST), _STEP))
        self._repeats: Double = np.zeros((3, _LAGS + 1))
        self._spectrum: Double = np.zeros(_SPECTRUM // 2 + 1)
        self._agreement: Double = np.zeros((2, len(self._tempi)))  # sums over clips of values and of their squares
        self._clips, self._onsets, self._seconds = 0, 0, 0.0

    def add(self, waveform: Array) -> None:
        """Count a clip in: (samples,) float32 at 16 kHz."""
        self._seconds += len(waveform) / _RATE
        if len(waveform) < _SHORTEST * _RATE:
            return
        flux = _flux(spectrogram(waveform, _frontend()))
        together = flux.mean(axis=0)
        peaks = (together[1:-1] > together[:-2]) & (together[1:-1] >= together[2:])
        self._onsets += int((peaks & (together[1:-1] > together.mean() + 0.3 * together.std())).sum())
        together = (together - together.mean()) * np.hanning(len(together))
        self._spectrum += np.abs(np.fft.rfft(together, _SPECTRUM))
        repeats = _autocorrelation(flux)
        self._repeats += repeats
        comb = self._comb(_normal(repeats))
        share = comb / max(0.05, float(comb[self._within()].max()))
        self._agreement += np.stack([share, np.square(share)])
        self._clips += 1

    def result(self) -> Tempo:
        """The tempo of what was counted in."""
        tempi, facts = self.candidates()
        if not len(tempi) or self._seconds < _SHORTEST_TRACK:
            return Tempo()
        odds = np.append(facts @ np.array(_WEIGHTS), _NONE)
        likely = np.exp(odds - odds.max())
        likely = likely[:-1] / likely.sum()
        best = int(likely.argmax())
        confidence = round(float(likely[np.abs(tempi / tempi[best] - 1) < 0.04].sum()), 4)
        if confidence < _LEAST:
            return Tempo(None, confidence)
        value = self._exact(float(tempi[best]))
        chances = [float(likely[np.abs(tempi / tempi[best] / ratio - 1) < 0.04].sum()) for ratio in (0.5, 2.0)]
        slower = chances[0] > chances[1] if chances[0] != chances[1] else value > _CENTRE
        return Tempo(round(value, 1), confidence, round(value * (0.5 if slower else 2.0), 1))

    def candidates(self) -> tuple[Double, Double]:
        """(candidates,) beats a minute, and (candidates, facts) what speaks for each."""
        if not self._clips or self._repeats[:, 0].sum() <= 0:
            return np.zeros(0), np.zeros((0, len(_WEIGHTS)))
        repeats = _normal(self._repeats)
        comb = self._comb(repeats)
        peak = np.zeros(len(comb), bool)
        peak[1:-1] = (comb[1:-1] > comb[:-2]) & (comb[1:-1] >= comb[2:]) & self._within()[1:-1]
        chosen = np.flatnonzero(peak)
        chosen = chosen[np.argsort(-comb[chosen], kind="stable")][:_CANDIDATES]
        beats = self._tempi[chosen] / 60  # a second
        spectrum = self._spectrum / np.sqrt(np.square(self._spectrum).mean())
        hertz = np.arange(len(spectrum)) * (_FRAMES / _SPECTRUM)
        share, square = self._agreement[:, chosen] / self._clips
        tapped = np.log2(self._tempi[chosen] / _CENTRE)
        onsets = np.log2(max(0.2, self._onsets / self._seconds) / beats)
        columns = [
            *(_near(repeats, many / beats, comb[chosen]) for many in _MULTIPLES),
            *(np.log(np.interp(beats * many, hertz, spectrum) + 0.05) for many in _PARTS),
            comb[chosen],
            tapped,
            np.square(tapped),
            onsets,
            np.square(onsets),
            share,
            np.sqrt(np.maximum(0, square - np.square(share))),
        ]
        return self._tempi[chosen], np.stack(columns, axis=1)

    def _within(self) -> NDArray[np.bool_]:
        return np.asarray((self._tempi > _SLOWEST) & (self._tempi < _FASTEST))

    def _comb(self, repeats: Double) -> Double:
        """How much repeats after a beat and its multiples, at every tempo: (tempi,)."""
        total, weights = np.zeros(len(self._tempi)), np.zeros(len(self._tempi))
        for beats, weight in _COMB:
            lag = 60 * _FRAMES / self._tempi * beats
            known = lag < _LAGS - 1
            total[known] += weight * np.interp(lag[known], np.arange(_LAGS + 1), repeats)
            weights[known] += weight
        return total / weights

    def _exact(self, tempo: float) -> float:
        """The tempo by the peak at the longest lag of whole beats: (lag, height) by a parabola through three frames."""
        repeats = _normal(self._repeats)
        beat = 60 * _FRAMES / tempo
        for many in range(1, int((_LAGS - 2) / beat / 1.02) + 1):
            low, high = int(np.ceil(beat * many - 1.6)), int(beat * many + 1.6)
            if high >= _LAGS:  # onsets that get slower have led it on
                break
            place = low + int(repeats[low : high + 1].argmax())
            before, here, after = repeats[place - 1 : place + 2]
            if here > max(before, after):
                beat = float(place + 0.5 * (before - after) / (before - 2 * here + after)) / many
        return 60 * _FRAMES / beat


def _frontend() -> Frontend:
    return Frontend(kind="mel", sample_rate=_RATE, n_fft=1024, win_length=1024, hop_length=320, bands=_BANDS[-1],
                    f_min=30.0, f_max=7800.0, log="db")  # fmt: skip


def _flux(decibels: Array) -> Double:
    """How much louder each frame is than two frames before, in three bands: (3, frames)."""
    level = np.maximum(decibels, decibels.max() - 70)
    near = level.copy()
    near[:, 1:] = np.maximum(near[:, 1:], level[:, :-1])
    near[:, :-1] = np.maximum(near[:, :-1], level[:, 1:])
    louder = np.clip(level[2:] - near[:-2], 0, 30)
    bands = [louder[:, low:high].mean(axis=1) for low, high in pairwise(_BANDS)]
    return np.pad(np.sqrt(np.stack(bands).astype(np.float64)), ((0, 0), (2, 0)))


def _autocorrelation(flux: Double) -> Double:
    """(3, lags) of a clip, as if it went on; 0 where it is too short to say."""
    count = flux.shape[1]
    lags = np.arange(min(_LAGS, count - 10) + 1)
    power = np.square(np.abs(np.fft.rfft(flux - flux.mean(axis=1, keepdims=True), 2 * count)))
    found = np.fft.irfft(power)[:, : len(lags)] * (count / (count - lags))
    return np.pad(found, ((0, 0), (0, _LAGS + 1 - len(lags))))


def _normal(repeats: Double) -> Double:
    """The mean of the bands' autocorrelations, each 1 at lag 0: (lags,)."""
    return np.asarray((repeats / np.maximum(repeats[:, :1], 1e-9)).mean(axis=0))


def _near(repeats: Double, seconds: Double, otherwise: Double) -> Double:
    """The highest within 2 % of each lag; what stands in for it beyond the longest."""
    around = np.outer(np.linspace(0.98, 1.02, 5), seconds) * _FRAMES
    found = np.interp(around, np.arange(_LAGS + 1), repeats).max(axis=0)
    return np.where(around[-1] < _LAGS, found, otherwise)
