"""Changes of the training data, by name: a recipe lists them as ``[[augment]]`` with a probability and ranges.

A change is a plain function of an array, a random generator and its own options; those of
:mod:`~earmark.training.augment.spectra` take spectrograms (frames, bands), those of
:mod:`~earmark.training.augment.waves` waveforms (samples,) and their rate. Shapes stay as they are. ``zoom-out`` alone
needs more of the track than a clip: see :func:`zoom_factor`.
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
from earmark.recipe import Augmentation
from earmark.training.augment import spectra, waves

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
_SPECTRA: Mapping[str, Callable[..., Array]] = MappingProxyType(
    {
        "time-mask": spectra.time_mask,
        "frequency-mask": spectra.frequency_mask,
        "time-warp": spectra.time_warp,
        "random-dropout": spectra.random_dropout,
    }
)
_WAVES: Mapping[str, Callable[..., Array]] = MappingProxyType(
    {"noise": waves.noise, "pitch": waves.pitch, "gain": waves.gain}
)


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
    """How many clips' length of the track this clip shall show: 1, or by chance what ``zoom-out`` says (2)."""
    for change in augmentations:
        if change.name == ZOOM and rng.random() < change.probability:
            return int(change.options.get("factor", 2))
    return 1


def shrink(spectrogram: Array, factor: int, frontend: Frontend) -> Array:
    """The mean power of every ``factor`` frames: (factor x frames, bands) to (frames, bands).

    A SoX picture comes out as SoX draws it at fewer columns a second.
    """
    return spectrogram if factor == 1 else spectra.mean_power(spectrogram, factor, frontend)


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
