"""Heads fitted to embeddings: linear ones and prototypes in closed or convex form, hidden layers by full batches.

What they are fitted to are embeddings with the truth of one head, as arrays; tracks count, not clips. Linear heads are
regularised logistic regression (:mod:`earmark.evaluation.regression`) and ridge, the classical way to learn from few
songs: one convex problem, and a strength chosen on artists that were set aside. Embeddings are standardised;
:class:`Linear` has that folded in.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from earmark.datasets.core import HeadSpec
from earmark.datasets.splits import stratified_group_folds
from earmark.errors import EarmarkError
from earmark.evaluation.regression import Linear, fit_strengths
from earmark.inference.scores import pool, probabilities
from earmark.models.card import HeadCard
from earmark.recipe import HeadDesign, Task, Training
from earmark.training.heads import Ensemble, Prototypes, build_head

__all__ = [
    "STRENGTHS",
    "Examples",
    "Linear",
    "Scaling",
    "condensed",
    "examples_of",
    "fit_head",
    "fit_linear",
    "fit_prototypes",
    "group_folds",
    "log_loss",
    "pooled",
    "scaling_of",
]

Array = NDArray[np.float32]
Double = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Clips of labelled tracks.

    Attributes:
        task: Of the head.
        labels: Number of raw scores.
        clips: (clips, features) float32.
        owner: (clips,) row of the track that each clip is from, ascending from 0.
        truth: (tracks,) index of the label or the number; multi-label (tracks, labels) 0, 1 or NaN.
        group: (tracks,) a number an artist.
        balance: Whether rare labels weigh more.
        offset: (clips, labels) raw scores that are there already and are added to; None where there are none.
    """

    task: Task
    labels: int
    clips: Array
    owner: NDArray[np.intp]
    truth: Double
    group: NDArray[np.intp]
    balance: bool = False
    offset: Double | None = None

    @property
    def clip_truth(self) -> Double:
        """The truth of each clip's track."""
        return np.asarray(self.truth[self.owner])

    @property
    def clip_weights(self) -> Double:
        """(clips,) one over the number of clips of the track."""
        return np.asarray(1.0 / np.bincount(self.owner, minlength=len(self.truth))[self.owner])

    def replaced(self, clips: Array) -> Examples:
        """The same with other numbers a clip."""
        return replace(self, clips=clips)

    def subset(self, tracks: NDArray[np.bool_]) -> Examples:
        """Only the tracks marked True."""
        kept = tracks[self.owner]
        renumbered = np.cumsum(tracks) - 1
        owner = renumbered[self.owner[kept]]
        offset = None if self.offset is None else self.offset[kept]
        group, truth = self.group[tracks], self.truth[tracks]
        return replace(self, clips=self.clips[kept], owner=owner, truth=truth, group=group, offset=offset)

    def loss_weights(self) -> Double:
        """Weights that add up to 1 a score: (clips,); multi-label (clips, labels), 0 where not labelled.

        With ``balance`` every class (multi-label: presence and absence of every label) weighs the same; ten-fold at
        most, so that a label of two songs does not rule.
        """
        weights = self.clip_weights
        truth = self.clip_truth
        if self.task != "multilabel":
            if self.balance and self.task == "multiclass":
                shares = np.bincount(truth.astype(np.intp), weights, self.labels) / weights.sum()
                weights = weights * _rarity(shares)[truth.astype(np.intp)]
            return np.asarray(weights / weights.sum())
        table = np.where(np.isnan(truth), 0.0, weights[:, None])
        if self.balance:
            present = (table * np.nan_to_num(truth)).sum(0) / np.maximum(table.sum(0), 1e-12)
            gain = np.stack([_rarity(1 - present, 2), _rarity(present, 2)])
            table = table * gain[np.nan_to_num(truth).astype(np.intp), np.arange(self.labels)]
        return np.asarray(table / np.maximum(table.sum(0), 1e-12))


