"""Duplicates in a data set: files of the same content, and re-encoded, trimmed or louder ones of the same recording;
and what of them, or of artists, stands in two parts of the data set's own split.

A fingerprint is 32 bits a frame that survive re-encoding, trimming and loudness, after Haitsma and Kalker 2002 ("A
highly robust audio fingerprinting system"): a bit says whether the difference of two neighbouring bands grew or fell
over time, so that gain and slow filters leave it alone. Unlike theirs the difference is taken over 0.4 s rather than
from one frame to the next, which lowers the bit errors of low-rate codecs by a third.

Words in common nominate pairs, bit errors at their common offset decide. Words are compared through three hash tables
of part of their bits, so that a word with a few wrong bits still meets its copy in one of them. The keys grow with the
collection (twice the words, one bit more), so that chance meetings grow as the collection does, not as its square.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from earmark.audio.images import read_image
from earmark.audio.track import load
from earmark.datasets.cache import content_hashes
from earmark.datasets.core import Dataset
from earmark.engine.base import Each, Engine
from earmark.events import Progress, Steps
from earmark.inference.records import Failure

__all__ = [
    "FRAMES_PER_SECOND",
    "SAMPLE_RATE",
    "Duplicate",
    "Fingerprint",
    "Leak",
    "Match",
    "Print",
    "bit_error",
    "find_duplicates",
    "find_leaks",
    "find_matches",
    "of_image",
    "of_waveform",
    "take_prints",
]

SAMPLE_RATE = 8000
"""Hz of the waveform that :func:`of_waveform` takes."""
FRAMES_PER_SECOND = 25
_HOP = SAMPLE_RATE // FRAMES_PER_SECOND
_N_FFT = 2048
_BITS = 32
_RANGE = (250.0, 3000.0)  # Hz; what even a telephone carries
_LAG = 10  # frames
_IMAGE_LAG = 4  # columns
_SILENCE = 1e-6  # of the loudest frame's power: frames below carry bits of noise
_QUIET = 1e-9  # mean square of a sample; below there is nothing but dither
_BLOCK = 256


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """Words of one track: ``words`` (frames,) uint32 and ``valid`` (frames,), False where there is only silence."""

    words: NDArray[np.uint32]
    valid: NDArray[np.bool_]


def of_waveform(waveform: NDArray[np.float32]) -> Fingerprint:
    """The fingerprint of a waveform (samples,) at 8 kHz: 25 words a second; none where it is under 0.7 s."""
    if len(waveform) < _N_FFT:
        return _none()
    frames = np.lib.stride_tricks.sliding_window_view(waveform, _N_FFT)[::_HOP]
    window = np.hanning(_N_FFT).astype(np.float32)
    edges = _edges()
    energies = np.concatenate(
        [_energies(frames[start : start + _BLOCK] * window, edges) for start in range(0, len(frames), _BLOCK)]
    )
    power = energies.sum(1)
    # The window keeps 3/8 of the power, and a sum over a one-sided spectrum counts half of it n_fft times.
    quiet = _QUIET * _N_FFT * _N_FFT * 3 / 16
    return _words(energies, _LAG, power > max(quiet, _SILENCE * float(power.max(initial=0.0))))


def of_image(spectrogram: NDArray[np.float32]) -> Fingerprint:
    """The fingerprint of a picture (frames, bands) of grey levels, a word a column of pixels."""
    columns, rows = spectrogram.shape
    if rows < _BITS + 1:
        spectrogram = np.repeat(spectrogram, -(-(_BITS + 1) // rows), axis=1)
        rows = spectrogram.shape[1]
    starts = np.arange(_BITS + 1) * rows // (_BITS + 1)
    sizes = np.diff(np.append(starts, rows))
    bands = np.add.reduceat(spectrogram.astype(np.float64), starts, axis=1) / sizes
    varied = np.ptp(bands, axis=1) >= 2 if columns else np.zeros(0, np.bool_)
    return _words(bands, _IMAGE_LAG, varied)


def _words(bands: NDArray[np.float64], lag: int, loud: NDArray[np.bool_]) -> Fingerprint:
    """Bits from (frames, 33) energies: did a band gain on its neighbour since ``lag`` frames ago?"""
    if len(bands) <= lag:
        return _none()
    contrast = bands[:, :-1] - bands[:, 1:]
    bits = contrast[lag:] > contrast[:-lag]
    words = np.packbits(bits, axis=1, bitorder="little").view("<u4")[:, 0]
    return Fingerprint(words.astype(np.uint32), loud[lag:] & loud[:-lag])


def _energies(frames: NDArray[np.float32], edges: NDArray[np.intp]) -> NDArray[np.float64]:
    """(frames, 33) power in logarithmic bands."""
    power = np.abs(np.fft.rfft(frames, axis=1).astype(np.complex64)) ** 2
    return np.add.reduceat(power[:, : edges[-1]].astype(np.float64), edges[:-1], axis=1)


def _edges() -> NDArray[np.intp]:
    return np.round(np.geomspace(*_RANGE, _BITS + 2) * _N_FFT / SAMPLE_RATE).astype(np.intp)


def _none() -> Fingerprint:
    return Fingerprint(np.zeros(0, np.uint32), np.zeros(0, np.bool_))


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
    votes = np.concatenate([np.zeros((3, 0), np.int64), *hits], axis=1)
    if not votes.size:  # none, or songs that only repeat themselves
        return {}
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


_SECONDS = 300.0
"""So much of a track is read for its fingerprint: copies that were trimmed by seconds share it."""
_ALL_PAIRS = 50
"""Of more files of one content only the pairs with the first are listed."""
_ORDER = ("train", "valid", "test")


@dataclass(frozen=True, slots=True, eq=False)
class Print:
    """What a track is known by: the hash of its content, and its fingerprint."""

    digest: str
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two tracks of one recording.

    Attributes:
        first: Index of one, below ``second``.
        second: Index of the other.
        kind: ``exact``: the same samples or pixels; ``near``: the same recording.
        score: 1 for identical, 0 for unrelated ones.
    """

    first: int
    second: int
    kind: Literal["exact", "near"]
    score: float


