"""Temperatures and thresholds of the bundled model's heads, from answers out of fold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from earmark.models.card import Evidence, HeadCard
from scripts.bundled.heads import TAG_NAMED, Corpus, Embedded, FittedHeads, temperature, track_scores

__all__ = ["calibrated", "precise", "rights"]

GENRE_PRECISION, LABEL_PRECISION = 0.865, 0.65
"""How often an answer of genre, and a label of a multi-label head, has to be right to be given; .85
and .6 are wanted, and a threshold is a little less good on other music than on that which it is chosen on."""
NEVER = 1.0
"""Threshold of a label that is never right often enough."""
MOOD_THRESHOLD = 0.501
"""More than half: what is derived of the mood then is on the same side."""
LOWEST = {"emotions": 0.5, "instruments": 0.5, "voice": 0.5, "tags": 0.25}
"""No label is named below this probability (0.3 of other heads): teachers' agreement is no more than that."""
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
            right = rights(corpus, head.name)[tracks]
            lowest = LOWEST.get(head.name, 0.3)
            limits = (precise(s, r, LABEL_PRECISION, lowest) for s, r in zip(scores[tracks].T, right.T, strict=True))
            head = replace(head, thresholds=dict(zip(head.labels, limits, strict=True)))
        heads.append(head)
    return tuple(heads)


def _known(corpus: Corpus, head: str) -> NDArray[np.float64]:
    """Marks to calibrate by: where teachers disagree, it is half and half; or else only the clear cases would count."""
    return rights(corpus, head) if head in ("instruments", "voice") else corpus.learnt[head].astype(np.float64)


def _evidence(corpus: Corpus, head: HeadCard) -> dict[str, Evidence]:
    marks = corpus.learnt[head.name]
    if head.task == "multiclass":  # a set of several names is evidence of none of them
        marks = (
            corpus.learnt["genres"]
            if head.name == "genre"
            else np.where(np.nansum(marks, 1, keepdims=True) == 1, marks, np.nan)
        )
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
    return np.where(np.isnan(marks) & ~np.isnan(marks).all(1, keepdims=True), 0.5, marks)


def precise(scores: NDArray[np.float64], right: NDArray[np.float64], precision: float, lowest: float = 0.3) -> float:
    """The lowest score from which naming a label is right often enough; :data:`NEVER` where it never is."""
    known = ~np.isnan(right)
    order = np.argsort(-scores[known], kind="stable")
    ranked, hits = scores[known][order], np.cumsum(right[known][order])
    enough = np.flatnonzero(hits / np.arange(1, len(hits) + 1) >= precision)
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
            found[name] = min(0.98, max(found.get(name, 0.0), limit))
            waiting[rows[mine >= found[name]]] = False
    return found
