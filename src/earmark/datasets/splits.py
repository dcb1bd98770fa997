"""Splits: training, validation and test parts. Groups stay together, labels are spread evenly, seeds decide ties.

Draws are ordered by SHA-256 of seed and group, not by a random generator: the same on every platform, with every
version of NumPy, and hardly changed by a track that is added.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.core import Dataset, GroupBy, Part
from earmark.datasets.tables import read_table
from earmark.errors import DatasetError, UnknownName
from earmark.recipe import SplitPlan
from earmark.storage import write_file

__all__ = ["Split", "apply_split", "folds", "load_split", "save_split", "split", "stratified_group_folds"]

_Rows = NDArray[np.intp]
_Labels = Sequence[tuple[int, ...]]
_QUANTILES = 5
"""Numbers are spread over the parts by quintile."""


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of a data set's tracks, each in ascending order; no track is in two parts.

    Attributes:
        train: (train,) to learn from.
        valid: (valid,) to choose epochs and thresholds by; may be empty.
        test: (test,) to score on; may be empty.
        group_by: What never stands in two parts: artist, album or track; of a data set's own split what it claims.
        notices: Lines for people.
    """

    train: _Rows
    valid: _Rows
    test: _Rows
    group_by: GroupBy = "track"
    notices: tuple[str, ...] = ()

    def parts(self) -> dict[int, Part]:
        """The part of each track that has one."""
        named: tuple[tuple[Part, _Rows], ...] = (("train", self.train), ("valid", self.valid), ("test", self.test))
        return {int(row): part for part, rows in named for row in rows}


def split(dataset: Dataset, plan: SplitPlan, seed: int = 0, head: str | None = None) -> Split:
    """Divide a data set's tracks.

    A data set's own split counts: test is its test rows (its valid rows where it has none), and what it lacks for
    early stopping is drawn from its train rows. Otherwise groups are drawn by ``plan``.

    Args:
        dataset: What to divide.
        plan: Fractions; ``balanced`` draws valid and test with equally many tracks a label.
        seed: Another seed, another draw.
        head: Whose labels are spread evenly; None for those of all heads. Tracks that it does not label take part.

    Raises:
        DatasetError: Too few groups for the parts, or ``balanced`` for a head that is not multi-class.
    """
    labels = _labels(dataset, head)
    if dataset.has_split:
        return _own_split(dataset, plan, seed, labels)
    everything = np.arange(len(dataset.tracks))
    if plan.balanced:
        return _balanced(dataset, plan, seed, head, labels)
    fractions = [plan.train, plan.valid, plan.test]
    train, valid, test = _draw(dataset, everything, labels, fractions, f"{seed}:split")
    return Split(train, valid, test, dataset.group_by, _notices(dataset))


def folds(dataset: Dataset, k: int, seed: int = 0, head: str | None = None, valid: float = 0.1) -> tuple[Split, ...]:
    """Grouped, stratified k-fold splits; a track that the data set uses is in ``test`` once.

    Args:
        dataset: What to divide; which part it assigns itself is set aside.
        k: Number of folds, at least 2.
        seed: Another seed, another draw.
        head: As in :func:`split`.
        valid: Part of the other folds for early stopping; 0 for none.

    Raises:
        DatasetError: Fewer groups than folds.
    """
    if k < 2:
        raise DatasetError(f"{k} folds: at least 2 are needed")
    labels = _labels(dataset, head)
    everything = _rows([i for i, track in enumerate(dataset.tracks) if track.part or not dataset.has_split])
    names = [dataset.tracks[int(row)].group for row in everything]
    _check_groups(dataset, len(set(names)), k)
    numbers = sorted({label for row in labels for label in row})
    marks = np.array([[label in labels[int(row)] for label in numbers] for row in everything], np.float64)
    tests = [everything[fold] for fold in stratified_group_folds(names, marks.reshape(len(names), -1), k, seed)]
    found = []
    for i, test in enumerate(tests):
        rest = np.setdiff1d(everything, test)
        if valid:
            train, chosen = _draw(dataset, rest, labels, [1 - valid, valid], f"{seed}:fold {i}")
        else:
            train, chosen = rest, rest[:0]
        found.append(Split(train, chosen, test, dataset.group_by, _notices(dataset)))
    return tuple(found)


