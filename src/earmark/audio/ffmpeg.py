"""Reading through FFmpeg's libraries (PyAV)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.audio.source import RATES, mono, plain
from earmark.errors import AudioError

__all__ = ["FFmpeg"]

Array = NDArray[np.float32]

_PREROLL_SECONDS = 0.2  # decoded before a stretch: the first frames after a seek lack what came before them (AAC, Opus)
_BARE = ("aac", "ac3", "eac3", "dts", "amr", "loas", "mp3")  # streams without a header: FFmpeg guesses their length


@dataclass(slots=True)
class FFmpeg:
    """FFmpeg's libraries: m4a, aac, wma, ape, wavpack, musepack, ac3, dsd, matroska and many more."""

    rate: int
    seconds: float
    guessed: bool
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
            self.guessed = self._container.format.name in _BARE
        except _av_errors(AttributeError) as error:
            self.close()
            raise AudioError(name, "not-audio", f"not an audio file: {plain(error)}") from error
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
        if rate not in RATES:
            raise AudioError("", "decode", f"no decoder for this kind of audio (sample rate {rate} Hz)")
        return rate

    def _length(self) -> float:
        import av

        if self._stream.duration is not None and self._stream.time_base is not None:
            return max(0.0, float(self._stream.duration * self._stream.time_base))
        return max(0.0, self._container.duration / av.time_base) if self._container.duration else 0.0

    def blocks(self, start: float, seconds: float | None) -> Iterator[Array]:
        """Mono blocks from ``start`` seconds on."""
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
            block = mono(_samples(frame), axis=0)
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
                        self.damaged = f"decoding broke off: {plain(error)}"
        except _av_errors() as error:
            self.damaged = f"reading broke off: {plain(error)}"

    def close(self) -> None:
        """Close the file."""
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
