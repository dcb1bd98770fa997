"""Changes of the training data, by name: a recipe lists them as ``[[augment]]`` with a probability and ranges.

A change is a plain function of an array, a random generator and its own options; shapes stay as they are. Some take
spectrograms (frames, bands), all but the warp after Park et al. 2019 (SpecAugment): their masks fill with the quietest
value, ``floor``, a hole in the music, not a blow; ranges are those of the BBNN repository. Others take waveforms
(samples,) float32 and their rate in Hz. ``zoom-out`` alone needs more of the track than a clip: :func:`zoom_factor`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.errors import RecipeError, UnknownName
from earmark.features.frontend import Frontend
from earmark.features.sox import RANGE_DB, STEPS
from earmark.recipe import Augmentation

__all__ = [
    "augment_spectrogram",
    "augment_waveform",
    "check_augmentations",
    "needs_waveform",
    "shrink",
    "zoom_factor",
]

Array = NDArray[np.float32]

ZOOM = "zoom-out"
_N_FFT, _HOP = 2048, 512  # of the phase vocoder


def check_augmentations(augmentations: Sequence[Augmentation]) -> None:
    """Refuse, before training starts, what cannot be done.

    Raises:
        UnknownName: No such change, or it has no such option.
        RecipeError: A probability outside 0..1, or an option that makes no sense.
    """
    for change in augmentations:
        if change.name not in (*_SPECTRA, *_WAVES, ZOOM):
            raise UnknownName("augmentation", change.name, (*_SPECTRA, *_WAVES, ZOOM))
        if not 0 <= change.probability <= 1:
            raise RecipeError(f"augment {change.name}: probability = {change.probability}: must be from 0 to 1")
        allowed = _options(change.name)
        for key in change.options:
            if key not in allowed:
                raise UnknownName(f"option of augmentation {change.name}", key, allowed)
        try:
            _apply(change, np.zeros((256, 64), np.float32), np.random.default_rng(0))
        except (TypeError, ValueError) as error:
            raise RecipeError(f"augment {change.name}: {error}") from error


def needs_waveform(augmentations: Sequence[Augmentation]) -> bool:
    """Whether stored spectrograms do not do, because the sound itself is changed."""
    return any(change.name in _WAVES for change in augmentations)


def augment_waveform(
    waveform: Array, rate: int, augmentations: Sequence[Augmentation], rng: np.random.Generator
) -> Array:
    """A waveform (samples,) with the recipe's changes of sound, each by chance; as long as before.

    Args:
        waveform: Mono float32.
        rate: Hz.
        augmentations: Of the recipe; those of spectrograms are passed over.
        rng: Of this clip.
    """
    for change in augmentations:
        if change.name in _WAVES and rng.random() < change.probability:
            waveform = _WAVES[change.name](waveform, rate, rng, **change.options)
    return waveform


def augment_spectrogram(
    spectrogram: Array, augmentations: Sequence[Augmentation], rng: np.random.Generator, floor: float | None = None
) -> Array:
    """A spectrogram (frames, bands) with the recipe's changes of pictures, each by chance; of the same shape.

    Args:
        spectrogram: float32; it is not written to.
        augmentations: Of the recipe; those of sound are passed over.
        rng: Of this clip.
        floor: What masks fill with; the spectrogram's own quietest value where not given.
    """
    floor = float(spectrogram.min(initial=np.inf)) if floor is None else floor
    for change in augmentations:
        if change.name in _SPECTRA and rng.random() < change.probability:
            spectrogram = _SPECTRA[change.name](spectrogram, rng, floor, **change.options)
    return spectrogram


def zoom_factor(augmentations: Sequence[Augmentation], rng: np.random.Generator) -> int:
    """How many clips' length of the track this clip shall show: 1, or by chance that of ``zoom-out`` (2)."""
    for change in augmentations:
        if change.name == ZOOM and rng.random() < change.probability:
            return int(change.options.get("factor", 2))
    return 1


def shrink(spectrogram: Array, factor: int, frontend: Frontend) -> Array:
    """The mean power of every ``factor`` frames: (factor x frames, bands) to (frames, bands).

    A SoX picture comes out as SoX draws it at fewer columns a second.
    """
    return spectrogram if factor == 1 else mean_power(spectrogram, factor, frontend)


def _options(name: str) -> tuple[str, ...]:
    if name == ZOOM:
        return ("factor",)
    function = _SPECTRA.get(name) or _WAVES[name]
    return tuple(list(inspect.signature(function).parameters)[3:])


