"""File to mono float32 waveform: libsndfile first, FFmpeg's libraries (PyAV) for what it cannot read.

Channels are averaged here, never by a decoder: FFmpeg's own downmix is 3 dB louder than the mean. A file that yields
some audio is heard as far as it goes; what was odd about it is kept as a warning.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from earmark.errors import AudioError, FailureKind

__all__ = ["MIN_SECONDS", "Source", "content_hash", "load", "open_audio", "resample"]

Array = NDArray[np.float32]

MIN_SECONDS = 0.1
"""A track shorter than this is a failure (``too-short``)."""

_BLOCK_SECONDS = 10.0  # decoded at a time, so that a three-hour file costs no more memory than a three-minute one
_SMALL_BLOCK = 1024  # samples
_UNKNOWN_FORMAT = (1, 7)  # libsndfile's codes for "not my format"; 7 is what its mp3 reader says of other files
_UNKNOWN_LENGTH = 2**53
_RATES = range(100, 6_000_001)  # Hz; a header outside lies
_PREROLL_SECONDS = 0.2  # decoded before a stretch: the first frames after a seek lack what came before them (AAC, Opus)


class Source(Protocol):
    """An opened file.

    Attributes:
        rate: Hz, of the file.
        seconds: Length by the header; 0 where it does not say. It may lie: see :func:`measure`.
        damaged: Set once decoding broke off before the end.
    """

    rate: int
    seconds: float
    damaged: str

    def blocks(self, start: float, seconds: float | None) -> Iterator[Array]:
        """Mono blocks (samples,) at the file's own rate, from ``start`` seconds on; ends early where the audio does."""
        ...


@contextmanager
def open_audio(path: str | os.PathLike[str]) -> Iterator[Source]:
    """Open a file with the first decoder that gets audio out of it.

    Raises:
        AudioError: ``missing``, ``permission``, ``empty``, ``not-audio``, ``decode`` or ``io``.
    """
    name = os.fspath(path)
    _must_be_file(name)
    refusals: list[AudioError] = []
    for opener in (_Soundfile, _PyAV):
        try:
            source = opener(name)
        except AudioError as error:
            refusals.append(error)
            continue
        try:
            if _yields_audio(source, refusals):
                yield source
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
    """A name for the decoded audio, whatever its tags and file name: 32 hex digits.

    Up to three stretches of 10 s (beginning, middle, end) are hashed as 16-bit mono at the file's own rate, with the
    rate and the length in tenths of a second; so a long file costs no more than a short one.

    Raises:
        AudioError: The file cannot be heard.
    """
    with open_audio(path) as source:
        seconds = source.seconds or measure(source)
        digest = hashlib.blake2b(f"{source.rate} {seconds:.1f}".encode(), digest_size=16)
        starts = (0.0, seconds / 2 - 5, seconds - 10) if seconds > 30 else (0.0,)
        for start in starts:
            for block in source.blocks(start, 10.0 if len(starts) > 1 else 30.0):
                digest.update((np.clip(clean(block), -1, 1) * 32767).round().astype("<i2").tobytes())
        return digest.hexdigest()


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


