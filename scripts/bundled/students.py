"""Distillation: a small network learns to give for any few seconds what several larger ones give.

The targets are the teachers' time series, each standardised, reduced to its principal components and weighed so that
teachers count alike; the student's linear outputs are the embedding (Hinton et al. 2015 for the idea; Romero et al.
2015, FitNets, for learning features instead of classes).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from earmark.events import Progress, Steps
from earmark.training.backbones import Backbone, build
from earmark.training.module import keep_freed_memory
from scripts.bundled.cache import MORE, StudentData

__all__ = [
    "Before",
    "Reduction",
    "Resume",
    "StudentDesign",
    "grow",
    "reduce_teachers",
    "rotate",
    "train_student",
]

Array = NDArray[np.float32]
SILENCE_DB = -70.0
"""A second whose loudest band stays below this holds nothing of the music, so it does not count in a target."""
FARTHEST = 6.0
"""Units of a teacher that are hardly ever active on music would rule the targets where they are (on silence)."""


@dataclass(frozen=True, slots=True)
class Reduction:
    """Teachers' series to targets: standardised, cut at :data:`FARTHEST` deviations, times a matrix.

    Attributes:
        mean: (features,).
        scale: (features,) one over the deviation.
        matrix: (features, targets); components and weights in one.
    """

    mean: Array
    scale: Array
    matrix: Array

    def __call__(self, series: NDArray[Any]) -> Array:
        """(rows, features) to (rows, targets) float32."""
        targets = np.empty((len(series), self.matrix.shape[1]), np.float32)
        for first in range(0, len(series), 8192):
            rows = (np.asarray(series[first : first + 8192], np.float32) - self.mean) * self.scale
            targets[first : first + 8192] = np.clip(rows, -FARTHEST, FARTHEST) @ self.matrix
        return targets


@dataclass(frozen=True, slots=True)
class StudentDesign:
    """How a student is trained.

    Attributes:
        backbone: Key of the registry; its features must be the number of targets.
        options: Of the backbone.
        teachers: Kinds of those that it learns from; all of the cache's where empty.
        phases: From which step on it gets how many copies of each piece (the first is the piece itself).
        components: Principal components in all, as many of each teacher (one more of the first where they do not share
            evenly).
        alpha: Each component is divided by its variance to this power: 0 keeps variances, 0.5 whitens.
        seconds: Length of a crop.
        batch_size: Crops a step.
        steps: Of the optimiser.
        learning_rate: Largest, after a warm-up of 5 % of the steps, then a cosine to 1 %.
        weight_decay: On matrices and kernels only.
        average: Of the moving average of the weights, which is the result.
        gain_db: A crop is up to this much louder or softer.
        equaliser_db: Standard deviation of a smooth random curve over the bands.
        shift: Bands that a crop is moved up or down, at most.
        tempo: A crop is played this fraction faster or slower, at most.
        mask: Share of crops with some bands and some frames blanked (Park et al. 2019).
        mixup: Share of crops with another mixed in up to as loud, and as much of its target (Schmid et al. 2023).
        plain: How much more often an unchanged piece is drawn than a changed copy of it.
        more: Share of crops from sounds that are none of the corpora's, where there are any.
        music: Uses of the free music, whose half minutes are these sounds.
        seed: Of weights, order and changes.
    """

    backbone: str = "patch-residual"
    options: Mapping[str, Any] = field(default_factory=dict)
    teachers: tuple[str, ...] = ()
    phases: tuple[tuple[int, int], ...] = ((0, 1),)
    components: int = 256
    alpha: float = 0.25
    seconds: float = 5.0
    batch_size: int = 48
    steps: int = 6000
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    average: float = 0.995
    gain_db: float = 6.0
    equaliser_db: float = 3.0
    shift: int = 1
    tempo: float = 0.08
    mask: float = 0.0
    mixup: float = 0.0
    plain: float = 1.0
    more: float = 0.0
    music: tuple[str, ...] = ("train",)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a training keeps what is done.

    Attributes:
        file: Checkpoint, written every minute and at the end; where it exists the training goes on from it.
        until: Stop before this step, so that more sounds can join.
    """

    file: Path
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Before:
    """Trained students of the same targets.

    Attributes:
        start: The one to begin with, of the same backbone or a narrower one (:func:`grow`), its last layer fitted anew;
            random where None.
        others: What these answer to a crop, their mean, is half of its target.
    """

    start: Backbone | None = None
    others: Sequence[Backbone] = ()


def _starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)


def _windows(series: NDArray[Any], lengths: NDArray[np.int64], seconds: int = 5) -> Array:
    """Means over windows of some seconds, none across two pieces."""
    rows = []
    for start, length in zip(_starts(lengths), lengths, strict=True):
        for first in range(start, start + max(1, length - seconds + 1), seconds):
            rows.append(series[first : min(first + seconds, start + length)].astype(np.float32).mean(0))
    return np.stack(rows)


