"""Calibration of a head on validation tracks: temperature, thresholds of labels, and when to say nothing.

Probabilities are made by :mod:`earmark.inference.scores` alone, so that what is calibrated is what people see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from earmark.inference.scores import pool, probabilities
from earmark.models.card import HeadCard

__all__ = ["LOWEST", "calibrate", "track_scores"]

_Float = NDArray[np.float64]

PRECISION = 0.6
"""An answer that is expected to be right less often is not given (S0 calls such a song "a hard one")."""

_TEMPERATURES = (0.5, 10.0)
_FEW = 4
"""Labels with fewer positive (or negative) validation tracks keep the threshold of all labels."""
LOWEST = 0.15
"""No label is named below this probability: F1 of a rare label is highest where it is named to nearly everyone."""
_TINY = 1e-6
_MOST = 2000
"""Tracks that a temperature is sought on: more do not change its first two digits."""


def track_scores(raw: Sequence[NDArray[np.floating]], head: HeadCard, pooling: str) -> _Float:
    """Calibrated scores of tracks, (tracks, labels), from the raw scores (clips, labels) of each."""
    rows = [pool(probabilities(clips, head), pooling, head.task) for clips in raw]
    return np.stack(rows) if rows else np.zeros((0, len(head.labels) or 1))


def calibrate(
    head: HeadCard, raw: Sequence[NDArray[np.floating]], truth: NDArray[np.float32], pooling: str
) -> HeadCard:
    """The head with temperature and thresholds that fit validation tracks.

    Args:
        head: As yet uncalibrated.
        raw: (tracks) of (clips, labels) raw scores.
        truth: As :meth:`earmark.datasets.core.Dataset.targets` gives it: NaN where unlabelled.
        pooling: Of clips.

    Returns:
        The same head where it is a regression, or where fewer than two tracks are labelled.
    """
    known = np.flatnonzero(~np.isnan(truth if truth.ndim == 1 else truth[:, 0])) if truth.size else np.zeros(0, int)
    if head.task == "regression" or len(known) < 2:
        return head
    labelled, right = [raw[int(i)] for i in known], truth[known].astype(np.float64)
    head = replace(head, temperature=_temperature(head, labelled[:_MOST], right[:_MOST], pooling))
    scores = track_scores(labelled, head, pooling)
    if head.task == "multiclass":
        return replace(head, threshold=_abstain(scores.max(1), scores.argmax(1) == right, len(head.labels)))
    return replace(head, thresholds=_thresholds(head.labels, scores, right))


def _temperature(head: HeadCard, raw: Sequence[NDArray[np.floating]], truth: _Float, pooling: str) -> float:
    """The temperature of the least log-loss of the tracks (Guo et al. 2017), found on a logarithmic scale."""

    def loss(log: float) -> float:
        scores = np.clip(track_scores(raw, replace(head, temperature=float(np.exp(log))), pooling), _TINY, 1 - _TINY)
        if head.task == "multiclass":
            return float(-np.log(scores[np.arange(len(truth)), truth.astype(int)]).mean())
        return float(-(truth * np.log(scores) + (1 - truth) * np.log(1 - scores)).mean())

    bounds = tuple(np.log(_TEMPERATURES))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 0.01})
    return round(float(np.exp(found.x)), 3)


def _abstain(confidence: _Float, right: NDArray[np.bool_], labels: int) -> float:
    """The confidence at which an answer is right six times in ten.

    Fitted as a line from log-odds of confidence to log-odds of being right, held near the diagonal (where confidence
    is right as it stands) by as much as 20 tracks weigh: validation parts are small.
    """
    odds = np.log(np.clip(confidence, _TINY, 1 - _TINY) / np.clip(1 - confidence, _TINY, 1))

    def loss(line: _Float) -> float:
        signs = np.where(right, 1.0, -1.0) * (line[0] * odds + line[1])
        return float(np.logaddexp(0, -signs).sum() + 10 * ((line[0] - 1) ** 2 + line[1] ** 2) / 2)

    slope, offset = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
    if slope < 0.1:
        return 0.0
    edge = (np.log(PRECISION / (1 - PRECISION)) - offset) / slope
    threshold = float(1 / (1 + np.exp(-np.clip(edge, -20, 20))))
    return 0.0 if threshold <= 1 / labels else round(min(threshold, 0.9), 3)


def _thresholds(labels: Sequence[str], scores: _Float, truth: _Float) -> dict[str, float]:
    """By label, the probability from which naming it gives the highest F1 on validation tracks; at least LOWEST."""
    common = _best_f1(scores.ravel(), truth.ravel())
    found = {}
    for column, label in enumerate(labels):
        positives = int(truth[:, column].sum())
        enough = min(positives, len(truth) - positives) >= _FEW
        found[label] = _best_f1(scores[:, column], truth[:, column]) if enough else common
    return found


def _best_f1(scores: _Float, truth: _Float) -> float:
    """Half-way between the last score that should be named and the next one below."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    if not hits[-1]:
        return 0.5
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + hits[-1])
    f1[:-1][ranked[:-1] == ranked[1:]] = -1  # ties stand on one side
    best = int(f1.argmax())
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return round(float(np.clip((ranked[best] + below) / 2, LOWEST, 0.98)), 4)
