"""Duplicates in a data set: files of the same content, and re-encoded, trimmed or louder ones of the same recording;
and what of them, or of artists, stands in two parts of the data set's own split.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from earmark.audio.images import read_image
from earmark.audio.track import load
from earmark.datasets.cache import content_hashes
from earmark.datasets.core import Dataset
from earmark.engine.base import Each, Engine
from earmark.evaluation import fingerprint
from earmark.evaluation.fingerprint import Fingerprint
from earmark.evaluation.matching import find_matches
from earmark.events import Progress, Steps
from earmark.inference.records import Failure

__all__ = ["Duplicate", "Leak", "Print", "find_duplicates", "find_leaks", "take_prints"]

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
        return fingerprint.of_image(read_image(path))
    return fingerprint.of_waveform(load(path, fingerprint.SAMPLE_RATE, seconds=_SECONDS))


def _pairs(rows: Sequence[int]) -> list[tuple[int, int]]:
    if len(rows) <= _ALL_PAIRS:
        return list(itertools.combinations(rows, 2))
    return [(rows[0], row) for row in rows[1:]]


def _between(first: Sequence[int], second: Sequence[int]) -> list[tuple[int, int]]:
    if len(first) * len(second) <= _ALL_PAIRS:
        return list(itertools.product(first, second))
    return [(first[0], second[0])]
