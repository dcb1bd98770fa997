"""Linear heads by full-batch optimisation: regularised logistic regression and ridge, the strength chosen by groups.

The classical way to learn from few songs: one convex problem (L-BFGS), no learning rate and no early stopping, and a
strength that is chosen on artists that were set aside. Embeddings are standardised; :class:`Linear` has that folded in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from earmark.recipe import Task
from earmark.training.examples import Examples, group_folds, log_loss

__all__ = ["STRENGTHS", "Linear", "Scaling", "fit_linear", "fit_prototypes", "scaling_of"]

Array = NDArray[np.float32]
Double = NDArray[np.float64]

STRENGTHS = tuple(float(10.0**k) for k in np.arange(1.0, -4.1, -0.5))
"""Weights of the squared norm that are tried, the strongest first."""

FOLDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """Raw scores ``x @ weight.T + bias``: weight (labels, features), bias (labels,) float64."""

    weight: Double
    bias: Double

    def __call__(self, clips: Array) -> Double:
        """Raw scores (clips, labels)."""
        return np.asarray(clips @ self.weight.T + self.bias, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """Standardisation: ``(x - centre) / scale``, each (features,)."""

    centre: Double
    scale: Double

    def apply(self, clips: Array) -> Array:
        """Standardised embeddings (clips, features)."""
        return ((clips - self.centre) / self.scale).astype(np.float32)

    def fold(self, linear: Linear) -> Linear:
        """The same scores of embeddings that are not standardised."""
        weight = linear.weight / self.scale
        return Linear(weight, linear.bias - weight @ self.centre)


def scaling_of(examples: Examples) -> Scaling:
    """Mean and deviation of the clips, every track counting the same; a feature that never changes stays."""
    weights = examples.clip_weights / examples.clip_weights.sum()
    centre = weights @ examples.clips.astype(np.float64)
    deviation = np.sqrt(weights @ (examples.clips - centre) ** 2)
    return Scaling(centre, np.where(deviation > 1e-6 * max(1e-12, deviation.max(initial=0)), deviation, 1.0))


def fit_linear(examples: Examples, seed: int, fixed: int = 0) -> Linear:
    """A linear head, or (``examples.offset``) a linear addition to scores that are there.

    Args:
        examples: Embeddings with the truth of one head.
        seed: Of the folds that choose the strength.
        fixed: The first labels, to whose scores nothing is added.

    Returns:
        Raw scores of embeddings as they are, not standardised.
    """
    scaling = scaling_of(examples)
    scaled = examples.replaced(scaling.apply(examples.clips))
    strength = _choose(scaled, seed, fixed)
    return scaling.fold(_solve(scaled, [s for s in STRENGTHS if s >= strength], fixed)[-1])


def fit_prototypes(examples: Examples, seed: int) -> tuple[Scaling, Double, float, Double]:
    """Typical embeddings: the mean of each label's clips, and how sharply scores fall with the distance from it.

    A label of a multi-label head is the direction from the mean without it to the mean with it.

    Returns:
        Scaling; prototypes (labels, features) of standardised embeddings; sharpness; bias (labels,).
    """
    scaling = scaling_of(examples)
    scaled = examples.replaced(scaling.apply(examples.clips))
    folds = group_folds(scaled, FOLDS, seed)
    grid = [float(10.0**k) / scaled.clips.shape[1] for k in np.arange(-2.0, 2.01, 0.25)]
    losses = np.zeros(len(grid))
    for held in folds:
        means, offsets = _means(scaled.subset(~held))
        judged = scaled.subset(held)
        for i, sharpness in enumerate(grid):
            raw = judged.clips @ (2 * sharpness * means).T + sharpness * (offsets - (means**2).sum(1))
            losses[i] += log_loss(judged, raw)
    sharpness = grid[int(losses.argmin())]
    means, offsets = _means(scaled)
    return scaling, means, sharpness, sharpness * offsets


def _means(examples: Examples) -> tuple[Double, Double]:
    """Prototypes, and what is added to a label's score beside its own squared norm (in units of the sharpness)."""
    weights = examples.clip_weights[:, None]
    clips = examples.clips.astype(np.float64)
    truth = examples.clip_truth
    if examples.task == "multiclass":
        member = (truth[:, None] == np.arange(examples.labels)) * weights
        means = (member.T @ clips) / np.maximum(member.sum(0), 1e-12)[:, None]
        return means, np.zeros(examples.labels)
    yes, no = np.nan_to_num(truth) * weights, np.nan_to_num(1 - truth) * weights
    with_it = (yes.T @ clips) / np.maximum(yes.sum(0), 1e-12)[:, None]
    without = (no.T @ clips) / np.maximum(no.sum(0), 1e-12)[:, None]
    direction = with_it - without
    return direction, (without**2).sum(1) - (with_it**2).sum(1) + (direction**2).sum(1)


