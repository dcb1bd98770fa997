"""``history.csv`` of a model folder: what each epoch of training measured, a row an epoch.

Columns, in this order; an empty cell is a figure that was not measured:

==================  ===============================================================================================
epoch               From 1.
train_loss          Mean loss of the training batches, as they were trained on.
valid_loss          Loss of the validation part, dropout off.
valid_score         Main figure of the validation part (accuracy, macro PR-AUC or r2; mean of the heads).
train_score         Main figure of the training clips, one by one, as they were trained on (dropout on).
learning_rate       At the epoch's end.
gradient_norm       Median norm of the gradient over the epoch's steps, before clipping.
gradient_norm_max   Largest of them.
seconds             The epoch took.
worst_batch_loss    Largest training loss of one batch.
moved               Validation tracks whose loss changed most since the epoch before: ``name:+1.25;name:-0.4``, largest
                    change first; ``;`` and ``%`` in a name are written ``%3B`` and ``%25``.
==================  ===============================================================================================

The validation loss of many a network jumps for an epoch and comes back. Whether the cause is a step that was too large
(the gradient, or the learning rate), a few songs that the network changed its mind about, or only a small validation
part, can be read from these figures (:func:`find_jumps`).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.errors import ModelError

__all__ = [
    "COLUMNS",
    "Epoch",
    "Jump",
    "draw_curves",
    "explain_scores",
    "find_jumps",
    "read_history",
    "write_curves",
    "write_history",
]

COLUMNS = (
    "epoch",
    "train_loss",
    "valid_loss",
    "valid_score",
    "train_score",
    "learning_rate",
    "gradient_norm",
    "gradient_norm_max",
    "seconds",
    "worst_batch_loss",
    "moved",
)
_NAN = math.nan
_WIDTH, _HEIGHT, _LEFT, _TOP = 640, 220, 56, 28
_COLOURS = {
    "training loss": "#0072b2",
    "validation loss": "#d55e00",
    "training score": "#56b4e9",
    "validation score": "#009e73",
}  # Okabe and Ito
_NOISE = 4.0
"""A rise of so many standard deviations is a jump: of 100 epochs of mere noise, one in 300 runs shows a false one."""
_PART = 0.05
"""Nor is a rise below this part of the loss a jump, however smooth the curve."""
_WINDOW = 5
_LARGE = 2.0
"""So many times the usual is unusual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One row; the module says what each figure is. NaN where it was not measured."""

    epoch: int
    train_loss: float = _NAN
    valid_loss: float = _NAN
    valid_score: float = _NAN
    train_score: float = _NAN
    learning_rate: float = _NAN
    gradient_norm: float = _NAN
    gradient_norm_max: float = _NAN
    seconds: float = _NAN
    worst_batch_loss: float = _NAN
    moved: tuple[tuple[str, float], ...] = ()


def _row(epoch: Epoch) -> list[str]:
    """The cells of one row, in the order of :data:`COLUMNS`; figures have six significant digits."""
    figures = [getattr(epoch, column) for column in COLUMNS[1:-1]]
    moved = ";".join(f"{_written(name)}:{change:+.4g}" for name, change in epoch.moved)
    return [str(epoch.epoch), *("" if math.isnan(f) else f"{f:.6g}" for f in figures), moved]


def write_history(file: Path, epochs: Iterable[Epoch]) -> None:
    """Write the whole file."""
    with file.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_row(epoch) for epoch in epochs)


def read_history(file: Path) -> tuple[Epoch, ...]:
    """The epochs of a ``history.csv``; none where there is no such file (a model that was not trained here).

    Columns may stand in any order; unknown ones are passed over, and missing ones are not measured.

    Raises:
        ModelError: The file is damaged; the message names the line.
    """
    try:
        with file.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            rows = list(csv.reader(stream))
    except FileNotFoundError:
        return ()
    except (OSError, csv.Error) as error:
        raise ModelError(f"{file}: cannot read the learning curves: {error}") from error
    return tuple(_epoch(file, line, rows[0], row) for line, row in enumerate(rows[1:], 2) if row)


def _epoch(file: Path, line: int, header: Sequence[str], row: Sequence[str]) -> Epoch:
    cells = dict(zip(header, row, strict=False))
    try:
        return Epoch(
            epoch=int(cells["epoch"]),
            moved=_moved(cells.get("moved", "")),
            **{column: float(cells[column]) for column in COLUMNS[1:-1] if cells.get(column)},
        )
    except (KeyError, ValueError) as error:
        raise ModelError(f"{file}, line {line}: the learning curves are damaged: {error}") from None


def _moved(cell: str) -> tuple[tuple[str, float], ...]:
    parts = (part.rpartition(":") for part in cell.split(";") if part)
    return tuple((name.replace("%3B", ";").replace("%25", "%"), float(change)) for name, _, change in parts)


def _written(name: str) -> str:
    return name.replace("%", "%25").replace(";", "%3B")


def write_curves(file: Path, history: Sequence[Epoch], kept: int = 0) -> None:
    """Write :func:`draw_curves` into a file."""
    file.write_text(draw_curves(history, kept), "utf-8", newline="\n")


def draw_curves(history: Sequence[Epoch], kept: int = 0) -> str:
    """Losses above, scores below, over the epochs; ``kept`` marks the epoch whose weights were kept."""
    epochs = [float(epoch.epoch) for epoch in history]
    losses = {
        "training loss": [epoch.train_loss for epoch in history],
        "validation loss": [epoch.valid_loss for epoch in history],
    }
    score = {
        "training score": [epoch.train_score for epoch in history],
        "validation score": [epoch.valid_score for epoch in history],
    }
    body = _panel(0, "loss", epochs, losses, kept) + _panel(1, "score", epochs, score, kept)
    size = f"{_WIDTH + _LEFT + 24} {2 * (_HEIGHT + 2 * _TOP)}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" font-family="sans-serif" font-size="12" '
        f'role="img" aria-label="learning curves"><rect width="100%" height="100%" fill="white"/>{body}</svg>\n'
    )


def _panel(row: int, title: str, epochs: Sequence[float], lines: dict[str, list[float]], kept: int) -> str:
    known = [value for values in lines.values() for value in values if math.isfinite(value)]
    y0 = row * (_HEIGHT + 2 * _TOP) + _TOP
    parts = [f'<text x="{_LEFT}" y="{y0 - 8}" font-weight="bold">{title}</text>']
    if not known:
        return parts[0] + f'<text x="{_LEFT + 60}" y="{y0 - 8}">not measured</text>'
    low, high = min(known), max(known)
    low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
    first, last = epochs[0], max(epochs[-1], epochs[0] + 1)

    def x(epoch: float) -> float:
        return round(_LEFT + (epoch - first) / (last - first) * _WIDTH, 1)

    def y(value: float) -> float:
        return round(y0 + (high - value) / (high - low) * _HEIGHT, 1)

    for share in (0.0, 0.5, 1.0):
        value, epoch = low + share * (high - low), first + share * (last - first)
        parts.append(f'<path d="M{_LEFT} {y(value)}h{_WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(value) + 4}" text-anchor="end">{value:.3g}</text>')
        label = f"epoch {epoch:g}" if share == 1.0 else f"{epoch:.4g}"
        parts.append(f'<text x="{x(epoch)}" y="{y0 + _HEIGHT + 16}" text-anchor="middle">{label}</text>')
    if kept:
        parts.append(f'<path d="M{x(kept)} {y0}v{_HEIGHT}" stroke="#555" stroke-dasharray="4 3"/>')
        parts.append(f'<text x="{x(kept)}" y="{y0 - 2}" text-anchor="middle">kept: {kept}</text>')
    for place, (name, values) in enumerate(lines.items()):
        points = [(x(e), y(v)) for e, v in zip(epochs, values, strict=True) if math.isfinite(v)]
        if not points:
            continue
        path = "M" + "L".join(f"{a} {b}" for a, b in points)
        parts.append(f'<path d="{path}" fill="none" stroke="{_COLOURS[name]}" stroke-width="2"/>')
        at = _LEFT + _WIDTH - 150 * (place + 1)
        parts.append(f'<text x="{at}" y="{y0 - 8}" fill="{_COLOURS[name]}">{escape(name)}</text>')
    return "".join(parts)


def explain_scores(history: Sequence[Epoch], dropout: float, changes: Sequence[str]) -> str:
    """Why the validation score stands above that of the training clips, where it does; else nothing.

    Args:
        history: The epochs.
        dropout: The largest of the network and its heads.
        changes: Names of the augmentations.
    """
    measured = [epoch for epoch in history if math.isfinite(epoch.train_score) and math.isfinite(epoch.valid_score)]
    above = [epoch for epoch in measured if epoch.valid_score > epoch.train_score]
    if 2 * len(above) <= len(measured):
        return ""
    causes = ["of single clips, while the weights still change"]
    causes += [f"with {dropout:.0%} of the numbers dropped"] if dropout else []
    causes += [f"changed by {', '.join(dict.fromkeys(changes))}"] if changes else []
    return (
        f"The validation score stands above the training score in {len(above)} of {len(measured)} epochs. "
        f"Training clips are scored as they are learnt from: {', '.join(causes)}; validation tracks are scored whole"
        f"{', with dropout off' if dropout else ''}. "
        "The score of the training part in the model's card is measured as theirs is."
    )


@dataclass(frozen=True, slots=True)
class Jump:
    """One jump of the validation loss.

    Attributes:
        epoch: In which it rose.
        epochs: How many epochs it stayed up (to the last one, where it never came back).
        rise: Above the median of the five epochs before.
        noise: Standard deviation of the curve from epoch to epoch (robust).
        says: What the history tells of it, a line a finding; the first is the conclusion.
        moved: Songs whose loss rose most in that epoch, as (name, change).
    """

    epoch: int
    epochs: int
    rise: float
    noise: float
    says: tuple[str, ...]
    moved: tuple[tuple[str, float], ...] = ()


def find_jumps(history: Sequence[Epoch]) -> tuple[Jump, ...]:
    """The upward jumps of the validation loss, in order.

    An epoch jumps where its loss stands above both the epoch before and the median of the five before by more than four
    times the robust standard deviation of the epoch-to-epoch change (1.4826 times the median absolute deviation), and
    by more than 5 % of the loss. Fewer than six measured epochs have no noise to compare with, and no jumps.
    """
    measured = [epoch for epoch in history if math.isfinite(epoch.valid_loss)]
    if len(measured) < _WINDOW + 1:
        return ()
    loss = np.array([epoch.valid_loss for epoch in measured])
    steps = np.diff(loss)
    noise = float(1.4826 * np.median(np.abs(steps - np.median(steps))))
    jumps = []
    at = 1
    while at < len(measured):
        usual = float(np.median(loss[max(0, at - _WINDOW) : at]))
        limit = max(_NOISE * noise, _PART * abs(usual))
        if loss[at] - usual > limit and steps[at - 1] > limit:
            length = _length(loss, at, usual + limit / 2)
            jumps.append(_jump(measured, at, length, float(loss[at] - usual), noise))
            at += length
        else:
            at += 1
    return tuple(jumps)


def _length(loss: NDArray[np.float64], at: int, limit: float) -> int:
    back = np.flatnonzero(loss[at:] <= limit)
    return int(back[0]) if len(back) else len(loss) - at


@dataclass(frozen=True, slots=True)
class _Finding:
    """One line of what the history tells; ``strange`` where it is out of the ordinary."""

    line: str
    strange: bool = False


_NOTHING = _Finding("")


def _jump(measured: Sequence[Epoch], at: int, length: int, rise: float, noise: float) -> Jump:
    now = measured[at]
    moved = tuple(song for song in now.moved if song[1] > 0)[:5]
    rate, gradient, training = _rate(measured, at), _gradient(measured, at), _training(measured, at)
    found = [f.line for f in (rate, gradient, training, _batch(measured, at), _songs(moved)) if f.line]
    if not found:
        cause = "the history holds nothing that would tell why"
    elif rate.strange:
        cause = "the learning rate was raised"
    elif gradient.strange:
        cause = "one step was much larger than usual: clip the gradient (training.gradient_norm) or lower the rate"
    elif training.strange:
        cause = "the weights themselves got worse, on the training part too: lower the learning rate"
    elif moved:
        cause = "training went on well; a few validation songs changed sides"
    else:
        cause = "training went on as usual: the validation part is small, or over-fitted to"
    if at + length >= len(measured):
        cause += "; the loss did not come back"
    return Jump(epoch=now.epoch, epochs=length, rise=rise, noise=noise, says=(cause, *found), moved=moved)


def _rate(measured: Sequence[Epoch], at: int) -> _Finding:
    old, new = measured[at - 1].learning_rate, measured[at].learning_rate
    if not (math.isfinite(old) and math.isfinite(new)):
        return _NOTHING
    if new > old * 1.01:
        return _Finding(f"the learning rate was raised from {old:.3g} to {new:.3g}", strange=True)
    return _Finding(f"the learning rate was {new:.3g}" + (f", lowered from {old:.3g}" if new < old else ", as before"))


def _gradient(measured: Sequence[Epoch], at: int) -> _Finding:
    largest = measured[at].gradient_norm_max
    usual = _usual([epoch.gradient_norm_max for epoch in measured], at)
    if not (math.isfinite(largest) and usual > 0):
        return _NOTHING
    if largest > _LARGE * usual:
        times = f"{largest / usual:.1f} times the usual {usual:.3g}"
        return _Finding(f"its largest gradient was {largest:.3g}, {times}", strange=True)
    return _Finding(f"its largest gradient, {largest:.3g}, is usual ({usual:.3g})")


def _training(measured: Sequence[Epoch], at: int) -> _Finding:
    losses = np.array([epoch.train_loss for epoch in measured])
    if not np.isfinite(losses).all():
        return _NOTHING
    steps = np.diff(losses)
    noise = 1.4826 * float(np.median(np.abs(steps - np.median(steps))))
    old, new = float(losses[at - 1]), float(losses[at])
    if new - old > max(_NOISE * noise, 0.02 * abs(old)):
        return _Finding(f"the training loss rose too, from {old:.3g} to {new:.3g}", strange=True)
    return _Finding(f"the training loss went on, from {old:.3g} to {new:.3g}")


def _batch(measured: Sequence[Epoch], at: int) -> _Finding:
    worst = measured[at].worst_batch_loss
    usual = _usual([epoch.worst_batch_loss for epoch in measured], at)
    if math.isfinite(worst) and usual > 0 and worst > _LARGE * usual:
        return _Finding(f"its worst batch lost {worst:.3g}, {worst / usual:.1f} times the usual {usual:.3g}", True)
    return _NOTHING


def _songs(moved: Sequence[tuple[str, float]]) -> _Finding:
    songs = ", ".join(f"{name} ({change:+.2f})" for name, change in moved)
    return _Finding(f"songs whose loss rose most: {songs}") if songs else _NOTHING


def _usual(values: Sequence[float], at: int) -> float:
    """Median of the other epochs near by (ten on either side), NaN where none was measured."""
    near = [v for i, v in enumerate(values) if i != at and abs(i - at) <= 2 * _WINDOW and math.isfinite(v)]
    return float(np.median(near)) if near else math.nan
