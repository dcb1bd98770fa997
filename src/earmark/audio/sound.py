"""Whether what was taken of a track is music: silence, noise, speech, clicks and a moment of sound are told by measure.

Music must practically never be taken for any of these; where it is not clear, it is music.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.errors import TOO_SHORT

__all__ = ["Sound"]

Array = NDArray[np.float32]
Double = NDArray[np.float64]

_SILENT_PEAK = 1e-4  # -80 dB of full scale
_QUIET_PEAK, _QUIET_LEVEL = 5e-3, 1e-3  # -46 dB and -60 dB: the noise of a line without a signal
_WINDOW = 1024
_WINDOWS = 12  # a clip, spread evenly over it
_FEWEST = 36  # windows, below which a spectrum is too rough to call it flat
_FLAT = 0.95  # geometric over arithmetic mean of the spectrum: white noise has .977 or more, music up to .89
_STEADY = 0.25  # deviation over mean of the windows' energy: white noise has .1, flat music .5 or more

_SHORTEST = 1.2  # seconds
_FRAME = 0.01  # seconds
_PAUSE, _FLOOR = 1e-2, 10**-2.2
_PAUSES = 0.32  # speech had .33 to .72 (12 voices), 243 songs up to .35
_TEXTURE = (0.1, 0.48)  # speech had .14 to .34 (made low voices up to .44), held notes more, drums less
_RHYTHM = 0.55  # speech had .14 to .49, music with such pauses more
_ENOUGH = 3  # clips: a melody of five seconds can look like a voice
_FEW_LOUD = 0.75  # speech had .29 to .70, music with such pauses more
_LOUD = 10**-2.5
_CLICK, _CLICKING = 15, 0.4  # of 243 songs none was loud in less than .67 of its frames


@dataclass(frozen=True, slots=True)
class _Course:
    """How the energy of one clip goes on.

    Attributes:
        pauses: Share of frames (10 ms) that are pauses: 20 dB below the loud ones, once the steady noise is taken off.
        texture: How alike the fine structure of the spectrum is 0.1 s later, -1..1; 0 where there are few pauses.
        rhythm: Share of the level's modulation that is from 2 to 9 Hz; 0 where there are few pauses.
        loud: Share of frames within 25 dB of the loudest.
        longest: Frames that nine in ten stretches of such do not exceed.
        clicks: Stretches of such.
    """

    pauses: float
    texture: float
    rhythm: float
    loud: float
    longest: float
    clicks: int


class Sound:
    """Loudness, spectrum and course of what was taken of a track, clip by clip."""

    def __init__(self, rate: int, band: float = 1.0, planned: float = math.inf) -> None:
        """At ``rate`` Hz, of whose spectrum ``band`` is in use; of a long track ``planned`` seconds are taken."""
        self._rate, self._band, self._peak, self._squares, self._samples = rate, band, 0.0, 0.0, 0
        self._least = min(_SHORTEST, planned - _FRAME)
        self._spectrum: Double = np.zeros(_WINDOW // 2 + 1)
        self._energies: list[float] = []
        self._courses: list[_Course] = []

    def add(self, waveform: Array) -> None:
        """Count a clip (samples,) in."""
        if not len(waveform):
            return
        self._peak = max(self._peak, float(waveform.max()), -float(waveform.min()))
        self._squares += float(np.dot(waveform, waveform))
        self._samples += len(waveform)
        if len(waveform) < _WINDOW:
            return
        if len(waveform) >= self._rate:
            self._courses.append(_course(waveform, self._rate))
        places = np.linspace(0, len(waveform) - _WINDOW, _WINDOWS).astype(int)
        windows = np.stack([waveform[place : place + _WINDOW] for place in places]) * np.hanning(_WINDOW)
        power = np.square(np.abs(np.fft.rfft(windows, axis=1)))
        self._spectrum += power.sum(axis=0)
        self._energies += power.sum(axis=1).tolist()

    @property
    def warning(self) -> str:
        """Which of :data:`earmark.errors.NO_MUSIC` it is, or that it is too short to judge; "" for music."""
        if self._silent:
            return "silence"
        if self._samples < self._least * self._rate:
            return TOO_SHORT
        return "noise" if self._noise else "clicks" if self._clicks else "speech" if self._speech else ""

    @property
    def _silent(self) -> bool:
        """Whether nothing can be heard, or only the noise of a line without a signal."""
        level = (self._squares / self._samples) ** 0.5 if self._samples else 0.0
        return self._peak < _SILENT_PEAK or (self._peak < _QUIET_PEAK and level < _QUIET_LEVEL)

    @property
    def _noise(self) -> bool:
        """Whether it is white noise from beginning to end: a flat spectrum that never changes (Johnston 1988)."""
        if len(self._energies) < _FEWEST:
            return False
        energies = np.asarray(self._energies)
        low, high = round(0.02 * _WINDOW), round(0.4 * self._band * _WINDOW)  # resamplers and codecs cut what is above
        band = self._spectrum[low:high]
        if energies.std() > _STEADY * energies.mean() or not band.min() > 0:
            return False
        return float(np.exp(np.log(band).mean()) / band.mean()) > _FLAT

    @property
    def _clicks(self) -> bool:
        """Whether it is short clicks with silence between, and nothing else."""
        every = self._courses
        few = all(one.loud <= _CLICKING and one.longest <= _CLICK for one in every)
        return bool(every) and few and sum(one.clicks for one in every) > len(every)

    @property
    def _speech(self) -> bool:
        """Whether it is one voice that speaks: pauses throughout, and tones that never stay (Scheirer and Slaney 1997).

        Notes are held; the overtones of speech glide, so that a tenth of a second later others are there.
        """
        if len(self._courses) < _ENOUGH:
            return False
        every = [(one.pauses, one.texture, one.rhythm, one.loud) for one in self._courses]
        pauses, texture, rhythm, loud = np.median(every, axis=0).tolist()
        glides = _TEXTURE[0] <= texture <= _TEXTURE[1]
        return bool(pauses >= _PAUSES and glides and rhythm <= _RHYTHM and loud <= _FEW_LOUD)


def _course(waveform: Array, rate: int) -> _Course:
    length = max(1, round(_FRAME * rate))
    frames = waveform[: len(waveform) // length * length].reshape(-1, length)
    energy = np.einsum("ij,ij->i", frames, frames).astype(np.float64) / length
    energy = (energy[2:] + energy[1:-1] + energy[:-2]) / 3
    if not energy.max() > 0:
        return _Course(0.0, 0.0, 0.0, 0.0, 0.0, 0)
    ordered = np.sort(energy)  # much quicker than np.percentile
    floor, top = float(ordered[len(energy) // 20]), float(ordered[19 * len(energy) // 20])
    pauses = float((energy - 2 * floor < _PAUSE * top).mean()) if floor < _FLOOR * top else 0.0
    loud = energy > _LOUD * energy.max()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(np.int8), [0]])))
    stretches = np.sort(edges[1::2] - edges[::2])
    spoken = pauses >= _PAUSES / 2  # which music practically never is: the rest is seldom computed
    texture, rhythm = (_texture(waveform, rate), _rhythm(energy)) if spoken else (0.0, 0.0)
    return _Course(
        pauses, texture, rhythm, float(loud.mean()), float(stretches[9 * len(stretches) // 10]), len(stretches)
    )


def _rhythm(energy: Double) -> float:
    level = np.log(energy + 1e-6 * energy.max() + 1e-12)
    power = np.square(np.abs(np.fft.rfft(level)))
    hertz = np.fft.rfftfreq(len(level), _FRAME)
    return float(power[(hertz >= 2) & (hertz <= 9)].sum() / max(power[(hertz > 0.3) & (hertz <= 40)].sum(), 1e-12))


def _texture(waveform: Array, rate: int) -> float:
    """Likeness of the spectrum's fine structure (125 Hz to 4 kHz) to that 0.1 s later, weighed by loudness."""
    size, hop = round(0.032 * rate), max(1, round(_FRAME * rate))
    starts = np.arange(0, len(waveform) - size, hop)
    windows = np.lib.stride_tricks.sliding_window_view(waveform, size)[starts] * np.hanning(size)
    spectrum = np.abs(np.fft.rfft(windows, axis=1))[:, 4:128]
    level = np.log(spectrum + 1e-4 * spectrum.max() + 1e-9)
    smooth = np.cumsum(np.pad(level, ((0, 0), (5, 4))), axis=1)
    fine = level - (smooth[:, 9:] - smooth[:, :-9]) / 9
    fine /= np.linalg.norm(fine, axis=1, keepdims=True) + 1e-9
    weight, later = spectrum.sum(axis=1), 10
    weight = np.minimum(weight[later:], weight[:-later])
    return float((weight * np.einsum("ij,ij->i", fine[later:], fine[:-later])).sum() / max(weight.sum(), 1e-12))