def stratified_group_folds(
    groups: Sequence[object], labels: NDArray[np.floating], count: int = 5, seed: int = 0
) -> list[_Rows]:
    """Rows set aside in each fold, ascending: groups stay together, rows and labels are spread evenly.

    Fewer groups than folds give fewer folds; a single group is cut by row, as nothing else is left.

    Args:
        groups: (rows,) the artist of each.
        labels: (rows, labels) 1 where a row has the label, 0 or NaN where not; may have no columns.
        count: Folds.
        seed: Another seed, another draw.
    """
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        names = place = np.arange(len(place))
    content = np.zeros((len(names), labels.shape[1] + 1))
    np.add.at(content, place, np.column_stack([np.nan_to_num(labels), np.ones(len(place))]))
    content /= np.maximum(content.sum(0), 1.0)
    shuffled = np.random.default_rng([seed, 7]).permutation(len(names))
    order = shuffled[np.argsort(-content[shuffled].sum(1), kind="stable")]  # large groups while there is room for them
    filled = np.zeros((min(count, len(names)), content.shape[1]))
    fold = np.zeros(len(names), np.intp)
    for name in order:
        fold[name] = int((filled @ content[name] + 1e-9 * filled.sum(1)).argmin())
        filled[fold[name]] += content[name]
    return [np.flatnonzero(fold[place] == number) for number in range(len(filled))]


def save_split(path: Path, split: Split, hashes: Sequence[str]) -> None:
    """Write ``split.tsv``: content hash and part of each track that has a part.

    Args:
        path: The file.
        split: Parts of a data set's tracks.
        hashes: (tracks,) content hash of each.

    Raises:
        StorageError: It cannot be written.
    """
    lines = [f"{hashes[row]}\t{part}\n" for row, part in sorted(split.parts().items())]
    write_file(path, "content_hash\tpart\n" + "".join(lines))


def load_split(path: Path) -> dict[str, Part]:
    """Part by content hash, from ``split.tsv``.

    Raises:
        DatasetError: The file is missing or damaged.
    """
    table = read_table(path)
    hashes, parts = table.column("content_hash"), table.column("part")
    known: dict[str, Part] = {"train": "train", "valid": "valid", "test": "test"}
    for i, part in enumerate(parts):
        if part not in known:
            raise DatasetError(f"{table.where(i)}: part {part[:20]!r} is none of train, valid, test")
    return {digest: known[part] for digest, part in zip(hashes, parts, strict=True)}


def apply_split(dataset: Dataset, parts: Mapping[str, Part], hashes: Sequence[str]) -> Split:
    """A saved split for the tracks of a data set, by their content; tracks that it does not name have no part."""
    rows: dict[str, list[int]] = {"train": [], "valid": [], "test": []}
    for row, digest in enumerate(hashes):
        if digest in parts:
            rows[parts[digest]].append(row)
    new = len(hashes) - sum(map(len, rows.values()))
    notices = (f"{new} of {len(hashes)} tracks are not in the saved split: unused",) if new else ()
    return Split(_rows(rows["train"]), _rows(rows["valid"]), _rows(rows["test"]), dataset.group_by, notices)


def _labels(dataset: Dataset, head: str | None) -> list[tuple[int, ...]]:
    """What is to be spread evenly: the labels of each track, as numbers (over all chosen heads)."""
    names = [spec.name for spec in dataset.heads]
    if head is not None and head not in names:
        raise UnknownName("head", head, names)
    found: list[list[int]] = [[] for _ in dataset.tracks]
    offset = 0
    for spec in dataset.heads if head is None else (dataset.head(head),):
        targets = dataset.targets(spec.name)
        if spec.task == "regression":
            targets = _quantile(targets)
        width = targets.shape[1] if targets.ndim == 2 else max(len(spec.labels), _QUANTILES)
        for row, target in zip(found, targets, strict=True):
            if targets.ndim == 2:
                row.extend(offset + int(i) for i in np.flatnonzero(np.nan_to_num(target)))
            elif not np.isnan(target):
                row.append(offset + int(target))
        offset += width
    return [tuple(row) for row in found]


def _quantile(values: NDArray[np.float32]) -> NDArray[np.float32]:
    known = np.sort(values[~np.isnan(values)])
    ranks = np.searchsorted(known, values, side="left") * _QUANTILES // max(len(known), 1)
    return np.where(np.isnan(values), np.nan, ranks).astype(np.float32)


