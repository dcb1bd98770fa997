"""An opened track: clips and facts, the same for a file and a waveform."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from earmark.audio.cue import album_warning
from earmark.audio.decoders import Opening, Source, mono
from earmark.audio.sound import Sound
from earmark.errors import AudioError

__all__ = ["MIN_SECONDS", "Clip", "Excerpts", "Facts", "OpenTrack", "Opening", "Plan", "fit", "resample", "starts"]

Array = NDArray[np.float32]

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
        silent: Whether nothing can be heard in the clips.
        noise: Whether the clips are white noise.
    """

    seconds: float
    warning: str | None = None
    silent: bool = False
    noise: bool = False


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

    @property
    def damaged(self) -> str:
        """What could not be read, in plain words, as far as is known yet; "" where nothing."""
        return self._missing or (f"a part could not be decoded: {self._source.damaged}" if self._source.damaged else "")

    @property
    def facts(self) -> Facts:
        """Length, warning and loudness; complete once the clips are taken."""
        sound = self._sound or Sound()
        silent, noise = sound.silent, sound.noise
        said = [self._album or "", self.damaged, "silence" if silent else "", "noise" if noise else ""]
        return Facts(self.seconds, "; ".join(filter(None, said)) or None, silent, noise)

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
        sound = self._sound = Sound(min(1.0, self.rate / sample_rate))
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
