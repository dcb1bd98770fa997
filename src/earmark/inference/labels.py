"""The user's own list of labels: the model's names become theirs."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from earmark.errors import RecipeError, UnknownName
from earmark.inference.answers import answer, included, leaf
from earmark.inference.options import LabelTable
from earmark.inference.records import HeadPrediction, Prediction, Reason, Taggram
from earmark.models.card import Card, HeadCard

__all__ = ["read_labels", "relabel", "renamed"]


def read_labels(file: Path, card: Card) -> LabelTable:
    """Read a list of labels: one TOML table a head, ``"model's name" = "user's name"``.

    Raises:
        RecipeError: The file cannot be read, or is not of that form.
        UnknownName: The model has no such head or label.
    """
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{file}: cannot read the list of labels: {error}") from error
    found: dict[str, dict[str, str]] = {}
    for name, names in table.items():
        head = card.called(name)
        if head is None:
            raise UnknownName("head", name, [head.name for head in card.heads])
        if not isinstance(names, dict) or not all(isinstance(user, str) and user.strip() for user in names.values()):
            raise RecipeError(f'{file}: [{name}] must be a table of "model\'s name" = "your name"')
        for label in names:
            if label not in head.names:
                raise UnknownName(f"label of the head {name}", label, head.names)
        found[head.name] = found.get(head.name, {}) | names
    return found


def relabel(prediction: Prediction, card: Card, table: LabelTable) -> Prediction:
    """The prediction in the user's names.

    Several names may map to one: probabilities add up (multi-label: the highest counts). Others stay as they are.
    """
    if not table:
        return prediction
    heads = {
        name: _relabel_head(head, card.head(name), table[name]) if table.get(name) else head
        for name, head in prediction.heads.items()
    }
    for head in card.heads:
        if head.includes in table and head.includes in heads and head.name in heads:
            source = _named(prediction, heads[head.includes], card.head(head.includes), table[head.includes])
            heads[head.name] = included(heads[head.name], table.get(head.name, {}).get(source or "", source))
    return replace(prediction, heads=heads).settled()


def _named(prediction: Prediction, found: HeadPrediction, head: HeadCard, names: Mapping[str, str]) -> str | None:
    """The model's label behind what a head names in the user's words: several may have become one."""
    label = leaf(renamed(head, names), found)
    scores = prediction.heads[head.name].scores
    return max((one for one in scores if names.get(one, one) == label), key=scores.__getitem__, default=None)


def _relabel_head(found: HeadPrediction, head: HeadCard, names: Mapping[str, str]) -> HeadPrediction:
    scores = _merge(found.scores, names, found.task)
    over_time = found.taggram and _merge_taggram(found.taggram, names, found.task)
    mine = renamed(head, names)
    if found.task == "multilabel":
        named = dict.fromkeys(names.get(label, label) for label in found.labels)
        against = found.contradicted
        free = {label: 0.0 if label in against else score for label, score in found.scores.items()}
        guesses = answer(mine, list(_merge(free, names, found.task).values())).guesses if not named else ()
        held = {names.get(label, label) for label in free if label not in against}
        mine_found = replace(found, labels=tuple(named), scores=scores, taggram=over_time, guesses=guesses,
                             contradicted=frozenset(scores) - held)  # fmt: skip
    else:
        mine_found = answer(mine, list(scores.values()), over_time)
    return replace(mine_found, why=found.why and _renamed_reason(found.why, names))


def _renamed_reason(why: Reason, names: Mapping[str, str]) -> Reason:
    near = (replace(one, labels=tuple(names.get(label, label) for label in one.labels)) for one in why.nearest)
    return replace(why, name=names.get(why.name, why.name), nearest=tuple(near))


def renamed(head: HeadCard, names: Mapping[str, str]) -> HeadCard:
    """The head in the user's names: its tree where that still holds, and of several thresholds the highest."""
    parents: dict[str, set[str | None]] = {}
    thresholds: dict[str, float] = {}
    for name in head.names:
        user = names.get(name, name)
        above = (names.get(one, one) for one in head.above(name))
        parents.setdefault(user, set()).add(next((one for one in above if one != user), None))
        thresholds[user] = max(thresholds.get(user, 0.0), head.threshold_of(name))
    kept = {user: one for user, (one, *others) in parents.items() if one is not None and not others}
    labels = tuple(dict.fromkeys(names.get(label, label) for label in head.labels))
    return replace(head, labels=labels, parents=kept, thresholds=thresholds)


def _merge(scores: Mapping[str, float], names: Mapping[str, str], task: str) -> dict[str, float]:
    merged: dict[str, float] = {}
    for label, score in scores.items():
        user, before = names.get(label, label), merged.get(names.get(label, label), 0.0)
        merged[user] = round(min(1.0, before + score), 4) if task == "multiclass" else max(before, score)
    return merged


def _merge_taggram(over_time: Taggram, names: Mapping[str, str], task: str) -> Taggram:
    clips = [
        dict(zip(over_time.scores, column, strict=True)) for column in zip(*over_time.scores.values(), strict=True)
    ]
    merged = [_merge(clip, names, task) for clip in clips]
    labels = merged[0] if merged else {}
    return replace(over_time, scores={label: tuple(clip[label] for clip in merged) for label in labels})
