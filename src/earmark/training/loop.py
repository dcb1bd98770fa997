"""The training loop: plain PyTorch, several heads at once, a checkpoint an epoch, bit-identical when resumed.

A head learns by cross-entropy, binary cross-entropy or squared error, where a label is known. How good a network is on
a part of the data are outputs, losses and scores by track, dropout off.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from earmark.datasets.core import Dataset, HeadSpec
from earmark.engine.base import ahead
from earmark.errors import RecipeError
from earmark.evaluation import metrics
from earmark.evaluation.history import Epoch
from earmark.events import Progress, Steps
from earmark.inference.scores import probabilities
from earmark.models.card import HeadCard
from earmark.recipe import Training
from earmark.training.draws import Draws
from earmark.training.finish import Outputs, track_scores
from earmark.training.module import (
    TaggerModule,
    autocast,
    keep_freed_memory,
    load_checkpoint,
    on_device,
    return_freed_memory,
    save_checkpoint,
)
from earmark.training.team import Team

__all__ = [
    "FitPlan",
    "FitResult",
    "HeadTask",
    "Measured",
    "epochs_done",
    "fit",
    "fold_scale",
    "head_loss",
    "head_task",
    "make_optimizer",
    "measure",
    "outputs_of",
]

_MOST = 20.0
"""A class weighs at most so many times as much as it would."""
_TRACKS = 16
"""Held at once."""
_CLIPS = 8
"""Through the network at once: the maps of more would take gigabytes in a large one."""


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
    weight = None if task.weight is None else task.weight.to(raw.device)
    if task.spec.task == "multilabel":
        known = torch.nan_to_num(target)
        losses = functional.binary_cross_entropy_with_logits(raw, known, pos_weight=weight, reduction="none")
        return torch.where(target[:, 0].isnan(), torch.nan, losses.mean(1))
    truth = torch.nan_to_num(target).long()
    loss = functional.cross_entropy(raw, truth, weight, reduction="none", label_smoothing=smoothing)
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
    clips = np.concatenate(tracks)
    answers = [module(on_device(clips[start : start + _CLIPS], device)) for start in range(0, len(clips), _CLIPS)]
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


_MOVED = 5
"""Songs named in the history, of those whose loss changed most."""

_SETTLING = 10
"""Batches that batch norm's statistics are measured on after an epoch."""

_NONE = np.zeros((0, 0), np.float32)
"""In place of embeddings that nobody asks for."""

