"""Musical targets without labels: harmony and rhythm of a sound by plain signal processing, second by second.

Chroma as Fujishima (1999), mode by the key profiles of Krumhansl (1990), onsets by spectral flux, tempo by the flux's
autocorrelation. Further outputs of a student imitate them beside the teachers' components.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["SAMPLE_RATE", "WIDTHS", "musical"]

Array = NDArray[np.float32]
SAMPLE_RATE = 16000
WIDTHS = {"chroma": 12, "mode": 1, "onsets": 1, "tempo": 12}
"""Columns of each kind, in order."""
FLUX_RATE = 50
BEATS = np.round(FLUX_RATE * 60 / np.geomspace(57, 212, WIDTHS["tempo"] + 1)).astype(int)
"""Frames a beat at the edges of the tempo histogram."""
MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])


def musical(waveform: Array) -> Array:
    """A sound's (seconds, 26) targets, columns as in :data:`WIDTHS`.

    Args:
        waveform: (samples,) at :data:`SAMPLE_RATE`.

    Returns:
        For each second the share of the twelve pitch classes (A first) above their mean, how much better the best major
        key fits five seconds than the best minor one (difference of correlations), onsets a second (mean of three
        seconds), and the autocorrelation of the flux of eight seconds at beats of 60 to 200 a minute.
    """
    seconds = max(1, int(len(waveform) / SAMPLE_RATE + 0.5))
    pitches, flux = _pitches(waveform), _flux(waveform)
    chroma = _around(pitches, 10, seconds, 1)
    keys = _correlations(_around(pitches, 10, seconds, 5))
    onsets = _around(_onsets(flux)[:, None], FLUX_RATE, seconds, 3) * FLUX_RATE
    tempo = np.stack([_tempo(_window(flux, FLUX_RATE, second, 8)) for second in range(seconds)])
    return np.concatenate([chroma - chroma.mean(1, keepdims=True), keys, onsets, tempo], 1).astype(np.float32)


def _spectra(waveform: Array, size: int, hop: int) -> Array:
    padded = np.pad(waveform, size // 2)
    return np.asarray(np.abs(np.fft.rfft(sliding_window_view(padded, size)[::hop] * np.hanning(size))), np.float32)


def _pitches(waveform: Array) -> Array:
    """(tenths of a second, 12) share of each pitch class from 110 to 1,760 Hz; all the same in silence."""
    hertz = np.fft.rfftfreq(4096, 1 / SAMPLE_RATE)
    heard = (hertz >= 110) & (hertz <= 1760)
    classes = np.eye(12)[np.round(12 * np.log2(hertz[heard] / 440)).astype(int) % 12]
    spectra = _spectra(waveform, 4096, SAMPLE_RATE // 10)[:, heard]
    loudness = np.log1p(spectra / (spectra.mean(1, keepdims=True) + 1e-3)) @ (classes / classes.sum(0)) + 1e-3
    return np.asarray(loudness / loudness.sum(1, keepdims=True), np.float32)


def _flux(waveform: Array) -> Array:
    """(frames,) how much louder the bands have become, 50 a second, about the mean of a second."""
    spectra = np.log1p(100 * _spectra(waveform, 512, SAMPLE_RATE // FLUX_RATE))
    bands = np.add.reduceat(spectra, np.unique(np.geomspace(1, 250, 24).astype(int)), axis=1)
    rise = np.maximum(np.diff(bands, axis=0, prepend=bands[:1]), 0).mean(1)
    return np.asarray(rise - np.convolve(rise, np.ones(FLUX_RATE) / FLUX_RATE, "same"), np.float32)


def _onsets(flux: Array) -> NDArray[np.bool_]:
    """(frames,) true at peaks of seven frames that stand a deviation above the mean."""
    peak = sliding_window_view(np.pad(flux, 3, constant_values=-np.inf), 7).max(1)
    return np.asarray((flux == peak) & (flux > flux.std()))


def _window(series: NDArray[Any], rate: int, second: int, width: int) -> NDArray[Any]:
    """Rows of ``width`` seconds about a second, moved inside the sound."""
    first = int((second + 0.5 - width / 2) * rate)
    first = max(0, min(first, len(series) - width * rate))
    return series[first : first + width * rate]


def _around(series: NDArray[Any], rate: int, seconds: int, width: int) -> NDArray[Any]:
    return np.stack([_window(series, rate, second, width).mean(0) for second in range(seconds)])


def _correlations(chroma: NDArray[Any]) -> NDArray[Any]:
    """(rows, 1) correlation of the best major key minus that of the best minor one."""

    def unit(rows: NDArray[Any]) -> NDArray[Any]:
        rows = rows - rows.mean(-1, keepdims=True)
        return np.asarray(rows / (np.linalg.norm(rows, axis=-1, keepdims=True) + 1e-9))

    best = [(unit(chroma) @ unit(np.stack([np.roll(p, key) for key in range(12)])).T).max(1) for p in (MAJOR, MINOR)]
    return np.asarray(best[0] - best[1])[:, None]


def _tempo(flux: Array) -> NDArray[Any]:
    """(12,) the largest autocorrelation within each column of the histogram, as a share of the variance."""
    spectrum = np.abs(np.fft.rfft(flux, 2 * len(flux))) ** 2
    found = np.fft.irfft(spectrum)[: len(flux)]
    best = [found[short : long + 1].max(initial=0.0) for long, short in itertools.pairwise(BEATS.tolist())]
    return np.asarray(np.array(best) / (found[0] + 1e-9))
