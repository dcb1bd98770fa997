"""File to mono float32 waveform: libsndfile first, FFmpeg's libraries (PyAV) for what it cannot read.

Channels are averaged here, never by a decoder: FFmpeg's own downmix is 3 dB louder than the mean. A file that yields
some audio is heard as far as it goes; what was odd about it is kept as a warning.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from earmark.audio.ffmpeg import FFmpeg
from earmark.audio.libsndfile import Soundfile
from earmark.audio.memory import WHOLE_SECONDS, Remembering
from earmark.audio.source import Source
from earmark.errors import AudioError, FailureKind

__all__ = ["MIN_SECONDS", "Source", "content_hash", "load", "open_audio", "resample", "source_hash"]

Array = NDArray[np.float32]

MIN_SECONDS = 0.1
"""A track shorter than this is a failure (``too-short``)."""


@contextmanager
def open_audio(path: str | os.PathLike[str]) -> Iterator[Remembering]:
    """Open a file with the first decoder that gets audio out of it.

    Raises:
        AudioError: ``missing``, ``permission``, ``empty``, ``not-audio``, ``decode`` or ``io``.
    """
    name = os.fspath(path)
    _must_be_file(name)
    refusals: list[AudioError] = []
    for opener in (Soundfile, FFmpeg):
        try:
            source = opener(name)
        except AudioError as error:
            refusals.append(error)
            continue
        try:
            if _yields_audio(source, refusals):
                yield Remembering(source)
                return
        finally:
            source.close()
    raise _worst(name, refusals)


def load(path: str | os.PathLike[str], sample_rate: int, *, start: float = 0.0, seconds: float | None = None) -> Array:
    """A stretch of a file as a waveform.

    Args:
        path: The file.
        sample_rate: Hz wanted; resampled by soxr HQ where the file's is another.
        start: Seconds from the beginning.
        seconds: Length; None reads to the end.

    Returns:
        (samples,) float32, mean of the channels; shorter where the audio ends early. NaN and infinities are zeros.

    Raises:
        AudioError: The file cannot be heard at all.
    """
    with open_audio(path) as source:
        return read(source, sample_rate, start, seconds)


def read(source: Source, sample_rate: int, start: float, seconds: float | None) -> Array:
    """As :func:`load`, from an opened file."""
    blocks = [clean(block) for block in source.blocks(start, seconds)]
    return resample(np.concatenate(blocks) if blocks else np.zeros(0, np.float32), source.rate, sample_rate)


def stream(source: Source, sample_rate: int) -> Iterator[Array]:
    """The whole file in blocks at ``sample_rate``, resampled without seams, in bounded memory."""
    resampler = soxr.ResampleStream(source.rate, sample_rate, 1, dtype="float32", quality="HQ")
    for block in source.blocks(0.0, None):
        yield resampler.resample_chunk(clean(block)) if source.rate != sample_rate else clean(block)
    if source.rate != sample_rate:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def measure(source: Source) -> float:
    """Seconds of audio that really come out, found by decoding all of it in bounded memory."""
    return sum(len(block) for block in source.blocks(0.0, None)) / source.rate


def resample(waveform: Array, rate: int, wanted: int) -> Array:
    """The waveform (samples,) at another sample rate, by soxr HQ."""
    if rate == wanted or not len(waveform):
        return waveform
    resampled: Array = soxr.resample(waveform, rate, wanted, quality="HQ")
    return resampled


def clean(block: Array) -> Array:
    """The block with zeros for NaN and infinities."""
    finite = np.isfinite(block)
    return block if finite.all() else np.where(finite, block, np.float32(0))


def content_hash(path: str | os.PathLike[str]) -> str:
    """A name for the decoded audio, whatever its tags and file name: 32 hex digits; see :func:`source_hash`.

    Raises:
        AudioError: The file cannot be heard.
    """
    with open_audio(path) as source:
        return source_hash(source)


def source_hash(source: Remembering) -> str:
    """The content hash of an opened file.

    Some seconds of it are hashed as 16-bit mono at the file's own rate, with the rate and the length in tenths of a
    second: all of a track up to 30 s, 10 s at the beginning, middle and end up to a minute, and of a longer one the
    10 s in the middle, which is heard anyway. Where the length is a guess from the file's size, which another tag
    would change, it is left out, and the stretches begin at fixed times.
    """
    seconds = source.seconds = source.seconds or measure(source)
    stated = 0.0 if source.guessed else seconds
    digest = hashlib.blake2b(f"{source.rate} {stated:.1f}".encode(), digest_size=16)
    for start, length in _hashed(seconds, source.guessed):
        for block in source.keep(start, length):
            steps = np.multiply(clean(block), 32767)
            np.clip(np.rint(steps, out=steps), -32767, 32767, out=steps)
            digest.update(steps.astype("<i2").tobytes())
    return digest.hexdigest()


def _hashed(seconds: float, guessed: bool) -> list[tuple[float, float]]:
    """Start and length of what is hashed."""
    if guessed:
        length = 10.0 if seconds <= WHOLE_SECONDS else 3.0
        return [(0.0, length), (30.0, length)]
    if seconds > 60:
        return [(seconds / 2 - 5, 10.0)]
    if seconds > 30:
        return [(0.0, 10.0), (seconds / 2 - 5, 10.0), (seconds - 10, 10.0)]
    return [(0.0, 30.0)]


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


def failure_kind(error: OSError) -> FailureKind:
    """The kind of failure that an operating system's error stands for."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return "missing"
    return "permission" if isinstance(error, PermissionError) else "io"


def _yields_audio(source: Source, refusals: list[AudioError]) -> bool:
    try:
        if any(len(block) for block in source.blocks(0.0, MIN_SECONDS)):
            return True
    except AudioError as error:
        refusals.append(error)
        return False
    damage = source.damaged
    kind: FailureKind = "decode" if damage else "empty"
    refusals.append(AudioError("", kind, damage or "the file has no audio samples"))
    return False


def _worst(name: str, refusals: list[AudioError]) -> AudioError:
    """The refusal that says most: a decoder that knew the format knows more than one that did not."""
    order = {"permission": 0, "io": 1, "empty": 2, "decode": 3, "not-audio": 4}
    chosen = min(reversed(refusals), key=lambda refusal: order.get(refusal.kind, 9))
    return AudioError(name, chosen.kind, chosen.message)
