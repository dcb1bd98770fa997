"""What a recording is known by.

:func:`content_hash` gives a track's *key*, which costs next to nothing where the track is analysed anyway: the hash of
documented stretches of its audio, with its rate and length. Tags, file name and a lossless container do not change it.
Different recordings may share a key (stems with silent stretches, for example): where a key meets one that is known,
ask :func:`same_recording`, which decodes both to the end and compares every sample of every channel.

The stretches of a key, as 16-bit mono at the track's own rate: all of a track up to 30 s; 10 s at the beginning, the
middle and the end up to a minute; of a longer one a second at the beginning and at the end, and ten times 3 s in the
middle of each tenth of what follows silence in front: those that the bundled model takes.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from earmark.audio.track import OpenTrack, open_track, starts

__all__ = ["KEY_VERSION", "content_hash", "same_recording", "track_key"]

KEY_VERSION = "2-"
"""What every key begins with; keys of another version say nothing of these."""


def content_hash(path: str | os.PathLike[str], alive: Callable[[], None] = lambda: None) -> str:
    """The key of a file's audio, whatever its tags and file name: :data:`KEY_VERSION` and 32 hexadecimal digits.

    ``alive`` is called every second or so of long work.

    Raises:
        AudioError: The file cannot be read.
    """
    with open_track(path, alive=alive) as track:
        return track_key(track)


def track_key(track: OpenTrack) -> str:
    """The key of an opened track; stretches that its clips need too are decoded once."""
    seconds = track.seconds or track.measure()
    digest = hashlib.blake2b(f"{track.rate} {seconds:.1f}".encode(), digest_size=16)
    for start, length in _stretches(track, seconds):
        for block in track.keep(start, length):
            steps = np.multiply(block, 32767)
            np.clip(np.rint(steps, out=steps), -32767, 32767, out=steps)
            digest.update(steps.astype("<i2").tobytes())
    return KEY_VERSION + digest.hexdigest()


def _stretches(track: OpenTrack, seconds: float) -> list[tuple[float, float]]:
    """Start and length, in seconds."""
    if seconds <= 30:
        return [(0.0, 30.0)]
    if seconds <= 60:
        return [(0.0, 10.0), (seconds / 2 - 5, 10.0), (seconds - 10, 10.0)]
    lead = track.lead()
    middles = [(lead + start, 3.0) for start in starts(seconds - lead, 3.0, 10)]
    return [(0.0, 1.0), *middles, (seconds - 1.0, 1.0)]


def same_recording(
    path: str | os.PathLike[str], other: str | os.PathLike[str], alive: Callable[[], None] = lambda: None
) -> bool:
    """Whether two files hold the same audio to the last sample of every channel, in whatever container.

    Both are decoded side by side in bounded memory, up to the first difference.

    Args:
        path: One file.
        other: The other.
        alive: Called every second or so, so that long files are not taken for a hang.

    Raises:
        AudioError: One of them cannot be read.
    """
    with open_track(path, alive=alive) as one, open_track(other, alive=alive) as two:
        if one.rate != two.rate:
            return False
        return _equal(one.frames(0, None), two.frames(0, None), alive)


def _equal(one: Iterator[NDArray[np.float32]], two: Iterator[NDArray[np.float32]], alive: Callable[[], None]) -> bool:
    """Whether two streams of blocks (samples, channels) are the same, wherever their blocks end."""
    a = b = np.zeros((0, 0), np.float32)
    last = time.monotonic()
    while True:
        a = a if len(a) else next(one, a)
        b = b if len(b) else next(two, b)
        if not len(a) or not len(b):
            return len(a) == len(b)
        length = min(len(a), len(b))
        if a.shape[1] != b.shape[1] or not np.array_equal(a[:length], b[:length], equal_nan=True):
            return False
        a, b = a[length:], b[length:]
        if time.monotonic() > last + 1:
            alive()
            last = time.monotonic()
