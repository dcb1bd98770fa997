"""Linear classifiers as one convex problem (L-BFGS, no learning rate, no early stopping): the one place that solves it.

Softmax regression, and logistic regression a label, both with a squared norm beside the mean loss. Labels may be
partial: a row's marks are a set of which one is true and nobody knows which (Grandvalet 2002; Cour et al. 2011), so
that it pulls towards all together and rows with a single mark tell them apart; or 0, 1, between, NaN where unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.errors import MissingExtra

__all__ = ["Linear", "cross_entropy", "fit_strengths"]

Double = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """Raw scores ``x @ weight.T + bias``: weight (labels, features), bias (labels,) float64."""

    weight: Double
    bias: Double

    def __call__(self, inputs: NDArray[np.floating]) -> Double:
        """Raw scores (rows, labels)."""
        return np.asarray(inputs @ self.weight.T + self.bias, np.float64)


def cross_entropy(raw: NDArray[np.floating], marks: NDArray[np.floating], multiclass: bool) -> tuple[Double, Double]:
    """Loss of raw scores and its slope by them.

    Args:
        raw: (rows, labels).
        marks: (rows, labels) 1 and 0, NaN or between; of a multiclass head the ones are a set, at least one a row.
        multiclass: Whether one label of the set is true, or each label for itself.

    Returns:
        Loss (rows,), of each label for itself (rows, labels); slope (rows, labels).
    """
    if multiclass:
        raw = raw - raw.max(1, keepdims=True)
        inside = np.where(marks > 0, raw, -np.inf)
        top = inside.max(1, keepdims=True)
        every, chosen = np.exp(raw), np.exp(inside - top)
        total, within = every.sum(1, keepdims=True), chosen.sum(1, keepdims=True)
        return (np.log(total) - (top + np.log(within)))[:, 0], every / total - chosen / within
    known, given = ~np.isnan(marks), np.nan_to_num(marks)
    return (np.logaddexp(0, raw) - raw * given) * known, (0.5 * (1 + np.tanh(0.5 * raw)) - given) * known


def fit_strengths(
    inputs: NDArray[np.floating],
    marks: NDArray[np.floating],
    strengths: Sequence[float],
    *,
    multiclass: bool,
    weights: Double | None = None,
    addition: tuple[Double, int] | None = None,
) -> list[Linear]:
    """Solutions for falling strengths of the squared norm, each the start of the next.

    Args:
        inputs: (rows, features), standardised.
        marks: As :func:`cross_entropy` takes them.
        strengths: The strongest first.
        multiclass: As above.
        weights: (rows,) or (rows, labels) of the losses; all rows the same where None.
        addition: Raw scores (rows, labels) that are there already, and how many of the first labels stay at them.

    Raises:
        MissingExtra: SciPy is not installed.
    """
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise MissingExtra("train", "fitting a linear classifier") from error
    weights = np.full(len(inputs), 1 / max(1, len(inputs))) if weights is None else weights
    loss = _Loss(np.ascontiguousarray(inputs, np.float32), marks, weights, multiclass, addition)
    options = {"maxiter": 300, "maxcor": 20, "ftol": 1e-9, "gtol": 1e-6}
    flat, found = loss.begin(), []
    for strength in strengths:
        flat = minimize(loss, flat, (strength,), jac=True, method="L-BFGS-B", options=options).x
        found.append(loss.linear(flat))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Loss:
    """Weighted loss of the rows and its gradient, by the flat weights and biases."""

    inputs: NDArray[np.float32]
    marks: NDArray[np.floating]
    weights: Double
    multiclass: bool
    addition: tuple[Double, int] | None

    def begin(self) -> Double:
        """All zeros, with the bias at the labels' frequency."""
        weights = self.weights if self.weights.ndim == 2 else self.weights[:, None]
        share = (weights * np.nan_to_num(self.marks)).sum(0) / np.maximum(weights.sum(0), 1e-12)
        share = np.clip(share, 1e-3, 1 - 1e-3)
        bias = np.log(share) if self.multiclass else np.log(share / (1 - share))
        if self.addition is not None:
            bias[: self.addition[1]] = 0.0
        return np.concatenate([np.zeros(self.marks.shape[1] * self.inputs.shape[1]), bias])

    def linear(self, flat: Double) -> Linear:
        """The flat parameters as weight and bias."""
        labels, features = self.marks.shape[1], self.inputs.shape[1]
        return Linear(flat[: labels * features].reshape(labels, features).copy(), flat[labels * features :].copy())

    def __call__(self, flat: Double, strength: float) -> tuple[float, Double]:
        linear = self.linear(flat)
        raw = (self.inputs @ linear.weight.T.astype(np.float32)).astype(np.float64) + linear.bias
        if self.addition is not None:
            raw += self.addition[0]
        value, slope = cross_entropy(raw, self.marks, self.multiclass)
        slope *= self.weights if self.weights.ndim == 2 else self.weights[:, None]
        if self.addition is not None:
            slope[:, : self.addition[1]] = 0.0
        weighted = self.weights if value.ndim == self.weights.ndim else self.weights[:, None]
        gradient = (slope.T.astype(np.float32) @ self.inputs).astype(np.float64) + strength * linear.weight
        loss = float((weighted * value).sum()) + 0.5 * strength * float((linear.weight**2).sum())
        return loss, np.concatenate([gradient.ravel(), slope.sum(0)])