def reduce_teachers(data: StudentData, widths: Sequence[int], components: int = 256, alpha: float = 0.25) -> Reduction:
    """Fit the targets.

    Args:
        data: Sounds and the teachers' series, teachers side by side.
        widths: Features of each teacher, in order.
        components: Principal components to keep, shared among the teachers as evenly as it goes.
        alpha: See :class:`StudentDesign`.

    Returns:
        A reduction to ``components`` targets, fewer where a teacher is narrower than its share; each teacher's have a
        total variance of 1.
    """
    windows = _windows(data.series, data.seconds)
    mean = windows.mean(0)
    blocks, scales = [], []
    first = 0
    shares = [components // len(widths) + (place < components % len(widths)) for place in range(len(widths))]
    for width, share in zip(widths, shares, strict=True):
        part = windows[:, first : first + width] - mean[first : first + width]
        scale = 1.0 / np.maximum(part.std(0), 1e-4)
        values, vectors = np.linalg.eigh(np.atleast_2d(np.cov((part * scale).T.astype(np.float64))))
        keep = np.argsort(-values)[:share]
        kept = np.maximum(values[keep], 1e-9)
        basis = vectors[:, keep] * kept**-alpha
        basis /= np.sqrt((kept ** (1 - 2 * alpha)).sum())
        blocks.append(basis.astype(np.float32))
        scales.append(scale)
        first += width
    matrix = np.zeros((len(mean), sum(block.shape[1] for block in blocks)), np.float32)
    row = column = 0
    for block in blocks:
        matrix[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return Reduction(mean, np.concatenate(scales).astype(np.float32), matrix)


class _Crops:
    """Random crops of the cached spectrograms with their targets; a step's batch depends on seed and step alone."""

    def __init__(self, data: StudentData, targets: Array, design: StudentDesign, frames_per_second: float) -> None:
        self.design, self.rate = design, frames_per_second
        self.spectrograms, self.frames, self.seconds = data.spectrograms, data.frames, data.seconds
        self.frame0, self.second0 = _starts(data.frames), _starts(data.seconds)
        self.bands = data.spectrograms.shape[1]
        weight = np.sqrt(data.frames / frames_per_second / 30.0) * np.where(data.copy == 0, design.plain, 1.0)
        more = data.copy == MORE
        if more.any():
            weight[more] *= design.more / (1 - design.more) * weight[~more].sum() / weight[more].sum()
        self.chance = np.cumsum(weight / weight.sum())
        loud = _loud_seconds(data, self.frame0, self.second0, frames_per_second)
        self.sums = np.concatenate([np.zeros((1, targets.shape[1])), np.cumsum(targets * loud[:, None], 0)])
        self.counts = np.concatenate([[0.0], np.cumsum(loud)])
        self.length = int(design.seconds * frames_per_second)

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Spectrograms (batch, frames, bands) and targets (batch, targets) of a step."""
        d = self.design
        rng = np.random.default_rng([d.seed, step])
        piece = np.minimum(np.searchsorted(self.chance, rng.random(d.batch_size)), len(self.frames) - 1)
        pace = 1.0 + rng.uniform(-d.tempo, d.tempo, d.batch_size)
        span = np.minimum(self.length * pace, self.frames[piece])
        first = np.floor(rng.random(d.batch_size) * (self.frames[piece] - span + 1))
        index = first[:, None] + np.floor(np.arange(self.length) * pace[:, None])
        index = (index % self.frames[piece][:, None]).astype(np.int64) + self.frame0[piece][:, None]
        crops = self.spectrograms[index].astype(np.float32)
        crops, targets = self._changed(crops, rng), self._targets(piece, first, span)
        if d.mixup:
            crops, targets = _mixed(crops, targets, d.mixup, rng)
        return torch.from_numpy(crops), torch.from_numpy(targets)

    def _targets(self, piece: NDArray[np.int64], first: Array, span: Array) -> Array:
        low = np.floor(first / self.rate + 0.5)
        low = np.minimum(low, self.seconds[piece] - 1).astype(np.int64)
        high = np.clip(np.floor((first + span) / self.rate + 0.5), low + 1, self.seconds[piece]).astype(np.int64)
        low, high = low + self.second0[piece], high + self.second0[piece]
        loud = self.counts[high] - self.counts[low]
        means = (self.sums[high] - self.sums[low]) / np.maximum(loud, 1e-9)[:, None]
        return np.asarray(means, np.float32)

    def _changed(self, crops: Array, rng: np.random.Generator) -> Array:
        d, count = self.design, len(crops)
        points = rng.normal(0.0, d.equaliser_db, (count, 6))
        at = np.linspace(0.0, 5.0, self.bands)
        left = np.minimum(at.astype(int), 4)
        curve = points[:, left] * (1 - (at - left)) + points[:, left + 1] * (at - left)
        offset = curve + rng.uniform(-d.gain_db, d.gain_db, (count, 1))
        crops += offset[:, None, :].astype(np.float32)
        np.maximum(crops, -90.0, out=crops)
        for i, shift in enumerate(rng.integers(-d.shift, d.shift + 1, count).tolist()):
            if shift > 0:
                crops[i, :, shift:] = crops[i, :, :-shift].copy()
            elif shift < 0:
                crops[i, :, :shift] = crops[i, :, -shift:].copy()
        for i in np.flatnonzero(rng.random(count) < d.mask).tolist():
            band, frame = rng.integers(self.bands - 16), rng.integers(self.length - 30)
            crops[i, :, band : band + rng.integers(4, 16)] = -50.0
            crops[i, frame : frame + rng.integers(5, 30)] = -50.0
        return crops


def _mixed(crops: Array, targets: Array, share: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Power of the next crop added to that of some, 0 to 15 dB softer; targets as the amplitudes."""
    which = np.flatnonzero(rng.random(len(crops)) < share)
    other = (which + 1) % len(crops)
    softer = rng.uniform(-15.0, 0.0, len(which)).astype(np.float32)
    level = crops.mean((1, 2))
    added = crops[other] + (level[which] - level[other] + softer)[:, None, None]
    weight = 1 / (1 + 10 ** (-softer / 20))[:, None]
    blended = (1 - weight) * targets[which] + weight * targets[other]
    scale = np.float32(np.log(10) / 10)
    sums = np.logaddexp(crops[which] * scale, added * scale) / scale
    crops, targets = crops.copy(), targets.copy()
    crops[which], targets[which] = sums, blended
    return crops, targets


def _loud_seconds(data: StudentData, frame0: Any, second0: Any, rate: float) -> Array:
    """1 for the seconds with some sound, 0 for silent ones; a piece that is silent all through counts whole."""
    loud = np.ones(len(data.series), np.float32)
    peak = data.spectrograms.max(1)
    for start, frames, first, seconds in zip(frame0, data.frames, second0, data.seconds, strict=True):
        for second in range(seconds):
            low = start + min(int(second * rate), frames - 1)
            high = start + min(max(int((second + 1) * rate), int(second * rate) + 1), frames)
            if high > low and peak[low:high].max() < SILENCE_DB:
                loud[first + second] = 0.0
        if not loud[first : first + seconds].any():
            loud[first : first + seconds] = 1.0
    return loud


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def _rate(step: int, steps: int) -> float:
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return float(0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * (step - warm) / max(1, steps - warm))))


