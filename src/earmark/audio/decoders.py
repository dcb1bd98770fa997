"""The two decoders: libsndfile first, FFmpeg's libraries (PyAV) for what it cannot read; and a waveform in memory.

Each gives (samples, channels) blocks from any sample on, of bounded size whatever the number of channels. Channels are
averaged here, never by a decoder: FFmpeg's own downmix is 3 dB louder than the mean.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Protocol

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from earmark.errors import AudioError

__all__ = [
    "_BLOCK_VALUES",
    "FFmpeg",
    "Opener",
    "Opening",
    "Soundfile",
    "Source",
    "Waveform",
    "mono",
    "plain",
    "resampled",
]

Array = NDArray[np.float32]
Opener = Callable[[], "str | bytes | BinaryIO"]
"""Gives what a decoder opens: a file's name, or an open file; called again where a decoder must begin anew."""

_BLOCK_VALUES = 1 << 20
"""Samples times channels decoded at a time, so that a three-hour file, or one of 1,024 channels, costs no more memory
than a song."""

_HIGHEST = np.float32(1e10)  # of a sample: some files hold whole numbers as floats; a spectrum of higher ones overflows
_RATES = range(100, 6_000_001)  # Hz; a header outside lies
_SMALL_BLOCK = 1024  # samples
_UNKNOWN_FORMAT = (1, 7)  # libsndfile's codes for "not my format"; 7 is what its mp3 reader says of other files
_UNKNOWN_LENGTH = 2**53
_MOST_PLANES = 8  # PyAV reads planes up to the first null, and there is none behind eight (a damaged AAC has 63)
_TOGETHER = 1 << 14  # samples of a block that FFmpeg's frames are joined to: each block costs, a frame has a thousand
_PREROLL_SECONDS = 0.2  # decoded before a stretch: the first frames after a seek lack what came before them (AAC, Opus)
_BARE = ("aac", "ac3", "eac3", "dts", "amr", "loas", "mp3")  # streams without a header: FFmpeg guesses their length