def _apply(change: Augmentation, spectrogram: Array, rng: np.random.Generator) -> Any:
    """Try a change on silence."""
    if change.name == ZOOM:
        if not isinstance(change.options.get("factor", 2), int) or change.options.get("factor", 2) < 2:
            raise ValueError(f"factor = {change.options['factor']}: must be a whole number from 2 on")
        return spectrogram
    if change.name in _WAVES:
        return _WAVES[change.name](spectrogram.ravel(), 16000, rng, **change.options)
    return _SPECTRA[change.name](spectrogram, rng, 0.0, **change.options)


def time_mask(
    spectrogram: Array, rng: np.random.Generator, floor: float, frames: Sequence[int] = (10, 100), masks: int = 1
) -> Array:
    """Fill ``masks`` stretches of ``frames`` (least, most) frames with the floor; at most half of the clip each."""
    changed = spectrogram.copy()
    for _ in range(masks):
        start, stop = _stretch(len(changed), frames, rng)
        changed[start:stop] = floor
    return changed


def frequency_mask(
    spectrogram: Array, rng: np.random.Generator, floor: float, bands: Sequence[int] = (5, 27), masks: int = 1
) -> Array:
    """Fill ``masks`` stretches of ``bands`` (least, most) bands with the floor; at most half of the clip each."""
    changed = spectrogram.copy()
    for _ in range(masks):
        start, stop = _stretch(changed.shape[1], bands, rng)
        changed[:, start:stop] = floor
    return changed


