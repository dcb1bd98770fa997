"""What a network sees of a track: clips of one length as spectrograms, from an audio file, a waveform or a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.audio.decode import MIN_SECONDS, clean, resample
from earmark.audio.excerpts import Hearing, fit, hear, starts
from earmark.errors import AudioError
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import spectrogram
from earmark.recipe import ClipPlan

__all__ = ["View", "checked", "see_audio", "see_image", "see_waveform"]

Array = NDArray[np.float32]

_RATES = (1_000, 1_000_000)  # Hz; outside, a sample rate is a mistake


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A clip as the network takes it: ``spectrogram`` (frames, bands) float32, from ``start`` to ``end`` seconds."""

    start: float
    end: float
    spectrogram: Array


def see_audio(path: str, frontend: Frontend, plan: ClipPlan, count: int | None, about: Hearing) -> Iterator[View]:
    """The clips of an audio file; ``count`` None sees all of it. Raises AudioError where it cannot be heard."""
    samples = round(plan.seconds * frontend.sample_rate)
    for clip in hear(path, frontend.sample_rate, plan.seconds, count, about):
        yield View(clip.start, clip.end, spectrogram(fit(clip.waveform, samples, plan.pad), frontend))


def see_waveform(
    waveform: Array, frontend: Frontend, plan: ClipPlan, count: int | None, about: Hearing
) -> Iterator[View]:
    """The clips of a waveform (samples,) at the frontend's rate, by the same plan as those of a file."""
    rate = frontend.sample_rate
    samples = round(plan.seconds * rate)
    about.seconds, about.loudest = len(waveform) / rate, float(np.abs(waveform).max(initial=0))
    for start in starts(about.seconds, plan.seconds, _most(len(waveform), samples, count)):
        piece = waveform[round(start * rate) : round(start * rate) + samples]
        yield View(start, start + len(piece) / rate, spectrogram(fit(piece, samples, plan.pad), frontend))


def see_image(path: str, frontend: Frontend, plan: ClipPlan, count: int | None, about: Hearing) -> Iterator[View]:
    """The clips of a PNG spectrogram, cut along time. Raises AudioError where it is unreadable or of another height."""
    from earmark.audio.images import read_image

    picture = read_image(Path(path))
    if picture.shape[1] != frontend.bands:
        raise AudioError(path, "decode", f"the picture has {picture.shape[1]} rows; the model takes {frontend.bands}")
    columns = round(plan.seconds * frontend.frames_per_second)
    about.seconds, about.loudest = len(picture) / frontend.frames_per_second, 1.0
    for start in starts(len(picture), columns, _most(len(picture), columns, count)):
        piece = picture[round(start) : round(start) + columns]
        begin, end = start / frontend.frames_per_second, (start + len(piece)) / frontend.frames_per_second
        yield View(begin, end, _fit_columns(piece, columns, plan.pad))


def checked(waveform: NDArray[np.floating], sample_rate: int | None, frontend: Frontend) -> Array:
    """A waveform of the caller's as mono float32 at the frontend's rate.

    Raises:
        ValueError: No sample rate, an impossible one, a wrong shape, or integers.
        AudioError: Under 0.1 s.
    """
    if sample_rate is None:
        raise ValueError("a waveform needs its sample_rate: without it every answer would be a guess")
    if not _RATES[0] <= sample_rate <= _RATES[1]:
        raise ValueError(f"sample_rate = {sample_rate}: not a sample rate in Hz")
    if waveform.ndim not in (1, 2) or (waveform.ndim == 2 and waveform.shape[1] > waveform.shape[0]):
        raise ValueError(f"waveform: expected (samples,) or (samples, channels), got shape {waveform.shape}")
    if not np.issubdtype(waveform.dtype, np.floating):
        raise ValueError(f"waveform: expected floats in -1..1, got {waveform.dtype}")
    mono = waveform if waveform.ndim == 1 else waveform.mean(axis=1)
    if len(mono) < MIN_SECONDS * sample_rate:
        seconds = len(mono) / sample_rate
        raise AudioError("", "too-short", f"{seconds:.3f} s of audio; at least {MIN_SECONDS} s are needed")
    return resample(clean(np.ascontiguousarray(mono, np.float32)), int(sample_rate), frontend.sample_rate)


def _most(length: int, clip: int, count: int | None) -> int:
    return max(1, -(-length // clip)) if count is None else count


def _fit_columns(piece: Array, columns: int, pad: str) -> Array:
    if len(piece) >= columns:
        return piece
    if pad == "repeat":
        return np.take(piece, np.arange(columns) % len(piece), axis=0)
    return np.pad(piece, ((0, columns - len(piece)), (0, 0)))
