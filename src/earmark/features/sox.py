"""SoX's monochrome linear spectrogram: what ``sox FILE -n remix - spectrogram -m -r`` draws, with NumPy alone.

Power spectra of windows that overlap by half are averaged over each column; the 120 dB below full scale become 249
steps of grey, with one shade below and one above them. ``tests/features`` holds it against the real program.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from earmark.features.frontend import Frontend, sox_windows

__all__ = ["RANGE_DB", "STEPS", "sox_picture"]

Array = NDArray[np.float32]

STEPS = 249
"""Steps of grey between silence (0) and full scale (250)."""
RANGE_DB = 120.0

_BLOCK = 512  # windows a transform


def sox_picture(waveform: Array, frontend: Frontend) -> Array:
    """The picture's grey steps.

    Args:
        waveform: (samples,) float32 mono at ``frontend.sample_rate``; clipped at full scale, as SoX does.
        frontend: ``n_fft`` samples a window, ``hop_length`` samples a column. The row of 0 Hz is dropped, so that
            there are ``n_fft / 2`` rows; the last one is the Nyquist frequency.

    Returns:
        (columns, n_fft / 2) float32, whole numbers 0..250, row 0 the lowest frequency.

    Raises:
        ValueError: ``frontend.bands`` is not ``n_fft / 2``.
    """
    if frontend.bands != frontend.n_fft // 2:
        raise ValueError(f"a sox frontend of n_fft = {frontend.n_fft} has {frontend.n_fft // 2} bands")
    step, windows_a_column = sox_windows(frontend)
    columns = frontend.frames(len(waveform))
    power = _power(waveform, frontend.n_fft, step)[: columns * windows_a_column]
    firsts = np.arange(0, len(power), windows_a_column)
    if not len(firsts):
        return np.zeros((0, frontend.bands), np.float32)
    counts = np.diff(np.append(firsts, len(power)))
    mean = np.add.reduceat(power, firsts, axis=0)[:, 1:] / counts[:, None]
    share = 1 + 10 * np.log10(np.maximum(mean, 1e-30)) / RANGE_DB
    grey = np.where(share < 0, 0, np.minimum(1 + np.floor(share * STEPS), STEPS + 1))
    return grey.astype(np.float32)


def _power(waveform: Array, n_fft: int, step: int) -> NDArray[np.float64]:
    """Power of each window relative to full scale, (windows, n_fft / 2 + 1)."""
    count = (len(waveform) + step // 2) // step
    before = (n_fft - step) // 2
    padded = np.pad(np.clip(waveform, -1, 1).astype(np.float64), (before, n_fft + step))
    frames = sliding_window_view(padded, n_fft)[::step][:count]
    power = np.empty((count, n_fft // 2 + 1))
    for first in range(0, count, _BLOCK):
        power[first : first + _BLOCK] = _spectrum(frames[first : first + _BLOCK] * _window(n_fft, 0, 0))
    starts = np.arange(count) * step - before
    left, right = np.maximum(0, -starts), np.maximum(0, starts + n_fft - len(waveform))
    for index in np.flatnonzero(left + right):  # at both ends the window shrinks to what there is
        power[index] = _spectrum(frames[index] * _window(n_fft, int(left[index]), int(right[index])))
    return power


def _spectrum(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(frames)
    return np.asarray(spectrum.real**2 + spectrum.imag**2)


@lru_cache(maxsize=1024)
def _window(n_fft: int, left: int, right: int) -> NDArray[np.float64]:
    """A Hann window that leaves out ``left`` samples, or else ``right`` ones; a full-scale sine has the power 1."""
    length = max(1, n_fft + 1 - (left or right))
    window = np.zeros(n_fft + 1)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / max(1, length - 1))
    window[left : left + length] = hann[: n_fft + 1 - left]
    window = window[:n_fft]
    return np.asarray(window * (2 / max(float(window.sum()), 1e-12) * (length / n_fft) ** 2))
