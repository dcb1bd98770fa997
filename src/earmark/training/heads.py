"""Heads: embedding (batch, features) to raw scores (batch, labels); a linear layer, hidden layers, or an ensemble.

An ensemble of classifiers in place of the last layers is what S2 planned next. It is one head with one answer: members
with weights of their own, whose mean is taken here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from earmark.datasets.core import HeadSpec
from earmark.errors import ModelError, RecipeError
from earmark.models.network import SMALLEST, Dense, HeadWeights
from earmark.recipe import HeadDesign, Task

__all__ = ["Ensemble", "Layers", "Part", "Prototypes", "build_head", "build_member", "outputs_of", "weights_of"]

_MEMBER = re.compile(r"linear|prototype|mlp-([1-9][0-9]{0,4})|part-([1-9][0-9]?)/([1-9][0-9]?)")


def outputs_of(spec: HeadSpec) -> int:
    """Width of a head's raw scores: one a label, one for a number."""
    return len(spec.labels) or 1


def build_head(design: HeadDesign, features: int, spec: HeadSpec, seed: int) -> nn.Module:
    """A head with random weights.

    Args:
        design: What stands between the embedding and the scores.
        features: Numbers in an embedding.
        spec: Its vocabulary.
        seed: Of the weights; members of an ensemble have seeds of their own, drawn from it.

    Returns:
        Module from (batch, features) to raw scores (batch, labels), or (batch, 1) of a number.

    Raises:
        RecipeError: An unknown member, or a prototype for a number.
    """
    outputs = outputs_of(spec)
    if not design.ensemble:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return _layers(features, design.hidden, outputs, design)
    members = [
        build_member(name, design, features, spec, seed * 1009 + number) for number, name in enumerate(design.ensemble)
    ]
    return Ensemble(members, spec.task, design.mean)


def build_member(name: str, design: HeadDesign, features: int, spec: HeadSpec, seed: int) -> nn.Module:
    """One classifier of an ensemble: ``linear``, ``prototype``, ``mlp-WIDTH`` or ``part-N/OF``.

    The last is linear in the N-th of so many equal parts of the embedding; arguments as in :func:`build_head`.
    """
    found = _MEMBER.fullmatch(name)
    if found is None:
        known = "linear, prototype, mlp-WIDTH (mlp-256), part-N/OF (part-1/3)"
        raise RecipeError(f"heads.ensemble: unknown classifier {name!r}; known: {known}")
    if name == "prototype" and spec.task == "regression":
        raise RecipeError(f"heads.ensemble: a prototype needs classes, but the head {spec.name!r} is a number")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name == "prototype":
            return Prototypes(features, outputs_of(spec))
        if found[2]:
            return Part(int(found[2]), int(found[3]), features, outputs_of(spec), design)
        hidden = (int(found[1]),) if found[1] else ()
        return _layers(features, hidden, outputs_of(spec), design)


class Layers(nn.Sequential):
    """Fully connected layers, the last of which gives the raw scores."""


def _layers(features: int, hidden: Sequence[int], outputs: int, design: HeadDesign) -> Layers:
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Dropout(design.dropout), nn.Linear(features, width)]
        layers += [nn.BatchNorm1d(width), nn.ReLU()] if design.batch_norm else [nn.ReLU()]
        features = width
    return Layers(*layers, nn.Dropout(design.dropout), nn.Linear(features, outputs))


class Part(nn.Module):
    """A linear classifier on one of several equal parts of the embedding: of one network of several side by side."""

    def __init__(self, number: int, of: int, features: int, outputs: int, design: HeadDesign) -> None:
        super().__init__()
        if number > of or features % of:
            raise RecipeError(f"heads.ensemble: part-{number}/{of} is no part of an embedding of {features} numbers")
        self.start, self.stop = (number - 1) * features // of, number * features // of
        self.features = features
        self.layers = _layers(self.stop - self.start, (), outputs, design)

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """Raw scores (batch, labels) of embeddings (batch, features)."""
        scores: torch.Tensor = self.layers(embedding[:, self.start : self.stop])
        return scores


