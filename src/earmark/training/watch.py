"""Speed of a training and the time that is left, told after every step."""

from __future__ import annotations

import math
import time

from earmark.evaluation.history import Epoch
from earmark.training.options import Progress, Report

__all__ = ["Watch"]


class Watch:
    """Looks on while epochs go by.

    Args:
        report: Is told.
        epochs: At most.
        steps: Of an epoch.
        chunk: From 1, 0 where there are none.
        before: Epochs of an earlier run.
    """

    def __init__(self, report: Report, epochs: int, steps: int, chunk: int, before: int) -> None:
        """Start the clock."""
        self._report, self._epochs, self._steps, self._chunk = report, epochs, steps, chunk
        self._before, self._epoch = before, before
        self._begun = self._since = time.monotonic()
        self._clips, self._loss, self._speed = 0, math.nan, math.nan
        self._last: Epoch | None = None

    def epoch_begins(self, epoch: int) -> None:
        """The clips of another epoch come."""
        self._epoch, self._since, self._clips = epoch, time.monotonic(), 0

    def step(self, step: int, clips: int, loss: float) -> None:
        """Another batch is learnt."""
        self._clips += clips
        self._loss, now = loss, time.monotonic()
        self._speed = self._clips / max(now - self._since, 1e-9)
        done = (self._epoch - 1 - self._before) * self._steps + step
        left = (self._epochs - self._before) * self._steps - done
        self._tell("epoch", step, (now - self._begun) / done * left)

    def epoch_ended(self, epoch: Epoch) -> None:
        """Its figures are known."""
        self._last, self._loss = epoch, epoch.train_loss
        self._tell("validation", self._steps, math.nan)

    def _tell(self, stage: str, step: int, left: float) -> None:
        last = self._last
        self._report(
            Progress(
                stage=stage,
                done=step,
                total=self._steps,
                epoch=self._epoch,
                epochs=self._epochs,
                chunk=self._chunk,
                loss=self._loss,
                valid_loss=math.nan if last is None else last.valid_loss,
                valid_score=math.nan if last is None else last.valid_score,
                items_per_second=self._speed,
                seconds_left=left,
            )
        )
