"""What new classes cost old ones: before and after on the same tracks, and whether it is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.core import Dataset
from earmark.datasets.splits import load_split
from earmark.evaluation import metrics
from earmark.evaluation.intervals import sign_flip
from earmark.evaluation.metrics import Float
from earmark.evaluation.scores import HeadAnswers, rounded, score_head
from earmark.models.card import HeadCard
from earmark.models.exemplars import Exemplars
from earmark.training.finish import track_scores

__all__ = [
    "Extension",
    "Forgetting",
    "HeadChange",
    "Moved",
    "OldClass",
    "Relabelled",
    "Worse",
    "measure",
    "relabelled_in_words",
    "relabelled_songs",
]

NOTABLE = 0.02
"""A fall of the old classes' accuracy that is worth a warning, if chance would not move it as far."""

_UNLIKELY = 0.05


@dataclass(frozen=True, slots=True)
class OldClass:
    """One class: its share of right answers (multi-label: area under the ROC curve) before and after."""

    before: float | None
    after: float | None
    tracks: int

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the report."""
        return {"before": self.before, "after": self.after, "tracks": self.tracks}


@dataclass(frozen=True, slots=True)
class Moved:
    """A track whose label changed."""

    path: str
    head: str
    before: str
    after: str

    def to_dict(self) -> dict[str, str]:
        """As it stands in the report."""
        return {"path": self.path, "head": self.head, "from": self.before, "to": self.after}


@dataclass(frozen=True, slots=True)
class Worse:
    """An old class that lost more than chance explains: its shares of right answers, and p."""

    label: str
    before: float
    after: float
    tracks: int
    p: float

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the report."""
        return {"class": self.label, "before": self.before, "after": self.after, "tracks": self.tracks, "p": self.p}


@dataclass(frozen=True, slots=True)
class Relabelled:
    """A song that the model was trained on under another label, ``before``; None where it does not keep which."""

    path: str
    head: str
    before: str | None
    after: str

    def to_dict(self) -> dict[str, str | None]:
        """As it stands in the report."""
        return {"path": self.path, "head": self.head, "from": self.before, "to": self.after}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class HeadChange:
    """One head before and after on the same tracks.

    Attributes:
        before: The old head.
        after: The new one, whose first labels are the old ones.
        raw_before: (tracks) of (clips, old labels).
        raw_after: (tracks) of (clips, labels).
        truth: (tracks,) or (tracks, labels) of the new head, NaN where unknown.
        groups: (tracks,) names of artists.
        pooling: Of clips.
        paths: (tracks,) for those that moved; empty where they have no names.
    """

    before: HeadCard
    after: HeadCard
    raw_before: Sequence[NDArray[np.floating]]
    raw_after: Sequence[NDArray[np.floating]]
    truth: NDArray[np.float32]
    groups: Sequence[str]
    pooling: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Forgetting:
    """What changed.

    Attributes:
        classes: By old class; by ``HEAD:CLASS`` where several heads gained classes.
        new: By new class, ``before`` is None.
        changes: By head, the difference of the accuracy on tracks of old classes, its p-value and how many there are.
        moved: Tracks whose label changed.
        scores: By head, the new head's figures.
        worse: Old classes that lost more than chance explains.
    """

    classes: dict[str, OldClass]
    new: dict[str, OldClass]
    changes: dict[str, tuple[float, float, int]]
    moved: tuple[Moved, ...]
    scores: dict[str, dict[str, Any]]
    worse: tuple[Worse, ...] = ()

    @property
    def degraded(self) -> bool:
        """A fall of more than 2 points that chance would not explain, in any head."""
        return any(fall < -NOTABLE and p < _UNLIKELY for fall, p, _ in self.changes.values())

    def classes_dict(self) -> dict[str, Any]:
        """Old classes."""
        return {name: one.to_dict() for name, one in self.classes.items()}

    def new_dict(self) -> dict[str, Any]:
        """New classes."""
        return {name: one.to_dict() for name, one in self.new.items()}

    def change_dict(self) -> dict[str, Any]:
        """By head, the difference on old classes."""
        return {
            head: {"difference": rounded(difference), "p": rounded(p), "tracks": tracks}
            for head, (difference, p, tracks) in self.changes.items()
        }

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the report."""
        return {
            "classes": self.classes_dict(),
            "new": self.new_dict(),
            "change": self.change_dict(),
            "worse": [one.to_dict() for one in self.worse],
        }

    def notices(self, where: str) -> tuple[str, ...]:
        """Lines for people: new classes that the model does not know after all, old ones that got worse."""
        lines = []
        for label, one in self.new.items():
            if not one.tracks:
                lines.append(f"the new class {label!r} is not measured on {where}: none of them has it")
            elif not one.after:
                text = f"the new class {label!r} is recognised in none of its {one.tracks} songs of {where}"
                lines.append(f"{text}: give more songs, or songs that have more in common")
        lines += [
            f"the old class {one.label!r} got worse on {where}, by more than chance: {100 * one.before:.0f} % of its "
            f"{one.tracks} songs were right, {100 * one.after:.0f} % are (p = {one.p:.3f})"
            for one in self.worse
        ]
        return tuple(lines)


@dataclass(frozen=True, slots=True)
class Extension:
    """What was added and what it cost.

    Attributes:
        added: New classes.
        stored: On the validation tracks that the model remembers.
        test: The same on ``--test``; None where it was not given.
        notices: Lines for people.
        relabelled: Songs that the model was trained on under another label.
    """

    added: tuple[str, ...]
    stored: Forgetting
    test: Forgetting | None
    notices: tuple[str, ...] = ()
    relabelled: tuple[Relabelled, ...] = ()

    @property
    def degraded(self) -> bool:
        """Whether the old classes' accuracy fell by more than 2 points, and by more than chance would move it."""
        return self.stored.degraded or (self.test is not None and self.test.degraded)

    def to_dict(self) -> dict[str, Any]:
        """As ``extend -f json`` prints it."""
        return {
            "added": list(self.added),
            "classes": self.stored.classes_dict(),
            "moved": [] if self.test is None else [moved.to_dict() for moved in self.test.moved],
            "degraded": self.degraded,
            "new": self.stored.new_dict(),
            "change": self.stored.change_dict(),
            "test": None if self.test is None else self.test.to_dict(),
            "notices": list(self.notices),
            "worse": [one.to_dict() for one in self.stored.worse],
            "relabelled": [one.to_dict() for one in self.relabelled],
        }


