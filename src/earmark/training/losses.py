"""What a head is taught by: cross-entropy, binary cross-entropy or squared error, where a label is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from earmark.datasets.core import Dataset, HeadSpec

__all__ = ["HeadTask", "fold_scale", "head_loss", "head_task"]

_MOST = 20.0
"""A class weighs at most so many times as much as it would."""


@dataclass(frozen=True, slots=True, eq=False)
class HeadTask:
    """What one head learns.

    Attributes:
        spec: Its vocabulary.
        targets: (tracks,) or (tracks, labels) of the data set, NaN where unlabelled; numbers standardised.
        weight: (labels,) by which classes (multi-label: positives) weigh; None for equally.
        mean: Of the training part's numbers.
        scale: Their standard deviation.
    """

    spec: HeadSpec
    targets: torch.Tensor
    weight: torch.Tensor | None = None
    mean: float = 0.0
    scale: float = 1.0


def head_task(dataset: Dataset, spec: HeadSpec, train: NDArray[np.intp], balanced: bool) -> HeadTask:
    """What a head learns from the training part.

    Args:
        dataset: All tracks.
        spec: The head.
        train: Indices of the training part.
        balanced: Whether rare classes weigh more, by the inverse of their frequency.
    """
    targets = dataset.targets(spec.name)
    known = targets[train][~np.isnan(targets[train].reshape(len(train), -1)).any(1)]
    if spec.task == "regression":
        mean, scale = float(known.mean()), float(known.std()) or 1.0
        return HeadTask(spec, torch.from_numpy((targets - mean) / scale), None, mean, scale)
    weight = None
    if balanced and spec.task == "multiclass":
        counts = np.bincount(known.astype(int), minlength=len(spec.labels)).astype(np.float64)
        weight = np.minimum(len(known) / np.maximum(counts, 1) / len(spec.labels), _MOST)
    elif balanced:
        positives = np.maximum(known.sum(0), 1)
        weight = np.clip((len(known) - positives) / positives, 1 / _MOST, _MOST)
    return HeadTask(
        spec, torch.from_numpy(targets), None if weight is None else torch.from_numpy(weight.astype(np.float32))
    )


def head_loss(
    task: HeadTask, raw: torch.Tensor, target: torch.Tensor, smoothing: float = 0.0, costs: torch.Tensor | None = None
) -> torch.Tensor:
    """Loss of each clip.

    Args:
        task: The head; its ``weight`` counts.
        raw: (clips, labels) or (clips, 1) raw scores, float32.
        target: (clips,) or (clips, labels), NaN where unlabelled.
        smoothing: Of a multiclass head's labels (Szegedy et al. 2016).
        costs: (labels, labels) what it costs beside to take the row's class for the column's.

    Returns:
        (clips,), NaN where unlabelled.
    """
    if task.spec.task == "regression":
        # NaN must not meet the raw score: its gradient would be NaN even where the loss is not used.
        return torch.where(target.isnan(), torch.nan, (raw[:, 0] - torch.nan_to_num(target)).square())
    if task.spec.task == "multilabel":
        known = torch.nan_to_num(target)
        losses = functional.binary_cross_entropy_with_logits(raw, known, pos_weight=task.weight, reduction="none")
        return torch.where(target[:, 0].isnan(), torch.nan, losses.mean(1))
    truth = torch.nan_to_num(target).long()
    loss = functional.cross_entropy(raw, truth, task.weight, reduction="none", label_smoothing=smoothing)
    if costs is not None:
        loss = loss + (torch.softmax(raw, 1) * costs[truth]).sum(1)
    return torch.where(target.isnan(), torch.nan, loss)


def fold_scale(head: nn.Module, task: HeadTask, backwards: bool = False) -> None:
    """Let a regression head give the number itself instead of the standardised one (or the other way round).

    The last linear layer of the head, or of each of its members, takes the scale over.
    """
    if task.spec.task != "regression":
        return
    for member in getattr(head, "members", [head]):
        last = [layer for layer in member.modules() if isinstance(layer, nn.Linear)][-1]
        with torch.no_grad():
            if backwards:
                last.bias.sub_(task.mean).div_(task.scale)
                last.weight.div_(task.scale)
            else:
                last.weight.mul_(task.scale)
                last.bias.mul_(task.scale).add_(task.mean)
