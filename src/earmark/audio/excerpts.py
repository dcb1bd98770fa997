"""Which seconds of a track to hear, and those seconds as clips of one length."""

from __future__ import annotations

import math
import os
from collections.abc import Container, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.audio.decode import MIN_SECONDS, Source, clean, measure, open_audio, read, source_hash, stream
from earmark.errors import AudioError

__all__ = ["Clip", "Hearing", "fit", "hear", "starts"]

Array = NDArray[np.float32]

_INAUDIBLE = 1e-3  # -60 dB of full scale
_LONGEST_LEAD = 60.0  # seconds of silence in front that are looked through
_SILENCE = 1e-4  # -80 dB of full scale: nothing that a network could make sense of


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A stretch of a track as the network takes it: ``waveform`` (samples,) float32, from ``start`` to ``end`` s."""

    start: float
    end: float
    waveform: Array


@dataclass(slots=True, eq=False)
class Hearing:
    """What is known of a track once its clips are heard: filled while :func:`hear` runs.

    Attributes:
        named: Asked for: whether the audio's hash is wanted.
        known: Asked for: hashes of audio that is not to be heard again; such a track has no clips.
        content_hash: The audio's, where asked for.
        seconds: Length.
        damaged: Why decoding broke off early, or "".
        loudest: Largest sample heard.
    """

    named: bool = False
    known: Container[str] = ()
    content_hash: str = ""
    seconds: float = 0.0
    damaged: str = ""
    loudest: float = 0.0

    @property
    def warning(self) -> str | None:
        """One line, where the file was odd."""
        said = [self.damaged] if self.damaged else []
        if self.loudest < _SILENCE:
            said.append("silence")
        return "; ".join(said) or None


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


def hear(
    path: str | os.PathLike[str], sample_rate: int, clip_seconds: float, count: int | None, about: Hearing
) -> Iterator[Clip]:
    """The clips of a track, by seeking: only what is heard is decoded.

    Args:
        path: The file.
        sample_rate: Hz of the waveforms.
        clip_seconds: Length of a clip. Where the track is shorter its clip is too: see :func:`fit`.
        count: Clips at most; None hears all of the track, in bounded memory.
        about: Filled in on the way: length, damage, loudness.

    Raises:
        AudioError: The file cannot be heard, or is under 0.1 s.
    """
    with open_audio(path) as source:
        if about.named:
            about.content_hash = source_hash(source)
            if about.content_hash in about.known:
                return
        chosen = (
            _all(source, sample_rate, clip_seconds)
            if count is None
            else _some(source, sample_rate, clip_seconds, count)
        )
        heard = 0.0
        for clip in chosen:
            heard = max(heard, clip.end)
            about.loudest = max(about.loudest, float(np.abs(clip.waveform).max(initial=0)))
            if heard < MIN_SECONDS:
                break
            yield clip
        about.damaged = source.damaged
        about.seconds = heard if count is None else max(source.seconds, heard)
        if heard < MIN_SECONDS:
            raise AudioError(path, "too-short", f"{heard:.3f} s of audio; at least {MIN_SECONDS} s are needed")


def fit(waveform: Array, samples: int, pad: str) -> Array:
    """The waveform at exactly ``samples`` samples: cut, or filled by ``repeat`` (itself again) or ``zero``."""
    if len(waveform) >= samples:
        return waveform[:samples]
    if pad == "repeat" and len(waveform):
        return np.resize(waveform, samples)
    return np.pad(waveform, (0, samples - len(waveform)))


def _some(source: Source, sample_rate: int, clip_seconds: float, count: int) -> Iterator[Clip]:
    seconds = source.seconds
    if not seconds:
        seconds = source.seconds = measure(source)
    # A track that ends just where its last clip should is not one whose header lies.
    slack = 0.25
    lead = _lead(source, seconds)
    plan = tuple(lead + start for start in starts(seconds - lead, clip_seconds, count))
    clips = []
    for start in plan:
        waveform = read(source, sample_rate, start, clip_seconds)
        if len(waveform) / sample_rate < min(clip_seconds, seconds - lead) - slack:
            break
        clips.append(Clip(start, start + len(waveform) / sample_rate, waveform))
    if len(clips) < len(plan):
        # Truncated, or the header lies: find out how much there really is and choose again.
        seconds = source.seconds = measure(source)
        source.damaged = source.damaged or f"the file ends after {seconds:.1f} s, before its header says"
        clips = [
            Clip(start, start + len(waveform) / sample_rate, waveform)
            for start in starts(seconds, clip_seconds, count)
            if len(waveform := read(source, sample_rate, start, clip_seconds))
        ]
    yield from clips


def _lead(source: Source, seconds: float) -> float:
    """Seconds of silence in front, so that the same song is heard at the same places whatever stands before it.

    Less than a second is no silence in front, and neither is a track that is nothing else.
    """
    quiet, begun = 0, 0.0
    while begun < min(_LONGEST_LEAD, seconds):
        step = 0.125 if begun < 1.0 else 1.0  # nearly every track is told by its first moments
        for block in source.blocks(begun, step):
            loud = np.flatnonzero(np.abs(clean(block)) > _INAUDIBLE)
            if len(loud):
                quiet += int(loud[0])
                return quiet / source.rate if quiet >= source.rate else 0.0
            quiet += len(block)
        begun += step
    return 0.0


def _all(source: Source, sample_rate: int, clip_seconds: float) -> Iterator[Clip]:
    """Clips end to end; the last one reaches back to be as long as the others."""
    samples = round(clip_seconds * sample_rate)
    tail, fresh, begun = np.zeros(0, np.float32), 0, 0
    for block in stream(source, sample_rate):
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
