"""``history.csv`` of a model folder: what each epoch of training measured, a row an epoch.

Columns, in this order; an empty cell is a figure that was not measured:

==================  ===============================================================================================
epoch               From 1.
train_loss          Mean loss of the training batches, as they were trained on.
valid_loss          Loss of the validation part, dropout off.
valid_score         Main figure of the validation part (accuracy, macro PR-AUC or r2; mean of the heads).
learning_rate       At the epoch's end.
gradient_norm       Median norm of the gradient over the epoch's steps, before clipping.
gradient_norm_max   Largest of them.
seconds             The epoch took.
worst_batch_loss    Largest training loss of one batch.
moved               Validation tracks whose loss changed most since the epoch before: ``name:+1.25;name:-0.4``, largest
                    change first; ``;`` and ``%`` in a name are written ``%3B`` and ``%25``.
==================  ===============================================================================================
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from earmark.errors import ModelError

__all__ = ["COLUMNS", "Epoch", "epoch_row", "read_history", "write_history"]

COLUMNS = (
    "epoch",
    "train_loss",
    "valid_loss",
    "valid_score",
    "learning_rate",
    "gradient_norm",
    "gradient_norm_max",
    "seconds",
    "worst_batch_loss",
    "moved",
)
_NAN = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One row; the module says what each figure is. NaN where it was not measured."""

    epoch: int
    train_loss: float = _NAN
    valid_loss: float = _NAN
    valid_score: float = _NAN
    learning_rate: float = _NAN
    gradient_norm: float = _NAN
    gradient_norm_max: float = _NAN
    seconds: float = _NAN
    worst_batch_loss: float = _NAN
    moved: tuple[tuple[str, float], ...] = ()


def epoch_row(epoch: Epoch) -> list[str]:
    """The cells of one row, in the order of :data:`COLUMNS`; figures have six significant digits."""
    figures = [getattr(epoch, column) for column in COLUMNS[1:-1]]
    moved = ";".join(f"{_written(name)}:{change:+.4g}" for name, change in epoch.moved)
    return [str(epoch.epoch), *("" if math.isnan(f) else f"{f:.6g}" for f in figures), moved]


def write_history(file: Path, epochs: Iterable[Epoch]) -> None:
    """Write the whole file."""
    with file.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(epoch_row(epoch) for epoch in epochs)


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
