"""Changes of sound: waveforms (samples,) float32 at a rate in Hz. Lengths stay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["gain", "noise", "pitch"]

Array = NDArray[np.float32]


def noise(waveform: Array, rate: int, rng: np.random.Generator, amplitude: Sequence[float] = (0.01, 0.15)) -> Array:
    """Add white noise of uniform distribution; its amplitude is drawn from a range, relative to full scale."""
    low, high = _range(amplitude, "amplitude")
    loud = np.float32(rng.uniform(low, high))
    return waveform + loud * (2 * rng.random(len(waveform), np.float32) - 1)


def gain(waveform: Array, rate: int, rng: np.random.Generator, decibels: Sequence[float] = (-6.0, 6.0)) -> Array:
    """Louder or quieter by a number of dB drawn from a range."""
    low, high = _range(decibels, "decibels")
    return np.asarray(waveform * np.float32(10 ** (rng.uniform(low, high) / 20)), np.float32)


def pitch(waveform: Array, rate: int, rng: np.random.Generator, semitones: Sequence[float] = (-3.0, 3.0)) -> Array:
    """Higher or lower by a number of semitones drawn from a range, at the same speed.

    A phase vocoder (Flanagan and Golden 1966) stretches time, resampling brings the length back.
    """
    low, high = _range(semitones, "semitones")
    ratio = 2.0 ** (rng.uniform(low, high) / 12)
    stretched = _stretch(waveform, ratio)
    places = np.arange(len(waveform)) * (len(stretched) / max(1, len(waveform)))
    return np.asarray(np.interp(places, np.arange(len(stretched)), stretched), np.float32)


_N_FFT, _HOP = 2048, 512


def _stretch(waveform: Array, ratio: float) -> Array:
    """The sound ``ratio`` times as long at its own pitch."""
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_N_FFT) / _N_FFT)).astype(np.float32)
    padded = np.pad(waveform, (_N_FFT, 2 * _N_FFT))
    count = 1 + (len(padded) - _N_FFT) // _HOP
    frames = np.lib.stride_tricks.sliding_window_view(padded, _N_FFT)[::_HOP][:count]
    spectra = np.fft.rfft(frames * window)
    steps = np.arange(0, count - 1, 1 / ratio)
    left = steps.astype(int)
    share = (steps - left).astype(np.float32)[:, None]
    size = (1 - share) * np.abs(spectra[left]) + share * np.abs(spectra[left + 1])
    turn = np.angle(spectra[left + 1]) - np.angle(spectra[left])
    phase = np.angle(spectra[left[:1]]) + np.vstack([np.zeros_like(turn[:1]), np.cumsum(turn[:-1], axis=0)])
    pieces = np.fft.irfft(size * np.exp(1j * phase), _N_FFT).astype(np.float32) * window
    out = np.zeros((len(pieces) - 1) * _HOP + _N_FFT, np.float32)
    for index, piece in enumerate(pieces):
        out[index * _HOP : index * _HOP + _N_FFT] += piece
    start = round(_N_FFT * ratio)
    return out[start : start + round(len(waveform) * ratio)] * np.float32(2 * _HOP / _N_FFT)


def _range(limits: Sequence[float], name: str) -> tuple[float, float]:
    if len(limits) != 2 or not limits[0] <= limits[1]:
        raise ValueError(f"{name} = {list(limits)}: must be [least, most]")
    return float(limits[0]), float(limits[1])