_COST = 1.0
"""Of the most frequent mistake, in nats, where mistakes are weighed by the confusion table."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FitPlan:
    """What a network learns, and how.

    Attributes:
        draws: Clips of the training part.
        tasks: The heads' targets.
        valid: Indices of the validation part; empty where there is none: then the last epoch is kept.
        training: How.
        device: Where.
        pooling: Of clips, as inference pools them.
        frozen: Whether the backbone stays as it is.
        chunk: From 1 where there are several.
        team: The workers that train together; each of them has the same plan.
    """

    draws: Draws
    tasks: tuple[HeadTask, ...]
    valid: NDArray[np.intp]
    training: Training
    device: torch.device
    pooling: str
    frozen: bool = False
    chunk: int = 0
    team: Team = field(default_factory=Team)


@dataclass(frozen=True, slots=True, eq=False)
class FitResult:
    """What came of it: learning curves, the epoch that was kept, and its figures on the validation part."""

    history: tuple[Epoch, ...]
    kept: int
    valid_loss: float
    valid_score: float


@dataclass(slots=True, eq=False)
class _State:
    """What changes from epoch to epoch; all of it is in the checkpoint."""

    module: TaggerModule
    optimizer: torch.optim.Optimizer
    rate: float
    history: list[Epoch] = field(default_factory=list)
    kept: int = 0
    best: float = math.inf
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    least: float = math.inf
    stale: int = 0
    tracks: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    costs: dict[str, torch.Tensor] = field(default_factory=dict)


def fit(module: TaggerModule, plan: FitPlan, checkpoint: Path) -> Steps[FitResult]:
    """Train a module; at the end it has the weights of the best epoch and is in evaluation mode.

    Args:
        module: With random weights, or those to start from.
        plan: What, and how.
        checkpoint: File that is replaced after every epoch; where it exists, training goes on from it.

    Yields:
        Progress after every step (stage ``training``) and every epoch (stage ``epochs``); the checkpoint of an epoch is
        written before it is yielded.

    Raises:
        RecipeError: The loss is not a number any more; the message names epoch and step.
        StorageError: The checkpoint cannot be written, or is damaged.
    """
    keep_freed_memory()
    module.to(plan.device)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    training = plan.training
    state = _State(module, make_optimizer(module, training, plan.frozen), training.learning_rate)
    _resume(state, checkpoint, plan.device)
    pace = _Pace(plan, len(state.history))
    while not _stopped(training, len(state.history), state.kept):
        epoch = len(state.history) + 1
        steps = yield from _train_epoch(state, plan, epoch, pace)
        _settle(state, plan, epoch)
        measured = _validate(state, plan)
        _note(state, plan, epoch, steps, measured)
        if not plan.team.rank:
            _save(state, checkpoint)
        yield pace.epoch_ended(state.history[-1])
    module.load_state_dict(state.weights)
    module.eval()
    best = state.history[state.kept - 1]
    return FitResult(tuple(state.history), state.kept, best.valid_loss, best.valid_score)


class _Pace:
    """Speed of a training and the time that is left.

    Args:
        plan: Of the training.
        before: Epochs of an earlier run.
    """

    def __init__(self, plan: FitPlan, before: int) -> None:
        self._epochs, self._steps = plan.training.epochs, plan.draws.steps
        self._before, self._clips, self._speed = before, 0, math.nan
        self._begun = self._since = time.monotonic()
        self._known: dict[str, float] = {"chunk": float(plan.chunk)} if plan.chunk else {}

    def epoch_begins(self) -> None:
        """The clips of another epoch come."""
        self._since, self._clips = time.monotonic(), 0

    def step(self, epoch: int, step: int, clips: int, loss: float) -> Progress:
        """Another batch is learnt."""
        self._clips += clips
        now = time.monotonic()
        self._speed = self._clips / max(now - self._since, 1e-9)
        done = (epoch - 1 - self._before) * self._steps + step
        left = (now - self._begun) / done * ((self._epochs - self._before) * self._steps - done)
        facts = {"epoch": float(epoch), "epochs": float(self._epochs), "loss": loss, "seconds_left": left}
        return self._progress(step, self._steps, "training", "steps", facts)

    def epoch_ended(self, epoch: Epoch) -> Progress:
        """Its figures are known."""
        self._known |= {"valid_loss": epoch.valid_loss, "valid_score": epoch.valid_score}
        return self._progress(epoch.epoch, self._epochs, "epochs", "epochs", {"loss": epoch.train_loss})

    def _progress(self, done: int, total: int, stage: str, unit: str, facts: dict[str, float]) -> Progress:
        every = self._known | facts | {"clips_per_second": self._speed}
        return Progress(done, total, stage, unit, {name: value for name, value in every.items() if value == value})


def make_optimizer(module: TaggerModule, plan: Training, frozen: bool) -> torch.optim.Optimizer:
    """The optimiser of a module; a frozen backbone has no part in it.

    Weight decay is for matrices and kernels; AdamW decouples it, the others have it as L2.
    """
    if frozen:
        module.backbone.requires_grad_(False)
    learning = [p for p in module.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": plan.weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if plan.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=plan.learning_rate, momentum=plan.momentum)
    kind = torch.optim.AdamW if plan.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=plan.learning_rate)


def rate_at(plan: Training, rate: float, epochs: float) -> float:
    """The learning rate after so many epochs, from the ``rate`` that holds (a plateau may have halved it)."""
    if plan.schedule != "cosine":
        return rate
    return rate * 0.5 * (1 + math.cos(math.pi * epochs / plan.epochs))


@dataclass(frozen=True, slots=True)
class _EpochSteps:
    """One epoch's steps: their losses and gradient norms, and the score of all of its clips."""

    losses: list[float]
    norms: list[float]
    score: float


