"""Loudness of a whole track after ITU-R BS.1770-5: K-weighting, gated blocks of 400 ms; and its true peak."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from earmark.analyses.facts import Loudness

__all__ = ["LoudnessMeter"]

Array = NDArray[np.float32]
Double = NDArray[np.float64]
Complex = NDArray[np.complex128]

_ABSOLUTE, _RELATIVE = -70.0, -10.0  # LUFS; LU below the mean of what the first gate leaves
_REFERENCE = -18.0  # LUFS (ReplayGain 2)
_STUDIO = 48_000  # Hz
_HIGHEST = 1e6  # of a sample, so that squares of damaged ones stay finite
_FRONT, _LOW, _SIDE = 1.0, 0.0, 1.41
_WEIGHTS: Mapping[int, tuple[float, ...]] = {
    4: (_FRONT, _FRONT, _SIDE, _SIDE),
    5: (_FRONT, _FRONT, _FRONT, _SIDE, _SIDE),
    6: (_FRONT, _FRONT, _FRONT, _LOW, _SIDE, _SIDE),
    7: (_FRONT, _FRONT, _FRONT, _LOW, _FRONT, _SIDE, _SIDE),
    8: (_FRONT, _FRONT, _FRONT, _LOW, _FRONT, _FRONT, _SIDE, _SIDE),
}
"""Of channels in the usual order of WAV and FLAC, by their number; else all count alike. Those right behind the
listener count as those in front."""

_OVER, _HALF = 4, 16  # points a sample; samples on either side of a point
_CHUNK = 8  # samples that are looked at together: their marks are one integer of 64 bits
_NEAR = 0.5  # of the highest peak: what is lower is not 6 dB higher between its samples


class LoudnessMeter:
    """Loudness of a track from its blocks, in bounded memory (a number a tenth of a second)."""

    def __init__(self, rate: int) -> None:
        """At ``rate`` Hz."""
        self._step = max(1, round(rate / 10))
        self._power, self._seams = _weighting(rate, self._step)
        self._between = _interpolation()
        self._steps = array("d")  # weighted mean squares of a tenth of a second
        self._peak = 0.0
        self._waiting = self._edge = np.zeros((0, 0), np.float32)  # (channels, samples)
        self._rings = np.zeros((0, 0))

    def add(self, block: Array) -> None:
        """Count a block in: (samples, channels) float32, as it follows the one before."""
        fresh = _finite(block.T)
        if not len(self._edge):
            self._edge = np.zeros((len(fresh), 2 * _HALF), np.float32)
            self._waiting, self._rings = self._edge[:, :0], np.zeros((len(fresh), 4))
        elif len(fresh) != len(self._edge):  # a decoder that took over, or a stream that changes
            fresh = np.repeat(fresh.mean(axis=0, keepdims=True), len(self._edge), axis=0)
        sound = np.concatenate([self._edge, fresh], axis=1)
        self._peak = self._highest(sound)
        self._edge = sound[:, -2 * _HALF :].copy()
        self._waiting = np.concatenate([self._waiting, fresh], axis=1)
        whole = self._waiting.shape[1] // self._step * self._step
        if whole:
            self._weigh(self._waiting[:, :whole])
            self._waiting = self._waiting[:, whole:].copy()

    def result(self) -> Loudness:
        """The loudness of what was counted in; a block of 400 ms that the end cuts off does not count."""
        peak = self._highest(np.pad(self._edge, ((0, 0), (0, _HALF))))
        if not peak:
            return Loudness()
        steps = np.frombuffer(self._steps) if len(self._steps) >= 4 else np.zeros(4)
        lufs = _gated(np.convolve(steps, np.full(4, 0.25), "valid"))
        decibels = round(20 * float(np.log10(peak)), 2)
        if lufs is None:
            return Loudness(None, decibels, None)
        return Loudness(round(lufs, 2), decibels, round(_REFERENCE - lufs, 2))

    def _weigh(self, sound: Array) -> None:
        """K-weight tenths of a second and sum up their squares, without going back from the spectrum.

        A spectrum's filter is circular: what rings on behind the end of a step stands at its beginning. Four numbers
        describe the ringing of two filters of second order, so that it is taken out, and that of the step before put
        in: the sum is that of the recursive filter.
        """
        channels = len(sound)
        rows = sound.reshape(-1, self._step)
        spectrum = np.fft.rfft(rows, axis=1).view(np.float32)
        energy = (np.square(spectrum, out=spectrum) @ self._power).astype(np.float64).reshape(channels, -1)
        ends = (rows @ self._seams).astype(np.float64).reshape(channels, -1, 8)
        rings, along = ends[..., :4], ends[..., 4:]
        change = np.concatenate([self._rings[:, None], rings[:, :-1]], axis=1) - rings
        energy += ((2 * along + change) * change).sum(axis=2)
        self._rings = rings[:, -1]
        weights = np.array(_WEIGHTS.get(channels, (_FRONT,) * channels))
        self._steps.extend(weights @ np.maximum(energy, 0) / self._step)

    def _highest(self, sound: Array) -> float:
        """The highest peak so far and in (channels, samples), between the samples too.

        Only what is near a high sample is looked at closely. The first and last samples are context.
        """
        best = max(self._peak, float(sound.max(initial=0)), -float(sound.min(initial=0)))
        if best <= self._peak * _NEAR or sound.shape[1] <= 2 * _HALF:
            return best
        for channel in sound:
            inside = channel[_HALF:-_HALF]
            if len(inside) % _CHUNK:
                channel = np.pad(channel, (0, -len(inside) % _CHUNK))
            windows = sliding_window_view(channel, 2 * _HALF + _CHUNK)[::_CHUNK]
            level = np.abs(channel[_HALF:-_HALF])
            loudest = int(level.argmax()) // _CHUNK
            best = max(best, float(np.abs(windows[loudest] @ self._between).max()))
            near = np.flatnonzero((level > _NEAR * best).view(np.uint64))
            best = max(best, float(np.abs(windows[near] @ self._between).max(initial=0)))
        return best


def _finite(sound: Array) -> Array:
    """The same with zeros for what is no number, in bounds."""
    if float(np.abs(sound).max(initial=0)) <= _HIGHEST:
        return sound
    return np.clip(np.nan_to_num(sound, posinf=0.0, neginf=0.0), -_HIGHEST, _HIGHEST)


def _interpolation() -> Array:
    """(samples, points) what makes of a chunk and its surroundings the points between its samples, before the first and
    after the last: a sinc under a window.
    """
    points = np.arange(1 - _OVER, _CHUNK * _OVER) / _OVER
    points = points[points % 1 > 0]
    away = points[None] - (np.arange(2 * _HALF + _CHUNK)[:, None] - _HALF)
    inside = np.clip(1 - np.square(away / (_HALF + 0.5)), 0, None)
    taps = np.sinc(away) * np.i0(5 * np.sqrt(inside)) * (inside > 0)
    return np.asarray(taps / taps.sum(axis=0), np.float32)


def _weighting(rate: int, step: int) -> tuple[Array, Array]:
    """The K-weighting of steps of so many samples.

    Returns:
        What squares of a spectrum's real and imaginary parts count to the sum of the squares of the samples; and
        (samples, 8): how much each excites four orthonormal ways of ringing on behind the end, and how much of these
        is in the step, filtered as a circle.
    """
    response, bare = _response(rate, np.fft.rfftfreq(4 * step, 1 / rate))
    ringing = [np.fft.irfft(1 / one) for one in bare]
    ways, _ = np.linalg.qr(np.stack([one[late : late + step] for one in ringing for late in (0, 1)], axis=1))
    behind = np.fft.irfft(np.conj(np.fft.rfft(ways, 4 * step, axis=0)) * response[:, None], 4 * step, axis=0)
    along = np.fft.irfft(np.fft.rfft(ways, axis=0) * np.conj(response[::4])[:, None], step, axis=0)
    hertz = np.fft.rfftfreq(step, 1 / rate)
    counts = np.where((hertz == 0) | (2 * hertz == rate), 1.0, 2.0)
    # The standard's response, which it gives at 48 kHz: a filter made for a low rate would bend it near the highest.
    standard, _ = _response(_STUDIO, np.minimum(hertz, _STUDIO / 2))
    power = np.repeat(counts * np.square(np.abs(standard)) / step, 2)
    seams = np.concatenate([behind[step:0:-1], along], axis=1)
    return power.astype(np.float32), seams.astype(np.float32)


def _response(rate: int, hertz: NDArray[np.floating]) -> tuple[Complex, list[Complex]]:
    """Response of both filters together at some frequencies, and the denominators of each."""
    z = np.exp(-2j * np.pi * hertz / rate)
    tops, bottoms = zip(*([_polynomial(part, z) for part in one(rate)] for one in (_shelf, _high_pass)), strict=True)
    return tops[0] * tops[1] / (bottoms[0] * bottoms[1]), list(bottoms)


def _polynomial(coefficients: tuple[float, ...], z: Complex) -> Complex:
    return coefficients[0] + coefficients[1] * z + coefficients[2] * z * z


def _shelf(rate: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Numerator and denominator at any rate (De Man 2014); at 48 kHz the standard's coefficients."""
    k, q = np.tan(np.pi * 1681.974450955533 / rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    scale = 1 + k / q + k * k
    top = ((high + band * k / q + k * k) / scale, 2 * (k * k - high) / scale, (high - band * k / q + k * k) / scale)
    return top, (1.0, 2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale)


def _high_pass(rate: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    k, q = np.tan(np.pi * 38.13547087602444 / rate), 0.5003270373238773
    scale = 1 + k / q + k * k
    return (1.0, -2.0, 1.0), (1.0, 2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale)


def _gated(blocks: Double) -> float | None:
    """LUFS of blocks' mean squares, without silent and quiet ones; None where all are silent."""
    with np.errstate(divide="ignore"):
        loud = blocks[-0.691 + 10 * np.log10(blocks) > _ABSOLUTE]
    if not len(loud):
        return None
    threshold = loud.mean() * 10 ** (_RELATIVE / 10)
    return float(-0.691 + 10 * np.log10(loud[loud > threshold].mean()))
