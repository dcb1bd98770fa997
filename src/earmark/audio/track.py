"""A track, opened: clips and facts, the same for a file and a waveform.

libsndfile first, FFmpeg's libraries (PyAV) for what it cannot read. A file that yields some audio is read as far as it
goes; what is odd about it is kept as a warning.
"""

from __future__ import annotations

import math
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from earmark.audio.chain import Chain
from earmark.audio.decoders import FFmpeg, Opener, Opening, Soundfile, Source, Waveform, mono
from earmark.audio.layouts import layout_of
from earmark.audio.sound import Sound
from earmark.audio.views import Layout
from earmark.errors import AudioError, FailureKind, failure_kind

__all__ = [
    "MIN_SECONDS",
    "Clip",
    "Excerpts",
    "Facts",
    "OpenTrack",
    "Opening",
    "Plan",
    "album_warning",
    "fit",
    "load",
    "open_track",
    "resample",
    "starts",
]

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


MIN_SECONDS = 0.1
"""A track shorter than this is a failure (``too-short``)."""

_WHOLE_SECONDS = 35.0  # a track up to this length is decoded once, from its beginning, and cut from memory
_MOST_HERTZ = 200_000  # a file at a higher rate is not kept in memory
_MOST_KEPT = 16  # stretches
_SLACK = 0.25  # a track that ends just where its last clip should is not one whose header lies
_INAUDIBLE = 1e-3  # -60 dB of full scale
_LONGEST_LEAD = 60.0  # seconds of silence in front that are looked through


