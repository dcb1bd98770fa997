"""Plain ways to make one song sound like another, and how far what comes out is from the song. NumPy alone.

What the experiment of ``restyle`` is measured against and by.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from earmark.features.frontend import Frontend
from earmark.features.spectrogram import spectrogram

__all__ = ["LEVEL", "chroma_distance", "cross_fade", "levelled", "match_spectrum", "mean_spectrum", "onset_distance"]

Array = NDArray[np.float32]

LEVEL = 0.1
"""Root mean square that songs are brought to before they are compared: -20 dB of full scale."""

_BANDS, _MOST_GAIN = 64, 1000.0  # of power: 30 dB up or down
_CHROMA_FFT, _LOWEST, _HIGHEST = 4096, 100.0, 4000.0


def levelled(waveform: Array, level: float = LEVEL) -> Array:
    """The waveform (samples,) at a level; silence stays silent."""
    return np.asarray(waveform * (level / max(float(np.sqrt(np.mean(np.square(waveform)))), 1e-9)), np.float32)


def mean_spectrum(waveform: Array, rate: int) -> Array:
    """Mean power in 64 mel bands, (64,), of a waveform (samples,)."""
    return np.asarray((10 ** (spectrogram(waveform, _bands(rate)) / 10)).mean(0), np.float32)


def match_spectrum(content: Array, spectrum: Array, rate: int) -> Array:
    """The content (samples,) through an equaliser that gives it this mean spectrum, by at most 30 dB a band."""
    own = mean_spectrum(content, rate)
    gains = np.sqrt(np.clip(spectrum / np.maximum(own, 1e-9), 1 / _MOST_GAIN, _MOST_GAIN))
    edges = np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), _BANDS + 2)[1:-1]
    centres = 700 * (10 ** (edges / 2595) - 1)
    hertz = np.fft.rfftfreq(len(content), 1 / rate)
    return np.fft.irfft(np.fft.rfft(content) * np.interp(hertz, centres, gains), len(content)).astype(np.float32)


def cross_fade(content: Array, style: Array) -> Array:
    """Both songs at once, each as loud: a cross-fade held half-way; a shorter style begins again."""
    return levelled(levelled(content) + levelled(np.resize(style, len(content))))


def chroma_distance(waveform: Array, other: Array, rate: int) -> float:
    """How far the harmony of two waveforms (samples,) is apart, frame by frame.

    One minus the mean cosine of their chroma vectors (Fujishima 1999): 0 where they agree, 1 at most.
    """
    one, two = (_chroma(each, rate) for each in (waveform, other))
    length = min(len(one), len(two))
    return max(0.0, float(1 - np.einsum("ij,ij->i", one[:length], two[:length]).mean()))


def onset_distance(waveform: Array, other: Array, rate: int) -> float:
    """How far the onsets of two waveforms (samples,) are apart.

    One minus the correlation of their onset strengths, the rise of log-mel bands from frame to frame (Böck and Widmer
    2013): 0 where they agree, about 1 where they have nothing to do with each other.
    """
    one, two = (_onsets(each, rate) for each in (waveform, other))
    length = min(len(one), len(two))
    one, two = one[:length] - one[:length].mean(), two[:length] - two[:length].mean()
    return max(0.0, float(1 - (one * two).sum() / max(float(np.linalg.norm(one) * np.linalg.norm(two)), 1e-9)))


def _bands(rate: int) -> Frontend:
    return Frontend(
        sample_rate=rate, n_fft=2048, win_length=2048, hop_length=512, bands=_BANDS, f_min=0.0, f_max=rate / 2,
        mel_scale="htk",
    )  # fmt: skip


def _chroma(waveform: Array, rate: int) -> NDArray[np.float64]:
    """(frames, 12), each of length 1."""
    hop = _CHROMA_FFT // 4
    padded = np.pad(waveform, _CHROMA_FFT // 2)
    magnitude = np.abs(np.fft.rfft(sliding_window_view(padded, _CHROMA_FFT)[::hop] * np.hanning(_CHROMA_FFT)))
    hertz = np.fft.rfftfreq(_CHROMA_FFT, 1 / rate)
    used = (hertz >= _LOWEST) & (hertz <= _HIGHEST)
    pitch = np.round(12 * np.log2(hertz[used] / 440)).astype(int) % 12
    chroma = magnitude[:, used] @ np.eye(12)[pitch] + 1e-6
    return np.asarray(chroma / np.linalg.norm(chroma, axis=1, keepdims=True))


def _onsets(waveform: Array, rate: int) -> NDArray[np.float64]:
    """(frames - 1,)."""
    decibels = np.maximum(spectrogram(levelled(waveform), _bands(rate)), -30)
    return np.asarray(np.maximum(np.diff(decibels, axis=0), 0).mean(1), np.float64)
