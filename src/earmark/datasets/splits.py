"""Splits: training, validation and test parts. Groups stay together, labels are spread evenly, seeds decide ties.

Draws are ordered by SHA-256 of seed and group, not by a random generator: the same on every platform, with every
version of NumPy, and hardly changed by a track that is added.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.core import Dataset, GroupBy, Part
from earmark.datasets.tables import read_table
from earmark.errors import DatasetError, UnknownName
from earmark.recipe import SplitPlan
from earmark.storage import write_file
from earmark.text import fold_artist

__all__ = [
    "Split",
    "apply_split",
    "folds",
    "group_hash",
    "group_salt",
    "load_groups",
    "load_split",
    "named_groups",
    "save_split",
    "shortened",
    "split",
    "stratified_group_folds",
    "write_rows",
]

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
        plan: Fractions; ``balanced`` draws valid and test with equally many tracks a label, of all heads or the first.
        seed: Another seed, another draw.
        head: Whose labels are spread evenly; None for those of all heads. Tracks that it does not label take part.

    Raises:
        DatasetError: Too few groups for the parts, or ``balanced`` without a multi-class head.
    """
    labels = _labels(dataset, head)
    if dataset.has_split:
        return _own_split(dataset, plan, seed, labels)
    everything = np.arange(len(dataset.tracks))
    if plan.balanced:
        return _balanced(dataset, plan, seed, head)
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


def shortened(dataset: Dataset, parts: Split, train_size: float, seed: int = 0) -> Split:
    """The split with a fraction of its training part; whole groups, labels spread evenly, the other parts as they are.

    Raises:
        DatasetError: A training part of one group.
    """
    if train_size == 1:
        return parts
    fractions = [train_size, 1 - train_size]
    train, left = _draw(dataset, parts.train, _labels(dataset, None), fractions, f"{seed}:train_size")
    notice = f"training.train_size = {train_size:g}: {len(left)} of {len(parts.train)} training tracks are left out"
    return replace(parts, train=train, notices=(*parts.notices, notice))


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


def save_split(path: Path, split: Split, hashes: Sequence[str], groups: Sequence[str] = ()) -> str:
    """Write ``split.tsv``: content hash and part of each track that has a part, and a salted hash of its artist.

    Args:
        path: The file.
        split: Parts of a data set's tracks.
        hashes: (tracks,) content hash of each.
        groups: (tracks,) names of artists (:func:`named_groups`); none where nobody knows them.

    Returns:
        The salt, which belongs into the card: a digest of the content, so that the same run writes the same. Names
        cannot be read from the file; who has a list of names can try them, as with any salt that is not secret.

    Raises:
        StorageError: It cannot be written.
    """
    rows = [(hashes[row], part, groups[row] if groups else "") for row, part in sorted(split.parts().items())]
    salt = group_salt(hashes) if any(groups) else ""
    write_rows(path, [(digest, part, group_hash(name, salt)) for digest, part, name in rows])
    return salt


def group_salt(hashes: Iterable[str]) -> str:
    """A salt for the names of groups, by the content hashes of the tracks."""
    return hashlib.blake2b("\n".join(sorted(hashes)).encode(), digest_size=16).hexdigest()


