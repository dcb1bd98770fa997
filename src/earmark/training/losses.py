"""What a head learns by (cross-entropy, binary cross-entropy or squared error, where a label is known), and how good a
network is on a part of the data: outputs, losses and scores by track, dropout off.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from earmark.datasets.core import Dataset, HeadSpec
from earmark.engine.base import ahead
from earmark.evaluation import metrics
from earmark.models.card import HeadCard
from earmark.training.calibrate import track_scores
from earmark.training.finish import Outputs
from earmark.training.module import TaggerModule

__all__ = ["HeadTask", "Measured", "fold_scale", "head_loss", "head_task", "measure", "outputs_of"]

_MOST = 20.0
"""A class weighs at most so many times as much as it would."""
_TRACKS = 16
"""Held at once."""
_CLIPS = 8
"""Through the network at once: the maps of more would take gigabytes in a large one, and no less time."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One part of the data.

    Attributes:
        loss: Mean over heads of the mean loss of their labelled tracks; NaN where there are none.
        score: Mean over heads of accuracy, macro PR-AUC or r2.
        pr_auc: Mean over heads of macro PR-AUC (r2 of a number), by which ``select = "pr-auc"`` chooses.
        tracks: (tracks,) loss of each, mean over its heads.
        confusion: By multiclass head, (labels, labels): rows are the truth.
    """

    loss: float
    score: float
    pr_auc: float
    tracks: NDArray[np.float64]
    confusion: dict[str, NDArray[np.int64]]


@torch.inference_mode()
def outputs_of(module: TaggerModule, tracks: Iterable[NDArray[np.float32]], device: torch.device) -> Iterator[Outputs]:
    """What a network gives for tracks, given as clips (clips, frames, bands), in their order."""
    module.eval()
    with closing(ahead(tracks)) as coming:
        while some := list(itertools.islice(coming, _TRACKS)):
            yield from _outputs(module, some, device)


def _outputs(module: TaggerModule, tracks: Sequence[NDArray[np.float32]], device: torch.device) -> Iterator[Outputs]:
    ends = np.cumsum([len(clips) for clips in tracks])[:-1]
    answers = [module(clips.to(device)) for clips in torch.split(torch.from_numpy(np.concatenate(tracks)), _CLIPS)]
    vectors = np.split(torch.cat([embedding for embedding, _ in answers]).float().cpu().numpy(), ends)
    named = {
        name: np.split(torch.cat([raw[name] for _, raw in answers]).float().cpu().numpy(), ends)
        for name in answers[0][1]
    }
    for i, vector in enumerate(vectors):
        yield Outputs(vector, {name: parts[i] for name, parts in named.items()})


def measure(tasks: Sequence[HeadTask], rows: NDArray[np.intp], outputs: Sequence[Outputs], pooling: str) -> Measured:
    """Losses and scores of tracks.

    Args:
        tasks: The heads, whose raw scores of a number are standardised.
        rows: (tracks,) indices into the tasks' targets.
        outputs: (tracks,) what the network gives.
        pooling: Of clips.
    """
    losses, scores, areas, confusion = [], [], [], {}
    for task in tasks:
        raw = [output.raw[task.spec.name] for output in outputs]
        targets = task.targets[torch.from_numpy(rows)]
        losses.append(_track_losses(task, raw, targets))
        card = HeadCard(task.spec.name, task.spec.task, task.spec.labels)
        found, truth = track_scores(raw, card, pooling), targets.numpy().astype(np.float64)
        score, area = _figures(task.spec.task, found, truth)
        scores.append(score)
        areas.append(area)
        if task.spec.task == "multiclass":
            confusion[task.spec.name] = metrics.confusion(truth, found.argmax(1), len(task.spec.labels))
    table = np.stack(losses)
    tracks = np.array([_mean(column) for column in table.T])
    return Measured(_mean([_mean(row) for row in table]), _mean(scores), _mean(areas), tracks, confusion)


def _track_losses(task: HeadTask, raw: Sequence[NDArray[np.float32]], targets: torch.Tensor) -> NDArray[np.float64]:
    """(tracks,) mean loss of each track's clips, without weights or smoothing; NaN where unlabelled."""
    counts = torch.tensor([len(clips) for clips in raw])
    plain = HeadTask(task.spec, task.targets)
    losses = head_loss(plain, torch.from_numpy(np.concatenate(raw)), targets.repeat_interleave(counts, 0))
    owner = np.repeat(np.arange(len(raw)), counts.numpy())
    return np.asarray(np.bincount(owner, losses.numpy().astype(np.float64), len(raw)) / counts.numpy())


def _figures(task: str, scores: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[float, float]:
    """Main figure, and PR-AUC."""
    if task == "regression":
        figure = float(metrics.r2(truth, scores[:, 0]))
        return figure, figure
    if task == "multiclass":
        one_hot = np.where(np.isnan(truth)[:, None], np.nan, truth[:, None] == np.arange(scores.shape[1]))
        return float(metrics.accuracy(truth, scores.argmax(1))), _macro(one_hot, scores)
    area = _macro(truth, scores)
    return area, area


def _macro(truth: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    """Mean over labels of the average precision; labels without a positive track do not count."""
    return _mean([float(metrics.average_precision(truth[:, i], scores[:, i])) for i in range(scores.shape[1])])


def _mean(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Mean of what is not NaN."""
    array = np.asarray(values, np.float64)
    known = array[~np.isnan(array)]
    return float(known.mean()) if len(known) else math.nan
