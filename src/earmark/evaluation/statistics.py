"""Embeddings without a model: statistics of a spectrogram's cosine transform, for images or where no model is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.audio.decode import load
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import spectrogram

__all__ = ["dct_statistics", "mfcc_statistics"]

_SECONDS = 60.0

_COEFFICIENTS = 24


def dct_statistics(picture: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean and deviation over time of each frame's first 24 DCT coefficients and of their changes.

    Of a log-mel spectrogram these are the statistics of MFCCs (Tzanetakis and Cook 2002).

    Args:
        picture: (frames, bands).

    Returns:
        (96,).
    """
    cepstra = picture.astype(np.float64) @ _cosines(picture.shape[1])
    cepstra = np.pad(cepstra, ((0, 0), (0, _COEFFICIENTS - cepstra.shape[1])))
    changes = np.diff(cepstra, axis=0) if len(cepstra) > 1 else np.zeros_like(cepstra)
    return np.concatenate([cepstra.mean(0), cepstra.std(0), changes.mean(0), changes.std(0)])


def _cosines(bands: int) -> NDArray[np.float64]:
    """The orthonormal DCT-II of so many bands as a matrix, its first 24 columns: (bands, 24 or fewer)."""
    order = np.arange(min(bands, _COEFFICIENTS))
    matrix = np.cos(np.pi / bands * (np.arange(bands)[:, None] + 0.5) * order) * np.sqrt(2 / bands)
    matrix[:, 0] /= np.sqrt(2)
    return np.asarray(matrix)


def mfcc_statistics(path: Path) -> NDArray[np.float64]:
    """:func:`dct_statistics` of the log-mel spectrogram of a file's first minute.

    Raises:
        AudioError: The file cannot be heard.
    """
    frontend = Frontend()
    return dct_statistics(spectrogram(load(path, frontend.sample_rate, seconds=_SECONDS), frontend))
