"""Waveforms: how loud, whether noise (what a network could make no sense of), and at another rate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

__all__ = ["Sound", "resampled"]

Array = NDArray[np.float32]

_SILENT_PEAK = 1e-4  # -80 dB of full scale
_QUIET_PEAK, _QUIET_LEVEL = 5e-3, 1e-3  # -46 dB and -60 dB: the noise of a line without a signal
_WINDOW = 1024
_WINDOWS = 12  # a clip, spread evenly over it
_FEWEST = 36  # windows, below which a spectrum is too rough to call it flat
_FLAT = 0.95  # geometric over arithmetic mean of the spectrum: white noise has .977 or more, music up to .89
_STEADY = 0.25  # deviation over mean of the windows' energy: white noise has .1, flat music .5 or more


class Sound:
    """Loudness and spectrum of what was taken of a track, clip by clip; ``band`` is the part of the spectrum in use."""

    def __init__(self, band: float = 1.0) -> None:
        self._band, self._peak, self._squares, self._samples = band, 0.0, 0.0, 0
        self._spectrum: NDArray[np.float64] = np.zeros(_WINDOW // 2 + 1)
        self._energies: list[float] = []

    def add(self, waveform: Array) -> None:
        """Count a clip (samples,) in."""
        if not len(waveform):
            return
        self._peak = max(self._peak, float(waveform.max()), -float(waveform.min()))
        self._squares += float(np.dot(waveform, waveform))
        self._samples += len(waveform)
        if len(waveform) < _WINDOW:
            return
        places = np.linspace(0, len(waveform) - _WINDOW, _WINDOWS).astype(int)
        windows = np.stack([waveform[place : place + _WINDOW] for place in places]) * np.hanning(_WINDOW)
        power = np.square(np.abs(np.fft.rfft(windows, axis=1)))
        self._spectrum += power.sum(axis=0)
        self._energies += power.sum(axis=1).tolist()

    @property
    def silent(self) -> bool:
        """Whether nothing can be heard, or only the noise of a line without a signal."""
        level = (self._squares / self._samples) ** 0.5 if self._samples else 0.0
        return self._peak < _SILENT_PEAK or (self._peak < _QUIET_PEAK and level < _QUIET_LEVEL)

    @property
    def noise(self) -> bool:
        """Whether it is white noise from beginning to end: a flat spectrum that never changes (Johnston 1988)."""
        if self.silent or len(self._energies) < _FEWEST:
            return False
        energies = np.asarray(self._energies)
        low, high = round(0.02 * _WINDOW), round(0.4 * self._band * _WINDOW)  # resamplers and codecs cut what is above
        band = self._spectrum[low:high]
        if energies.std() > _STEADY * energies.mean() or not band.min() > 0:
            return False
        return float(np.exp(np.log(band).mean()) / band.mean()) > _FLAT


def resampled(blocks: Iterator[Array], rate: int, wanted: int) -> Iterator[Array]:
    """Blocks (samples, channels) at another rate, without seams."""
    resampler = None
    for block in blocks:
        if resampler is None:
            channels = block.shape[1]
            resampler = soxr.ResampleStream(rate, wanted, channels, dtype="float32", quality="HQ")
        yield resampler.resample_chunk(block if channels > 1 else block[:, 0]).reshape(-1, channels)
    if resampler is not None:
        rest = np.zeros((0, channels) if channels > 1 else 0, np.float32)
        yield resampler.resample_chunk(rest, last=True).reshape(-1, channels)