def take_prints(dataset: Dataset, engine: Engine) -> Steps[list[Print | Failure]]:
    """A print or a failure of each track, in order."""
    paths = [track.path for track in dataset.tracks]
    hashes = yield from content_hashes(paths, engine)
    rows = [row for row, digest in enumerate(hashes) if isinstance(digest, str)]
    found: dict[int, Print | Failure] = {row: one for row, one in enumerate(hashes) if isinstance(one, Failure)}
    with closing(engine.map(Each(_fingerprint), [paths[row] for row in rows])) as results:
        for row, result in zip(rows, results, strict=True):
            found[row] = result if isinstance(result, Failure) else Print(str(hashes[row]), result.value)
            yield Progress(len(found), len(paths), "taking fingerprints")
    return [found[row] for row in range(len(paths))]


def find_duplicates(prints: Sequence[Print | Failure]) -> tuple[Duplicate, ...]:
    """All pairs of copies, exact ones first, then the surest."""
    members: dict[str, list[int]] = {}
    for row, one in enumerate(prints):
        if isinstance(one, Print):
            members.setdefault(one.digest, []).append(row)
    found = [Duplicate(a, b, "exact", 1.0) for rows in members.values() for a, b in _pairs(rows)]
    groups = list(members.values())
    firsts = [one.fingerprint for rows in groups if isinstance(one := prints[rows[0]], Print)]
    for match in find_matches(firsts):
        for a, b in _between(groups[match.first], groups[match.second]):
            found.append(Duplicate(min(a, b), max(a, b), "near", round(match.score, 4)))
    return tuple(sorted(found, key=lambda d: (d.kind, -d.score, d.first, d.second)))


@dataclass(frozen=True, slots=True)
class Leak:
    """One group that the split divides.

    Attributes:
        group: The artist (or album); of a recording the name of its first track.
        parts: On which sides it stands, ``train`` first.
        rows: The tracks, where it is one recording; empty for an artist.
    """

    group: str
    parts: tuple[str, ...]
    rows: tuple[int, ...] = ()


def find_leaks(dataset: Dataset, duplicates: Sequence[Duplicate]) -> tuple[Leak, ...]:
    """Groups and recordings in two parts; none where the data set assigns no parts itself."""
    sides: dict[str, set[str]] = {}
    if dataset.group_by != "track":
        for track in dataset.tracks:
            if track.part is not None:
                sides.setdefault(track.group, set()).add(track.part)
    leaks = [Leak(group, _ordered(found)) for group, found in sorted(sides.items()) if len(found) > 1]
    for pair in duplicates:
        tracks = dataset.tracks[pair.first], dataset.tracks[pair.second]
        parts: set[str] = {track.part for track in tracks if track.part is not None}
        if len(parts) > 1:
            leaks.append(Leak(tracks[0].name, _ordered(parts), (pair.first, pair.second)))
    return tuple(leaks)


def _ordered(found: set[str]) -> tuple[str, ...]:
    return tuple(part for part in _ORDER if part in found)


def _fingerprint(path: Path) -> Fingerprint:
    if path.suffix.lower() == ".png":
        return of_image(read_image(path))
    return of_waveform(load(path, SAMPLE_RATE, seconds=_SECONDS))


def _pairs(rows: Sequence[int]) -> list[tuple[int, int]]:
    if len(rows) <= _ALL_PAIRS:
        return list(itertools.combinations(rows, 2))
    return [(rows[0], row) for row in rows[1:]]


def _between(first: Sequence[int], second: Sequence[int]) -> list[tuple[int, int]]:
    if len(first) * len(second) <= _ALL_PAIRS:
        return list(itertools.product(first, second))
    return [(first[0], second[0])]
