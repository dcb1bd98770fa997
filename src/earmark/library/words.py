"""Results in words: what two tracks share, and what tells a group of tracks from all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from earmark.inference.records import HeadPrediction, Prediction
from earmark.library.records import LibraryModel
from earmark.library.store import Library
from earmark.models.card import HeadCard

__all__ = ["common_labels", "given_labels", "predicted_labels", "shared", "telling"]

Array = NDArray[np.float32]

_MOST_SHARED = 3
_USUAL = 0.9
_SAMPLE = 2_000


def predicted_labels(prediction: Prediction) -> list[str]:
    """What a model predicts of a track, the surest first, each name once."""
    ranked: dict[str, float] = {}
    for head in prediction.heads.values():
        for label in _names(head):
            ranked[label] = max(ranked.get(label, 0.0), head.scores.get(label, 1.0))
    return sorted(ranked, key=lambda label: -ranked[label])


def shared(one: Prediction, other: Prediction, common: Mapping[str, float]) -> str:
    """Why two tracks are alike, in words; ``common`` is how often each label is given in the library.

    The rarest labels that both are given say most: two thirds of a library may be rock.
    """
    mine = set(predicted_labels(one))
    both = list({label.casefold(): label for label in predicted_labels(other) if label in mine}.values())
    rare = [label for label in both if common.get(label, 0.0) < _USUAL]  # what nearly all have is no reason
    if both := sorted(rare or both, key=lambda label: common.get(label, 0.0)):
        return "both " + ", ".join(both[:_MOST_SHARED])
    near = _leaning(one, other)
    return f"both lean to {near}" if near else "they sound alike, though no label says why"


def _names(head: HeadPrediction) -> Sequence[str]:
    return head.labels if head.task == "multilabel" else [head.label] if head.label else []


def _leaning(one: Prediction, other: Prediction) -> str:
    """The label that neither is sure of and both have the most of."""
    best, most = "", 0.1
    for name, head in one.heads.items():
        theirs = other.heads[name].scores
        for label, score in head.scores.items():
            if (least := min(score, theirs.get(label, 0.0))) > most:
                best, most = label, least
    return best


def common_labels(library: Library, model: LibraryModel) -> dict[str, float]:
    """How often each label is given in the library: its share of some two thousand tracks spread over it."""
    rows = library.sample_scores(model, _SAMPLE)
    found: dict[str, float] = {}
    for head in model.heads:
        if head.task == "regression":
            continue
        given = given_labels(head, rows[:, model.columns()[head.name]])
        aliases = model.aliases.get(head.name, {})
        for label, share in zip(head.labels, given.mean(axis=0) if len(given) else [], strict=False):
            name = aliases.get(label, label)
            found[name] = max(found.get(name, 0.0), float(share))
    return found


def given_labels(head: HeadCard, scores: Array) -> NDArray[np.bool_]:
    """Which labels a head gives, as :func:`earmark.inference.scores.answer` does: (n, labels) scores to bools."""
    if head.task == "multilabel":
        return np.asarray(scores >= np.asarray([head.thresholds.get(label, 0.5) for label in head.labels], np.float32))
    given = np.zeros(scores.shape, bool)
    if len(scores):
        best = scores.argmax(axis=1)
        rows = np.arange(len(scores))
        given[rows, best] = scores[rows, best] >= np.float32(head.threshold)
    return given


def telling(inside: Array, overall: Array, spread: Array) -> Array:
    """How much each label tells a group from the whole library.

    By how much higher its mean within the group is than overall, in standard deviations, times the root of that mean:
    what the group has, and not all have.

    Args:
        inside: (groups, labels) means within.
        overall: (labels,) means.
        spread: (labels,) standard deviations.

    Returns:
        (groups, labels).
    """
    value = (inside - overall) / (spread + np.float32(0.02)) * np.sqrt(np.maximum(inside, 0))
    return np.asarray(value, np.float32)
