"""Embeddings without a model: statistics of a spectrogram's cosine transform, for images or where no model is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

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
    cepstra = dct(picture.astype(np.float64), axis=1, norm="ortho")[:, :_COEFFICIENTS]
    cepstra = np.pad(cepstra, ((0, 0), (0, _COEFFICIENTS - cepstra.shape[1])))
    changes = np.diff(cepstra, axis=0) if len(cepstra) > 1 else np.zeros_like(cepstra)
    return np.concatenate([cepstra.mean(0), cepstra.std(0), changes.mean(0), changes.std(0)])


def mfcc_statistics(path: Path) -> NDArray[np.float64]:
    """:func:`dct_statistics` of the log-mel spectrogram of a file's first minute.

    Raises:
        AudioError: The file cannot be heard.
    """
    frontend = Frontend()
    return dct_statistics(spectrogram(load(path, frontend.sample_rate, seconds=_SECONDS), frontend))
