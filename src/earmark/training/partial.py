"""Linear heads from partial labels: sets ("Pop/Rock" is Pop, Rock or Metal, and not which), gaps, soft marks.

Multinomial logistic regression on the likelihood of the set (Grandvalet 2002; Cour et al. 2011): a track that may be
any of several pulls towards all of them together, and those with a single label tell them apart. With several labels
a track, each label's cross-entropy counts where it is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from earmark.training.examples import Examples
from earmark.training.linear import Linear, scaling_of

__all__ = ["fit_path", "partial_loss"]

Array = NDArray[np.float32]


def fit_path(examples: Examples, marks: Array, strengths: Sequence[float]) -> list[Linear]:
    """Linear heads of falling strengths of the penalty, each the start of the next.

    Args:
        examples: Embeddings, and whether the head is ``multiclass``; its ``truth`` is not looked at.
        marks: (tracks, labels) 1, 0, NaN or between; of a multiclass head the ones are a set, at least one a track.
        strengths: Weights of the squared norm beside the mean loss, the strongest first.

    Returns:
        Raw scores of embeddings as they are, not standardised.
    """
    scaling = scaling_of(examples)
    loss = _Loss(scaling.apply(examples.clips), marks[examples.owner], examples)
    flat = np.zeros(marks.shape[1] * (examples.clips.shape[1] + 1))
    found = []
    for strength in strengths:
        options = {"maxiter": 150, "maxcor": 10, "ftol": 1e-7}
        flat = minimize(loss, flat, (strength,), jac=True, method="L-BFGS-B", options=options).x
        found.append(scaling.fold(loss.linear(flat)))
    return found


def partial_loss(examples: Examples, marks: Array, raw: Array) -> float:
    """Mean over the clips, tracks weighing the same, of what :func:`fit_path` makes small (without the penalty)."""
    value, _ = _value_and_slope(raw, marks[examples.owner], examples.task == "multiclass")
    return float(examples.clip_weights @ value / examples.clip_weights.sum())


def _value_and_slope(raw: Array, marks: Array, multiclass: bool) -> tuple[NDArray[np.float64], Array]:
    """Loss of each clip, and its slope by the raw scores."""
    if multiclass:
        inside = np.where(marks > 0, raw, -np.inf)
        top, top_inside = raw.max(1, keepdims=True), inside.max(1, keepdims=True)
        all_of_it, of_set = np.exp(raw - top), np.exp(inside - top_inside)
        total, total_inside = all_of_it.sum(1, keepdims=True), of_set.sum(1, keepdims=True)
        value = top + np.log(total) - top_inside - np.log(total_inside)
        return value[:, 0].astype(np.float64), all_of_it / total - of_set / total_inside
    known, given = ~np.isnan(marks), np.nan_to_num(marks)
    value = np.logaddexp(0, raw) - raw * given
    return (value * known).sum(1).astype(np.float64), (0.5 * (1 + np.tanh(0.5 * raw)) - given) * known


@dataclass(frozen=True, slots=True, eq=False)
class _Loss:
    """Mean loss and its gradient by the flat weights and biases."""

    clips: Array
    marks: Array
    examples: Examples

    def linear(self, flat: NDArray[np.float64]) -> Linear:
        labels, features = self.marks.shape[1], self.clips.shape[1]
        return Linear(flat[: labels * features].reshape(labels, features).copy(), flat[labels * features :].copy())

    def __call__(self, flat: NDArray[np.float64], strength: float) -> tuple[float, NDArray[np.float64]]:
        linear = self.linear(flat)
        weights = self.examples.clip_weights / self.examples.clip_weights.sum()
        raw = self.clips @ linear.weight.T.astype(np.float32) + linear.bias.astype(np.float32)
        value, slope = _value_and_slope(raw, self.marks, self.examples.task == "multiclass")
        slope = slope * weights[:, None].astype(np.float32)
        gradient = (slope.T @ self.clips).astype(np.float64) + strength * linear.weight
        penalty = 0.5 * strength * float((linear.weight**2).sum())
        return float(weights @ value) + penalty, np.concatenate([gradient.ravel(), slope.sum(0, dtype=np.float64)])
