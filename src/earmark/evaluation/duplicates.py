"""Copies in a data set: files of the same content, and re-encoded, trimmed or louder ones of the same recording."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from earmark.audio.decode import load
from earmark.audio.images import read_image
from earmark.datasets.contents import content_hash
from earmark.datasets.core import Dataset, Track
from earmark.errors import AudioError
from earmark.evaluation import fingerprint
from earmark.evaluation.fingerprint import Fingerprint
from earmark.evaluation.matching import find_matches
from earmark.inference.records import Failure

__all__ = ["Duplicate", "Print", "find_duplicates", "take_prints"]

_SECONDS = 300.0
"""So much of a track is heard for its fingerprint: copies that were trimmed by seconds share it."""
_ALL_PAIRS = 50
"""Of more files of one content only the pairs with the first are told."""


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


def take_prints(
    dataset: Dataset,
    *,
    workers: int = 1,
    hash_of: Callable[[Path], str] = content_hash,
    progress: Callable[[], None] = lambda: None,
) -> list[Print | Failure]:
    """Hear (or see) every track, on threads: decoders give up Python's lock.

    Args:
        dataset: Its tracks.
        workers: Threads.
        hash_of: The content hash of a file.
        progress: Called after each track.

    Returns:
        A print or a failure a track, in order.
    """
    take = _of_image if dataset.kind == "images" else _of_audio

    def one(track: Track) -> Print | Failure:
        try:
            return Print(hash_of(track.path), take(track))
        except AudioError as error:
            return Failure(str(track.path), error.kind, error.message)

    found = []
    with ThreadPoolExecutor(max(1, workers), thread_name_prefix="earmark") as executor:
        for taken in executor.map(one, dataset.tracks):
            found.append(taken)
            progress()
    return found


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


def _of_audio(track: Track) -> Fingerprint:
    return fingerprint.of_waveform(load(track.path, fingerprint.SAMPLE_RATE, seconds=_SECONDS))


def _of_image(track: Track) -> Fingerprint:
    return fingerprint.of_image(read_image(track.path))


def _pairs(rows: Sequence[int]) -> list[tuple[int, int]]:
    if len(rows) <= _ALL_PAIRS:
        return list(itertools.combinations(rows, 2))
    return [(rows[0], row) for row in rows[1:]]


def _between(first: Sequence[int], second: Sequence[int]) -> list[tuple[int, int]]:
    if len(first) * len(second) <= _ALL_PAIRS:
        return list(itertools.product(first, second))
    return [(first[0], second[0])]
