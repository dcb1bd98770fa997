"""Learning one label a track from sets of labels: "Pop/Rock" says Pop, Rock or Metal, and not which.

Multinomial logistic regression on the likelihood of the set (Grandvalet 2002; Cour et al. 2011): a track that may be
any of several pulls towards all of them together, and those with a single label tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from earmark.training.examples import Examples, group_folds
from earmark.training.logistic import Linear, scaling_of

__all__ = ["STRENGTHS", "fit_sets"]

Double = NDArray[np.float64]
Sets = NDArray[np.bool_]
STRENGTHS = tuple(float(10.0**k) for k in np.arange(0.0, -3.6, -0.5))
"""Weights of the squared norm that are tried."""


def fit_sets(examples: Examples, sets: Sets, seed: int, strengths: Sequence[float] = STRENGTHS) -> Linear:
    """A linear multiclass head.

    Args:
        examples: Embeddings; their ``truth`` only spreads the labels over the folds.
        sets: (tracks, labels) which labels each track may have; at least one.
        seed: Of the folds.
        strengths: To choose from by the likelihood of groups that were set aside; one is taken as it is.

    Returns:
        Raw scores of embeddings as they are, not standardised.
    """
    scaling = scaling_of(examples)
    scaled = examples.replaced(scaling.apply(examples.clips))
    strength = strengths[0]
    if len(strengths) > 1:
        losses = np.zeros(len(strengths))
        for held in group_folds(scaled, 5, seed):
            judged = scaled.subset(held)
            for i, tried in enumerate(strengths):
                linear = _solve(scaled.subset(~held), sets[~held], tried)
                losses[i] += len(judged.truth) * _value(linear(judged.clips), sets[held][judged.owner], judged)
        strength = strengths[int(losses.argmin())]
    return scaling.fold(_solve(scaled, sets, strength))


def _weights(examples: Examples) -> Double:
    return np.asarray(examples.clip_weights / examples.clip_weights.sum())


def _value(raw: Double, inside: Sets, examples: Examples) -> float:
    """Mean of minus the log likelihood of the sets."""
    return float(_weights(examples) @ (_log_sum(raw) - _log_sum(np.where(inside, raw, -np.inf))))


def _log_sum(raw: Double) -> Double:
    peak = raw.max(1, keepdims=True)
    return np.asarray(peak[:, 0] + np.log(np.exp(raw - peak).sum(1)))


def _solve(examples: Examples, sets: Sets, strength: float) -> Linear:
    clips, weights = examples.clips.astype(np.float64), _weights(examples)
    inside = sets[examples.owner]
    labels, features = sets.shape[1], clips.shape[1]

    def loss(flat: Double) -> tuple[float, Double]:
        weight, bias = flat[: labels * features].reshape(labels, features), flat[labels * features :]
        raw = clips @ weight.T + bias
        all_of_it, of_set = _log_sum(raw), _log_sum(np.where(inside, raw, -np.inf))
        value = float(weights @ (all_of_it - of_set)) + 0.5 * strength * float((weight**2).sum())
        slope = np.exp(raw - all_of_it[:, None]) - np.where(inside, np.exp(np.minimum(raw - of_set[:, None], 0.0)), 0.0)
        slope *= weights[:, None]
        gradient = slope.T @ clips + strength * weight
        return value, np.concatenate([gradient.ravel(), slope.sum(0)])

    start = np.zeros(labels * features + labels)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300, "maxcor": 20, "ftol": 1e-9}).x
    return Linear(found[: labels * features].reshape(labels, features), found[labels * features :])
