"""Which tracks an honest score is made on: the part that was asked for, without what the models were trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from earmark.datasets.core import Dataset, Part
from earmark.errors import DatasetError, UnknownName

__all__ = ["PARTS", "Chosen", "choose"]

PARTS = ("test", "valid", "train", "all")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Tracks to score.

    Attributes:
        rows: Indices of the data set's tracks.
        part: What they are really: ``test``, ``valid``, ``train`` or ``all``.
        left_out: How many tracks of the part were left out, because a model was trained on them.
        notices: Lines for people.
    """

    rows: tuple[int, ...]
    part: str
    left_out: int
    notices: tuple[str, ...] = ()


def choose(
    dataset: Dataset,
    part: str,
    hashes: Sequence[str | None],
    splits: Sequence[Mapping[str, Part]],
    allow_training_tracks: bool = False,
) -> Chosen:
    """The tracks of a part that no model was trained on.

    A data set's own parts count; ``test`` is ``valid`` where it has no test rows. Where it assigns none, the parts are
    those that the models' ``split.tsv`` gives its tracks, and tracks that no model knows count as test. Training tracks
    are those of ``train``, and of ``valid`` too (they chose the epoch and the thresholds) unless ``valid`` is asked.

    Args:
        dataset: What is to be scored on.
        part: ``test``, ``valid``, ``train`` or ``all``.
        hashes: (tracks,) content hash of each, None where a file cannot be read.
        splits: Of each model, the part of each content hash.
        allow_training_tracks: Leave none out.

    Raises:
        UnknownName: No such part.
        DatasetError: The part is empty, or the models were trained on all of it.
    """
    if part not in PARTS:
        raise UnknownName("part", part, PARTS)
    roles = [_role(digest, splits) for digest in hashes]
    used, rows = _own_part(dataset, part) if dataset.has_split else _models_part(part, roles)
    if not rows:
        raise DatasetError(f"{dataset.name}: its part {used!r} has no tracks; choose another with --split")
    seen = {"train"} if used == "valid" else {"train", "valid"}
    kept = tuple(row for row in rows if allow_training_tracks or roles[row] not in seen)
    left_out = len(rows) - len(kept)
    if not kept:
        raise DatasetError(
            f"{dataset.name}: the model was trained on all {left_out} tracks of the part {used!r}, so no score on them "
            "is honest; give other tracks, or score them all the same with --allow-training-tracks"
        )
    if not dataset.has_split and used == "test" and not left_out and all(roles[row] is None for row in kept):
        used = "all"
    return Chosen(kept, used, left_out, _notices(part, used, roles, kept, seen))


def _role(digest: str | None, splits: Sequence[Mapping[str, Part]]) -> Part | None:
    """What a track was to the models: ``train`` where it was to any of them, and so on."""
    found = {split[digest] for split in splits if digest in split} if digest is not None else set()
    order: tuple[Part, ...] = ("train", "valid", "test")
    return next((part for part in order if part in found), None)


def _own_part(dataset: Dataset, part: str) -> tuple[str, list[int]]:
    if part == "all":
        return part, list(range(len(dataset.tracks)))
    rows = [row for row, track in enumerate(dataset.tracks) if track.part == part]
    return _own_part(dataset, "valid") if part == "test" and not rows else (part, rows)


def _models_part(part: str, roles: Sequence[Part | None]) -> tuple[str, list[int]]:
    if part in ("all", "test"):  # what a model was trained on is left out, and counted, afterwards
        return part, list(range(len(roles)))
    return part, [row for row, role in enumerate(roles) if role == part]


def _notices(
    asked: str, used: str, roles: Sequence[Part | None], kept: Sequence[int], seen: set[str]
) -> tuple[str, ...]:
    notices = []
    if asked == "test" and used == "valid":
        notices.append("the data set has no test rows: its valid rows are scored")
    known = sum(roles[row] in seen for row in kept)
    if known:
        notices.append(f"{known} of the {len(kept)} tracks scored are ones that the model was trained on")
    return tuple(notices)