def measure(heads: Sequence[HeadChange]) -> Forgetting:
    """Compare heads before and after."""
    classes: dict[str, OldClass] = {}
    new: dict[str, OldClass] = {}
    changes: dict[str, tuple[float, float, int]] = {}
    moved: list[Moved] = []
    scores: dict[str, dict[str, Any]] = {}
    worse: list[Worse] = []
    for head in heads:
        every = head.after.task == "multilabel"  # there a track may be labelled in part
        known = list(range(len(head.truth))) if every else np.flatnonzero(metrics.labelled(head.truth)).tolist()
        before = track_scores([head.raw_before[row] for row in known], head.before, head.pooling)
        after = track_scores([head.raw_after[row] for row in known], head.after, head.pooling)
        truth = head.truth[known].astype(np.float64)
        groups = tuple(head.groups[row] for row in known)
        prefix = f"{head.after.name}:" if len(heads) > 1 else ""
        for number, label in enumerate(head.after.labels):
            one = _one_class(head, number, truth, before, after)
            (classes if number < len(head.before.labels) else new)[prefix + label] = one
        if head.after.task == "multiclass":
            changes[head.after.name] = _change(truth, before, after, groups)
            worse += _worse(head.before, prefix, truth, before, after, groups)
            if head.paths:
                moved += _moved(head)
        scores[head.after.name] = _scores(head, truth, after, groups)
    return Forgetting(classes, new, changes, tuple(moved), scores, tuple(worse))


def _one_class(head: HeadChange, number: int, truth: Float, before: Float, after: Float) -> OldClass:
    there = number < before.shape[1]
    if head.after.task == "multilabel":
        column = truth[:, number]
        areas = [
            rounded(metrics.roc_auc(column, scores[:, number])) for scores in ([before] if there else []) + [after]
        ]
        return OldClass(areas[0] if there else None, areas[-1], int((column == 1).sum()))
    rows = truth == number
    tracks = int(rows.sum())
    if not tracks:
        return OldClass(None, None, 0)
    right = [rounded((scores[rows].argmax(1) == number).mean()) for scores in ([before] if there else []) + [after]]
    return OldClass(right[0] if there else None, right[-1], tracks)


def _change(truth: Float, before: Float, after: Float, groups: Sequence[str]) -> tuple[float, float, int]:
    """Accuracy on tracks of old classes, after minus before; p by a paired test of whole artists."""
    return _paired(np.flatnonzero(truth < before.shape[1]), truth, before, after, groups)


