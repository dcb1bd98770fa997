"""What shall stand in a file: the prediction, what the file says already, and the user's wish."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from earmark.errors import EarmarkError
from earmark.filetags.fields import Fields
from earmark.inference.records import HeadPrediction, Prediction

__all__ = ["POLICIES", "Policy", "Wish", "field_of", "wanted"]

Policy = Literal["empty", "merge", "overwrite"]
POLICIES: tuple[str, ...] = get_args(Policy)

_FIELDS = {"genre": "genre", "subgenre": "genre", "style": "genre", "mood": "mood", "emotion": "mood"}
_LEAST = 0.01  # scores below are left out of the file


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user wants written.

    Attributes:
        policy: ``empty`` writes only into fields that are empty; ``merge`` adds to what is there; ``overwrite`` puts
            the prediction in its place.
        heads: Whose labels; each must have a field (:func:`field_of`).
        min_confidence: A label below this probability is not written.
    """

    policy: Policy = "empty"
    heads: tuple[str, ...] = ("genre", "mood")
    min_confidence: float = 0.0


def field_of(head: str) -> Literal["genre", "mood"]:
    """The field that a head's labels go into.

    Raises:
        EarmarkError: It has none.
    """
    name = head.casefold()
    field = _FIELDS.get(name) or _FIELDS.get(name.removesuffix("s"))
    if field is None:
        raise EarmarkError(
            f"the head {head!r} has no field that players read; genre, genres, style, mood, moods and emotions have one"
        )
    return "genre" if field == "genre" else "mood"


def wanted(said: Prediction, present: Fields, wish: Wish) -> Fields:
    """What shall stand in the file.

    Scores are written where a label is; by themselves only in place of older ones (``overwrite``).
    """
    labels: dict[str, list[str]] = {"genre": [], "mood": []}
    for name in wish.heads:
        if name in said.heads:
            labels[field_of(name)] += _labels(said.heads[name], wish.min_confidence)
    found = Fields(
        genre=_value(present.genre, labels["genre"], wish.policy),
        mood=_value(present.mood, labels["mood"], wish.policy),
        scores=present.scores,
    )
    if found != present or (wish.policy == "overwrite" and any(labels.values())):
        found = replace(found, scores=(_scores(said, wish.heads),))
    return found


def _labels(head: HeadPrediction, least: float) -> list[str]:
    if head.task == "multiclass":
        sure = head.label is not None and (head.confidence or 0.0) >= least
        return [head.label] if sure and head.label else []
    return [label for label in head.labels if head.scores.get(label, 0.0) >= least]


def _value(present: tuple[str, ...], labels: Sequence[str], policy: Policy) -> tuple[str, ...]:
    fresh = _without_repeats(labels)
    if not fresh or (present and policy == "empty"):
        return present
    if not present or policy == "overwrite":
        return fresh
    known = {part.strip().casefold() for value in present for part in (value, *re.split(r"[;,/|]", value))}
    return present + tuple(label for label in fresh if label.casefold() not in known)


def _without_repeats(labels: Iterable[str]) -> tuple[str, ...]:
    by_fold: dict[str, str] = {}
    for label in labels:
        by_fold.setdefault(label.casefold(), label)
    return tuple(by_fold.values())


def _scores(said: Prediction, heads: Sequence[str]) -> str:
    held = {
        name: {label: score for label, score in _best_first(said.heads[name]) if score >= _LEAST}
        for name in heads
        if name in said.heads
    }
    return json.dumps({"model": said.model, **held}, ensure_ascii=False, separators=(",", ":"))


def _best_first(head: HeadPrediction) -> list[tuple[str, float]]:
    return sorted(head.scores.items(), key=lambda pair: (-pair[1], pair[0]))
