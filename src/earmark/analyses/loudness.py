"""Loudness of a whole track after ITU-R BS.1770-5: K-weighting, gated blocks of 400 ms; and its true peak."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from earmark.analyses.facts import Loudness

__all__ = ["LoudnessMeter"]

Array = NDArray[np.float32]
Double = NDArray[np.float64]

_ABSOLUTE, _RELATIVE = -70.0, -10.0  # LUFS; LU below the mean of what the first gate leaves
_REFERENCE = -18.0  # LUFS (ReplayGain 2)
_OVER = 4
_SURROUND = 1.41  # weight of the channels behind the listener


class LoudnessMeter:
    """Loudness of a track from its blocks, in bounded memory (a number a tenth of a second)."""

    def __init__(self, rate: int) -> None:
        """At ``rate`` Hz."""
        self._rate, self._step = rate, round(rate / 10)
        self._taps = self._step  # the response has fallen below -150 dB by then
        self._size = 1 << int(np.ceil(np.log2(4 * self._taps)))
        self._response = np.fft.rfft(_impulse_response(rate, self._taps), self._size)[:, None].astype(np.complex64)
        self._waiting = np.zeros((0, 0), np.float32)
        self._weighted = np.zeros((0, 0), np.float32)
        self._steps: list[float] = []  # weighted mean squares of a tenth of a second
        self._peak = 0.0

    def add(self, block: Array) -> None:
        """Count a block in: (samples, channels) float32, as it follows the one before."""
        block = np.nan_to_num(block, posinf=0.0, neginf=0.0)
        self._count_peak(block)
        if not self._waiting.size:
            self._waiting = np.zeros((self._taps - 1, block.shape[1]), np.float32)
            self._weighted = np.zeros((0, block.shape[1]), np.float32)
        self._waiting = np.concatenate([self._waiting, block])
        while len(self._waiting) >= self._size:
            self._filter(self._size)

    def result(self) -> Loudness:
        """The loudness of what was counted in."""
        while len(self._waiting) >= self._taps:
            self._filter(min(self._size, len(self._waiting)))
        if not self._peak:
            return Loudness()
        steps = np.asarray(self._steps)
        blocks = np.convolve(steps, np.full(4, 0.25), "valid") if len(steps) >= 4 else steps
        lufs = _gated(blocks)
        peak = round(20 * float(np.log10(self._peak)), 2)
        return Loudness(None, peak, None) if lufs is None else Loudness(
            round(lufs, 2), peak, round(_REFERENCE - lufs, 2))  # fmt: skip

    def _filter(self, size: int) -> None:
        """K-weight what waits, by overlap and save, and sum up whole tenths of a second."""
        spectrum = np.fft.rfft(self._waiting[:size], self._size, axis=0) * self._response
        fresh = np.fft.irfft(spectrum, self._size, axis=0)[self._taps - 1 : size]
        self._waiting = self._waiting[size - self._taps + 1 :]
        self._weighted = np.concatenate([self._weighted, fresh.astype(np.float32)])
        whole = len(self._weighted) // self._step * self._step
        channels = self._weighted.shape[1]
        squares = np.square(self._weighted[:whole]).reshape(-1, self._step, channels).mean(axis=1, dtype=np.float64)
        self._steps += (squares @ _channel_weights(channels)).tolist()
        self._weighted = self._weighted[whole:]

    def _count_peak(self, block: Array) -> None:
        """The peak between the samples; only near loud samples, since they alone can be the highest."""
        highest = float(np.abs(block).max(initial=0))
        self._peak = max(self._peak, highest)
        if highest > 0.7 * self._peak:
            self._peak = max(self._peak, float(np.abs(soxr.resample(block, 1, _OVER)).max(initial=0)))


def _channel_weights(channels: int) -> Double:
    """Of front channels 1, of the low-frequency one 0, of those behind 1.41 (5.1 in the usual order)."""
    weights = np.ones(channels)
    if channels >= 6:
        weights[3] = 0.0
        weights[4:6] = _SURROUND
    return weights


def _impulse_response(rate: int, taps: int) -> Double:
    """Of the K-weighting's shelf and high-pass, at any rate (De Man 2014; the standard's coefficients at 48 kHz)."""
    found = np.zeros(taps)
    found[0] = 1.0
    for numerator, denominator in (_shelf(rate), _high_pass(rate)):
        past = [0.0, 0.0]
        for place, value in enumerate(found.tolist()):
            now = value - denominator[0] * past[0] - denominator[1] * past[1]
            found[place] = numerator[0] * now + numerator[1] * past[0] + numerator[2] * past[1]
            past = [now, past[0]]
    return found


def _shelf(rate: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    k, q = np.tan(np.pi * 1681.974450955533 / rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    scale = 1 + k / q + k * k
    top = ((high + band * k / q + k * k) / scale, 2 * (k * k - high) / scale, (high - band * k / q + k * k) / scale)
    return top, (2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale)


def _high_pass(rate: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    k, q = np.tan(np.pi * 38.13547087602444 / rate), 0.5003270373238773
    scale = 1 + k / q + k * k
    return (1.0, -2.0, 1.0), (2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale)


def _gated(blocks: Double) -> float | None:
    """LUFS of blocks' mean squares, without silent and quiet ones; None where all are silent."""
    with np.errstate(divide="ignore"):
        loud = blocks[-0.691 + 10 * np.log10(blocks) > _ABSOLUTE]
    if not len(loud):
        return None
    threshold = loud.mean() * 10 ** (_RELATIVE / 10)
    return float(-0.691 + 10 * np.log10(loud[loud > threshold].mean()))
