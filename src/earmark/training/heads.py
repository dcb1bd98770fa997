"""Heads: embedding (batch, features) to raw scores (batch, labels); a linear layer, hidden layers, or an ensemble.

An ensemble of classifiers in place of the last layers is what S2 wanted next. It is one head with one answer: members
with weights of their own whose mean is taken here, so that it travels in the same ONNX file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from earmark.datasets.core import HeadSpec
from earmark.errors import RecipeError
from earmark.recipe import HeadDesign, Task

__all__ = ["SMALLEST", "Ensemble", "Layers", "Prototypes", "build_head", "build_member", "hidden_vector", "outputs_of"]

SMALLEST = 1e-30
"""Probabilities below it are taken for it before a logarithm."""

_MEMBER = re.compile(r"linear|prototype|mlp-([1-9][0-9]{0,4})")


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
    """One classifier of an ensemble: ``linear``, ``prototype`` or ``mlp-WIDTH``; arguments as in :func:`build_head`."""
    found = _MEMBER.fullmatch(name)
    if found is None:
        raise RecipeError(f"heads.ensemble: unknown classifier {name!r}; known: linear, prototype, mlp-WIDTH (mlp-256)")
    if name == "prototype" and spec.task == "regression":
        raise RecipeError(f"heads.ensemble: a prototype needs classes, but the head {spec.name!r} is a number")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name == "prototype":
            return Prototypes(features, outputs_of(spec))
        hidden = (int(found[1]),) if found[1] else ()
        return _layers(features, hidden, outputs_of(spec), design)


class Layers(nn.Sequential):
    """Fully connected layers, the last of which gives the raw scores."""

    def hidden_vector(self, embedding: torch.Tensor) -> torch.Tensor | None:
        """What the last hidden layer holds, (batch, width), after its ReLU (S1's 15 nodes); None without one."""
        ends = [place for place, layer in enumerate(self) if isinstance(layer, nn.ReLU)]
        return self[: ends[-1] + 1](embedding) if ends else None


def hidden_vector(head: nn.Module, embedding: torch.Tensor) -> torch.Tensor | None:
    """What the last hidden layer of a head says (batch, width); None where it has none, or is an ensemble."""
    if not isinstance(head, nn.Sequential) or len(head) <= 2:
        return None
    hidden: torch.Tensor = head[:-2](embedding)
    return hidden


def _layers(features: int, hidden: Sequence[int], outputs: int, design: HeadDesign) -> Layers:
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Dropout(design.dropout), nn.Linear(features, width)]
        layers += [nn.BatchNorm1d(width), nn.ReLU()] if design.batch_norm else [nn.ReLU()]
        features = width
    return Layers(*layers, nn.Dropout(design.dropout), nn.Linear(features, outputs))


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
        if self.task == "regression":
            return scores.mean(0)
        if self.task == "multiclass":
            if self.mean == "mean-log":
                return torch.log_softmax(scores, dim=2).mean(0)
            return torch.softmax(scores, dim=2).mean(0).clamp_min(SMALLEST).log()
        if self.mean == "mean-log":
            return scores.mean(0)
        yes, no = torch.sigmoid(scores).mean(0), torch.sigmoid(-scores).mean(0)
        return yes.clamp_min(SMALLEST).log() - no.clamp_min(SMALLEST).log()
