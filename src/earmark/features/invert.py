"""Spectrogram back to sound, roughly: for people who want to hear what a recipe or an augmentation does. NumPy alone.

Magnitudes come back through the filterbank's pseudo-inverse, phases by Griffin and Lim 1984 with momentum (Perraudin et
al. 2013). Where frames are far apart their magnitudes are interpolated. A sound to start from gives the phases at the
beginning, and what bands do not tell: its own spectrum is scaled until its bands are those of the picture (Richardson
1972), so that an unchanged picture gives the sound back.
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
_SCALINGS = 20


def invert(
    spectrogram: Array, frontend: Frontend, iterations: int = 32, seed: int = 0, start: Array | None = None
) -> Array:
    """A waveform whose spectrogram looks like this one.

    Args:
        spectrogram: (frames, bands) as the frontend gives it.
        frontend: What made it.
        iterations: Of the search for phases.
        seed: Of the phases at the start.
        start: (samples,) at the frontend's rate, a sound as long as the picture to start from; None for random phases.

    Returns:
        (samples,) float32 at the frontend's rate, at most 0.9: how loud it was is not kept where the spectrogram is
        relative to its maximum.

    Raises:
        ValueError: The spectrogram is a picture of unknown origin.
    """
    if frontend.kind == "image":
        raise ValueError("a picture of unknown origin cannot be turned into sound")
    window = frontend.n_fft if frontend.kind == "sox" else frontend.win_length
    hop = min(frontend.hop_length, window // 4)
    fine = _between(_linear(spectrogram, frontend), hop / frontend.hop_length)
    if start is None:
        magnitude = _magnitude(fine, frontend)
        phases = np.exp(2j * np.pi * np.random.default_rng(seed).random(magnitude.shape)).astype(np.complex64)
    else:
        padded = np.pad(start, (frontend.n_fft // 2, frontend.n_fft // 2 + len(fine) * hop))
        spectra = _analyse(padded, _hann(frontend.n_fft), hop, len(fine))
        phases = _unit(spectra)
        magnitude = _scaled(np.abs(spectra), fine, frontend)
    waveform = _griffin_lim(magnitude, phases, hop, iterations)[frontend.n_fft // 2 :]
    waveform = waveform[: len(spectrogram) * frontend.hop_length]
    return np.asarray(waveform * (0.9 / max(float(np.abs(waveform).max(initial=0)), 1e-9)), np.float32)


def _linear(spectrogram: Array, frontend: Frontend) -> Array:
    """(frames, bands) of power or magnitude, as the filterbank gives it; of SoX's picture magnitudes, its 0 Hz too."""
    values = spectrogram.astype(np.float64)
    if frontend.kind == "sox":
        decibels = (values - STEPS) * (RANGE_DB / STEPS)
        return np.pad(np.where(values > 0, 10 ** (decibels / 20), 0), ((0, 0), (1, 0))).astype(np.float32)
    if frontend.log == "ln":
        return np.maximum(0, np.exp(values) - frontend.offset).astype(np.float32)
    return np.asarray(10 ** (values / (10 if frontend.power == 2 else 20)), np.float32)


def _between(frames: Array, step: float) -> Array:
    """Frames in steps of a part of a frame, interpolated."""
    places = np.arange(0, len(frames), step)
    left = np.minimum(places.astype(int), len(frames) - 1)
    right, share = np.minimum(left + 1, len(frames) - 1), (places - left)[:, None]
    return np.asarray((1 - share) * frames[left] + share * frames[right], np.float32)


def _magnitude(bands: Array, frontend: Frontend) -> Array:
    """(frames, n_fft / 2 + 1) of what :func:`_linear` gives."""
    if frontend.kind == "sox":
        return bands
    spectrum = np.maximum(0, bands.astype(np.float64) @ np.linalg.pinv(mel_filterbank(frontend).astype(np.float64)).T)
    return np.asarray(np.sqrt(spectrum) if frontend.power == 2 else spectrum, np.float32)


def _scaled(magnitude: Array, bands: Array, frontend: Frontend) -> Array:
    """The magnitude (frames, n_fft / 2 + 1) nearest to a sound's own that has these bands."""
    if frontend.kind == "sox":
        return bands
    filters = mel_filterbank(frontend)
    reached = np.maximum(filters.sum(0), 1e-9)
    spectrum = magnitude**frontend.power + np.float32(1e-12)
    for _ in range(_SCALINGS):
        spectrum *= np.where(filters.any(0), (bands / np.maximum(spectrum @ filters.T, 1e-20)) @ filters / reached, 1)
    return np.asarray(spectrum ** (1 / frontend.power), np.float32)


def _griffin_lim(magnitude: Array, phases: NDArray[np.complex64], hop: int, iterations: int) -> Array:
    window = _hann(2 * magnitude.shape[1] - 2)
    before = np.zeros_like(phases)
    for _ in range(iterations):
        found = _analyse(_synthesise(magnitude * phases, window, hop), window, hop, len(magnitude))
        phases = _unit(found - (_MOMENTUM / (1 + _MOMENTUM)) * before)
        before = found
    return _synthesise(magnitude * phases, window, hop)


def _hann(length: int) -> Array:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length), np.float32)


def _unit(spectra: NDArray[np.complex64]) -> NDArray[np.complex64]:
    return np.asarray(spectra / np.maximum(np.abs(spectra), 1e-12), np.complex64)


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
