"""A track as plain statistics of its spectrogram: what is known of it without any network.

The one definition behind the first row of every comparison, ``audit`` without a model, and ``make model-report``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.audio.images import read_image
from earmark.audio.track import load
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import spectrogram

__all__ = ["COEFFICIENTS", "FRONTEND", "cepstral_statistics", "track_statistics"]

COEFFICIENTS = 20
FRONTEND = Frontend(sample_rate=22050, n_fft=2048, win_length=2048, hop_length=512, bands=40, f_min=0, f_max=11025)


def track_statistics(
    path: Path, seconds: float | None = None, alive: Callable[[], None] = lambda: None
) -> NDArray[np.float32]:
    """:func:`cepstral_statistics` of a file: of its log-mel spectrogram, or of the picture that it is.

    Args:
        path: Audio, or a PNG spectrogram.
        seconds: Of audio, at most, from the beginning; None for all of it.
        alive: Called every second or so of long work.

    Raises:
        AudioError: The file cannot be read.
    """
    if path.suffix.lower() == ".png":
        return cepstral_statistics(read_image(path))
    return cepstral_statistics(spectrogram(load(path, FRONTEND.sample_rate, seconds=seconds, alive=alive), FRONTEND))


def cepstral_statistics(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Statistics of cepstral coefficients (Davis and Mermelstein 1980) and of their changes from frame to frame.

    The first 20 coefficients of each frame's orthonormal DCT-II (MFCC, where the frames are log-mel), and their
    differences; of each over time: mean, deviation, skewness, and the 10 %, 50 % and 90 % quantiles.

    Args:
        frames: (frames, bands).

    Returns:
        (240,) float32.
    """
    cepstra = frames.astype(np.float64) @ _cosines(frames.shape[1])
    both = np.concatenate([cepstra, np.diff(cepstra, axis=0, prepend=cepstra[:1])], axis=1)
    mean, spread = both.mean(0), both.std(0)
    flat = spread <= np.finfo(np.float64).eps * np.abs(mean)
    skewness = np.where(flat, 0.0, ((both - mean) ** 3).mean(0) / np.where(flat, 1.0, spread) ** 3)
    quantiles = np.quantile(both, [0.1, 0.5, 0.9], axis=0)
    return np.concatenate([mean, spread, skewness, *quantiles]).astype(np.float32)


def _cosines(bands: int) -> NDArray[np.float64]:
    """The orthonormal DCT-II of so many bands as a matrix, its first columns: (bands, 20), zeros where bands lack."""
    order = np.arange(min(bands, COEFFICIENTS))
    matrix = np.zeros((bands, COEFFICIENTS))
    matrix[:, order] = np.cos(np.pi / bands * (np.arange(bands)[:, None] + 0.5) * order) * np.sqrt(2 / bands)
    matrix[:, 0] /= np.sqrt(2)
    return matrix
