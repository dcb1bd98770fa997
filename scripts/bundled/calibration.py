"""Temperatures and thresholds of the bundled model's heads, from answers out of fold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from earmark.models.card import Evidence, HeadCard
from scripts.bundled import labels
from scripts.bundled.heads import TAG_NAMED, Corpus, Embedded, FittedHeads, temperature, track_scores

__all__ = ["calibrated", "limits", "precise", "rights", "voice_limits"]

GENRE_PRECISION, VOICE_PRECISION, LABEL_PRECISION = 0.865, 0.85, 0.6
"""How often an answer of genre, and a label of a multi-label head, has to be right to be given; .85 is wanted, and a
threshold is a little less good on other music than on that which it is chosen on. Of labels it is the lower side of
what was measured that has to reach it: one standard error below. A voice is measured by those who are known to sing,
women and men alike: who hears a woman does not forgive *male*."""
NEVER = 1.0
"""Threshold of a label that is never right often enough."""
MOOD_THRESHOLD = 0.501
"""More than half: what is derived of the mood then is on the same side."""
LOWEST = {"genres": 0.35, "emotions": 0.5, "instruments": 0.5, "voice": 0.501, "tags": 0.25}
"""No label is named below this probability (0.3 of other heads): teachers' agreement is no more than that, and of two
voices that exclude each other only one is above a half."""
ENOUGH = 8
"""Songs that a threshold rests on at least."""


def calibrated(
    corpus: Corpus, fitted: FittedHeads, embedded: Embedded, tracks: NDArray[np.bool_]
) -> tuple[HeadCard, ...]:
    """The heads with temperature, thresholds and evidence, from answers out of fold on the tracks marked True."""
    heads = []
    for head in fitted.heads:
        raw = fitted.raw[head.name]
        if head.task != "regression" and not head.derived and head.name != "mood":
            marks = corpus.learnt[head.name] if head.task == "multiclass" else _known(corpus, head.name)
            marks = np.where(tracks[:, None], marks, np.nan)
            head = replace(head, temperature=temperature(head, raw, embedded.owner, marks.astype(np.float32)))
        if head.name in corpus.learnt:
            head = replace(head, evidence=_evidence(corpus, head))
        scores = track_scores(raw, embedded.owner, head)
        if head.name == "genre":
            head = replace(
                head, threshold=GENRE_PRECISION, thresholds=_by_name(head, scores[tracks], corpus.stated[tracks])
            )
        elif head.task == "multiclass":
            head = replace(head, threshold=MOOD_THRESHOLD)
        elif head.task == "multilabel":
            right, lowest = rights(corpus, head.name)[tracks], LOWEST.get(head.name, 0.3)
            found = voice_limits(head, scores[tracks], right) if head.classes else limits(scores[tracks], right, lowest)
            head = replace(head, thresholds=dict(zip(head.labels, found, strict=True)))
        heads.append(head)
    return tuple(heads)


def _known(corpus: Corpus, head: str) -> NDArray[np.float64]:
    """Marks to calibrate by: where teachers disagree, it is half and half; or else only the clear cases would count."""
    return rights(corpus, head) if head in ("instruments", "voice") else corpus.learnt[head].astype(np.float64)


def _evidence(corpus: Corpus, head: HeadCard) -> dict[str, Evidence]:
    marks = corpus.learnt[head.name]
    if head.name in ("genre", "genres"):  # a set of several names is evidence of what stands above all of them
        sets = corpus.learnt["genre"] > 0
        each = [~(sets & [own not in head.below(label) for own in head.labels]).any(1) for label in head.labels]
        marks = (corpus.learnt["genres"] == 1) | (np.stack(each, 1) & sets.any(1, keepdims=True))
    elif head.task == "multiclass":
        marks = np.where(np.nansum(marks, 1, keepdims=True) == 1, marks, np.nan)
    groups = np.array(corpus.groups)
    found = {}
    for label, column in zip(head.labels, marks.T, strict=True):
        true = column > TAG_NAMED
        found[label] = Evidence(int(true.sum()), len(set(groups[true])))
    return found


def rights(corpus: Corpus, head: str) -> NDArray[np.float64]:
    """(tracks, labels) how right it is to name a label: 1, 0, half where nobody knows, NaN where nothing is known."""
    marks = corpus.learnt[head].astype(np.float64)
    if head == "genres":  # a name may mean it, and no teacher denies it
        marks = np.where((corpus.learnt["genre"] == 1) | (marks == 1), 1.0, np.where(corpus.stated == 1, 0.5, marks))
    if head == "tags":
        marks = np.where(np.isnan(marks), np.nan, np.asarray(corpus.dataset.targets("tags")))
    found = np.where(np.isnan(marks) & ~np.isnan(marks).all(1, keepdims=True), 0.5, marks)
    if head == "voice":  # by who is known to sing; of choirs only the taggers know
        asked = np.array([label in labels.VOICES["man"] for label in corpus.dataset.head(head).labels])
        found = np.where(asked, np.where(corpus.sure(head)[:, None], marks, np.nan), found)
    return found


def voice_limits(head: HeadCard, scores: NDArray[np.float64], right: NDArray[np.float64]) -> list[float]:
    """By voice, the probability from which it is named; women count as much as men."""
    weights, found = labels.alike(right.astype(np.float32), head.labels, np.ones(len(right))), []
    for label, mine, correct in zip(head.labels, scores.T, right.T, strict=True):
        known = label in labels.VOICES["man"]
        precision = VOICE_PRECISION if known else LABEL_PRECISION
        limit = precise(mine, correct, precision, LOWEST[head.name], 0.0 if known else 1.0, weights)
        found.append(limit if np.nansum(correct == 1) >= ENOUGH else NEVER)
    return found


def limits(scores: NDArray[np.float64], right: NDArray[np.float64], lowest: float) -> list[float]:
    """By label of several, the probability from which it is named: one limit for all, from what all say together.

    A label that is clearly less often right than it should be gets a higher limit of its own; one that hardly any song
    has is never named.
    """
    common = precise(scores.ravel(), right.ravel(), LABEL_PRECISION, lowest, 1.0)
    found = []
    for mine, correct in zip(scores.T, right.T, strict=True):
        given = correct[(mine >= common) & ~np.isnan(correct)]
        poor = len(given) >= ENOUGH and given.mean() < LABEL_PRECISION - 0.1
        limit = max(common, precise(mine, correct, LABEL_PRECISION, lowest, 1.0)) if poor else common
        found.append(limit if np.nansum(correct == 1) >= ENOUGH else NEVER)
    return found


def precise(
    scores: NDArray[np.float64],
    right: NDArray[np.float64],
    precision: float,
    lowest: float = 0.3,
    errors: float = 0.0,
    weights: NDArray[np.float64] | None = None,
) -> float:
    """The lowest score from which naming a label is right often enough; :data:`NEVER` where it never is.

    Args:
        scores: Probabilities.
        right: How right it is to name the label; NaN where that is unknown.
        precision: That is wanted.
        lowest: No limit is below.
        errors: So many standard errors below the measured precision count.
        weights: What each track counts, 1 where None.
    """
    known = ~np.isnan(right)
    order = np.argsort(-scores[known], kind="stable")
    count = np.ones(len(order)) if weights is None else weights[known][order]
    ranked, given = scores[known][order], np.cumsum(count)
    measured = np.cumsum(right[known][order] * count) / given
    enough = np.flatnonzero(
        measured - errors * np.sqrt(np.maximum(measured * (1 - measured), 0.05) / given) >= precision
    )
    enough = enough[enough >= ENOUGH - 1]
    if not len(enough):
        return NEVER
    last = int(enough[-1])
    below = ranked[last + 1] if last + 1 < len(ranked) else 0.0
    return round(float(np.clip((ranked[last] + below) / 2, lowest, 0.98)), 4)


def _by_name(head: HeadCard, scores: NDArray[np.float64], stated: NDArray[np.float32]) -> dict[str, float]:
    """By genre and node, the probability from which the answer is right often enough.

    One limit for all labels, then one for all names above those that are still without an answer; a name that is less
    often right than the others gets a higher one of its own.
    """
    known = ~np.isnan(stated[:, 0])
    scores, stated = scores[known], stated[known]
    ways = [head.above(label) for label in head.labels]
    found: dict[str, float] = {}
    waiting, best = np.full(len(scores), True), scores.argmax(1)
    for level in range(max(map(len, ways))):
        asked: dict[str, tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]] = {}
        for name in dict.fromkeys(way[level] for way in ways if len(way) > level):
            starts = [place for place, way in enumerate(ways) if way[level : level + 1] == (name,)]
            below = [place for place, way in enumerate(ways) if name in way]
            rows = np.flatnonzero(waiting & np.isin(best, starts))
            named = np.asarray((stated[rows][:, below] > 0).any(1), np.float64)
            asked[name] = (rows, np.asarray(scores[rows][:, below].sum(1), np.float64), named)
        sums, right = (np.concatenate([one[part] for one in asked.values()]) for part in (1, 2))
        common = precise(sums, right, GENRE_PRECISION)
        for name, (rows, mine, correct) in asked.items():
            given = correct[mine >= common]
            poor = len(given) >= ENOUGH and given.mean() < GENRE_PRECISION - 0.05
            limit = max(common, precise(mine, correct, GENRE_PRECISION)) if poor else common
            found[name] = max(found.get(name, 0.0), limit)
            waiting[rows[mine >= found[name]]] = False
    return found