def _train_epoch(state: _State, plan: FitPlan, epoch: int, pace: _Pace) -> Steps[_EpochSteps]:
    """One epoch. Its random numbers (dropout) begin anew with it, so that nothing of the last one is needed."""
    team = plan.team
    torch.manual_seed(plan.draws.seed * 100_003 + epoch + team.rank * 1_000_000_007)
    state.module.train()
    if plan.frozen:
        state.module.backbone.eval()
    losses, norms, seen = [], [], []
    raw: dict[str, list[NDArray[np.float32]]] = {task.spec.name: [] for task in plan.tasks}
    pace.epoch_begins()
    # A blend may take any clip of the batch.
    batches = plan.draws.epoch(epoch) if plan.training.mixup else plan.draws.epoch(epoch, team.mine)
    for step, (rows, clips) in enumerate(batches):
        rate = rate_at(plan.training, state.rate, (epoch - 1) + step / plan.draws.steps)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        loss, given = _loss(state, plan, rows, clips)
        seen.append(rows)
        for name, scores in given.items():
            raw[name].append(scores.float().cpu().numpy())
        found, norm = _step(state, plan, loss) if loss is not None else (math.nan, 0.0)
        losses.append(found)
        norms.append(norm)
        return_freed_memory()
        if loss is not None and not (math.isfinite(losses[-1]) and math.isfinite(norm)):
            raise RecipeError(
                f"training: the loss is not a number any more (epoch {epoch}, step {step + 1}); "
                f"lower training.learning_rate ({plan.training.learning_rate:g}), or set training.gradient_norm = 1"
            )
        so_far = float(np.nanmean(losses)) if not math.isnan(losses[-1]) else math.nan
        yield pace.step(epoch, step + 1, len(rows), so_far)
    return _EpochSteps(losses, norms, _clip_score(plan.tasks, np.concatenate(seen), _joined(team.gather(raw))))


def _joined(shares: Sequence[Mapping[str, Sequence[NDArray[np.float32]]]]) -> dict[str, list[NDArray[np.float32]]]:
    """Raw scores by head and step, of the workers' shares of each batch."""
    return {
        name: [np.concatenate(parts) for parts in zip(*(share[name] for share in shares), strict=True)]
        for name in shares[0]
    }


def _clip_score(
    tasks: Sequence[HeadTask], rows: NDArray[np.intp], raw: Mapping[str, Sequence[NDArray[np.float32]]]
) -> float:
    """Main figure of single clips, mean of the heads, as the network answered while it learnt from them."""
    found = []
    for task in tasks:
        scores = probabilities(
            np.concatenate(raw[task.spec.name]), HeadCard(task.spec.name, task.spec.task, task.spec.labels)
        )
        truth = task.targets[torch.from_numpy(rows)].numpy().astype(np.float64)
        found.append(_figures(task.spec.task, scores, truth)[0])
    return _mean(found)