def _rarity(shares: Double, classes: int | None = None) -> Double:
    """What a class of that share weighs more than in a balanced set, between 0.1 and 10."""
    return np.clip(1.0 / np.maximum(shares * (classes or len(shares)), 1e-12), 0.1, 10.0)


def examples_of(
    spec: HeadSpec,
    embeddings: Sequence[Array | None],
    targets: NDArray[np.float32],
    groups: Sequence[str] | NDArray[np.integer],
    *,
    balance: Literal["none", "sample", "loss"] = "none",
) -> Examples:
    """The tracks that one head has a label for and that could be analysed.

    Args:
        spec: The head.
        embeddings: (tracks,) of (clips, features).
        targets: As :meth:`earmark.datasets.Dataset.targets`.
        groups: (tracks,) names or numbers.
        balance: With all clips in every step, ``sample`` and ``loss`` come to the same.
    """
    unlabelled = [bool(np.isnan(target).all()) for target in targets]
    rows = [row for row, one in enumerate(embeddings) if one is not None and not unlabelled[row]]
    clips = [np.asarray(embeddings[row], np.float32) for row in rows]
    numbers: dict[object, int] = {}
    return Examples(
        task=spec.task,
        labels=len(spec.labels) or 1,
        clips=np.concatenate(clips) if clips else np.zeros((0, 0), np.float32),
        owner=np.repeat(np.arange(len(rows)), [len(one) for one in clips]).astype(np.intp),
        truth=targets[rows].astype(np.float64),
        group=np.array([numbers.setdefault(groups[row], len(numbers)) for row in rows], np.intp),
        balance=balance != "none",
    )


def pooled(raw: NDArray[np.floating], owner: NDArray[np.intp], head: HeadCard, pooling: str) -> Double:
    """Probabilities of tracks (tracks, labels) from raw scores of clips (clips, labels), as inference makes them."""
    how = head.pooling or pooling
    clips = raw.astype(np.float64) if how == "logits" else probabilities(np.asarray(raw, np.float32), head)
    edges = np.flatnonzero(np.diff(owner)) + 1
    parts = np.split(clips, edges) if len(clips) else []
    whole = [part.mean(axis=0) if how == "logits" else pool(part, how, head.task) for part in parts]
    found = np.array(whole).reshape(len(parts), raw.shape[1])
    return probabilities(found, head) if how == "logits" else found


def log_loss(examples: Examples, raw: NDArray[np.floating]) -> float:
    """Loss of the tracks, summed: cross-entropy of the mean probability; of a number the squared error.

    Args:
        examples: The truth.
        raw: (clips, labels) scores, to which the examples' offset is added.
    """
    if not len(examples.truth):
        return 0.0
    if examples.offset is not None:
        raw = raw + examples.offset
    scores = pooled(raw, examples.owner, HeadCard("", examples.task), "mean")
    truth = examples.truth
    if examples.task == "regression":
        return float(((scores[:, 0] - truth) ** 2).sum())
    scores = np.clip(scores, 1e-7, 1 - 1e-7)
    if examples.task == "multiclass":
        return float(-np.log(scores[np.arange(len(truth)), truth.astype(np.intp)]).sum())
    return float(-np.nansum(truth * np.log(scores) + (1 - truth) * np.log(1 - scores)))


def group_folds(examples: Examples, count: int, seed: int) -> list[NDArray[np.bool_]]:
    """Tracks set aside in each fold: (tracks,) True; see :func:`~earmark.datasets.splits.stratified_group_folds`."""
    truth = examples.truth
    if examples.task == "multiclass":
        truth = (truth[:, None] == np.arange(examples.labels)).astype(np.float64)
    labels = truth if truth.ndim == 2 else np.zeros((len(truth), 0))
    parts = stratified_group_folds(examples.group.tolist(), labels, count, seed)
    return [np.isin(np.arange(len(truth)), part) for part in parts]


STRENGTHS = tuple(float(10.0**k) for k in np.arange(1.0, -4.1, -0.5))
"""Weights of the squared norm that are tried, the strongest first."""

FOLDS = 5

