"""Whether a data set can be learnt from, said before hours are spent."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from earmark.datasets.core import Dataset, HeadSpec
from earmark.errors import DatasetError, UnknownName

__all__ = ["check_trainable", "lost_in_words", "spelling_notices"]


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
            raise DatasetError(f"{dataset.name}: its own split has no train part: it can be judged on, not learnt from")
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
                    f"{at}: {what}: it can be learnt or judged, not both; add tracks by others, "
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