def _loss(
    state: _State, plan: FitPlan, rows: NDArray[np.intp], clips: NDArray[np.float32]
) -> tuple[torch.Tensor | None, dict[str, torch.Tensor]]:
    """Mean over heads of the mean loss of a batch's labelled clips, None without a label; raw scores by head.

    Of several workers each has its part of the loss, which add up to it, and the scores of its share.

    Args:
        state: The network.
        plan: Of the training.
        rows: (batch,) tracks of the whole batch.
        clips: This worker's share of the clips, or those of the whole batch where they are mixed.
    """
    mine = plan.team.mine(len(rows))
    chosen, inputs = torch.from_numpy(rows), on_device(clips, plan.device)
    share, others = 1.0, chosen
    if plan.training.mixup:
        blend = torch.distributions.Beta(plan.training.mixup, plan.training.mixup)
        share, order = plan.team.agree(lambda: (float(blend.sample()), torch.randperm(len(chosen))))
        inputs, others = torch.lerp(inputs[order[mine].to(plan.device)], inputs[mine], share), chosen[order]
    with autocast(plan.training, plan.device):
        embedding = state.module.backbone(inputs)
    losses, given = [], {}
    for task in plan.tasks:
        head = state.module.heads[task.spec.name]
        costs, smoothing = state.costs.get(task.spec.name), plan.training.label_smoothing
        target, beside = (task.targets[tracks] for tracks in (chosen, others))
        # By the labels, not by the loss: a loss that is no number must be seen. A blend needs both of its labels.
        known = ~(target + beside if target.ndim == 1 else target[:, 0] + beside[:, 0]).isnan()
        count = int(known.sum())  # where the labels are, so that nobody waits for a GPU
        target, beside = target.to(plan.device), beside.to(plan.device)
        # Members of an ensemble learn each for itself; as one they would lean on each other.
        answers = [member(embedding.float()) for member in getattr(head, "members", [head])]
        given[task.spec.name] = torch.stack(answers).detach().mean(0)
        for raw in answers:
            each = head_loss(task, raw, target[mine], smoothing, costs)
            if plan.training.mixup:
                each = torch.lerp(head_loss(task, raw, beside[mine], smoothing, costs), each, share)
            if count:
                losses.append(each[known[mine]].sum() / count)
    return torch.stack(losses).mean() if losses else None, given


def _step(state: _State, plan: FitPlan, loss: torch.Tensor) -> tuple[float, float]:
    """One step of the optimiser; the loss of the whole batch, and its gradient's norm before clipping."""
    state.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = [p for p in state.module.parameters() if p.grad is not None]
    whole = loss.detach().clone()
    plan.team.add([whole, *(p.grad for p in parameters if p.grad is not None)])
    norm = float(nn.utils.clip_grad_norm_(parameters, plan.training.gradient_norm or math.inf))
    state.optimizer.step()
    return float(whole), norm


