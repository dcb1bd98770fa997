"""Track and Dataset: what is to be learnt or scored, as facts; its groups, and whether it can be learnt from.

A group never stands in two parts of a split: artist, else album, else the track itself. What cannot be learnt from is
refused before hours are spent.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from earmark.errors import DatasetError, UnknownName
from earmark.recipe import Task
from earmark.text import fold, fold_artist

__all__ = [
    "Conflict",
    "Dataset",
    "GroupBy",
    "HeadSpec",
    "Label",
    "Part",
    "Track",
    "check_trainable",
    "conflicts_in_words",
    "group_tracks",
    "label_conflicts",
    "lost_in_words",
    "names_nobody",
    "spelling_notices",
]

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


_NOBODY = frozenset(
    ("", "-", "?", "n/a", "none", "unknown", "unknown artist", "[unknown]", "unknown album", "compilation")
) | frozenset(("va", "v.a.", "various", "various artists", "diverse"))


def group_tracks(
    names: Sequence[str], artists: Sequence[str], albums: Sequence[str]
) -> tuple[tuple[str, ...], GroupBy, tuple[str, ...]]:
    """The group of each track.

    Spellings of an artist that differ in case, blanks, accents or a "The" are one. "Various Artists" and the like are
    none. A track without artist falls back to its album, and without that it is a group of its own.

    Args:
        names: (tracks,) unique names.
        artists: (tracks,) artists, "" where unknown.
        albums: (tracks,) albums, "" where unknown.

    Returns:
        (tracks,) groups; what most of them are; notices.
    """
    spelling: dict[tuple[str, str], str] = {}
    groups: list[str] = []
    kinds: list[GroupBy] = []
    for name, artist, album in zip(names, artists, albums, strict=True):
        kind: GroupBy
        key, kind = fold_artist(artist), "artist"
        if fold(artist) in _NOBODY:
            key, kind = fold(album), "album"
        if key in _NOBODY:
            key, kind = name, "track"
        text = {"artist": artist, "album": f"album: {album}", "track": f"track: {name}"}[kind]
        groups.append(spelling.setdefault((kind, key), " ".join(text.split()) if kind != "track" else text))
        kinds.append(kind)
    main: GroupBy = max(("artist", "album", "track"), key=kinds.count)
    return tuple(groups), main, _notices(kinds, main)


def names_nobody(text: str) -> bool:
    """Whether an artist or album is none: empty, "Various Artists", "Unknown" and the like."""
    return fold(text) in _NOBODY


def _notices(kinds: Sequence[GroupBy], main: GroupBy) -> tuple[str, ...]:
    total = len(kinds)
    without = total - kinds.count("artist")
    if not without:
        return ()
    if main == "artist":
        return (
            f"{without} of {total} tracks name no artist: grouped by album where known, else each by itself; their "
            "artists, in the table or in the files' tags, keep them apart",
        )
    known = f"only {total - without} of {total} tracks name" if without < total else "no track names"
    if main == "album":
        return (f"{known} an artist: grouped by album, so an artist may stand on both sides of a split",)
    return (f"{known} an artist or album: grouped by track, so an artist may stand on both sides of a split",)


def check_trainable(
    dataset: Dataset, heads: Sequence[str] | None = None, *, one_artist: bool = False
) -> tuple[str, ...]:
    """Refuse what cannot be learnt; say what can be, but badly.

    Args:
        dataset: What is to be learnt from.
        heads: Which heads; all of them if not given.
        one_artist: Whether a class of one artist (or album) is a notice, not an error: there is no test part, or the
            data set assigns its parts itself.

    Returns:
        Notices.

    Raises:
        DatasetError: No train part, no labelled track, one class only, a class with one track, a class of one artist,
            or a number that never changes; names head, class and track.
        UnknownName: A head that the data set does not have.
    """
    known = {spec.name: spec for spec in dataset.heads}
    notices: list[str] = []
    if dataset.has_split:
        if all(track.part != "train" for track in dataset.tracks):
            raise DatasetError(
                f"{dataset.name}: its own split has no train part: it can be scored on, not trained on; to divide it "
                'anew, leave split out of dataset.toml (of a published corpus: split = "recipe")'
            )
        dataset = dataset.subset([i for i, track in enumerate(dataset.tracks) if track.part])
    for name in heads if heads is not None else known:
        if name not in known:
            raise UnknownName("head", name, known)
        spec = known[name]
        if not any(track.labels.get(name) is not None for track in dataset.tracks):
            raise DatasetError(f"{dataset.name}: no track has a label of head {name!r}")
        if spec.task == "multiclass":
            notices += _multiclass(dataset, spec, one_artist or dataset.has_split)
        elif spec.task == "multilabel":
            notices += _multilabel(dataset, spec)
        elif len(set(np.unique(dataset.targets(name)[~np.isnan(dataset.targets(name))]).tolist())) < 2:
            raise DatasetError(f"{dataset.name}: head {name!r} is the same number for every track: nothing to learn")
    return tuple(notices)


def spelling_notices(labels: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """A line for each group of labels (by head) that are written differently and are perhaps one: nothing is merged."""
    found = []
    for head, names in labels.items():
        groups: dict[str, list[str]] = {}
        for name in names:
            groups.setdefault(_spelling(name), []).append(name)
        found += [
            f"{head}: the labels {' and '.join(map(repr, group))} differ only in case, spaces, separators or the form "
            "of their letters, and count as different ones; if one label is meant, give it one name everywhere"
            for group in groups.values()
            if len(group) > 1
        ]
    return tuple(found)


def _spelling(label: str) -> str:
    """What is left without case, form of letters, spaces and separators; those between digits count, as in 1.5."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
    seen = "".join(letter for letter in plain if unicodedata.category(letter) != "Cf").strip()
    return re.sub(r"(?<=[^\W\d])[\s_./\-\u2010-\u2015]+(?=\w)|(?<=\d)[\s_./\-\u2010-\u2015]+(?=[^\W\d])", "", seen)