def _paired(
    rows: NDArray[np.intp], truth: Float, before: Float, after: Float, groups: Sequence[str]
) -> tuple[float, float, int]:
    """Accuracy on some tracks, after minus before; p; and how many they are."""
    if not len(rows):
        return 0.0, 1.0, 0
    gain = (after[rows].argmax(1) == truth[rows]).astype(float) - (before[rows].argmax(1) == truth[rows])
    change = float(gain.mean())
    return change, sign_flip(change, gain / len(gain), [groups[int(row)] for row in rows]), len(rows)


def _worse(
    head: HeadCard, prefix: str, truth: Float, before: Float, after: Float, groups: Sequence[str]
) -> list[Worse]:
    """Classes that fell by more than chance: a paired test each, all of them together held to 5 % (Holm 1979)."""
    tests = [_paired(np.flatnonzero(truth == k), truth, before, after, groups) for k in range(len(head.labels))]
    found = []
    for rank, k in enumerate(np.argsort([p for _, p, _ in tests], kind="stable")):
        change, p, tracks = tests[int(k)]
        if p * (len(tests) - rank) >= _UNLIKELY:
            break
        if change < 0:
            share = float((before[truth == k].argmax(1) == k).mean())
            name, shares = prefix + head.labels[int(k)], (round(share, 4), round(share + change, 4))
            found.append(Worse(name, *shares, tracks, round(p, 4)))
    return found


def _moved(head: HeadChange) -> list[Moved]:
    before = track_scores(head.raw_before, head.before, head.pooling).argmax(1)
    after = track_scores(head.raw_after, head.after, head.pooling).argmax(1)
    labels = head.after.labels
    return [
        Moved(path, head.after.name, labels[int(old)], labels[int(now)])
        for path, old, now in zip(head.paths, before, after, strict=True)
        if old != now
    ]


def _scores(head: HeadChange, truth: Float, after: Float, groups: tuple[str, ...]) -> dict[str, Any]:
    """The new head's figures for its card, on tracks that are labelled in full."""
    full = metrics.labelled(truth)
    truth, after, groups = truth[full], after[full], tuple(g for g, ok in zip(groups, full, strict=True) if ok)
    given: NDArray[np.bool_] = after >= np.array([head.after.threshold_of(label) for label in head.after.labels])
    if head.after.task == "multiclass":
        given = given[np.arange(len(after)), after.argmax(1)]
    names = tuple(str(row) for row in range(len(truth)))
    answers = HeadAnswers(
        head.after.name, head.after.task, head.after.labels, names, groups, truth, after, given
    )  # fmt: skip
    return {"part": "valid", **score_head(answers)}


def relabelled_songs(
    heads: Sequence[tuple[HeadCard, str]], dataset: Dataset, hashes: Sequence[str], exemplars: Exemplars, split: Path
) -> tuple[Relabelled, ...]:
    """Songs that a model was trained on under another label of a head where one label excludes the others.

    Args:
        heads: The old heads, each with the name of the data set's head.
        dataset: The new songs.
        hashes: (tracks,) content hashes of the songs.
        exemplars: What the model remembers, which has the old labels of some of its songs.
        split: Its ``split.tsv``, which has all of its songs without their labels; it may be missing.
    """
    learnt = {digest for digest, part in load_split(split).items() if part != "test"} if split.is_file() else set()
    place = {str(digest): row for row, digest in enumerate(exemplars.hash)}
    found = []
    for head, name in heads:
        targets = exemplars.targets.get(head.name)
        if head.task != "multiclass" or targets is None:
            continue
        labels = {label.casefold() for label in head.labels}
        for track, digest in zip(dataset.tracks, hashes, strict=True):
            given, row = track.labels.get(name), place.get(digest)
            before = None if row is None or np.isnan(targets[row]) else head.labels[int(targets[row])]
            if isinstance(given, str) and (
                before.casefold() != given.casefold() if before else digest in learnt and given.casefold() not in labels
            ):
                found.append(Relabelled(str(track.path), head.name, before, given))
    return tuple(found)


def relabelled_in_words(found: Sequence[Relabelled]) -> tuple[str, ...]:
    """A line for each new label."""
    lines = []
    for label in dict.fromkeys(one.after for one in found):
        songs = [one for one in found if one.after == label]
        before = ", ".join(sorted({repr(one.before) for one in songs if one.before})) or "it does not keep which"
        count = "1 song" if len(songs) == 1 else f"{len(songs)} songs"
        text = f"the model was trained on {count} of {label!r} under another label ({before}), as {songs[0].path}"
        lines.append(f"{text}: the new label counts")
    return tuple(lines)