def _draw(dataset: Dataset, rows: _Rows, labels: _Labels, fractions: Sequence[float], salt: str) -> list[_Rows]:
    """Divide rows by group so that each part has its fraction of the tracks and of each label."""
    groups: dict[str, list[int]] = {}
    for row in rows:
        groups.setdefault(dataset.tracks[int(row)].group, []).append(int(row))
    used = [i for i, fraction in enumerate(fractions) if fraction > 0]
    _check_groups(dataset, len(groups), len(used))
    contents = {group: _count(members, labels) for group, members in groups.items()}
    totals: dict[int, int] = {}
    for content in contents.values():
        for label, number in content.items():
            totals[label] = totals.get(label, 0) + number

    def order(group: str) -> tuple[int, int, str]:
        # Large groups first, while there is room for them; among equals the rarest labels first.
        content = contents[group]
        return -len(groups[group]), min(totals[label] for label in content), _key(salt, group)

    assigned: dict[str, int] = {}
    filled: list[dict[int, int]] = [{} for _ in fractions]
    for group in sorted(groups, key=order):
        costs = {part: _cost(contents[group], filled[part], totals, fractions[part]) for part in used}
        best = min(used, key=lambda part: (costs[part], part))
        _move(contents[group], filled[best], +1)
        assigned[group] = best
    _repair(contents, assigned, filled, used)
    return [_rows([row for g, members in groups.items() if assigned[g] == part for row in members])
            for part in range(len(fractions))]  # fmt: skip


def _check_groups(dataset: Dataset, groups: int, parts: int) -> None:
    if groups < parts:
        what = f"{groups} {dataset.group_by}{'s' if groups != 1 else ''}"
        raise DatasetError(f"{dataset.name}: {what} cannot be divided into {parts} parts that share none")


_TRACKS = -1
"""Counted like a label: the tracks themselves."""


def _count(members: Sequence[int], labels: _Labels) -> dict[int, int]:
    content = {_TRACKS: len(members)}
    for row in members:
        for label in labels[row]:
            content[label] = content.get(label, 0) + 1
    return content


def _cost(content: Mapping[int, int], filled: Mapping[int, int], totals: Mapping[int, int], fraction: float) -> float:
    """Growth of sum((share / fraction - 1)^2 * fraction) over the labels, by which Webster's method divides seats.

    The sum is rounded once (fsum), so that it is the same number everywhere.
    """
    terms = []
    for label, number in content.items():
        terms.append((2 * filled.get(label, 0) * number + number * number) / (totals[label] ** 2 * fraction))
    return math.fsum(terms)


def _move(content: Mapping[int, int], filled: dict[int, int], sign: int) -> None:
    for label, number in content.items():
        filled[label] = filled.get(label, 0) + sign * number


def _repair(
    contents: Mapping[str, Mapping[int, int]],
    assigned: dict[str, int],
    filled: list[dict[int, int]],
    used: Sequence[int],
) -> None:
    """Give each part a group of each label where there are enough groups, by moving the smallest."""
    holders: dict[int, list[str]] = {}
    for group in sorted(contents, key=lambda name: (contents[name][_TRACKS], name)):
        for label in contents[group]:
            holders.setdefault(label, []).append(group)
    for label in sorted(holders):
        for part in used:
            if filled[part].get(label, 0) or len(holders[label]) < len(used):
                continue
            for group in holders[label]:
                giver = assigned[group]
                left = {name: filled[giver][name] - number for name, number in contents[group].items()}
                if all(left.values()):
                    _move(contents[group], filled[giver], -1)
                    _move(contents[group], filled[part], +1)
                    assigned[group] = part
                    break


def _own_split(dataset: Dataset, plan: SplitPlan, seed: int, labels: _Labels) -> Split:
    rows: dict[Part, _Rows] = {
        part: _rows([i for i, track in enumerate(dataset.tracks) if track.part == part])
        for part in ("train", "valid", "test")
    }
    train, valid, test = rows["train"], rows["valid"], rows["test"]
    notices = [_shared_groups(dataset, rows)] if dataset.group_by != "track" else []
    if not len(test) and len(valid):
        test, valid = valid, valid[:0]
        notices.append("the data set has no test part: its valid part is for evaluation")
    if len(train) and not (len(valid) and len(test)):
        lacks = [(plan.valid, len(valid)), (plan.test, len(test))]
        fractions = [0.0 if there else fraction for fraction, there in lacks]
        rest = 1 - sum(fractions)
        train, drawn, scored = _draw(dataset, train, labels, [rest, *fractions], f"{seed}:own split")
        if len(drawn):
            valid = drawn
            notices.append(f"early stopping has its own part of train: {len(drawn)} tracks")
        if len(scored):
            test = scored
            notices.append(f"the data set has only a train part: {len(scored)} tracks of it are for evaluation")
    return Split(train, valid, test, dataset.group_by, (*filter(None, notices), *_notices(dataset)))


