"""How good a network is on a part of the data, dropout off: outputs, losses and scores by track."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from earmark.evaluation import metrics
from earmark.models.card import HeadCard
from earmark.training.calibrate import track_scores
from earmark.training.losses import HeadTask, head_loss
from earmark.training.module import TaggerModule
from earmark.training.outputs import Outputs

__all__ = ["Measured", "hear", "measure"]

_TRACKS = 16
"""Read at once, by all cores."""
_CLIPS = 8
"""Through the network at once: the maps of more would take gigabytes in a large one, and no less time."""


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
def hear(
    module: TaggerModule, rows: Sequence[int], see: Callable[[int], NDArray[np.float32]], device: torch.device
) -> Iterator[Outputs]:
    """What a network says of tracks, in their order; ``see`` gives a track's clips (clips, frames, bands)."""
    module.eval()
    with ThreadPoolExecutor(os.cpu_count() or 1) as readers:
        for first in range(0, len(rows), _TRACKS):
            yield from _said(module, list(readers.map(see, rows[first : first + _TRACKS])), device)


def _said(module: TaggerModule, tracks: Sequence[NDArray[np.float32]], device: torch.device) -> Iterator[Outputs]:
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
        outputs: (tracks,) what the network says.
        pooling: Of clips.
    """
    losses, scores, areas, confusion = [], [], [], {}
    for task in tasks:
        raw = [output.raw[task.spec.name] for output in outputs]
        targets = task.targets[torch.from_numpy(rows)]
        losses.append(_track_losses(task, raw, targets))
        card = HeadCard(task.spec.name, task.spec.task, task.spec.labels)
        said, truth = track_scores(raw, card, pooling), targets.numpy().astype(np.float64)
        score, area = _figures(task.spec.task, said, truth)
        scores.append(score)
        areas.append(area)
        if task.spec.task == "multiclass":
            confusion[task.spec.name] = metrics.confusion(truth, said.argmax(1), len(task.spec.labels))
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


def _figures(task: str, said: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[float, float]:
    """Main figure, and PR-AUC."""
    if task == "regression":
        score = float(metrics.r2(truth, said[:, 0]))
        return score, score
    if task == "multiclass":
        one_hot = np.where(np.isnan(truth)[:, None], np.nan, truth[:, None] == np.arange(said.shape[1]))
        return float(metrics.accuracy(truth, said.argmax(1))), _macro(one_hot, said)
    area = _macro(truth, said)
    return area, area


def _macro(truth: NDArray[np.float64], said: NDArray[np.float64]) -> float:
    """Mean over labels of the average precision; labels without a positive track do not count."""
    return _mean([float(metrics.average_precision(truth[:, i], said[:, i])) for i in range(said.shape[1])])


def _mean(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Mean of what is not NaN."""
    array = np.asarray(values, np.float64)
    known = array[~np.isnan(array)]
    return float(known.mean()) if len(known) else math.nan
