"""File or waveform to an opened track: libsndfile first, FFmpeg's libraries (PyAV) for what it cannot read.

A file that yields some audio is read as far as it goes; what is odd about it is kept as a warning.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.audio.chain import Chain
from earmark.audio.containers import layout_of
from earmark.audio.decoders import FFmpeg, Opener, Opening, Soundfile, Source, Waveform
from earmark.audio.track import MIN_SECONDS, OpenTrack
from earmark.audio.views import Layout
from earmark.errors import AudioError, FailureKind

__all__ = ["failure_kind", "load", "open_track"]

Array = NDArray[np.float32]

_RATES = (1_000, 1_000_000)  # Hz; outside, the sample rate of a waveform is a mistake


@contextmanager
def open_track(
    track: str | os.PathLike[str] | NDArray[np.floating],
    sample_rate: int | None = None,
    alive: Callable[[], None] = lambda: None,
) -> Iterator[OpenTrack]:
    """Open a file with the first decoder that gets audio out of it, or a waveform.

    Args:
        track: A file; or a waveform in -1..1: (samples,) mono, (samples, channels) or (channels, samples), of which
            the longer axis is time.
        sample_rate: Hz of the waveform; required with one, refused with a file.
        alive: Called every second or so of long work, so that it is not taken for a hang.

    Raises:
        AudioError: ``missing``, ``permission``, ``empty``, ``not-audio``, ``decode`` or ``io``.
        ValueError: A waveform without a plausible sample rate, of a wrong shape, or of integers.
    """
    alive = _every_second(alive)
    if isinstance(track, np.ndarray):
        yield OpenTrack("", Waveform(_checked(track, sample_rate), sample_rate or 0), [], alive)
        return
    if sample_rate is not None:
        raise ValueError("sample_rate goes with a waveform; a file knows its own")
    name = os.fspath(track)
    _must_be_file(name)
    openings = _openings(name, alive)
    refusals: list[AudioError] = []
    while openings:
        try:
            source = openings.pop(0)()
        except AudioError as error:
            refusals.append(error)
            continue
        opened = OpenTrack(name, source, openings, alive)
        try:
            if _yields_audio(source, refusals):
                yield opened
                return
        finally:
            opened.close()
    raise _worst(name, refusals)


def load(
    path: str | os.PathLike[str],
    sample_rate: int,
    *,
    start: float = 0.0,
    seconds: float | None = None,
    alive: Callable[[], None] = lambda: None,
) -> Array:
    """A stretch of a file as a waveform.

    Args:
        path: The file.
        sample_rate: Hz wanted; resampled by soxr HQ where the file's is another.
        start: Seconds from the beginning.
        seconds: Length; None reads to the end.
        alive: Called every second or so of long work, so that it is not taken for a hang.

    Returns:
        (samples,) float32, mean of the channels; shorter where the audio ends early. NaN and infinities are zeros.

    Raises:
        AudioError: The file cannot be read at all.
    """
    with open_track(path, alive=alive) as track:
        return track.load(sample_rate, start, seconds)


def failure_kind(error: OSError) -> FailureKind:
    """The kind of failure that an operating system's error stands for."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return "missing"
    return "permission" if isinstance(error, PermissionError) else "io"


def _openings(name: str, alive: Callable[[], None]) -> list[Opening]:
    """How to open a file, the likeliest first; a header is believed where the stream itself bears it out."""
    # Bytes, because a name need not be valid text; soundfile itself would refuse to encode it.
    opener: Opener = (lambda: name) if os.name == "nt" else (lambda: os.fsencode(name))
    plain: list[Opening] = [lambda: Soundfile(opener), lambda: FFmpeg(opener, alive)]
    found = layout_of(name)
    if found is None:
        return plain
    chain: list[Opening] = [lambda: Chain(name, found, alive)]
    return [lambda: _measured(Soundfile(opener), found), *chain, *plain] if found.whole else [*chain, *plain]


def _measured(source: Source, layout: Layout) -> Source:
    """The source with its real length; refused where it would end too early."""
    if source.seconds < layout.seconds - 0.25:
        source.close()
        raise AudioError("", "decode", "it guesses a length that is too short")
    if not layout.seconds:
        source.stated = source.seconds / (1 - layout.missing)
        return source
    if not layout.stated or source.seconds > layout.seconds + 0.25:
        source.seconds = layout.seconds
    source.stated = layout.stated or source.seconds
    return source


def _every_second(alive: Callable[[], None]) -> Callable[[], None]:
    last = time.monotonic()

    def sign() -> None:
        nonlocal last
        if time.monotonic() - last > 1.0:
            last = time.monotonic()
            alive()

    return sign


def _checked(waveform: NDArray[np.floating], sample_rate: int | None) -> Array:
    """A waveform of the caller's as (samples, channels) float32."""
    if sample_rate is None:
        raise ValueError("a waveform needs its sample_rate: without it every answer would be a guess")
    if not _RATES[0] <= sample_rate <= _RATES[1] or sample_rate != int(sample_rate):
        raise ValueError(f"sample_rate = {sample_rate}: not a sample rate in Hz")
    if waveform.ndim not in (1, 2):
        raise ValueError(f"waveform: expected (samples,) or (samples, channels), got shape {waveform.shape}")
    if not np.issubdtype(waveform.dtype, np.floating):
        raise ValueError(f"waveform: expected floats in -1..1, got {waveform.dtype}")
    two = waveform[:, None] if waveform.ndim == 1 else waveform
    return np.asarray(two.T if two.shape[1] > two.shape[0] else two, np.float32)


def _must_be_file(name: str) -> None:
    """Refuse what would hang or cannot be read, before any decoder touches it."""
    try:
        facts = Path(name).stat()
        if not stat.S_ISREG(facts.st_mode):
            kind = "a folder" if stat.S_ISDIR(facts.st_mode) else "a pipe or device"
            raise AudioError(name, "not-audio", f"not an audio file: {kind}, not a file")
        with Path(name).open("rb"):
            pass
    except OSError as error:
        raise AudioError(name, failure_kind(error), error.strerror or str(error)) from error
    except ValueError as error:  # a null character in the name
        raise AudioError(name, "missing", str(error)) from error
    if facts.st_size == 0:
        raise AudioError(name, "empty", "the file has zero bytes")


def _yields_audio(source: Source, refusals: list[AudioError]) -> bool:
    try:
        if any(len(block) for block in source.frames(0, round(MIN_SECONDS * source.rate))):
            return True
    except AudioError as error:
        refusals.append(error)
        return False
    kind: FailureKind = "decode" if source.damaged else "empty"
    refusals.append(AudioError("", kind, source.damaged or "the file has no audio samples"))
    return False


def _worst(name: str, refusals: list[AudioError]) -> AudioError:
    """The refusal that says most: a decoder that knew the format knows more than one that did not."""
    order = {"permission": 0, "io": 1, "empty": 2, "decode": 3, "not-audio": 4}
    chosen = min(reversed(refusals), key=lambda refusal: order.get(refusal.kind, 9))
    return AudioError(name, chosen.kind, chosen.message)