def _shared_groups(dataset: Dataset, rows: Mapping[Part, _Rows]) -> str:
    sides: dict[str, set[Part]] = {}
    for part, indices in rows.items():
        for row in indices:
            sides.setdefault(dataset.tracks[int(row)].group, set()).add(part)
    shared = sorted(group for group, parts in sides.items() if len(parts) > 1)
    if not shared:
        return ""
    return f"the data set's own split has {len(shared)} {dataset.group_by}s in two parts, as {shared[0]!r}"


def _balanced(dataset: Dataset, plan: SplitPlan, seed: int, head: str | None, labels: _Labels) -> Split:
    """Parts for valid and test with equally many tracks a label; what is over in them is unused, the rest is train."""
    spec = dataset.head(head) if head is not None else dataset.heads[0]
    if spec.task != "multiclass" or (head is None and len(dataset.heads) > 1):
        raise DatasetError(f"{dataset.name}: split.balanced needs one multi-class head; {spec.name!r} is {spec.task}")
    groups: dict[str, list[int]] = {}
    for row, track in enumerate(dataset.tracks):
        groups.setdefault(track.group, []).append(row)
    contents = {group: _count([r for r in members if labels[r]], labels) for group, members in groups.items()}
    rarest = min(sum(content.get(label, 0) for content in contents.values()) for label in range(len(spec.labels)))
    taken: dict[str, str] = {}
    parts: dict[str, _Rows] = {}
    for part, fraction in (("test", plan.test), ("valid", plan.valid)):
        # Valid and test take half of the rarest class at most: the other half is to be learnt from.
        share = round(fraction * len(dataset.tracks) / len(spec.labels))
        quota = max(1, min(share, rarest // 4)) if fraction else 0
        counts = [0] * len(spec.labels)
        for group in sorted(groups, key=lambda name: _key(f"{seed}:{part}", name)):
            mine = {label: number for label, number in contents[group].items() if label != _TRACKS}
            if group in taken or not mine or any(counts[label] + n > quota for label, n in mine.items()):
                continue
            taken[group] = part
            for label, number in mine.items():
                counts[label] += number
        if quota and not min(counts):
            empty = spec.labels[counts.index(0)]
            raise DatasetError(f"{dataset.name}: no balanced {part} part: too few {dataset.group_by}s of {empty!r}")
        parts[part] = _level(taken, groups, labels, part, min(counts))
    held = {row for group in taken for row in groups[group]}
    unused = len(held) - len(parts["valid"]) - len(parts["test"])
    train = _rows([row for row in range(len(dataset.tracks)) if row not in held])
    extra = (f"{unused} tracks are unused, so that the labels are balanced in valid and test",) if unused else ()
    return Split(train, parts["valid"], parts["test"], dataset.group_by, (*extra, *_notices(dataset)))


def _level(
    taken: Mapping[str, str], groups: Mapping[str, Sequence[int]], labels: _Labels, part: str, number: int
) -> _Rows:
    """The first ``number`` tracks of each label among the groups taken for a part."""
    kept: list[int] = []
    counts: dict[int, int] = {}
    for group, side in taken.items():
        for row in groups[group] if side == part else ():
            for label in labels[row]:
                counts[label] = counts.get(label, 0) + 1
                if counts[label] <= number:
                    kept.append(row)
    return _rows(kept)


def _notices(dataset: Dataset) -> tuple[str, ...]:
    if dataset.group_by == "artist":
        return ()
    return (f"the split is by {dataset.group_by}, not by artist: the score may flatter",)


def _key(salt: str, group: str) -> str:
    return hashlib.sha256(f"{salt}\0{group}".encode("utf-8", "surrogatepass")).hexdigest()


def _rows(rows: Sequence[int]) -> _Rows:
    return np.array(sorted(rows), np.intp)
