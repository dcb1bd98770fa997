"""Probabilities of a track to answers: labels, guesses, steps up in a tree. The only place; needs no NumPy."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

from earmark.analyses.facts import ANALYSES, Feature, Score
from earmark.inference.records import HeadPrediction, Taggram
from earmark.models.card import HeadCard

__all__ = [
    "DECIMALS",
    "LEAST_GUESS",
    "answer",
    "answers",
    "contradicted",
    "has_number",
    "included",
    "leaf",
    "numbers",
    "on_scale",
    "probability",
    "source",
]

DECIMALS = 4
"""Scores are rounded to so many decimals, so that runs and machines can be compared."""

MOST_GUESSES, LEAST_GUESS = 3, 0.1
"""Of a head that names nothing: so many of its best labels are given, those that are at least so probable."""


_HALF = 0.5
_FAR = 1.0
"""A regression that is farther from the middle of 0..1 is on another scale, and its number is no feature."""


_OTHER_NAMES = {"valence": "positivity"}
"""Features that the bundled model's heads give under another name."""
_LABELS = {"instrumentalness": ("voice", "instrumental")}
"""Features that are the probability of a head's label: so the two cannot contradict each other."""


def numbers(heads: Mapping[str, HeadPrediction], features: Mapping[str, Feature]) -> dict[str, Feature]:
    """Features, those in place that heads give: the number of a regression head of the same name, or of a label."""
    found = dict(features)
    for name in (name for name, feature in features.items() if isinstance(feature, Score)):
        each = [heads[one] for one in _names(name) if one in heads]
        value = next((head.value for head in each if head.task == "regression"), None)
        head, label = _LABELS.get(name, ("", ""))
        if value is not None:
            found[name] = Score(min(1.0, max(0.0, value))) if on_scale(value) else Score()
        elif head in heads and label in heads[head].scores:
            found[name] = Score(heads[head].scores[label], estimate=True)
    return found


def on_scale(value: Any) -> Any:
    """Whether the number of a regression, or each of an array, is one from 0 to 1, or a little beside."""
    return abs(value - _HALF) <= _FAR


def source(heads: Iterable[HeadCard], feature: str) -> tuple[HeadCard, str] | None:
    """The head that gives a feature, and which of its labels; "" of a regression, None where no head does."""
    known = {head.name: head for head in heads}
    for name in _names(feature):
        if name in known and known[name].task == "regression":
            return known[name], ""
    head, label = _LABELS.get(feature, ("", ""))
    return (known[head], label) if head in known and label in known[head].labels else None


def has_number(heads: Iterable[HeadCard], feature: str) -> bool:
    """Whether a regression head gives a feature: its number is that of one model, and holds for no other."""
    found = source(heads, feature) if isinstance(ANALYSES[feature].untold, Score) else None
    return found is not None and not found[1]


def _names(feature: str) -> tuple[str, str]:
    return feature, _OTHER_NAMES.get(feature, feature)


def answers(
    heads: Sequence[HeadCard], scores: Mapping[str, Sequence[float]], over_time: Mapping[str, Taggram] | None = None
) -> dict[str, HeadPrediction]:
    """What all heads of a model say of a track, by name, from the scores of each (labels in the head's order)."""
    found: dict[str, HeadPrediction] = {}
    cards = {head.name: head for head in heads}
    for head in heads:
        against = contradicted(head, head.labels, lambda name, labels: _likelihood(found.get(name), labels))
        without = [label for label, holds in against.items() if holds]
        found[head.name] = answer(head, scores[head.name], (over_time or {}).get(head.name), without)
        if head.includes in found:
            named = leaf(cards[head.includes], found[head.includes])
            found[head.name] = included(found[head.name], named)
    return found


def answer(
    head: HeadCard, scores: Sequence[float], over_time: Taggram | None = None, without: Collection[str] = ()
) -> HeadPrediction:
    """What a head says by itself, from its scores of a track (labels in the head's order).

    Of a multiclass head that is its best label where the probability reaches the label's threshold, else the nearest
    name above it in the tree for which that holds. A multi-label head names none ``without`` which it has to do.
    """
    rounded = [round(float(score), DECIMALS) for score in scores]
    if head.task == "regression":
        return HeadPrediction("regression", value=rounded[0], taggram=over_time)
    named = dict(zip(head.labels, rounded, strict=True))
    ranked = sorted(named, key=named.__getitem__, reverse=True)  # stable: ties go to the label that stands first
    if without:
        ranked = [label for label in ranked if label not in without]
    guesses = tuple((label, named[label]) for label in ranked[:MOST_GUESSES] if named[label] >= LEAST_GUESS)
    if head.task == "multilabel":
        sure = {label for label in ranked if named[label] >= head.threshold_of(label)}
        sure |= {head.implies[label] for label in sure if label in head.implies}
        above = tuple(label for label in ranked if label in sure) if sure else ()
        return HeadPrediction("multilabel", labels=above, scores=named, guesses=() if above else guesses,
                              taggram=over_time, contradicted=frozenset(without))  # fmt: skip
    for name in head.above(ranked[0]):
        confidence = probability(head, named, name)
        if confidence >= head.threshold_of(name):
            return HeadPrediction("multiclass", name, confidence, scores=named, taggram=over_time)
    return HeadPrediction("multiclass", None, named[ranked[0]], scores=named, guesses=guesses, taggram=over_time)


def contradicted(
    head: HeadCard, labels: Iterable[str], likelihood: Callable[[str, Sequence[str]], Any]
) -> dict[str, Any]:
    """By label that heads above may contradict, whether they do: where what it contradicts is likelier than not.

    Args:
        head: Of several labels.
        labels: Those of them that are asked about.
        likelihood: Of a head's name and labels of it: how likely it is that any of these is true, 0 where there is no
            such head. A number, or an array with one a track, and so is the answer.
    """
    return {
        label: reduce(operator.or_, (likelihood(*one) > _HALF for one in head.contradicts[label].items()), False)
        for label in labels
        if label in head.contradicts
    }


def _likelihood(found: HeadPrediction | None, labels: Sequence[str]) -> float:
    """That any of the labels is true."""
    each = [found.scores[label] for label in labels if label in found.scores] if found is not None else []
    return max(each, default=0.0) if found is not None and found.task == "multilabel" else round(sum(each), DECIMALS)


def probability(head: HeadCard, scores: Mapping[str, float], name: str) -> float:
    """Of a name of the head, be it a label or above labels: the sum of the labels at or below it.

    Of a multi-label head, whose labels do not exclude each other, it is the highest of them.
    """
    each = [scores[label] for label in head.below(name)] if head.parents else [scores[name]]
    return max(each) if head.task == "multilabel" else min(1.0, round(sum(each), DECIMALS))


def included(found: HeadPrediction, label: str | None) -> HeadPrediction:
    """A multi-label prediction that names this label, too."""
    if label is None or label in found.labels or label not in found.scores:
        return found
    labels = sorted((*found.labels, label), key=lambda one: -found.scores[one])
    return replace(found, labels=tuple(labels), guesses=())


def leaf(head: HeadCard, found: HeadPrediction) -> str | None:
    """The label that is asserted, or the best one below the node that is."""
    if found.label is None or found.label in found.scores:
        return found.label
    return max(head.below(found.label), key=found.scores.__getitem__)