def train_student(
    data: StudentData, targets: Array, design: StudentDesign, frames_per_second: float, resume: Resume | None = None,
    before: Before | None = None,
) -> Steps[Backbone]:  # fmt: skip
    """Train a student; progress every 100 steps.

    Args:
        data: What it learns from.
        targets: (seconds, targets) of ``data.series``.
        design: How.
        frames_per_second: Of the spectrograms.
        resume: Where to keep what is done.
        before: Students that are there already.

    Returns:
        The student with averaged weights, in evaluation mode.
    """
    keep_freed_memory()
    torch.manual_seed(design.seed)
    checkpoint = resume.file if resume else None
    crops = _Crops(data, targets, design, frames_per_second)
    options = dict(design.options) | {"features": targets.shape[1]}
    network = build(design.backbone, crops.length, crops.bands, options)
    start, others = (before.start, before.others) if before else (None, ())
    if start is not None:
        grow(network, start)
        _fit_last(network, crops)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(_parameter_groups(network, design.weight_decay), lr=design.learning_rate)
    averaged = {name: value.detach().clone() for name, value in network.state_dict().items()}
    first = _resume(checkpoint, design, network, optimiser, averaged)
    saved = time.monotonic()
    losses: list[float] = []
    network.train()
    last = design.steps if resume is None or resume.until is None else min(resume.until, design.steps)
    for step in range(first, last):
        spectrograms, batch = crops.batch(step)
        for group in optimiser.param_groups:
            group["lr"] = design.learning_rate * _rate(step, design.steps)
        with torch.autocast("cpu", torch.bfloat16):
            embedding = network(spectrograms)
        if others:
            batch = (batch + _mean_answer(others, spectrograms)) / 2
        loss = (embedding.float() - batch).square().sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        _follow(averaged, network, min(design.average, (1 + step) / (10 + step)))
        losses.append(float(loss.detach()))
        if (step + 1) % 100 == 0:
            facts = {"loss": float(np.mean(losses[-100:]))}
            yield Progress(step + 1, design.steps, "training the student", "steps", facts)
        if checkpoint is not None and time.monotonic() - saved > 60:
            _save(checkpoint, design, network, optimiser, averaged, step + 1)
            saved = time.monotonic()
    if checkpoint is not None and first < last:
        _save(checkpoint, design, network, optimiser, averaged, last)
    network.load_state_dict(averaged)
    return network.eval()