@dataclass(slots=True)
class _Soundfile:
    """libsndfile: wav, aiff, flac, ogg, opus, mp3 and rarer ones; seeks are exact to the sample (Vorbis: to 10 ms)."""

    rate: int
    seconds: float
    damaged: str
    _file: Any

    def __init__(self, name: str) -> None:
        try:
            # Bytes, because a name need not be valid text; soundfile itself would refuse to encode it.
            self._file = soundfile.SoundFile(name if os.name == "nt" else os.fsencode(name))
        except (soundfile.SoundFileError, TypeError, ValueError, RuntimeError) as error:
            unknown = getattr(error, "code", 0) in _UNKNOWN_FORMAT
            raise AudioError(name, "not-audio" if unknown else "decode", _plain(error)) from error
        self.rate, self.damaged = int(self._file.samplerate), ""
        frames = int(self._file.frames)
        if self.rate not in _RATES or frames >= _UNKNOWN_LENGTH or not self._file.seekable():
            self._file.close()
            raise AudioError(name, "decode", f"libsndfile cannot seek in it (sample rate {self.rate} Hz)")
        self.seconds = frames / self.rate

    def blocks(self, start: float, seconds: float | None) -> Iterator[Array]:
        position = round(max(0.0, start) * self.rate)
        end = None if seconds is None else position + round(seconds * self.rate)
        size, sought = int(_BLOCK_SECONDS * self.rate), False
        while end is None or position < end:
            try:
                if not sought:
                    self._file.seek(position)
                block = self._file.read(size if end is None else min(size, end - position), "float32", always_2d=True)
            except (soundfile.SoundFileError, RuntimeError) as error:
                if size <= _SMALL_BLOCK:
                    self.damaged = f"decoding broke off: {_plain(error)}"
                    return
                # All of a block is lost that runs into the damage: take what is before it in smaller ones.
                size, sought = max(_SMALL_BLOCK, size // 8), False
                continue
            if not len(block):
                return
            yield _mono(block, axis=1)
            position, sought = position + len(block), True

    def close(self) -> None:
        self._file.close()


@dataclass(slots=True)
class _PyAV:
    """FFmpeg's libraries: m4a, aac, wma, ape, wavpack, musepack, ac3, dsd, matroska and many more."""

    rate: int
    seconds: float
    damaged: str
    _handle: Any
    _container: Any
    _stream: Any
    _used: bool

    def __init__(self, name: str) -> None:
        import av

        av.logging.set_level(None)
        self._container, self.damaged = None, ""
        # A file object and no protocols: a file's name or content never makes FFmpeg open anything else.
        self._handle = Path(name).open("rb")  # noqa: SIM115 - closed by close()
        try:
            self._open()
            self.rate, self.seconds = self._rate(), self._length()
        except _av_errors(AttributeError) as error:
            self.close()
            raise AudioError(name, "not-audio", f"not an audio file: {_plain(error)}") from error
        except AudioError as error:
            self.close()
            raise AudioError(name, error.kind, error.message) from error

    def _open(self) -> None:
        import av

        if self._container is not None:
            self._container.close()
        self._handle.seek(0)
        self._container = av.open(self._handle, options={"protocol_whitelist": ""}, metadata_errors="ignore")
        if not self._container.streams.audio:
            raise AudioError("", "not-audio", "not an audio file: no stream found")
        self._stream, self._used = self._container.streams.audio[0], False

    def _rate(self) -> int:
        """Of the first frame: what comes out may differ from what the header says (HE-AAC)."""
        if self._stream.codec_context is None:
            raise AudioError("", "decode", "no decoder for this kind of audio")
        first = next(self._frames(), None)
        rate = int(first.sample_rate if first is not None else self._stream.codec_context.sample_rate)
        if first is None and self.damaged:
            raise AudioError("", "decode", self.damaged)
        if rate not in _RATES:
            raise AudioError("", "decode", f"no decoder for this kind of audio (sample rate {rate} Hz)")
        return rate

    def _length(self) -> float:
        import av

        if self._stream.duration is not None and self._stream.time_base is not None:
            return max(0.0, float(self._stream.duration * self._stream.time_base))
        return max(0.0, self._container.duration / av.time_base) if self._container.duration else 0.0

    def blocks(self, start: float, seconds: float | None) -> Iterator[Array]:
        first = round(max(0.0, start) * self.rate)
        last = None if seconds is None else first + round(seconds * self.rate)
        for position, block in self._from(first):
            low = max(0, first - position)
            high = len(block) if last is None else min(len(block), last - position)
            if high > low:
                yield block[low:high]
            if last is not None and position + len(block) >= last:
                return

    def _from(self, first: int) -> Iterator[tuple[int, Array]]:
        """Decoded blocks, each with the sample at which it begins, from a key frame at or before ``first``.

        Where seeking leads nowhere (some containers cannot), the file is opened again and decoded from its beginning.
        """
        origin = float((self._stream.start_time or 0) * self._stream.time_base)
        early = first / self.rate - _PREROLL_SECONDS
        frames = self._sought(early + origin) if early > 0 else iter(())
        frame = next(frames, None)
        if frame is None or frame.pts is None:
            if self._used:
                self._open()
            frames, position = self._frames(), 0
        else:
            position = round((float(frame.pts * self._stream.time_base) - origin) * self.rate)
            frames = itertools.chain([frame], frames)
        for frame in frames:
            if frame.sample_rate != self.rate:
                continue
            block = _mono(_samples(frame), axis=0)
            yield position, block
            position += len(block)

    def _sought(self, seconds: float) -> Iterator[Any]:
        try:
            self._container.seek(int(seconds / self._stream.time_base), stream=self._stream)
        except _av_errors(OverflowError):
            self._used = True
            return
        yield from self._frames()

    def _frames(self) -> Iterator[Any]:
        """Frames from here on; a packet that cannot be decoded is left out and noted."""
        self._used = True
        try:
            for packet in self._container.demux(self._stream):
                try:
                    yield from packet.decode()
                except _av_errors() as error:
                    if not isinstance(error, EOFError):
                        self.damaged = f"decoding broke off: {_plain(error)}"
        except _av_errors() as error:
            self.damaged = f"reading broke off: {_plain(error)}"

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
        self._handle.close()


def _av_errors(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """What PyAV raises of a bad file, and ``more``."""
    import av

    return (av.error.FFmpegError, ValueError, EOFError, OSError, *more)


def _samples(frame: Any) -> Array:
    """A frame as (channels, samples) float32 in -1..1, whatever its sample format."""
    data: NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        data = data.reshape(-1, frame.layout.nb_channels).T
    if data.dtype.kind == "f":
        return data.astype(np.float32)
    offset, scale = (128, 128) if data.dtype == np.uint8 else (0, -int(np.iinfo(data.dtype).min))
    scaled: Array = ((data.astype(np.float64) - offset) / scale).astype(np.float32)
    return scaled


def _mono(block: NDArray[Any], axis: int) -> Array:
    """The mean of the channels."""
    if block.shape[axis] == 1:
        return np.ascontiguousarray(block.take(0, axis), np.float32)
    return np.asarray(block.mean(axis=axis, dtype=np.float32), np.float32)


def _plain(error: BaseException) -> str:
    """A decoder's message without the file's name and codes that tell people nothing."""
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return str(text).strip().rstrip(".") or type(error).__name__