def _settle(state: _State, plan: FitPlan, epoch: int) -> None:
    """Measure batch norm's means and variances anew with the weights as they are now (Wu and Johnson 2021).

    The running ones lag behind by some ten steps, in which young weights move far: validation would see another
    network than the one that was trained. Training itself never uses them.
    """
    learning = [state.module.heads] if plan.frozen else [state.module]
    norms = [layer for part in learning for layer in part.modules() if isinstance(layer, _BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    state.module.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
        norm.train()
    with torch.no_grad():
        for _, clips in itertools.islice(plan.draws.epoch(epoch, plan.team.mine), _SETTLING):
            state.module(on_device(clips, plan.device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _validate(state: _State, plan: FitPlan) -> Measured | None:
    if not len(plan.valid):
        return None
    mine = plan.valid[plan.team.mine(len(plan.valid))].tolist()
    outputs = outputs_of(state.module, map(plan.draws.songs.spread, mine), plan.device)
    shares = plan.team.gather([replace(output, embedding=_NONE) for output in outputs])
    return measure(plan.tasks, plan.valid, list(itertools.chain(*shares)), plan.pooling)


def _note(state: _State, plan: FitPlan, epoch: int, steps: _EpochSteps, measured: Measured | None) -> None:
    """Write down an epoch, keep its weights where it is the best so far, and see to the learning rate."""
    row = Epoch(
        epoch=epoch,
        train_loss=float(np.nanmean(steps.losses)),
        train_score=steps.score,
        learning_rate=state.optimizer.param_groups[0]["lr"],
        gradient_norm=float(np.median(steps.norms)),
        gradient_norm_max=float(np.max(steps.norms)),
        worst_batch_loss=float(np.nanmax(steps.losses)),
    )
    if measured is not None:
        row = replace(row, valid_loss=measured.loss, valid_score=measured.score, moved=_moved(state, plan, measured))
    state.history.append(row)
    value = _value(plan.training, measured)
    if not value > state.best:  # ties go to the later epoch; without a validation part every epoch is a tie
        state.best, state.kept = value, epoch
        state.weights = {name: v.detach().cpu().clone() for name, v in state.module.state_dict().items()}
    if row.train_loss < state.least:
        state.least, state.stale = row.train_loss, 0
    else:
        state.stale += 1
        if plan.training.schedule == "plateau" and state.stale >= plan.training.plateau_epochs:
            state.rate, state.stale = state.rate / 2, 0
    if measured is not None:
        state.tracks = measured.tracks
        if plan.training.loss == "confusion-weighted":
            state.costs = {name: _costs(table).to(plan.device) for name, table in measured.confusion.items()}


def _value(plan: Training, measured: Measured | None) -> float:
    """What the best epoch has least of."""
    if measured is None:
        return 0.0
    value = -measured.pr_auc if plan.select == "pr-auc" else measured.loss
    return 0.0 if math.isnan(value) else value


def _stopped(plan: Training, epochs: int, kept: int) -> bool:
    return epochs >= plan.epochs or bool(plan.patience and epochs - kept >= plan.patience)


def epochs_done(checkpoint: Path, plan: Training) -> tuple[int, bool]:
    """How many epochs a checkpoint has, 0 where there is none, and whether the training has ended with them.

    Raises:
        StorageError: The file is damaged.
    """
    facts: dict[str, Any] = (load_checkpoint(checkpoint) or ({}, {"history": [], "kept": 0}))[1]
    return len(facts["history"]), _stopped(plan, len(facts["history"]), facts["kept"])


def _moved(state: _State, plan: FitPlan, measured: Measured) -> tuple[tuple[str, float], ...]:
    """Validation songs whose loss changed most since the epoch before."""
    if len(state.tracks) != len(measured.tracks):
        return ()
    change = np.nan_to_num(measured.tracks - state.tracks)
    tracks = plan.draws.songs.dataset.tracks
    order = np.argsort(-np.abs(change), kind="stable")[:_MOVED]
    return tuple((tracks[int(plan.valid[i])].name, float(change[i])) for i in order if change[i])


def _costs(table: NDArray[np.int64]) -> torch.Tensor:
    """What each mistake costs: its share of the row, in parts of the largest share; nothing on the diagonal."""
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    np.fill_diagonal(share, 0)
    return torch.from_numpy((_COST * share / max(share.max(), 1e-9)).astype(np.float32))


def _save(state: _State, file: Path) -> None:
    tensors = {f"module.{name}": value for name, value in state.module.state_dict().items()}
    tensors |= {f"weights.{name}": value for name, value in state.weights.items()}
    tensors |= {f"costs.{name}": value for name, value in state.costs.items()}
    tensors["tracks"] = torch.from_numpy(state.tracks)
    for number, kept in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": torch.as_tensor(v) for name, v in kept.items() if v is not None}
    facts = {name: getattr(state, name) for name in ("rate", "kept", "best", "least", "stale")}
    save_checkpoint(file, tensors, facts | {"history": [asdict(epoch) for epoch in state.history]})


def _resume(state: _State, file: Path, device: torch.device) -> None:
    """Take up what the checkpoint holds."""
    found = load_checkpoint(file)
    if found is None:
        return
    tensors, facts = found
    state.module.load_state_dict(_below(tensors, "module."))
    state.weights, state.tracks = _below(tensors, "weights."), tensors["tracks"].numpy()
    state.costs = {name: value.to(device) for name, value in _below(tensors, "costs.").items()}
    kept: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in _below(tensors, "optimizer.").items():
        number, _, key = name.partition(".")
        kept.setdefault(int(number), {})[key] = value
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": kept, "param_groups": groups})
    for name in ("rate", "kept", "best", "least", "stale"):
        setattr(state, name, facts[name])
    state.history = [Epoch(**_epoch(row)) for row in facts["history"]]


def _epoch(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "moved": tuple((name, change) for name, change in row["moved"])}


def _below(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