def _mean_answer(students: Sequence[Backbone], spectrograms: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        answer = torch.stack([student(spectrograms).float() for student in students]).mean(0)
    return answer.clone()  # usable where gradients are computed


def grow(network: Backbone, start: Backbone) -> None:
    """Give a network the function of a narrower one of its kind, after Net2Net (Chen et al. 2016).

    Channels that both have get the narrow one's weights and do not see the new ones; these keep their random weights,
    and it is for the training to listen to them. A further pair of a stage begins as the identity.
    """
    wide, pairs = network.state_dict(), _same_pairs(network, start)
    for name in wide:
        if name.endswith("norm2.weight") and int(name.split(".")[1]) not in pairs.values():
            wide[name].zero_()
    for name, value in start.state_dict().items():
        parts = name.split(".")
        if parts[0] == "blocks":
            parts[1] = str(pairs[int(parts[1])])
        target = wide[".".join(parts)]
        if value.ndim > 1:
            target[: len(value)] = 0.0
        target[tuple(slice(0, size) for size in value.shape)] = value


def _same_pairs(network: Backbone, start: Backbone) -> dict[int, int]:
    """By number of a narrow network's pair, that of the wide one's: the same place of the same stage."""

    def places(backbone: Backbone) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for pair in backbone.blocks:  # type: ignore[union-attr]
            stage, place = found[-1] if found else (-1, 0)
            strided = pair.first.stride != (1, 1)
            found.append((stage + 1, 0) if strided else (stage, place + 1))
        return found

    there = places(network)
    return {number: there.index(place) for number, place in enumerate(places(start))}


def _fit_last(network: Backbone, crops: _Crops, batches: int = 60) -> None:
    """The last layer by least squares to the targets, the layers below as they are."""
    linear = network.linear
    assert isinstance(linear, nn.Linear)
    below, above = [], []
    hook = linear.register_forward_pre_hook(lambda _, inputs: below.append(inputs[0].double()))
    with torch.inference_mode():
        for step in range(batches):  # other crops than the training's
            spectrograms, targets = crops.batch(crops.design.steps + step)
            network.eval()(spectrograms)
            above.append(targets.double())
    hook.remove()
    inputs = torch.cat([torch.cat(below), torch.ones(sum(map(len, below)), 1)], 1)
    penalty = 1e-3 * len(inputs) * torch.eye(inputs.shape[1])
    found = torch.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ torch.cat(above))
    with torch.no_grad():
        linear.weight.copy_(found[:-1].T)
        linear.bias.copy_(found[-1])


def _follow(averaged: dict[str, torch.Tensor], network: nn.Module, keep: float) -> None:
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.dtype.is_floating_point:
                averaged[name].lerp_(value, 1 - keep)
            else:
                averaged[name].copy_(value)


def _save(
    file: Path, design: StudentDesign, network: nn.Module, optimiser: torch.optim.Optimizer,
    averaged: dict[str, torch.Tensor], step: int,
) -> None:  # fmt: skip
    state = {"design": repr(asdict(design)), "step": step, "network": network.state_dict(), "averaged": averaged}
    part = file.with_suffix(".part")
    torch.save(state | {"optimiser": optimiser.state_dict()}, part)
    part.replace(file)


def _resume(
    file: Path | None, design: StudentDesign, network: nn.Module, optimiser: torch.optim.Optimizer,
    averaged: dict[str, torch.Tensor],
) -> int:  # fmt: skip
    if file is None or not file.exists():
        return 0
    state = torch.load(file, map_location="cpu", weights_only=True)
    if state["design"] != repr(asdict(design)):
        return 0
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    averaged.update(state["averaged"])
    return int(state["step"])


def rotate(network: Backbone, seed: int) -> None:
    """Turn the embedding by a fixed random rotation, folded into the last linear layer.

    Principal components have very different variances; rotated they do not, so that a scaler in front of a
    classifier does not blow up the weak ones. Distances stay as they are.
    """
    linear = network.linear
    assert isinstance(linear, nn.Linear)
    random = np.random.default_rng(seed).normal(size=(linear.out_features, linear.out_features))
    turn = torch.from_numpy(np.linalg.qr(random)[0].astype(np.float32))
    with torch.no_grad():
        linear.weight.copy_(turn @ linear.weight)
        linear.bias.copy_(turn @ linear.bias)