def write_rows(path: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    """Write ``split.tsv``: content hash, part, and hash of the artist, "" where it is not known."""
    known = any(group for _, _, group in rows)
    lines = ["\t".join(row if known else row[:2]) + "\n" for row in [("content_hash", "part", "group"), *rows]]
    write_file(path, "".join(lines))


def named_groups(dataset: Dataset) -> tuple[str, ...]:
    """(tracks,) the artist or album of each track, "" where it is a group of its own."""
    return tuple(
        "" if track.group.startswith("track: ") or track.group == track.name else track.group
        for track in dataset.tracks
    )


def group_hash(name: str, salt: str) -> str:
    """The salted hash of an artist's name, whatever its spelling; "" for no name, or no salt."""
    if not name or not salt:
        return ""
    folded = fold_artist(name).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(folded, digest_size=8, key=salt.encode()[:64]).hexdigest()


def load_groups(path: Path, parts: Collection[str] = ("train", "valid", "test")) -> dict[str, str]:
    """Hash of the artist by content hash, of the tracks of these parts whose artist is known.

    Raises:
        DatasetError: The file is missing or damaged.
    """
    table = read_table(path)
    if "group" not in table.columns:
        return {}
    rows = zip(*(table.column(name) for name in ("content_hash", "part", "group")), strict=True)
    return {digest: group for digest, part, group in rows if group and part in parts}


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


def _balanced(dataset: Dataset, plan: SplitPlan, seed: int, head: str | None) -> Split:
    """Parts for valid and test with equally many tracks a label; what is over in them is unused, the rest is train.

    With several heads a part holds tracks that all of them label, and each head's labels are as even as they get.
    """
    marks, heads, names = _marks(dataset, head, plan.balanced)
    sizes = np.bincount(heads)[heads]
    groups: dict[str, list[int]] = {}
    for row, track in enumerate(dataset.tracks):
        groups.setdefault(track.group, []).append(row)
    # Valid and test take half of a class at most: the other half is to be learnt from.
    most = np.maximum(1, marks.sum(0) // 4)
    free, parts = list(groups), dict[str, _Rows]()
    for part, fraction in (("test", plan.test), ("valid", plan.valid)):
        wanted = (
            max(int(sizes.max()), min(round(fraction * len(dataset.tracks)), int((most * sizes).min())))
            if fraction
            else 0
        )
        free.sort(key=lambda name: _key(f"{seed}:{part}", name))
        content = np.array([marks[groups[name]].sum(0) for name in free], np.int64).reshape(len(free), -1)
        taken = [free[place] for place in _evenly(content, sizes, wanted, most)]
        rows = np.array([row for name in taken for row in groups[name]], np.intp)
        if wanted and not (counts := marks[rows].sum(0)).all():
            raise DatasetError(
                f"{dataset.name}: no balanced {part} part: too few {dataset.group_by}s of "
                f"{names[int(counts.argmin())]!r}; add some, or draw ordinary parts: --set split.balanced=false"
            )
        parts[part] = _level(rows, marks, heads)
        free = [name for name in free if name not in set(taken)]
    train = _rows([row for name in free for row in groups[name]])
    unused = len(dataset.tracks) - len(train) - len(parts["valid"]) - len(parts["test"])
    extra = [f"{unused} tracks are unused, so that the labels are balanced in valid and test"] if unused else []
    extra += [_unevenness(part, marks[rows].sum(0), heads) for part, rows in parts.items() if len(rows)]
    extra += [_not_scored(dataset, part, rows) for part, rows in parts.items() if len(rows)]
    return Split(train, parts["valid"], parts["test"], dataset.group_by, (*filter(None, extra), *_notices(dataset)))


def _marks(
    dataset: Dataset, head: str | None, which: bool | str
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
    """What is to be balanced: (tracks, labels) 1 where a track has a label; (labels,) heads, from 0; their names.

    Only labels that some track has, and only tracks that all of the heads label.
    """
    several = [spec for spec in dataset.heads if spec.task == "multiclass" and head in (None, spec.name)]
    if not several:
        spec = dataset.heads[0] if head is None else dataset.head(head)
        raise DatasetError(
            f"{dataset.name}: split.balanced needs one multi-class head at least; {spec.name!r} is {spec.task}: "
            "--set split.balanced=false draws ordinary parts"
        )
    chosen = several[:1] if which == "first" else several
    targets = [dataset.targets(spec.name) for spec in chosen]
    known = ~np.isnan(np.stack(targets)).any(0)
    if not known.any():
        both = " and ".join(repr(spec.name) for spec in chosen)
        raise DatasetError(
            f"{dataset.name}: no track has a label of each of the heads {both}, so that parts cannot be balanced by "
            "all: --set split.balanced=first balances the first alone, false none"
        )
    columns, heads, names = [], [], []
    for number, (spec, target) in enumerate(zip(chosen, targets, strict=True)):
        there = [label for label in range(len(spec.labels)) if (target[known] == label).any()]
        columns += [(target == label) & known for label in there]
        heads += [number] * len(there)
        names += [spec.labels[label] if len(chosen) == 1 else f"{spec.name}: {spec.labels[label]}" for label in there]
    return np.stack(columns, 1).astype(np.int64), np.array(heads, np.int64), names


_FAR = np.iinfo(np.int64).max


def _evenly(content: NDArray[np.int64], sizes: NDArray[np.int64], wanted: int, most: NDArray[np.int64]) -> list[int]:
    """Groups (rows of counts by label) whose labels come nearest to ``wanted`` tracks, evenly spread, one by one.

    No label gets more than its ``most``.

    A label's cost is (count - wanted / size)^2 times its head's size; times ``wanted`` it is a whole number, the same
    everywhere.
    """
    taken: list[int] = []
    counts = np.zeros(len(sizes), np.int64)
    left = np.asarray(content.any(1))
    while wanted and left.any():
        growth = (sizes * content * (2 * counts + content)).sum(1) - 2 * wanted * content.sum(1)
        growth[~left | (counts + content > most).any(1)] = _FAR
        if growth.min() >= 0:  # even is even enough, unless a label has no track yet
            growth[~content[:, counts == 0].any(1)] = _FAR
        best = int(growth.argmin())
        if growth[best] == _FAR:
            break
        taken.append(best)
        counts += content[best]
        left[best] = False
    return taken


def _level(rows: _Rows, marks: NDArray[np.int64], heads: NDArray[np.int64]) -> _Rows:
    """The rows without those whose labels all have more than their head's rarest; with one head all are equal then."""
    counts, kept = marks[rows].sum(0), []
    least = np.array([counts[heads == head].min(initial=len(rows)) for head in heads])
    for row in rows[::-1]:
        mine = marks[row] > 0
        if (counts[mine] > least[mine]).all():  # of a track that is not labelled, too
            counts[mine] -= 1
        else:
            kept.append(int(row))
    return _rows(kept)


def _unevenness(part: str, counts: NDArray[np.int64], heads: NDArray[np.int64]) -> str:
    found = [counts[heads == head] for head in np.unique(heads)]
    if all(np.ptp(one) == 0 for one in found):
        return ""
    spans = " and ".join(f"{one.min()} to {one.max()}" for one in found)
    return f"the labels of several heads are as even in the {part} part as they get: {spans} tracks a label"


def _not_scored(dataset: Dataset, part: str, rows: _Rows) -> str:
    """Heads that no track of a part labels, since it was drawn by other heads."""
    without = [
        repr(spec.name)
        for spec in dataset.heads
        if all(dataset.tracks[int(row)].labels.get(spec.name) is None for row in rows)
    ]
    remedy = "draw ordinary parts to score it: --set split.balanced=false"
    return f"no track of the balanced {part} part has a label of {' or '.join(without)}; {remedy}" if without else ""


def _notices(dataset: Dataset) -> tuple[str, ...]:
    if dataset.group_by == "artist":
        return ()
    return (f"the split is by {dataset.group_by}, not by artist: the score may flatter",)


def _key(salt: str, group: str) -> str:
    return hashlib.sha256(f"{salt}\0{group}".encode("utf-8", "surrogatepass")).hexdigest()


def _rows(rows: Sequence[int]) -> _Rows:
    return np.array(sorted(rows), np.intp)
