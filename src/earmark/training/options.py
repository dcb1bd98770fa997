"""What one training run is asked for beside its recipe, and what it tells on the way. Needs no PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from earmark.datasets.splits import Split

__all__ = ["Device", "Progress", "Report", "TrainOptions", "silent"]

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What a run is asked for.

    Attributes:
        seed: Of the split, the weights, the order and the changes of the data.
        device: ``auto`` takes a GPU where there is one; ``cuda`` without one is an error.
        init: Model folder to start from; its frontend must be the recipe's.
        heads: Of the data set; None for all.
        overwrite: Begin anew where there is a finished or a begun model.
        split: Parts of the tracks; None draws them as the recipe plans.
    """

    seed: int = 0
    device: Device = "auto"
    init: Path | None = None
    heads: tuple[str, ...] | None = None
    overwrite: bool = False
    split: Split | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a run stands; NaN where a figure is not known yet.

    Attributes:
        stage: What is being done: ``files``, ``features``, ``heads``, ``epoch``, ``validation`` (once, when an epoch is
            over), ``export``, ``scores``.
        done: Steps of the stage that are done.
        total: Steps of the stage.
        epoch: From 1; 0 outside epochs.
        epochs: At most.
        chunk: From 1, where the data is trained on in chunks; 0 where it is not.
        loss: Mean training loss of the epoch so far.
        valid_loss: Of the last finished epoch.
        valid_score: Of the last finished epoch: mean of the heads' main figures.
        items_per_second: Clips a second in training.
        seconds_left: Until the stage (of epochs: the last possible one) ends.
    """

    stage: str
    done: int
    total: int
    epoch: int = 0
    epochs: int = 0
    chunk: int = 0
    loss: float = math.nan
    valid_loss: float = math.nan
    valid_score: float = math.nan
    items_per_second: float = math.nan
    seconds_left: float = math.nan


Report = Callable[[Progress], None]
"""Called after every step; may raise KeyboardInterrupt, never anything else."""


def silent(progress: Progress) -> None:
    """A report that says nothing."""