class Plan(Protocol):
    """Which clips a network takes of a track.

    Attributes:
        seconds: Length of a clip.
        count: Clips at most; None takes all of the track.
        pad: What fills a track shorter than a clip: ``repeat`` or ``zero``; see :func:`fit`.
    """

    @property
    def seconds(self) -> float: ...  # noqa: D102
    @property
    def count(self) -> int | None: ...  # noqa: D102
    @property
    def pad(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Excerpts:
    """A :class:`Plan`."""

    seconds: float
    count: int | None
    pad: str = "repeat"


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A stretch of a track, from ``start`` to ``end`` seconds.

    ``data`` is a waveform (samples,) float32, or a spectrogram (frames, bands) float32. Where the track is shorter than
    a clip, it is too: see :func:`fit`.
    """

    start: float
    end: float
    data: Array


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a track once its clips are taken.

    Attributes:
        seconds: Length.
        warning: One line, where the track is odd; None where it is not.
    """

    seconds: float
    warning: str | None = None


class OpenTrack:
    """An opened track: its clips, any stretch of it as a waveform, and its facts, which are complete after the clips.

    Short tracks are decoded once and kept, and so are stretches that :meth:`keep` is asked for.

    Attributes:
        rate: Hz, of the file.
        seconds: Length as far as is known; exact once all was decoded.
    """

    def __init__(self, name: str, source: Source, others: list[Opening], alive: Callable[[], None]) -> None:
        self._name, self._source, self._others, self._alive = name, source, others, alive
        self.rate, self.seconds = source.rate, source.seconds
        self._missing = ""
        self._album: str | None = None  # looked for once
        self._sound: Sound | None = None
        self._whole: Array | None = None
        self._kept: dict[tuple[int, int | None], list[Array]] = {}
        self._lead: float | None = None
        self._short = 0 < source.seconds <= _WHOLE_SECONDS and source.rate <= _MOST_HERTZ
        self._longest, self._decoded = math.inf, 0

    def limit(self, seconds: float) -> None:
        """Refuse a track that is longer, now or as soon as it shows: whoever sent it need not be trusted.

        Raises:
            AudioError: ``timeout``; also later, at any use, once more than twice as much was decoded.
        """
        self._longest = seconds
        self._refuse(self.seconds > seconds)

    def _refuse(self, too_long: bool) -> None:
        if too_long:
            message = f"it is longer than {self._longest:,.0f} s of audio, which is the most that is taken here"
            raise AudioError(self._name, "timeout", message)

    @property
    def damaged(self) -> str:
        """What could not be read, in plain words, as far as is known yet; "" where nothing."""
        return self._missing or (f"a part could not be decoded: {self._source.damaged}" if self._source.damaged else "")

    @property
    def facts(self) -> Facts:
        """Length, warning and loudness; complete once the clips are taken."""
        why = self._sound.warning if self._sound is not None else ""
        return Facts(self.seconds, "; ".join(filter(None, (self._album, self.damaged, why))) or None)

    def frames(self, start: int, count: int | None) -> Iterator[Array]:
        """Blocks (samples, channels) from the sample ``start`` on, at the track's own rate.

        Where one decoder breaks off before the end, the other one goes on.
        """
        position = start
        promised = round(self.seconds * self.rate)
        end = promised if count is None else min(promised, start + count)
        while True:
            left = None if count is None else start + count - position
            for block in self._source.frames(position, left):
                self._decoded += len(block)
                self._refuse(self._decoded > 2 * self._longest * self.rate)
                yield block
                position += len(block)
            if position >= end - _SLACK * self.rate or not self._next_decoder():
                return

    def _next_decoder(self) -> bool:
        """Go on with the next decoder that opens the file, at the same rate."""
        while self._others:
            try:
                source = self._others.pop(0)()
            except AudioError:
                continue
            if source.rate == self.rate:
                source.damaged = source.damaged or self._source.damaged
                self._source.close()
                self._source = source
                return True
            source.close()
        return False

    def blocks(self, start: float, seconds: float | None) -> Iterator[Array]:
        """Mono blocks (samples,) from ``start`` seconds on, with zeros for what is not finite."""
        first = round(max(0.0, start) * self.rate)
        count = None if seconds is None else round(seconds * self.rate)
        whole = self._all() if self._short else None
        if whole is not None:
            piece = whole[first : None if count is None else first + count]
            if len(piece):
                yield piece
        elif (first, count) in self._kept:
            yield from self._kept[first, count]
        else:
            yield from map(mono, self.frames(first, count))

    def keep(self, start: float, seconds: float) -> list[Array]:
        """The blocks of a stretch, which cost nothing when it is asked for again."""
        blocks = list(self.blocks(start, seconds))
        if not self._short and len(self._kept) < _MOST_KEPT and self.rate <= _MOST_HERTZ:
            self._kept[round(max(0.0, start) * self.rate), round(seconds * self.rate)] = blocks
        return blocks

    def _all(self) -> Array | None:
        """The whole track; None where it turns out to be much longer than its header says."""
        if self._whole is None:
            parts, samples = [], 0
            for block in map(mono, self.frames(0, None)):
                parts.append(block)
                samples += len(block)
                if samples > (_WHOLE_SECONDS + 5.0) * self.rate:
                    self._short = False
                    return None
            self._whole = _joined(parts)
            if abs(samples / self.rate - self.seconds) > 0.1:
                self._ends_at(samples / self.rate)
        return self._whole

    def load(self, sample_rate: int, start: float = 0.0, seconds: float | None = None) -> Array:
        """A stretch as a waveform (samples,) at ``sample_rate``; shorter where the audio ends early."""
        return resample(_joined(list(self.blocks(start, seconds))), self.rate, sample_rate)

    def stream(self, sample_rate: int) -> Iterator[Array]:
        """All of it in blocks at ``sample_rate``, resampled without seams, in bounded memory."""
        if self.rate == sample_rate:
            yield from self.blocks(0.0, None)
            return
        resampler = soxr.ResampleStream(self.rate, sample_rate, 1, dtype="float32", quality="HQ")
        for block in self.blocks(0.0, None):
            yield resampler.resample_chunk(block)
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)

    def measure(self) -> float:
        """Seconds of audio that really come out, found by decoding all of it in bounded memory."""
        samples = 0
        for block in self.blocks(0.0, None):
            samples += len(block)
            self._alive()
        self._ends_at(samples / self.rate)
        return self.seconds

    def _ends_at(self, seconds: float) -> None:
        """Note the real length, and what is missing of the stated one."""
        stated = max(self.seconds, self._source.stated)
        if seconds < stated - max(_SLACK, 0.002 * stated):
            why = self._source.damaged
            self._missing = (
                f"only {seconds:.1f} of {stated:.1f} s could be decoded: {why}"
                if why
                else f"the file ends after {seconds:.1f} s, and its header states {stated:.1f} s: "
                "it is cut off, or the header is wrong"
            )
        self.seconds = seconds

    def lead(self) -> float:
        """Seconds of silence in front, so that a song has the same clips whatever stands before it.

        Less than a second is no silence in front, and neither is a track that is nothing else.
        """
        if self._lead is None:
            self._lead = self._find_lead()
        return self._lead

    def _find_lead(self) -> float:
        quiet, begun = 0, 0.0
        while begun < min(_LONGEST_LEAD, self.seconds):
            step = 0.125 if begun < 1.0 else 1.0  # nearly every track is told by its first moments
            for block in self.blocks(begun, step):
                loud = np.flatnonzero(np.abs(block) > _INAUDIBLE)
                if len(loud):
                    quiet += int(loud[0])
                    return quiet / self.rate if quiet >= self.rate else 0.0
                quiet += len(block)
            begun += step
        return 0.0

    def clips(self, plan: Plan, sample_rate: int) -> Iterator[Clip]:
        """The clips of the track, by seeking: only what they hold is decoded.

        Args:
            plan: Which ones; a count of None takes all of the track end to end, in bounded memory.
            sample_rate: Hz of their waveforms.

        Raises:
            AudioError: The track is under 0.1 s.
        """
        planned = plan.seconds * (plan.count or math.inf)
        sound = self._sound = Sound(sample_rate, min(1.0, self.rate / sample_rate), planned)
        end = 0.0
        for clip in self._end_to_end(plan, sample_rate) if plan.count is None else self._spread(plan, sample_rate):
            end = max(end, clip.end)
            sound.add(clip.data)
            if end < MIN_SECONDS:
                break
            yield clip
        if plan.count is None:
            self._ends_at(end)
        if self._album is None:
            self._album = album_warning(self._name)
        if end < MIN_SECONDS:
            raise AudioError(self._name, "too-short", f"{end:.3f} s of audio; at least {MIN_SECONDS} s are needed")

    def _spread(self, plan: Plan, sample_rate: int) -> Iterator[Clip]:
        if not self.seconds:
            self.measure()
        clips = self._chosen(plan, sample_rate)
        if clips is None:  # cut off, or the header lies: choose again from how much there really is
            self.measure()
            clips = self._chosen(plan, sample_rate, strict=False) or []
        self._ends_at(max([self.seconds, *(clip.end for clip in clips)]))
        yield from clips

    def _chosen(self, plan: Plan, sample_rate: int, strict: bool = True) -> list[Clip] | None:
        """The clips of the plan; None where one is shorter than it should be."""
        lead, clips = self.lead(), []
        least = min(plan.seconds, self.seconds - lead) - _SLACK
        for start in starts(self.seconds - lead, plan.seconds, plan.count or 1):
            waveform = self.load(sample_rate, lead + start, plan.seconds)
            if strict and len(waveform) / sample_rate < least:
                return None
            if len(waveform):
                clips.append(Clip(lead + start, lead + start + len(waveform) / sample_rate, waveform))
        return clips

    def _end_to_end(self, plan: Plan, sample_rate: int) -> Iterator[Clip]:
        """Clips end to end; the last one reaches back to be as long as the others."""
        samples = round(plan.seconds * sample_rate)
        tail, fresh, begun = np.zeros(0, np.float32), 0, 0
        for block in self.stream(sample_rate):
            tail, fresh = np.concatenate([tail, block]), fresh + len(block)
            while fresh >= samples:
                end = len(tail) - fresh + samples
                yield Clip(begun / sample_rate, (begun + samples) / sample_rate, tail[end - samples : end])
                fresh, begun = fresh - samples, begun + samples
            tail = tail[max(0, len(tail) - fresh - samples) :]
        if fresh:
            last = tail[-samples:]
            end = begun + fresh
            yield Clip((end - len(last)) / sample_rate, end / sample_rate, last)

    def close(self) -> None:
        """Close the file."""
        self._source.close()


