"""Track and Dataset: what is to be learnt or scored, as facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from earmark.recipe import Task

__all__ = ["Dataset", "GroupBy", "HeadSpec", "Label", "Part", "Track"]

Part = Literal["train", "valid", "test"]
GroupBy = Literal["artist", "album", "track"]
Label = str | tuple[str, ...] | float | None
"""One track's label for one head: a name, several names, a number, or None (not labelled)."""


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """One vocabulary: ``labels`` in a fixed order (sorted, unless the data set orders them); empty for a regression."""

    name: str
    task: Task
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Track:
    """One recording.

    Attributes:
        path: The file.
        name: The path below the data set's root, with ``/``; unique in the data set.
        group: What never stands in two parts of a split: artist, or album, or the track itself.
        part: The side that the data set itself assigns; None where it assigns none.
        labels: By head.
    """

    path: Path
    name: str
    group: str
    part: Part | None
    labels: Mapping[str, Label]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Tracks with their labels.

    Attributes:
        name: For people and reports.
        root: Folder that the tracks' names are relative to.
        heads: Vocabularies.
        tracks: In a fixed order.
        group_by: What ``Track.group`` is: ``artist``, or by fallback ``album`` or ``track``.
        kind: ``audio`` or ``images`` (PNG spectrograms).
        has_split: Whether the data set assigns parts itself.
        notices: Lines for people: what was left out, and why.
        licence: Of the data, in its owners' words.
        citation: Whom to cite.
    """

    name: str
    root: Path
    heads: tuple[HeadSpec, ...]
    tracks: tuple[Track, ...]
    group_by: GroupBy = "track"
    kind: Literal["audio", "images"] = "audio"
    has_split: bool = False
    notices: tuple[str, ...] = ()
    licence: str = ""
    citation: str = ""

    def head(self, name: str) -> HeadSpec:
        """The head of that name (KeyError where there is none)."""
        return {head.name: head for head in self.heads}[name]

    def subset(self, rows: Sequence[int] | NDArray[np.intp]) -> Dataset:
        """The same data set with only the tracks of these indices, in their order."""
        return replace(self, tracks=tuple(self.tracks[int(row)] for row in rows))

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """The vocabularies by head."""
        return {spec.name: spec.labels for spec in self.heads}

    def counts(self, head: str, rows: Iterable[int] | None = None) -> Counter[str]:
        """How many tracks (of these indices, or all) have each label of a head; labels that none has are missing."""
        found: Counter[str] = Counter()
        for row in range(len(self.tracks)) if rows is None else rows:
            given = self.tracks[int(row)].labels.get(head)
            found.update((given,) if isinstance(given, str) else given if isinstance(given, tuple) else ())
        return found

    def lost_labels(self, before: Iterable[int] | None, after: Iterable[int]) -> dict[str, tuple[str, ...]]:
        """By head, labels that some track of ``before`` (None: all) has and no track of ``after``, in their order."""
        before, after = None if before is None else list(before), list(after)
        found: dict[str, tuple[str, ...]] = {}
        for spec in self.heads:
            had, left = self.counts(spec.name, before), self.counts(spec.name, after)
            found[spec.name] = tuple(label for label in spec.labels if label in had and label not in left)
        return {head: labels for head, labels in found.items() if labels}

    def without_labels(self, gone: Mapping[str, Sequence[str]]) -> Dataset:
        """The same tracks with these labels (by head) out of the vocabularies."""
        heads = tuple(
            replace(spec, labels=tuple(label for label in spec.labels if label not in gone.get(spec.name, ())))
            for spec in self.heads
        )
        return replace(self, heads=heads)

    def targets(self, head: str) -> NDArray[np.float32]:
        """Labels of one head as numbers.

        Returns:
            multiclass: (tracks,) index of the label, NaN where unlabelled or not in the vocabulary;
            multilabel: (tracks, labels) 0 or 1, a row of NaN where unlabelled;
            regression: (tracks,) the number, NaN where unlabelled.
        """
        spec = self.head(head)
        index = {label: i for i, label in enumerate(spec.labels)}
        if spec.task == "multilabel":
            rows = np.full((len(self.tracks), len(index)), np.nan, np.float32)
            for row, track in zip(rows, self.tracks, strict=True):
                given = track.labels.get(head)
                if isinstance(given, tuple):
                    row[:] = 0
                    row[[index[name] for name in given if name in index]] = 1
            return rows
        column = np.full(len(self.tracks), np.nan, np.float32)
        for i, track in enumerate(self.tracks):
            given = track.labels.get(head)
            if spec.task == "regression":
                column[i] = np.nan if given is None else float(given)  # type: ignore[arg-type]
            elif isinstance(given, str) and given in index:
                column[i] = index[given]
        return column