_MOST = 40_000  # clips that a linear head is fitted to: more cost time, and are much the same songs
_CHOICE = 6_000  # clips that its strength is chosen on


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
    examples = condensed(examples, _MOST)
    scaling = scaling_of(examples)
    scaled = examples.replaced(scaling.apply(examples.clips))
    some = _some(scaled, seed)
    share = len(scaled.truth) / len(some.truth)  # beside the mean loss, more songs need less of the norm
    strength = _choose(some, [s * share for s in STRENGTHS], seed, fixed) / share
    path = [s for s in STRENGTHS if s >= strength * 0.999]
    return scaling.fold(_solve(scaled, path if some is scaled else path[-3:], fixed)[-1])


def condensed(examples: Examples, most: int) -> Examples:
    """The same tracks with at most about ``most`` clips: of each track the means of as many runs of its clips.

    A linear head's score of a mean is the mean of its scores, so that little is lost where there are many tracks.
    """
    number = np.bincount(examples.owner, minlength=len(examples.truth))
    if len(examples.owner) <= most or examples.offset is not None:
        return examples
    wanted = max(1, most // len(number))
    place = np.arange(len(examples.owner)) - (np.cumsum(number) - number)[examples.owner]
    run = place * np.minimum(wanted, number)[examples.owner] // number[examples.owner]
    starts = np.flatnonzero(np.diff(examples.owner * (wanted + 1) + run, prepend=-1))
    lengths = np.diff(starts, append=len(examples.owner))
    clips = np.asarray(np.add.reduceat(examples.clips, starts, axis=0) / lengths[:, None], np.float32)
    return replace(examples, clips=clips, owner=examples.owner[starts])


def _some(examples: Examples, seed: int) -> Examples:
    """What the strength is chosen on: all, or where there is much, the tracks of some of the groups."""
    if len(examples.owner) <= _CHOICE:
        return examples
    order = np.random.default_rng([seed, 11]).permutation(int(examples.group.max()) + 1)
    tracks = np.cumsum(np.bincount(examples.group, minlength=len(order))[order])
    kept = order[: max(2 * FOLDS, int(np.searchsorted(tracks, _CHOICE // 2)))]
    return condensed(examples.subset(np.isin(examples.group, kept)), _CHOICE)


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


def _choose(examples: Examples, strengths: Sequence[float], seed: int, fixed: int) -> float:
    """The strength with the least loss on tracks of groups that were set aside."""
    losses = np.zeros(len(strengths))
    for held in group_folds(examples, FOLDS, seed):
        scored = examples.subset(held)
        for i, linear in enumerate(_solve(examples.subset(~held), strengths, fixed)):
            losses[i] += log_loss(scored, linear(scored.clips))
    return strengths[int(losses.argmin())]


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


def fit_head(design: HeadDesign, spec: HeadSpec, examples: Examples, training: Training, seed: int) -> nn.Module:
    """A trained head.

    Args:
        design: What stands between the embedding and the scores.
        spec: Its vocabulary.
        examples: Embeddings with the truth.
        training: Steps (``epochs``), learning rate, weight decay and patience of hidden layers; a linear head and
            prototypes choose their own strength.
        seed: Of the folds and the weights.

    Returns:
        Module of embeddings as they are (standardisation is folded in), on the CPU, in evaluation mode.

    Raises:
        RecipeError: An unknown classifier.
        EarmarkError: Embeddings that are not finite numbers.
    """
    if not np.isfinite(examples.clips).all():
        raise EarmarkError(f"head {spec.name!r}: an embedding is not a finite number (NaN): the base model is damaged")
    head = build_head(design, examples.clips.shape[1], spec, seed)
    members = list(head.members) if isinstance(head, Ensemble) else [head]
    for number, member in enumerate(members):
        if isinstance(member, Prototypes):
            _fill_prototypes(member, examples, seed)
        elif sum(isinstance(layer, nn.Linear) for layer in member.modules()) == 1:
            _fill_linear(member, examples, seed)
        else:
            _train_layers(member, examples, training, seed * 1009 + number)
    return head.eval()


def _fill_linear(member: nn.Module, examples: Examples, seed: int) -> None:
    found = fit_linear(examples, seed)
    layer = next(layer for layer in member.modules() if isinstance(layer, nn.Linear))
    _set(layer.weight, found.weight)
    _set(layer.bias, found.bias)


def _fill_prototypes(member: Prototypes, examples: Examples, seed: int) -> None:
    scaling, means, sharpness, bias = fit_prototypes(examples, seed)
    _set(member.prototypes, means)
    _set(member.sharpness, np.array(sharpness))
    _set(member.bias, bias)
    _set(member.centre, scaling.centre)
    _set(member.scale, scaling.scale)


def _set(parameter: torch.Tensor, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.asarray(values)))


def _train_layers(member: nn.Module, examples: Examples, training: Training, seed: int) -> None:
    """Full-batch AdamW on standardised embeddings; stopped by the loss on a fifth of the groups, which it then keeps.

    The best step is found with that fifth set aside; it is not trained again on everything, so that the same run
    always ends the same way whatever ``patience`` is.
    """
    scaling = scaling_of(examples)
    held = group_folds(examples, 5, seed)[0]
    train, valid = (_Batch(examples.subset(part), scaling) for part in (~held, held))
    optimiser = torch.optim.AdamW(member.parameters(), training.learning_rate, weight_decay=training.weight_decay)
    best, best_loss, waited = copy.deepcopy(member.state_dict()), float("inf"), 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(training.epochs):
            member.train()
            optimiser.zero_grad()
            torch.autograd.backward(train.loss(member))
            optimiser.step()
            member.eval()
            with torch.no_grad():
                loss = float(valid.loss(member))
            waited += 1
            if loss < best_loss:
                best, best_loss, waited = copy.deepcopy(member.state_dict()), loss, 0
            elif training.patience and waited >= training.patience:
                break
    if not np.isfinite(best_loss):
        raise EarmarkError("the loss became NaN: lower training.learning_rate (--set training.learning_rate=0.0003)")
    member.load_state_dict(best)
    _fold(member, scaling, train.middle, train.spread)


class _Batch:
    """All clips as tensors, and the loss on them; numbers are standardised."""

    def __init__(self, examples: Examples, scaling: Scaling) -> None:
        self._task = examples.task
        self._clips = torch.from_numpy(scaling.apply(examples.clips))
        self._weights = torch.from_numpy(examples.loss_weights()).float()
        truth = examples.clip_truth
        self.middle = float(truth.mean()) if self._task == "regression" else 0.0
        self.spread = float(truth.std()) or 1.0 if self._task == "regression" else 1.0
        self._truth = torch.from_numpy((np.nan_to_num(truth) - self.middle) / self.spread).float()

    def loss(self, member: nn.Module) -> torch.Tensor:
        """Weighted mean loss of the clips."""
        raw: torch.Tensor = member(self._clips)
        if self._task == "regression":
            squared: torch.Tensor = (raw[:, 0] - self._truth).square()
            return (self._weights * squared).sum()
        if self._task == "multiclass":
            return (self._weights * functional.cross_entropy(raw, self._truth.long(), reduction="none")).sum()
        each = functional.binary_cross_entropy_with_logits(raw, self._truth, reduction="none")
        return (self._weights * each).sum() / raw.shape[1]


def _fold(member: nn.Module, scaling: Scaling, middle: float, spread: float) -> None:
    """Take the standardisation of embeddings into the first linear layer, and that of a number into the last."""
    layers = [layer for layer in member.modules() if isinstance(layer, nn.Linear)]
    weight = layers[0].weight.detach().double().numpy() / scaling.scale
    bias = layers[0].bias.detach().double().numpy() - weight @ scaling.centre
    _set(layers[0].weight, weight)
    _set(layers[0].bias, bias)
    with torch.no_grad():
        layers[-1].weight.mul_(spread)
        layers[-1].bias.mul_(spread).add_(middle)