def resample(waveform: Array, rate: int, wanted: int) -> Array:
    """The waveform (samples,) at another sample rate, by soxr HQ."""
    if rate == wanted or not len(waveform):
        return waveform
    resampled: Array = soxr.resample(waveform, rate, wanted, quality="HQ")
    return resampled


def starts(seconds: float, clip_seconds: float, count: int) -> tuple[float, ...]:
    """Where the clips of a track begin.

    All of a track that is no longer than ``count`` clips (overlapping a little to end exactly at its end); otherwise
    ``count`` clips, each in the middle of its own equal share of the track.
    """
    if seconds <= clip_seconds:
        return (0.0,)
    if seconds <= count * clip_seconds:
        whole = math.ceil(seconds / clip_seconds - 1e-6)
        return tuple(i * (seconds - clip_seconds) / max(1, whole - 1) for i in range(whole))
    share = seconds / count
    return tuple(i * share + (share - clip_seconds) / 2 for i in range(count))


def fit(data: Array, length: int, pad: str) -> Array:
    """A waveform (samples,) or spectrogram (frames, bands) at exactly ``length`` samples or frames.

    Cut, or filled by ``repeat`` (itself again) or ``zero``.
    """
    if len(data) >= length:
        return data[:length]
    if pad == "repeat" and len(data):
        return np.take(data, np.arange(length) % len(data), axis=0)
    return np.pad(data, ((0, length - len(data)), *((0, 0) for _ in data.shape[1:])))


