"""What stands on two sides of a data set's own split: an artist, or one recording under two names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from earmark.datasets.core import Dataset
from earmark.evaluation.duplicates import Duplicate

__all__ = ["Leak", "find_leaks"]

_ORDER = ("train", "valid", "test")


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
    """Groups and recordings on two sides; none where the data set assigns no parts itself."""
    sides: dict[str, set[str]] = {}
    if dataset.group_by != "track":
        for track in dataset.tracks:
            if track.part is not None:
                sides.setdefault(track.group, set()).add(track.part)
    leaks = [Leak(group, _parts(found)) for group, found in sorted(sides.items()) if len(found) > 1]
    for pair in duplicates:
        tracks = dataset.tracks[pair.first], dataset.tracks[pair.second]
        parts: set[str] = {track.part for track in tracks if track.part is not None}
        if len(parts) > 1:
            leaks.append(Leak(tracks[0].name, _parts(parts), (pair.first, pair.second)))
    return tuple(leaks)


def _parts(found: set[str]) -> tuple[str, ...]:
    return tuple(part for part in _ORDER if part in found)
