"""Heads fitted to embeddings: linear ones and prototypes in closed or convex form, hidden layers by full batches."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from earmark.datasets.core import HeadSpec
from earmark.errors import EarmarkError
from earmark.recipe import HeadDesign, Training
from earmark.training.examples import Examples, group_folds
from earmark.training.heads import Ensemble, Prototypes, build_head
from earmark.training.linear import Scaling, fit_linear, fit_prototypes, scaling_of

__all__ = ["fit_head"]


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
