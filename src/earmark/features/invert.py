"""Spectrogram back to sound, roughly: for people who want to hear what a recipe or an augmentation does. NumPy alone.

Magnitudes come back through the filterbank's pseudo-inverse, phases by Griffin and Lim 1984 with momentum (Perraudin et
al. 2013). Where frames are far apart their magnitudes are interpolated.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from earmark.features.frontend import Frontend
from earmark.features.sox import RANGE_DB, STEPS
from earmark.features.spectrogram import mel_filterbank

__all__ = ["invert"]

Array = NDArray[np.float32]

_MOMENTUM = 0.99


def invert(spectrogram: Array, frontend: Frontend, iterations: int = 32, seed: int = 0) -> Array:
    """A waveform whose spectrogram looks like this one.

    Args:
        spectrogram: (frames, bands) as the frontend gives it.
        frontend: What made it.
        iterations: Of the search for phases.
        seed: Of the phases at the start.

    Returns:
        (samples,) float32 at the frontend's rate, at most 0.9: how loud it was is not kept where the spectrogram is
        relative to its maximum.

    Raises:
        ValueError: The spectrogram is a picture of unknown origin.
    """
    if frontend.kind == "image":
        raise ValueError("a picture of unknown origin cannot be turned into sound")
    magnitude = _magnitude(spectrogram, frontend)
    window = frontend.n_fft if frontend.kind == "sox" else frontend.win_length
    hop = min(frontend.hop_length, window // 4)
    places = np.arange(0, len(magnitude) * frontend.hop_length, hop) / frontend.hop_length
    left = np.minimum(places.astype(int), len(magnitude) - 1)
    right, share = np.minimum(left + 1, len(magnitude) - 1), (places - left)[:, None]
    fine = ((1 - share) * magnitude[left] + share * magnitude[right]).astype(np.float32)
    waveform = _griffin_lim(fine, frontend.n_fft, hop, iterations, np.random.default_rng(seed))
    waveform = waveform[: len(magnitude) * frontend.hop_length]
    return np.asarray(waveform * (0.9 / max(float(np.abs(waveform).max(initial=0)), 1e-9)), np.float32)


def _magnitude(spectrogram: Array, frontend: Frontend) -> Array:
    """(frames, n_fft / 2 + 1)."""
    values = spectrogram.astype(np.float64)
    if frontend.kind == "sox":
        decibels = (values - STEPS) * (RANGE_DB / STEPS)
        return np.pad(np.where(values > 0, 10 ** (decibels / 20), 0), ((0, 0), (1, 0))).astype(np.float32)
    if frontend.log == "ln":
        linear = np.exp(values) - frontend.offset
    else:
        linear = 10 ** (values / (10 if frontend.power == 2 else 20))
    filters = mel_filterbank(frontend).astype(np.float64)
    spectrum = np.maximum(0, np.maximum(0, linear) @ np.linalg.pinv(filters).T)
    return np.asarray(np.sqrt(spectrum) if frontend.power == 2 else spectrum, np.float32)


def _griffin_lim(magnitude: Array, n_fft: int, hop: int, iterations: int, rng: np.random.Generator) -> Array:
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
    phases = np.exp(2j * np.pi * rng.random(magnitude.shape)).astype(np.complex64)
    before = np.zeros_like(phases)
    for _ in range(iterations):
        heard = _analyse(_synthesise(magnitude * phases, window, hop), window, hop, len(magnitude))
        phases = heard - (_MOMENTUM / (1 + _MOMENTUM)) * before
        phases /= np.maximum(np.abs(phases), 1e-12)
        before = heard
    waveform = _synthesise(magnitude * phases, window, hop)
    return waveform[n_fft // 2 :]


def _synthesise(spectra: NDArray[np.complex64], window: Array, hop: int) -> Array:
    """Frames added up where they overlap, as loud as they went in."""
    length = len(window)
    pieces = np.fft.irfft(spectra, length).astype(np.float32) * window
    out = np.zeros((len(spectra) - 1) * hop + length, np.float32)
    weight = np.zeros_like(out)
    for index, piece in enumerate(pieces):
        out[index * hop : index * hop + length] += piece
        weight[index * hop : index * hop + length] += window**2
    return np.asarray(out / np.maximum(weight, 1e-3), np.float32)


def _analyse(waveform: Array, window: Array, hop: int, frames: int) -> NDArray[np.complex64]:
    return np.fft.rfft(sliding_window_view(waveform, len(window))[::hop][:frames] * window).astype(np.complex64)
