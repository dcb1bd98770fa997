"""Which fingerprints are of one recording: words in common nominate pairs, bit errors at their common offset decide.

Words are compared through three hash tables of part of their bits, so that a word with a few wrong bits still meets its
copy in one of them. The keys grow with the collection (twice the words, one bit more), so that the number of chance
meetings grows as the collection does, not as its square.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.evaluation.fingerprint import Fingerprint

__all__ = ["Match", "bit_error", "find_matches"]

_TABLES = 3
_ROTATION = 11  # bits from table to table
_CROWD = 64  # words of one key; beyond, the key says nothing (a held note, a hum)
_VOTES = 2
_BIN = 4  # frames of offset that vote together
_BINS_TRIED = 3
_PART = 0.5  # of the shorter track that must overlap
_FRAMES = 40  # at least
_ERROR = 0.35  # of bits; unrelated recordings have 0.5, and the closest of 33,661 pairs nominated had 0.43
_SPREAD = 0.17  # see _limit

Int = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Match:
    """Two tracks that are copies of one recording.

    Attributes:
        first: Index of one, below ``second``.
        second: Index of the other.
        score: 1 for identical bits, 0 for unrelated ones: 1 - 2 x bit error rate.
        offset: Frames by which ``first`` begins earlier in the recording (negative: later).
    """

    first: int
    second: int
    score: float
    offset: int


def find_matches(fingerprints: Sequence[Fingerprint]) -> tuple[Match, ...]:
    """All pairs of copies, by index."""
    nominated = _nominate(fingerprints)
    found = []
    for (first, second), offsets in nominated.items():
        error, offset = min(
            (bit_error(fingerprints[first], fingerprints[second], offset), offset) for offset in sorted(offsets)
        )
        if error < 0.5:
            found.append(Match(first, second, 1 - 2 * error, offset))
    return tuple(sorted(found, key=lambda match: (match.first, match.second)))


def bit_error(first: Fingerprint, second: Fingerprint, offset: int) -> float:
    """Share of wrong bits where ``second`` begins ``offset`` frames after ``first``; 0.5 where that proves nothing.

    It proves nothing where the overlap is under half of the shorter track, or so short that chance could do it.
    """
    start, end = max(0, offset), min(len(first.words), offset + len(second.words))
    shorter = min(int(first.valid.sum()), int(second.valid.sum()))
    if end <= start:
        return 0.5
    a, b = slice(start, end), slice(start - offset, end - offset)
    both = first.valid[a] & second.valid[b]
    frames = int(both.sum())
    if frames < max(_FRAMES, _PART * shorter):
        return 0.5
    wrong = int(np.bitwise_count(first.words[a] ^ second.words[b])[both].sum())
    error = wrong / (32 * frames)
    return error if error <= _limit(frames) else 0.5


def _limit(frames: int) -> float:
    """The most bit errors of a copy: eight standard deviations from chance, and never above 0.35.

    The bit error rate of unrelated recordings was measured to have a standard deviation of 0.17 / sqrt(frames); frames
    share most of their windows, so that bits are not independent. Eight leave room for the best of many offsets.
    """
    return min(_ERROR, 0.5 - 8 * _SPREAD / math.sqrt(frames))


def _nominate(fingerprints: Sequence[Fingerprint]) -> dict[tuple[int, int], set[int]]:
    """Offsets worth a look, by pair of tracks: those that at least two pairs of words agree on."""
    words, track, frame = _gather(fingerprints)
    if not len(words):
        return {}
    bits = min(28, max(18, math.ceil(math.log2(len(words))) + 1))
    hits = [hit for table in range(_TABLES) for hit in _meetings(words, track, frame, table, bits)]
    if not hits:
        return {}
    votes = np.concatenate(hits, axis=1)
    low = int(votes[2].min()) // _BIN
    span = int(votes[2].max()) // _BIN - low + 1
    pair = votes[0] * len(fingerprints) + votes[1]
    code, count = np.unique(pair * span + votes[2] // _BIN - low, return_counts=True)
    code, count = code[count >= _VOTES], count[count >= _VOTES]
    nominated: dict[tuple[int, int], set[int]] = {}
    tried: dict[int, int] = {}
    for place in np.argsort(-count, kind="stable"):
        both, bin_ = divmod(int(code[place]), span)
        if tried.get(both, 0) < _BINS_TRIED:
            tried[both] = tried.get(both, 0) + 1
            start = (bin_ + low) * _BIN
            nominated.setdefault(divmod(both, len(fingerprints)), set()).update(range(start - 1, start + _BIN + 1))
    return nominated


def _gather(fingerprints: Sequence[Fingerprint]) -> tuple[NDArray[np.uint32], Int, Int]:
    """Valid words of all tracks with their track and frame."""
    frames = [np.flatnonzero(one.valid) for one in fingerprints]
    words = [one.words[rows] for one, rows in zip(fingerprints, frames, strict=True)]
    track = np.repeat(np.arange(len(frames)), [len(rows) for rows in frames])
    if not frames:
        return np.zeros(0, np.uint32), np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(words), track.astype(np.int64), np.concatenate(frames).astype(np.int64)


def _meetings(words: NDArray[np.uint32], track: Int, frame: Int, table: int, bits: int) -> Iterator[Int]:
    """Pairs of words of two tracks with one key: (3, pairs) of first track, second track, offset."""
    turn = np.uint32(table * _ROTATION)
    turned = (words << turn) | (words >> (np.uint32(32) - turn)) if table else words
    key = turned >> np.uint32(32 - bits)
    # A held sound repeats its word; once a run is enough.
    fresh = np.r_[True, (key[1:] != key[:-1]) | (track[1:] != track[:-1])]
    key, track, frame = key[fresh], track[fresh], frame[fresh]
    order = np.lexsort((track, key))
    key, track, frame = key[order], track[order], frame[order]
    starts = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    crowd = np.repeat(np.diff(np.r_[starts, len(key)]), np.diff(np.r_[starts, len(key)]))
    met = (crowd > 1) & (crowd <= _CROWD)
    key, track, frame = key[met], track[met], frame[met]
    for step in range(1, _CROWD):
        same = np.flatnonzero(key[step:] == key[:-step])
        if not len(same):
            return
        other = same + step
        differ = track[same] != track[other]
        a, b = same[differ], other[differ]
        yield np.stack([track[a], track[b], frame[a] - frame[b]])