def time_warp(spectrogram: Array, rng: np.random.Generator, floor: float, frames: Sequence[int] = (25, 80)) -> Array:
    """Shift an inner frame by ``frames`` (least, most) to the left or right, stretching what lies on both sides."""
    length = len(spectrogram)
    shift = min(_whole_number(frames, "frames", rng), max(0, length // 4))
    if not shift:
        return spectrogram.copy()
    centre = int(rng.integers(shift + 1, length - shift - 1)) if length > 2 * shift + 2 else length // 2
    goal = centre + shift * int(rng.choice((-1, 1)))
    places = np.interp(np.arange(length), [0, goal, length - 1], [0, centre, length - 1])
    left = np.minimum(places.astype(int), length - 2)
    weight = (places - left).astype(np.float32)[:, None]
    return np.asarray((1 - weight) * spectrogram[left] + weight * spectrogram[left + 1], np.float32)


def random_dropout(spectrogram: Array, rng: np.random.Generator, floor: float, share: float = 0.005) -> Array:
    """Fill that share of all points with the floor."""
    if not 0 <= share <= 1:
        raise ValueError(f"share = {share}: must be from 0 to 1")
    return np.where(rng.random(spectrogram.shape, np.float32) < share, np.float32(floor), spectrogram)


def frequency_stretch(
    spectrogram: Array, rng: np.random.Generator, floor: float, factor: Sequence[float] = (0.9, 1.1)
) -> Array:
    """Stretch or squeeze the bands by a factor drawn from a range, as a player that runs slow or fast; the edge stays.

    Of a linear spectrogram every frequency is multiplied by it.
    """
    low, high = _limits(factor, "factor")
    if low <= 0:
        raise ValueError(f"factor = {list(factor)}: must be above 0")
    bands = spectrogram.shape[1]
    places = np.minimum(np.arange(bands) / rng.uniform(low, high), bands - 1)
    left = np.minimum(places.astype(int), bands - 2)
    weight = (places - left).astype(np.float32)
    return np.asarray((1 - weight) * spectrogram[:, left] + weight * spectrogram[:, left + 1], np.float32)


def equalizer(
    spectrogram: Array, rng: np.random.Generator, floor: float, deviation: float = 4.0, points: int = 6
) -> Array:
    """Add a smooth random curve over the bands, as other recordings and loudspeakers do.

    Args:
        spectrogram: (frames, bands) of logarithmic values.
        rng: Of this clip.
        floor: Not used.
        deviation: Standard deviation of the curve, in the spectrogram's own units (dB, steps of grey).
        points: Between which it is drawn straight.
    """
    if deviation < 0 or points < 2:
        raise ValueError(f"deviation = {deviation}, points = {points}: must be from 0 on, and at least 2 points")
    bands = spectrogram.shape[1]
    curve = np.interp(np.arange(bands), np.linspace(0, bands - 1, points), rng.normal(0, deviation, points))
    return spectrogram + curve.astype(np.float32)


def mean_power(spectrogram: Array, factor: int, frontend: Frontend) -> Array:
    """Mean of every ``factor`` frames in power, whatever the values are: dB, logarithms or a picture's grey."""
    grouped = spectrogram[: len(spectrogram) // factor * factor].reshape(-1, factor, spectrogram.shape[1])
    if frontend.kind == "image":  # what its grey stands for is not known
        return np.asarray(grouped.mean(axis=1), np.float32)
    scale = 10 / np.log(10)  # of the natural logarithm of power in a step of dB
    if frontend.kind == "sox":
        scale *= STEPS / RANGE_DB
        return np.asarray(np.floor(_log_mean(grouped, scale) * (grouped > 0).any(axis=1)), np.float32)
    if frontend.log == "ln":
        scale = 1.0 if frontend.power == 2 else 0.5
    return _log_mean(grouped, scale)


def _log_mean(grouped: Array, scale: float) -> Array:
    peak = grouped.max(axis=1, keepdims=True)
    powers = np.exp((grouped - peak) / scale)
    return np.asarray(peak[:, 0] + scale * np.log(powers.mean(axis=1)), np.float32)


def _stretch(length: int, limits: Sequence[int], rng: np.random.Generator) -> tuple[int, int]:
    width = min(_whole_number(limits, "frames or bands", rng), length // 2)
    start = int(rng.integers(0, length - width + 1))
    return start, start + width


def noise(waveform: Array, rate: int, rng: np.random.Generator, amplitude: Sequence[float] = (0.01, 0.15)) -> Array:
    """Add white noise of uniform distribution; its amplitude is drawn from a range, relative to full scale."""
    low, high = _limits(amplitude, "amplitude")
    loud = np.float32(rng.uniform(low, high))
    return waveform + loud * (2 * rng.random(len(waveform), np.float32) - 1)


def gain(waveform: Array, rate: int, rng: np.random.Generator, decibels: Sequence[float] = (-6.0, 6.0)) -> Array:
    """Louder or quieter by a number of dB drawn from a range."""
    low, high = _limits(decibels, "decibels")
    return np.asarray(waveform * np.float32(10 ** (rng.uniform(low, high) / 20)), np.float32)


def pitch(waveform: Array, rate: int, rng: np.random.Generator, semitones: Sequence[float] = (-3.0, 3.0)) -> Array:
    """Higher or lower by a number of semitones drawn from a range, at the same speed.

    A phase vocoder (Flanagan and Golden 1966) stretches time, resampling brings the length back.
    """
    low, high = _limits(semitones, "semitones")
    ratio = 2.0 ** (rng.uniform(low, high) / 12)
    stretched = _stretched(waveform, ratio)
    places = np.arange(len(waveform)) * (len(stretched) / max(1, len(waveform)))
    return np.asarray(np.interp(places, np.arange(len(stretched)), stretched), np.float32)


def _stretched(waveform: Array, ratio: float) -> Array:
    """The sound ``ratio`` times as long at its own pitch."""
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_N_FFT) / _N_FFT)).astype(np.float32)
    padded = np.pad(waveform, (_N_FFT, 2 * _N_FFT))
    count = 1 + (len(padded) - _N_FFT) // _HOP
    frames = np.lib.stride_tricks.sliding_window_view(padded, _N_FFT)[::_HOP][:count]
    spectra = np.fft.rfft(frames * window)
    steps = np.arange(0, count - 1, 1 / ratio)
    left = steps.astype(int)
    share = (steps - left).astype(np.float32)[:, None]
    size = (1 - share) * np.abs(spectra[left]) + share * np.abs(spectra[left + 1])
    turn = np.angle(spectra[left + 1]) - np.angle(spectra[left])
    phase = np.angle(spectra[left[:1]]) + np.vstack([np.zeros_like(turn[:1]), np.cumsum(turn[:-1], axis=0)])
    pieces = np.fft.irfft(size * np.exp(1j * phase), _N_FFT).astype(np.float32) * window
    out = np.zeros((len(pieces) - 1) * _HOP + _N_FFT, np.float32)
    for index, piece in enumerate(pieces):
        out[index * _HOP : index * _HOP + _N_FFT] += piece
    start = round(_N_FFT * ratio)
    return out[start : start + round(len(waveform) * ratio)] * np.float32(2 * _HOP / _N_FFT)


def _whole_number(limits: Sequence[int], name: str, rng: np.random.Generator) -> int:
    least, most = _limits(limits, name)
    if least < 0:
        raise ValueError(f"{name} = {list(limits)}: must not be below 0")
    return int(rng.integers(int(least), int(most) + 1))


def _limits(limits: Sequence[float], name: str) -> tuple[float, float]:
    if len(limits) != 2 or not limits[0] <= limits[1]:
        raise ValueError(f"{name} = {list(limits)}: must be [least, most]")
    return float(limits[0]), float(limits[1])


_SPECTRA: Mapping[str, Callable[..., Array]] = MappingProxyType(
    {
        "time-mask": time_mask,
        "frequency-mask": frequency_mask,
        "time-warp": time_warp,
        "random-dropout": random_dropout,
        "frequency-stretch": frequency_stretch,
        "equalizer": equalizer,
    }
)
_WAVES: Mapping[str, Callable[..., Array]] = MappingProxyType({"noise": noise, "pitch": pitch, "gain": gain})
