"""Linear heads: regularised logistic regression (:mod:`earmark.evaluation.regression`), ridge, prototypes.

The classical way to learn from few songs: one convex problem, and a strength chosen on artists that were set aside.
Embeddings are standardised; :class:`Linear` has that folded in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.evaluation.regression import Linear, cross_entropy, fit_strengths
from earmark.training.examples import Examples, group_folds, log_loss

__all__ = [
    "STRENGTHS",
    "Linear",
    "Scaling",
    "fit_linear",
    "fit_partial",
    "fit_prototypes",
    "partial_loss",
    "scaling_of",
]

Array = NDArray[np.float32]
Double = NDArray[np.float64]

STRENGTHS = tuple(float(10.0**k) for k in np.arange(1.0, -4.1, -0.5))
"""Weights of the squared norm that are tried, the strongest first."""

FOLDS = 5


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
        scored = scaled.subset(held)
        for i, sharpness in enumerate(grid):
            raw = scored.clips @ (2 * sharpness * means).T + sharpness * (offsets - (means**2).sum(1))
            losses[i] += log_loss(scored, raw)
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
        scored = examples.subset(held)
        for i, linear in enumerate(_solve(examples.subset(~held), STRENGTHS, fixed)):
            losses[i] += log_loss(scored, linear(scored.clips))
    return STRENGTHS[int(losses.argmin())]


def _solve(examples: Examples, strengths: Sequence[float], fixed: int) -> list[Linear]:
    """Solutions for falling strengths, each the start of the next."""
    if examples.task == "regression":
        return [_ridge(examples, strength) for strength in strengths]
    multiclass, truth = examples.task == "multiclass", examples.clip_truth
    marks = (truth[:, None] == np.arange(examples.labels)).astype(np.float64) if multiclass else truth
    return fit_strengths(
        examples.clips,
        marks,
        strengths,
        multiclass=multiclass,
        weights=examples.loss_weights(),
        addition=None if examples.offset is None else (examples.offset, fixed),
    )


def _ridge(examples: Examples, strength: float) -> Linear:
    """Ridge regression of standardised embeddings (they have mean 0 under the weights) in closed form."""
    weights = examples.clip_weights / examples.clip_weights.sum()
    clips, truth = examples.clips.astype(np.float64), examples.clip_truth
    middle, mean = weights @ clips, float(weights @ truth)
    clips = clips - middle
    gram = (clips * weights[:, None]).T @ clips + strength * np.eye(clips.shape[1])
    weight = np.linalg.solve(gram, clips.T @ (weights * (truth - mean)))
    return Linear(weight[None], np.array([mean - weight @ middle]))


def fit_partial(examples: Examples, marks: Array, strengths: Sequence[float]) -> list[Linear]:
    """Linear heads from partial labels, of falling strengths of the penalty.

    Args:
        examples: Embeddings, and whether the head is ``multiclass``; its ``truth`` is not looked at.
        marks: (tracks, labels), as :func:`~earmark.evaluation.regression.cross_entropy` takes them ("Pop/Rock" is Pop,
            Rock or Metal, and not which).
        strengths: Weights of the squared norm beside the mean loss, the strongest first.

    Returns:
        Raw scores of embeddings as they are, not standardised.
    """
    scaling = scaling_of(examples)
    clips, weights = scaling.apply(examples.clips), examples.clip_weights / examples.clip_weights.sum()
    multiclass = examples.task == "multiclass"
    found = fit_strengths(clips, marks[examples.owner], strengths, multiclass=multiclass, weights=weights)
    return [scaling.fold(linear) for linear in found]


def partial_loss(examples: Examples, marks: Array, raw: Array) -> float:
    """Mean over the clips, tracks weighing the same, of what :func:`fit_partial` makes small (without the penalty)."""
    value, _ = cross_entropy(raw, marks[examples.owner], examples.task == "multiclass")
    return float(examples.clip_weights @ (value.sum(1) if value.ndim == 2 else value) / examples.clip_weights.sum())