def _choose(examples: Examples, seed: int, fixed: int) -> float:
    """The strength with the least loss on tracks of groups that were set aside."""
    losses = np.zeros(len(STRENGTHS))
    for held in group_folds(examples, FOLDS, seed):
        judged = examples.subset(held)
        for i, linear in enumerate(_solve(examples.subset(~held), STRENGTHS, fixed)):
            losses[i] += log_loss(judged, linear(judged.clips))
    return STRENGTHS[int(losses.argmin())]


def _solve(examples: Examples, strengths: Sequence[float], fixed: int) -> list[Linear]:
    """Solutions for falling strengths, each the start of the next."""
    if examples.task == "regression":
        return [_ridge(examples, strength) for strength in strengths]
    loss = _Loss(examples, fixed)
    start = loss.begin()
    found = []
    for strength in strengths:
        start = _minimise(lambda x, s=strength: loss(x, s), start)  # type: ignore[misc]
        found.append(loss.linear(start))
    return found


def _minimise(function: Callable[[Double], tuple[float, Double]], start: Double) -> Double:
    options = {"maxiter": 300, "maxcor": 20, "ftol": 1e-9, "gtol": 1e-6}
    return np.asarray(minimize(function, start, jac=True, method="L-BFGS-B", options=options).x, np.float64)


def _ridge(examples: Examples, strength: float) -> Linear:
    """Ridge regression of standardised embeddings (they have mean 0 under the weights) in closed form."""
    weights = examples.clip_weights / examples.clip_weights.sum()
    clips, truth = examples.clips.astype(np.float64), examples.clip_truth
    middle, mean = weights @ clips, float(weights @ truth)
    clips = clips - middle
    gram = (clips * weights[:, None]).T @ clips + strength * np.eye(clips.shape[1])
    weight = np.linalg.solve(gram, clips.T @ (weights * (truth - mean)))
    return Linear(weight[None], np.array([mean - weight @ middle]))


class _Loss:
    """Mean cross-entropy of the clips and its gradient, by the flat weights and biases."""

    def __init__(self, examples: Examples, fixed: int) -> None:
        self._fixed, self._offset = fixed, 0.0 if examples.offset is None else examples.offset
        self._clips = np.ascontiguousarray(examples.clips, np.float32)
        self._labels, self._features = examples.labels, examples.clips.shape[1]
        self._task: Task = examples.task
        self._weights = examples.loss_weights()
        truth = examples.clip_truth
        if self._task == "multiclass":
            self._target = (truth[:, None] == np.arange(self._labels)).astype(np.float64)
        else:
            self._target = np.nan_to_num(truth)

    def begin(self) -> Double:
        """All zeros, with the bias at the labels' frequency."""
        weights = self._weights if self._weights.ndim == 2 else self._weights[:, None]
        share = np.clip((weights * self._target).sum(0) / np.maximum(weights.sum(0), 1e-12), 1e-3, 1 - 1e-3)
        bias = np.log(share) if self._task == "multiclass" else np.log(share / (1 - share))
        bias[: self._fixed] = 0.0
        return np.concatenate([np.zeros(self._labels * self._features), bias])

    def linear(self, flat: Double) -> Linear:
        """The flat parameters as weight and bias."""
        split = self._labels * self._features
        return Linear(flat[:split].reshape(self._labels, self._features).copy(), flat[split:].copy())

    def __call__(self, flat: Double, strength: float) -> tuple[float, Double]:
        linear = self.linear(flat)
        raw = (self._clips @ linear.weight.T.astype(np.float32)).astype(np.float64) + linear.bias + self._offset
        if self._task == "multiclass":
            raw -= raw.max(1, keepdims=True)
            total = np.exp(raw).sum(1, keepdims=True)
            loss = float(self._weights @ (np.log(total[:, 0]) - (raw * self._target).sum(1)))
            slope = (np.exp(raw) / total - self._target) * self._weights[:, None]
        else:
            loss = float((self._weights * (np.logaddexp(0, raw) - raw * self._target)).sum())
            slope = (0.5 * (1 + np.tanh(0.5 * raw)) - self._target) * self._weights
        slope[:, : self._fixed] = 0.0
        gradient = (slope.T.astype(np.float32) @ self._clips).astype(np.float64) + strength * linear.weight
        loss += 0.5 * strength * float((linear.weight**2).sum())
        return loss, np.concatenate([gradient.ravel(), slope.sum(0)])