@dataclass(frozen=True, slots=True)
class Conflict:
    """One recording under two labels of a head: the indices of its two tracks, ``first`` below ``second``."""

    head: str
    first: int
    second: int
    labels: tuple[str, str]


def label_conflicts(dataset: Dataset, pairs: Iterable[tuple[int, int]]) -> tuple[Conflict, ...]:
    """Where two tracks of one recording have different names for a label; one without a label contradicts nothing."""
    found = []
    for pair in pairs:
        first, second = (dataset.tracks[row] for row in sorted(pair))
        for spec in dataset.heads:
            labels = first.labels.get(spec.name), second.labels.get(spec.name)
            words = [_words(label) for label in labels if label is not None]
            if spec.task != "regression" and len(words) == 2 and words[0] != words[1]:
                found.append(Conflict(spec.name, min(pair), max(pair), (words[0], words[1])))
    return tuple(found)


def conflicts_in_words(
    dataset: Dataset, conflicts: Sequence[Conflict], what: str = "the label of the first counts"
) -> tuple[str, ...]:
    """A line for each head in which copies of a song have different labels; ``what`` training makes of it."""
    heads: dict[str, list[Conflict]] = {}
    for conflict in conflicts:
        heads.setdefault(conflict.head, []).append(conflict)
    lines = []
    for head, found in heads.items():
        one, (name, other) = found[0], found[0].labels
        count = "1 song has" if len(found) == 1 else f"{len(found)} songs have"
        places = dataset.tracks[one.first].name, dataset.tracks[one.second].name
        lines.append(
            f"{head}: {count} two labels, as {places[0]} ({name!r}) and {places[1]} ({other!r}), which are the same "
            f"recording: {what}; remove the wrong one"
        )
    return tuple(lines)


def _words(label: Label) -> str:
    return ";".join(sorted(label)) if isinstance(label, tuple) else str(label)


def lost_in_words(dataset: Dataset, lost: Mapping[str, Sequence[str]], why: str) -> tuple[str, ...]:
    """A line for each label (by head) that has no track any more; ``why`` ends "the tracks of LABEL (3) ..."."""
    return tuple(
        f"{head}: the tracks of {label!r} ({dataset.counts(head)[label]}) {why}"
        for head, labels in lost.items()
        for label in labels
    )


def _multiclass(dataset: Dataset, spec: HeadSpec, one_artist: bool) -> list[str]:
    members: dict[str, list[int]] = {label: [] for label in spec.labels}
    for i, track in enumerate(dataset.tracks):
        given = track.labels.get(spec.name)
        if isinstance(given, str) and given in members:
            members[given].append(i)
    filled = [label for label, rows in members.items() if rows]
    at = f"{dataset.name}: head {spec.name!r}"
    if len(filled) < 2:
        raise DatasetError(f"{at}: one class only ({filled[0]!r}): at least two are needed" if filled
                           else f"{at}: every label is too rare: lower min_tracks")  # fmt: skip
    notices = [f"{spec.name}: no track has the label {label!r}" for label in spec.labels if label not in filled]
    for label in filled:
        rows = members[label]
        groups = {dataset.tracks[i].group for i in rows}
        if len(rows) == 1:
            raise DatasetError(
                f"{at}: the class {label!r} has one track only ({dataset.tracks[rows[0]].name}); "
                f"add more, or leave it out: --exclude {spec.name}={label}"
            )
        if len(groups) == 1:
            what = f"the class {label!r} is all by one {dataset.group_by} ({next(iter(groups))!r}, {len(rows)} tracks)"
            if not one_artist:
                raise DatasetError(
                    f"{at}: {what}: it can be trained on or scored on, not both; add tracks by others, "
                    f"or leave it out: --exclude {spec.name}={label}"
                )
            notices.append(f"{spec.name}: {what}: its score says nothing about others")
    return notices


def _multilabel(dataset: Dataset, spec: HeadSpec) -> list[str]:
    at = f"{dataset.name}: head {spec.name!r}"
    if not spec.labels:
        raise DatasetError(f"{at}: every label is too rare: lower min_tracks")
    labelled = sum(track.labels.get(spec.name) is not None for track in dataset.tracks)
    counts = dataset.counts(spec.name)
    constant = [label for label in spec.labels if counts[label] in (0, labelled)]
    if len(constant) == len(spec.labels):
        raise DatasetError(f"{at}: every label is on all tracks or on none: nothing to learn")
    if not constant:
        return []
    return [f"{spec.name}: {len(constant)} labels are on all tracks or on none, as {constant[0]!r}: nothing to learn"]