class Source(Protocol):
    """An opened stream of audio.

    Attributes:
        rate: Hz, of the stream.
        seconds: Length as far as is known without decoding; 0 where it is not.
        stated: Length by the header; 0 where it does not say.
        damaged: Why decoding broke off or left something out, once it has; "" until then.
    """

    rate: int
    seconds: float
    stated: float
    damaged: str

    def frames(self, start: int, count: int | None) -> Iterator[Array]:
        """Blocks (samples, channels) from the sample ``start`` on; ends early where the audio does."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


Opening = Callable[[], Source]
"""Opens a decoder."""


class Waveform:
    """A waveform in memory, (samples, channels) float32."""

    damaged = ""

    def __init__(self, samples: Array, rate: int) -> None:
        self._samples, self.rate = samples, rate
        self.seconds = self.stated = len(samples) / rate

    def frames(self, start: int, count: int | None) -> Iterator[Array]:
        """Blocks from the sample ``start`` on."""
        end = len(self._samples) if count is None else min(len(self._samples), start + count)
        size = _block_frames(self._samples.shape[1], self.rate)
        for position in range(start, end, size):
            yield self._samples[position : min(end, position + size)]

    def close(self) -> None:
        """Nothing to close."""


class Soundfile:
    """libsndfile: wav, aiff, flac, ogg, opus, mp3 and rarer ones; seeks are exact to the sample (Vorbis: to 10 ms).

    Raises:
        AudioError: ``not-audio`` or ``decode``: libsndfile does not read this file.
    """

    def __init__(self, opener: Opener) -> None:
        self._opener, self._position, self._seeks = opener, 0, True
        self._file = self._open()
        self.rate, self.damaged = int(self._file.samplerate), ""
        frames = int(self._file.frames)
        if self.rate not in _RATES or frames >= _UNKNOWN_LENGTH or not self._file.seekable():
            self._file.close()
            raise AudioError("", "decode", f"libsndfile cannot seek in it (sample rate {self.rate} Hz)")
        self.seconds = self.stated = frames / self.rate
        self._most = _block_frames(self._file.channels, self.rate)

    def _open(self) -> Any:
        try:
            return soundfile.SoundFile(self._opener())
        except (soundfile.SoundFileError, TypeError, ValueError, RuntimeError) as error:
            unknown = getattr(error, "code", 0) in _UNKNOWN_FORMAT
            raise AudioError("", "not-audio" if unknown else "decode", plain(error)) from error

    def frames(self, start: int, count: int | None) -> Iterator[Array]:
        """Blocks (samples, channels) from the sample ``start`` on."""
        position, end, size = start, None if count is None else start + count, self._most
        while end is None or position < end:
            try:
                self._go_to(position)
                block = self._file.read(size if end is None else min(size, end - position), "float32", always_2d=True)
            except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
                self._position = -1
                if size <= _SMALL_BLOCK:
                    self.damaged = plain(error)
                    return
                # All of a block is lost that runs into the damage: take what is before it in smaller ones.
                size = max(_SMALL_BLOCK, size // 8)
                continue
            if not len(block):
                return
            position = self._position = position + len(block)
            yield block

    def _go_to(self, position: int) -> None:
        """Seek; a decoder that failed to is of no more use, so that a fresh one reads on from the beginning."""
        if position == self._position:
            return
        if self._seeks:
            try:
                self._file.seek(position)
                self._position = position
                return
            except (soundfile.SoundFileError, RuntimeError):
                self._seeks = False
        if not 0 <= self._position <= position:
            self._file.close()
            self._file, self._position = self._open(), 0
        while self._position < position:
            read = len(self._file.read(min(self._most, position - self._position), "float32", always_2d=True))
            if not read:
                return
            self._position += read

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FFmpeg:
    """FFmpeg's libraries: m4a, aac, wma, ape, wavpack, musepack, ac3, dsd, matroska and many more.

    Args:
        opener: The file.
        alive: Called every few packets, so that long work is not taken for a hang.

    Raises:
        AudioError: ``not-audio`` or ``decode``: FFmpeg does not read this file.
    """

    def __init__(self, opener: Opener, alive: Callable[[], None]) -> None:
        import av

        av.logging.set_level(None)
        self._opener, self._alive = opener, alive
        self._container: Any = None
        self._handle: BinaryIO | None = None
        self._going: tuple[int, Iterator[tuple[int, Array]]] | None = None  # what follows the stretch before
        self.damaged = ""
        try:
            self._open()
            self.rate = self._rate()
            self.stated = self._stated()
            self.seconds = self._measured()
        except _av_errors(AttributeError) as error:
            self.close()
            raise AudioError("", "not-audio", f"not an audio file: {plain(error)}") from error
        except AudioError:
            self.close()
            raise

    def _open(self) -> None:
        import av

        self.close()
        opened = self._opener()
        # A file object and no protocols: a file's name or content never makes FFmpeg open anything else.
        self._handle = open(opened, "rb") if isinstance(opened, (str, bytes)) else opened  # noqa: PTH123, SIM115
        self._container = av.open(self._handle, options={"protocol_whitelist": ""}, metadata_errors="ignore")
        streams = self._container.streams.audio
        if not streams:
            raise AudioError("", "not-audio", "not an audio file: no stream found")
        default = av.stream.Disposition.default
        self._stream = next((stream for stream in streams if stream.disposition & default), streams[0])
        self._used = False

    def _rate(self) -> int:
        """Of the first frame: what comes out may differ from what the header says (HE-AAC)."""
        if self._stream.codec_context is None:
            raise AudioError("", "decode", "no decoder for this kind of audio")
        first = next(self._decoded(), None)
        rate = int(first.sample_rate if first is not None else self._stream.codec_context.sample_rate)
        if first is None and self.damaged:
            raise AudioError("", "decode", self.damaged)
        if rate not in _RATES:
            raise AudioError("", "decode", f"no decoder for this kind of audio (sample rate {rate} Hz)")
        return rate

    def _stated(self) -> float:
        import av

        if self._stream.duration is not None and self._stream.time_base is not None:
            return max(0.0, float(self._stream.duration * self._stream.time_base))
        return max(0.0, self._container.duration / av.time_base) if self._container.duration else 0.0

    def _measured(self) -> float:
        """The length by the last packets; nothing is decoded for it.

        Where the header says nothing, or the container is a guess, all packets are passed; otherwise those at the end.
        """
        bare = self._container.format.name in _BARE
        end, before = self._last_packets(self.stated - 2.0) if self.stated > 4.0 and not bare else (0.0, 0.0)
        slack = max(0.25, 0.002 * self.stated)
        if not end or (end < self.stated - slack and not before):
            self._open()
            end, before = self._last_packets(0.0)
        if abs(end - self.stated) <= slack and not bare:
            return self.stated
        return before if end < self.stated - slack else end  # the last packet of a file that is cut off is too

    def _last_packets(self, start: float) -> tuple[float, float]:
        """Where the last packet from ``start`` seconds on ends, and the one before; 0 where packets have no times."""
        base, end, before, passed = self._stream.time_base, 0, 0, 0
        origin = self._stream.start_time or 0
        self._used = True
        try:
            if start > 0:
                self._container.seek(int(start / base) + origin, stream=self._stream)
            for packet in self._container.demux(self._stream):
                if packet.pts is not None:
                    end, before = max(end, packet.pts - origin + (packet.duration or 0)), end
                passed += 1
                if passed % 1000 == 0:
                    self._alive()
        except _av_errors(OverflowError):
            before = end  # the packet that is cut off was not given out
        return float(end * base), float(before * base)

    def frames(self, start: int, count: int | None) -> Iterator[Array]:
        """Blocks (samples, channels) from the sample ``start`` on."""
        last = math.inf if count is None else start + count
        going, self._going = self._going, None
        stream = going[1] if going and going[0] == start else self._from(start, last)
        for position, block in stream:
            low, high = max(0, start - position), int(min(len(block), last - position))
            if high > low:
                yield block[low:high]
            if position + len(block) >= last:
                self._going = int(last), itertools.chain([(position, block)], stream)
                return

    def _from(self, first: int, last: float) -> Iterator[tuple[int, Array]]:
        """Decoded blocks, each with the sample at which it begins, from a key frame at or before ``first``.

        None of those before ``last`` waits for what is behind. Where seeking leads nowhere (some containers cannot),
        the file is opened again and decoded from its beginning.
        """
        origin = float((self._stream.start_time or 0) * self._stream.time_base)
        early = first / self.rate - _PREROLL_SECONDS
        decoded = self._sought(early + origin) if early > 0 else iter(())
        frame = next(decoded, None)
        if frame is None or frame.pts is None:
            if self._used:
                self._open()
            decoded, position = self._decoded(), 0
        else:
            position = round((float(frame.pts * self._stream.time_base) - origin) * self.rate)
            decoded = itertools.chain([frame], decoded)
        for block in _together(self._at_one_rate(decoded), last - position):
            yield position, block
            position += len(block)
            self._alive()

    def _at_one_rate(self, decoded: Iterator[Any]) -> Iterator[Array]:
        """Frames as blocks (samples, channels); those of another rate (the next show of a radio) are resampled."""
        for (rate, _), group in itertools.groupby(decoded, lambda f: (f.sample_rate, f.layout.nb_channels)):
            blocks = filter(len, map(self._samples, group))
            if rate == self.rate:
                yield from blocks
                continue
            if rate not in _RATES:
                continue
            yield from resampled(blocks, rate, self.rate)

    def _samples(self, frame: Any) -> Array:
        """A frame as (samples, channels) float32 in -1..1, whatever its sample format; none where it cannot be had."""
        channels = frame.layout.nb_channels
        try:
            if frame.format.is_planar and channels >= _MOST_PLANES:
                frame = _packed(frame)
            data: NDArray[Any] = frame.to_ndarray()
            data = data.T if frame.format.is_planar else data.reshape(-1, channels)
        except _av_errors() as error:
            self.damaged = plain(error)
            return np.zeros((0, 1), np.float32)
        if data.dtype.kind == "f":
            return data.astype(np.float32, copy=False)
        offset, scale = (128, 128) if data.dtype == np.uint8 else (0, -int(np.iinfo(data.dtype).min))
        scaled: Array = ((data.astype(np.float64) - offset) / scale).astype(np.float32)
        return scaled

    def _sought(self, seconds: float) -> Iterator[Any]:
        try:
            self._container.seek(int(seconds / self._stream.time_base), stream=self._stream)
        except _av_errors(OverflowError):
            self._used = True
            return
        yield from self._decoded()

    def _decoded(self) -> Iterator[Any]:
        """Frames from here on; a packet that cannot be decoded is left out and noted."""
        self._used = True
        try:
            for packet in self._container.demux(self._stream):
                try:
                    yield from packet.decode()
                except _av_errors() as error:
                    if not isinstance(error, EOFError):
                        self.damaged = plain(error)
        except _av_errors() as error:
            self.damaged = plain(error)

    def close(self) -> None:
        """Close the file."""
        if self._container is not None:
            self._container.close()
        if self._handle is not None:
            self._handle.close()
        self._container = self._handle = None


def mono(block: Array) -> Array:
    """The mean of the channels of (samples, channels), with zeros for what is not finite, or far too high."""
    if block.shape[1] == 1:
        mixed = np.ascontiguousarray(block[:, 0])
    else:
        share = np.full(block.shape[1], 1 / block.shape[1], np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            mixed = block @ share  # a product is 20 times as fast as numpy's mean here
    if mixed.max(initial=0) <= _HIGHEST and mixed.min(initial=0) >= -_HIGHEST:  # never, where one is no number
        return mixed
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(mixed) <= _HIGHEST, mixed, np.float32(0))


def plain(error: BaseException) -> str:
    """A decoder's message without the file's name and codes that tell people nothing."""
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return str(text).strip().rstrip(".") or type(error).__name__


def _block_frames(channels: int, rate: int) -> int:
    return max(1, min(10 * rate, _BLOCK_VALUES // max(1, channels)))


def _together(blocks: Iterator[Array], needed: float) -> Iterator[Array]:
    """Blocks (samples, channels) joined to longer ones; the first ``needed`` samples do not wait for more.

    Only mono and stereo: the mean of more channels hangs, in its last bit, on where blocks end.
    """
    parts: list[Array] = []
    held = 0
    for block in blocks:
        if parts and block.shape[1] != parts[0].shape[1]:
            yield np.concatenate(parts)
            parts, held, needed = [], 0, needed - held
        parts.append(block)
        held += len(block)
        if held >= min(_TOGETHER, needed) or block.shape[1] > 2:
            yield np.concatenate(parts) if len(parts) > 1 else block
            parts, held, needed = [], 0, needed - held
    if parts:
        yield np.concatenate(parts)


def _packed(frame: Any) -> Any:
    """A frame whose channels lie side by side in one plane."""
    import av

    (packed,) = av.AudioResampler(format="flt", layout=frame.layout).resample(frame)
    return packed


def _av_errors(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """What PyAV raises of a bad file, and ``more``."""
    import av

    return (av.error.FFmpegError, ValueError, EOFError, OSError, *more)


def resampled(blocks: Iterator[Array], rate: int, wanted: int) -> Iterator[Array]:
    """Blocks (samples, channels) at another rate, without seams."""
    resampler = None
    for block in blocks:
        if resampler is None:
            channels = block.shape[1]
            resampler = soxr.ResampleStream(rate, wanted, channels, dtype="float32", quality="HQ")
        yield resampler.resample_chunk(block if channels > 1 else block[:, 0]).reshape(-1, channels)
    if resampler is not None:
        rest = np.zeros((0, channels) if channels > 1 else 0, np.float32)
        yield resampler.resample_chunk(rest, last=True).reshape(-1, channels)
