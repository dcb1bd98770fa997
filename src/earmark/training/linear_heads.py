"""Linear heads on an embedding: regularised logistic regression with partial labels, and their calibration.

Clips are the rows and tracks the unit: a track weighs the same however many clips it has, and calibration looks at
what inference gives for a track, the mean of its clips' probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = [
    "Calibration", "Linear", "Rows", "calibrate", "choose_l2", "expected_calibration_error", "fit", "out_of_fold",
    "perfect_calibration", "pooled", "thresholds",
]  # fmt: skip

Array = NDArray[np.float32]
Ints = NDArray[np.int64]
L2 = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
"""Penalties to choose from: of the mean loss, on weights of standardised embeddings."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a head learns from.

    Attributes:
        embeddings: (clips, features).
        track: (clips,) index of each clip's track.
        targets: (tracks, labels): 1 is (or, of a multiclass head, may be), 0 is not, NaN not known; soft values too.
        groups: (tracks,) artist.
        multiclass: One label a track; its rows of targets are sets.
    """

    embeddings: Array
    track: Ints
    targets: Array
    groups: NDArray[np.str_]
    multiclass: bool

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """(tracks,) whether anything is known."""
        return np.asarray(~np.isnan(self.targets).all(1))


@dataclass(frozen=True, slots=True)
class Linear:
    """Logits are ``embeddings @ weight.T + bias``: weight (labels, features), bias (labels,)."""

    weight: Array
    bias: Array

    def __call__(self, embeddings: Array) -> Array:
        """(clips, features) to logits (clips, labels)."""
        return np.asarray(embeddings @ self.weight.T + self.bias, np.float32)


def fit(rows: Rows, tracks: NDArray[np.bool_], l2: float) -> Linear:
    """Fit on the labelled tracks among some, by L-BFGS.

    Args:
        rows: Everything.
        tracks: (tracks,) which to use.
        l2: Penalty.
    """
    use = tracks & rows.labelled
    chosen = use[rows.track]
    clips = rows.embeddings[chosen]
    mean, scale = clips.mean(0), clips.std(0) + 1e-6
    x = torch.from_numpy((clips - mean) / scale).double()
    y = torch.from_numpy(rows.targets[rows.track[chosen]]).double()
    share = 1.0 / np.bincount(rows.track[chosen], minlength=len(use))[rows.track[chosen]]
    weight = torch.zeros(y.shape[1], x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(y.shape[1], dtype=torch.float64, requires_grad=True)
    known, of_row = ~torch.isnan(y), torch.from_numpy(share / share.sum())
    y = torch.nan_to_num(y)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe", tolerance_change=1e-9)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        logits = x @ weight.T + bias
        loss = (of_row * _losses(logits, y, known, rows.multiclass)).sum() + 0.5 * l2 * weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    raw = (weight / torch.from_numpy(scale).double()).detach()
    shift = bias.detach() - raw @ torch.from_numpy(mean).double()
    return Linear(raw.numpy().astype(np.float32), shift.numpy().astype(np.float32))


def _losses(logits: torch.Tensor, y: torch.Tensor, known: torch.Tensor, multiclass: bool) -> torch.Tensor:
    """Loss of each clip: minus the log likelihood of the set, or the sum of the known labels' cross-entropies."""
    if multiclass:
        inside = torch.where((y > 0) & known, logits, torch.full_like(logits, -torch.inf))
        return torch.logsumexp(logits, 1) - torch.logsumexp(inside, 1)
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits, y, reduction="none")
    return (each * known).sum(1)


def pooled(logits: Array, rows: Rows, temperature: float) -> NDArray[np.float64]:
    """Probabilities (tracks, labels): the mean over each track's clips, as inference pools them."""
    scores = logits.astype(np.float64) / temperature
    if rows.multiclass:
        scores = np.exp(scores - scores.max(1, keepdims=True))
        scores /= scores.sum(1, keepdims=True)
    else:
        scores = 0.5 * (1 + np.tanh(0.5 * scores))
    total = np.zeros((len(rows.targets), scores.shape[1]))
    np.add.at(total, rows.track, scores)
    return np.asarray(total / np.maximum(np.bincount(rows.track, minlength=len(total)), 1)[:, None])


