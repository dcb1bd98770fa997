"""Changed copies of sounds, for teachers and student alike: the cheapest way to more music.

Whatever is done to a sound, its targets are what the teachers make of the result, so that no change can be wrong.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import scipy.fft
import soundfile
import soxr
from numpy.typing import NDArray

__all__ = ["Chances", "band_limited", "changed", "equalised", "mixed", "through_codec"]

Array = NDArray[np.float32]
CODECS: tuple[tuple[str, str, int], ...] = (
    ("MP3", "MPEG_LAYER_III", 32000),
    ("OGG", "VORBIS", 32000),
    ("OGG", "OPUS", 48000),
)
CODEC_SHARES = (0.6, 0.25, 0.15)


@dataclass(frozen=True, slots=True)
class Chances:
    """How often each change is made.

    Attributes:
        speed: Played up to 12 % faster or slower, pitch and tempo together.
        mix: Another sound mixed in at -8..+8 dB.
        equaliser: A random smooth curve, 4 dB (standard deviation) at ten frequencies.
        band: Nothing above a limit of 4-11 kHz.
        codec: Encoded as mp3, Vorbis or Opus at a random quality and decoded again.
        clip: Driven into soft clipping, as loud masters are.
        silence: 0.5-5 s of silence in front.
    """

    speed: float = 0.6
    mix: float = 0.5
    equaliser: float = 0.6
    band: float = 0.2
    codec: float = 0.35
    clip: float = 0.15
    silence: float = 0.05


def changed(waveform: Array, other: Array, sample_rate: int, rng: np.random.Generator, chances: Chances) -> Array:
    """A changed copy.

    Args:
        waveform: (samples,) mono.
        other: Another sound, to mix in; may be empty.
        sample_rate: Hz of both.
        rng: Decides everything.
        chances: How often each change is made.

    Returns:
        (samples',) float32, up to 12 % and 5 s longer or 12 % shorter.
    """
    sound = waveform
    if rng.random() < chances.speed:
        sound = soxr.resample(sound, sample_rate, sample_rate * rng.uniform(0.88, 1.12), quality="MQ")
    if rng.random() < chances.mix and len(other):
        sound = mixed(sound, other, rng)
    if rng.random() < chances.equaliser:
        sound = equalised(sound, sample_rate, rng)
    if rng.random() < chances.clip:
        drive = rng.uniform(1.5, 5.0) / max(1e-4, float(np.abs(sound).max()))
        sound = np.tanh(drive * sound) / max(1.0, drive)
    if rng.random() < chances.band:
        sound = band_limited(sound, sample_rate, rng.uniform(4000.0, 11000.0))
    sound = sound * 10.0 ** (rng.uniform(-8.0, 8.0) / 20.0)
    if rng.random() < chances.codec:
        sound = through_codec(sound, sample_rate, int(rng.choice(len(CODECS), p=CODEC_SHARES)), rng.uniform(0.0, 1.0))
    if rng.random() < chances.silence:
        sound = np.concatenate([np.zeros(int(rng.uniform(0.5, 5.0) * sample_rate), np.float32), sound])
    return np.asarray(sound, np.float32)


def mixed(waveform: Array, other: Array, rng: np.random.Generator) -> Array:
    """Another sound added at -8..+8 dB relative to this one, from a random place, repeated where it is shorter."""
    added = np.roll(np.resize(other, len(waveform)), int(rng.integers(len(waveform))))
    level = float(np.sqrt(np.mean(waveform**2))) / max(1e-6, float(np.sqrt(np.mean(added**2))))
    both = waveform + added * np.float32(level * 10.0 ** (rng.uniform(-8.0, 8.0) / 20.0))
    return np.asarray(both * np.float32(0.7), np.float32)


def _filtered(waveform: Array, gains: NDArray[np.float64]) -> Array:
    length = scipy.fft.next_fast_len(len(waveform), real=True)
    spectrum = scipy.fft.rfft(waveform, length)
    gain = np.interp(np.linspace(0.0, 1.0, len(spectrum)), np.linspace(0.0, 1.0, len(gains)), gains)
    return np.asarray(scipy.fft.irfft(spectrum * gain.astype(np.float32), length)[: len(waveform)], np.float32)


def equalised(waveform: Array, sample_rate: int, rng: np.random.Generator) -> Array:
    """A smooth curve over ten frequencies an octave apart, 4 dB standard deviation each."""
    points = sample_rate / 2 / 2.0 ** np.arange(9, -1, -1)
    hertz = np.linspace(0.0, sample_rate / 2, 2048)
    curve = np.interp(np.log2(np.maximum(hertz, 10.0)), np.log2(points), rng.normal(0.0, 4.0, len(points)))
    return _filtered(waveform, 10.0 ** (curve / 20.0))


def band_limited(waveform: Array, sample_rate: int, hertz: float) -> Array:
    """Nothing above that frequency (a slope of a tenth of it)."""
    axis = np.linspace(0.0, sample_rate / 2, 2048)
    return _filtered(waveform, np.clip((hertz - axis) / (0.1 * hertz) + 0.5, 0.0, 1.0))


def through_codec(waveform: Array, sample_rate: int, codec: int, quality: float) -> Array:
    """Encoded and decoded again.

    Args:
        waveform: (samples,) mono.
        sample_rate: Hz.
        codec: Index into mp3, Vorbis, Opus.
        quality: 0 is the codec's smallest file for mono sound, 1 is about 128 kbit/s.
    """
    container, subtype, rate = CODECS[codec]
    sound = np.clip(waveform, -1.0, 1.0)
    if rate != sample_rate:
        sound = soxr.resample(sound, sample_rate, rate, quality="MQ")
    memory = io.BytesIO()
    level = {"MPEG_LAYER_III": 0.99 - 0.35 * quality, "VORBIS": 0.95 - 0.6 * quality, "OPUS": 0.9 - 0.4 * quality}
    mode = "CONSTANT" if container == "MP3" else None
    settings = {"compression_level": level[subtype], "bitrate_mode": mode}
    soundfile.write(memory, sound, rate, format=container, subtype=subtype, **settings)
    memory.seek(0)
    back, found = soundfile.read(memory, dtype="float32")
    if found != sample_rate:
        back = soxr.resample(back, found, sample_rate, quality="MQ")
    return np.asarray(back[: len(waveform)], np.float32)