def _joined(blocks: list[Array]) -> Array:
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


_MOST_BYTES = 1 << 20
_FILE = re.compile(r'^\s*FILE\s+(?:"([^"\n]*)"|(\S+))', re.IGNORECASE | re.MULTILINE)
_TRACK = re.compile(r"^\s*TRACK\s+\d+\s+AUDIO", re.IGNORECASE | re.MULTILINE)


def album_warning(name: str) -> str:
    """A sentence where a cue sheet beside a file (``album.cue``, ``album.flac.cue``) lists several tracks in it."""
    if not name:
        return ""
    file = Path(name)
    for sheet in (file.with_suffix(".cue"), file.with_name(file.name + ".cue"), file.with_suffix(".CUE")):
        try:
            with sheet.open("rb") as stream:
                text = stream.read(_MOST_BYTES).decode("utf-8-sig", "replace")
        except (OSError, ValueError):
            continue
        tracks = _tracks(text, file.name)
        if tracks > 1:
            return f"the cue sheet {sheet.name} lists {tracks} tracks in this file; they count as one"
    return ""


def _tracks(text: str, name: str) -> int:
    """Tracks of the sheet that lie in the file; sheets often name another ending than the file has now."""
    files = list(_FILE.finditer(text))
    ends = [found.start() for found in files[1:]] + [len(text)]
    counts = {
        (found[1] or found[2]): len(_TRACK.findall(text[found.end() : end]))
        for found, end in zip(files, ends, strict=True)
    }
    stem = Path(name).stem.casefold()
    named = [count for told, count in counts.items() if Path(told.replace("\\", "/")).stem.casefold() == stem]
    return named[0] if named else (max(counts.values(), default=0) if len(counts) == 1 else 0)
