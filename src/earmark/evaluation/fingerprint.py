"""Fingerprints: 32 bits a frame that survive re-encoding, trimming and loudness, for finding copies of a recording.

After Haitsma and Kalker 2002 ("A highly robust audio fingerprinting system"): a bit says whether the difference of two
neighbouring bands grew or fell over time, so that gain and slow filters leave it alone. Unlike theirs the difference is
taken over 0.4 s rather than from one frame to the next, which lowers the bit errors of low-rate codecs by a third.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FRAMES_PER_SECOND", "SAMPLE_RATE", "Fingerprint", "of_image", "of_waveform"]

SAMPLE_RATE = 8000
"""Hz of the waveform that :func:`of_waveform` takes."""
FRAMES_PER_SECOND = 25
_HOP = SAMPLE_RATE // FRAMES_PER_SECOND
_N_FFT = 2048
_BITS = 32
_RANGE = (250.0, 3000.0)  # Hz; what even a telephone carries
_LAG = 10  # frames
_IMAGE_LAG = 4  # columns
_SILENCE = 1e-6  # of the loudest frame's power: frames below carry bits of noise
_QUIET = 1e-9  # mean square of a sample; below there is nothing but dither
_BLOCK = 256


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """Words of one track: ``words`` (frames,) uint32 and ``valid`` (frames,), False where there is only silence."""

    words: NDArray[np.uint32]
    valid: NDArray[np.bool_]


def of_waveform(waveform: NDArray[np.float32]) -> Fingerprint:
    """The fingerprint of a waveform (samples,) at 8 kHz: 25 words a second; none where it is under 0.7 s."""
    if len(waveform) < _N_FFT:
        return _none()
    frames = np.lib.stride_tricks.sliding_window_view(waveform, _N_FFT)[::_HOP]
    window = np.hanning(_N_FFT).astype(np.float32)
    edges = _edges()
    energies = np.concatenate(
        [_energies(frames[start : start + _BLOCK] * window, edges) for start in range(0, len(frames), _BLOCK)]
    )
    power = energies.sum(1)
    # The window keeps 3/8 of the power, and a sum over a one-sided spectrum counts half of it n_fft times.
    quiet = _QUIET * _N_FFT * _N_FFT * 3 / 16
    return _words(energies, _LAG, power > max(quiet, _SILENCE * float(power.max(initial=0.0))))


def of_image(spectrogram: NDArray[np.float32]) -> Fingerprint:
    """The fingerprint of a picture (frames, bands) of grey levels, a word a column of pixels."""
    columns, rows = spectrogram.shape
    if rows < _BITS + 1:
        spectrogram = np.repeat(spectrogram, -(-(_BITS + 1) // rows), axis=1)
        rows = spectrogram.shape[1]
    starts = np.arange(_BITS + 1) * rows // (_BITS + 1)
    sizes = np.diff(np.append(starts, rows))
    bands = np.add.reduceat(spectrogram.astype(np.float64), starts, axis=1) / sizes
    varied = np.ptp(bands, axis=1) >= 2 if columns else np.zeros(0, np.bool_)
    return _words(bands, _IMAGE_LAG, varied)


def _words(bands: NDArray[np.float64], lag: int, loud: NDArray[np.bool_]) -> Fingerprint:
    """Bits from (frames, 33) energies: did a band gain on its neighbour since ``lag`` frames ago?"""
    if len(bands) <= lag:
        return _none()
    contrast = bands[:, :-1] - bands[:, 1:]
    bits = contrast[lag:] > contrast[:-lag]
    words = np.packbits(bits, axis=1, bitorder="little").view("<u4")[:, 0]
    return Fingerprint(words.astype(np.uint32), loud[lag:] & loud[:-lag])


def _energies(frames: NDArray[np.float32], edges: NDArray[np.intp]) -> NDArray[np.float64]:
    """(frames, 33) power in logarithmic bands."""
    power = np.abs(np.fft.rfft(frames, axis=1).astype(np.complex64)) ** 2
    return np.add.reduceat(power[:, : edges[-1]].astype(np.float64), edges[:-1], axis=1)


def _edges() -> NDArray[np.intp]:
    return np.round(np.geomspace(*_RANGE, _BITS + 2) * _N_FFT / SAMPLE_RATE).astype(np.intp)


def _none() -> Fingerprint:
    return Fingerprint(np.zeros(0, np.uint32), np.zeros(0, np.bool_))