def _folds(rows: Rows, count: int, seed: int) -> Ints:
    """Number of each track's fold; artists stay together, folds about equally large."""
    names, member, sizes = np.unique(rows.groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold, filled = np.zeros(len(names), np.int64), np.zeros(count)
    for name in order:
        fold[name] = int(np.argmin(filled))
        filled[fold[name]] += sizes[name]
    return fold[member]


def out_of_fold(rows: Rows, l2: float, count: int = 5, seed: int = 0) -> Array:
    """Logits (clips, labels), each from a head that has not seen the clip's artist."""
    fold = _folds(rows, count, seed)
    logits = np.zeros((len(rows.track), rows.targets.shape[1]), np.float32)
    for number in range(count):
        inside = (fold == number)[rows.track]
        logits[inside] = fit(rows, fold != number, l2)(rows.embeddings[inside])
    return logits


def _loss(probabilities: NDArray[np.float64], rows: Rows) -> float:
    p, y = probabilities[rows.labelled], rows.targets[rows.labelled].astype(np.float64)
    if rows.multiclass:
        return float(-np.log(np.maximum((p * (np.nan_to_num(y) > 0)).sum(1), 1e-9)).mean())
    known = ~np.isnan(y)
    p = np.clip(p, 1e-6, 1 - 1e-6)
    each = -(np.nan_to_num(y) * np.log(p) + (1 - np.nan_to_num(y)) * np.log(1 - p))
    return float((each * known).sum() / known.sum())


def choose_l2(rows: Rows, choices: Sequence[float] = L2) -> float:
    """The penalty with the least out-of-fold loss."""
    losses = [_loss(pooled(out_of_fold(rows, l2), rows, 1.0), rows) for l2 in choices]
    return choices[int(np.argmin(losses))]


def calibrate(logits: Array, rows: Rows) -> float:
    """The temperature (Guo et al. 2017) that makes out-of-fold track probabilities likeliest, to three digits."""
    choices = np.geomspace(0.25, 4.0, 81)
    losses = [_loss(pooled(logits, rows, float(t)), rows) for t in choices]
    return float(np.round(choices[int(np.argmin(losses))], 3))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of the answers of a multiclass head at its threshold.

    Attributes:
        threshold: Below this confidence it is not sure.
        precision: Of the answers that it gives.
        coverage: Share of tracks with an answer.
        ece: Expected calibration error over 10 equal bins, all tracks.
        ece_limit: The 95 % quantile of it for a perfectly calibrated model of the same confidences.
    """

    threshold: float
    precision: float
    coverage: float
    ece: float
    ece_limit: float


def expected_calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_], bins: int = 10) -> float:
    """Mean distance of confidence and accuracy over equal bins of confidence, weighed by their tracks."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(place, confidence - correct, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))


def perfect_calibration(confidence: NDArray[np.float64], times: int = 2000, seed: int = 0) -> float:
    """The 95 % quantile of the error that a perfectly calibrated model shows with these confidences (simulated)."""
    rng = np.random.default_rng(seed)
    drawn = [expected_calibration_error(confidence, rng.random(len(confidence)) < confidence) for _ in range(times)]
    return float(np.quantile(drawn, 0.95))


def not_sure_below(confidence: NDArray[np.float64], correct: NDArray[np.bool_], least: float = 0.6) -> float:
    """The confidence from which on an answer is expected to be right in at least ``least`` of the cases.

    Accuracy as a function of confidence is made monotone (pool adjacent violators); the threshold is where it
    crosses ``least``.
    """
    order = np.argsort(confidence, kind="stable")
    blocks: list[list[float]] = []
    for index in order:
        blocks.append([float(correct[index]), 1.0, float(confidence[index])])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            right, weight, _ = blocks.pop()
            blocks[-1][0] += right
            blocks[-1][1] += weight
    for right, weight, first in blocks:
        if right / weight >= least:
            return float(np.round(first, 3))
    return 1.0


def thresholds(probabilities: NDArray[np.float64], targets: Array) -> list[float]:
    """By label, the probability from which on naming it gives the best F1 out of fold (between 0.1 and 0.9)."""
    found = []
    choices = np.round(np.arange(0.1, 0.9, 0.02), 2)
    for column, truth in zip(probabilities.T, targets.T, strict=True):
        known = ~np.isnan(truth)
        p, y = column[known], truth[known] >= 0.5
        named = p[:, None] >= choices
        hits = (named & y[:, None]).sum(0)
        f1 = 2 * hits / np.maximum(named.sum(0) + y.sum(), 1)
        found.append(float(choices[int(np.argmax(f1))]) if y.any() else 0.9)
    return found