class Prototypes(nn.Module):
    """A typical embedding a label; a score falls with the squared distance from it (Snell et al. 2017).

    The squared norm of the embedding is common to all labels; it is left out, so that a score is linear in the
    embedding and does not run away far from the data. ``centre`` and ``scale`` (features,) standardise embeddings.
    """

    centre: torch.Tensor
    scale: torch.Tensor

    def __init__(self, features: int, labels: int) -> None:
        """Start from prototypes near the origin."""
        super().__init__()
        self.prototypes = nn.Parameter(torch.randn(labels, features) / features**0.5)
        self.sharpness = nn.Parameter(torch.tensor(1.0))
        self.bias = nn.Parameter(torch.zeros(labels))
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    def linear(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The same scores as weight (labels, features) and bias (labels,)."""
        weight = 2 * self.sharpness * self.prototypes / self.scale
        return weight, self.bias - self.sharpness * self.prototypes.square().sum(1) - weight @ self.centre

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """Raw scores (batch, labels) of embeddings (batch, features)."""
        return functional.linear(embedding, *self.linear())


class Ensemble(nn.Module):
    """Several classifiers with one answer: the mean of their probabilities, or of the logarithms of these.

    Raw scores again: their softmax (sigmoid) is that mean, so that calibration treats them as any other head's.
    """

    def __init__(self, members: Sequence[nn.Module], task: Task, mean: Literal["mean", "mean-log"]) -> None:
        """Put classifiers of one vocabulary together."""
        super().__init__()
        self.members = nn.ModuleList(members)
        self.task, self.mean = task, mean

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """Raw scores (batch, labels) of embeddings (batch, features)."""
        scores = torch.stack([member(embedding) for member in self.members])
        if self.task == "regression" or self.mean == "mean-log":
            return scores.mean(0)
        if self.task == "multiclass":
            return torch.softmax(scores, dim=2).mean(0).clamp_min(SMALLEST).log()
        yes, no = torch.sigmoid(scores).mean(0), torch.sigmoid(-scores).mean(0)
        return yes.clamp_min(SMALLEST).log() - no.clamp_min(SMALLEST).log()


def weights_of(head: nn.Module) -> HeadWeights:
    """The arrays of a trained head for a model folder: dropout is gone, batch norm folded in, computed in float64.

    Raises:
        ModelError: A layer that a model folder has no step for.
    """
    if isinstance(head, Ensemble):
        members = tuple(_steps(member) for member in head.members)
        return HeadWeights(members, "probabilities" if head.mean == "mean" else "logits")
    return HeadWeights((_steps(head),))


def _steps(head: nn.Module) -> tuple[Dense, ...]:
    if isinstance(head, Prototypes):
        weight, bias = (values.detach().numpy() for values in head.linear())
        return (Dense(weight, bias),)
    if isinstance(head, Part):  # the other parts weigh nothing
        (step,) = _steps(head.layers)
        return (replace(step, weight=np.pad(step.weight, ((0, 0), (head.start, head.features - head.stop)))),)
    steps: list[Dense] = []
    for layer in (layer for layer in head.modules() if not list(layer.children())):
        if isinstance(layer, nn.Linear):
            steps.append(Dense(layer.weight.detach().numpy(), layer.bias.detach().numpy()))
        elif isinstance(layer, nn.BatchNorm1d) and steps and steps[-1].activation == "none":
            steps[-1] = _folded(steps[-1], layer)
        elif isinstance(layer, nn.ReLU) and steps:
            steps[-1] = replace(steps[-1], activation="relu")
        elif not isinstance(layer, (nn.Dropout, nn.Identity)):
            raise ModelError(f"a head with {type(layer).__name__} cannot be written into a model folder")
    return tuple(steps)


def _folded(step: Dense, norm: nn.BatchNorm1d) -> Dense:
    """A linear layer with the batch norm behind it as one step."""
    assert norm.running_mean is not None and norm.running_var is not None
    gain = norm.weight.detach().double().numpy() / np.sqrt(norm.running_var.double().numpy() + norm.eps)
    bias = (step.bias - norm.running_mean.double().numpy()) * gain + norm.bias.detach().double().numpy()
    return Dense((step.weight * gain[:, None]).astype(np.float32), bias.astype(np.float32))
