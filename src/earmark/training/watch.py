"""Speed of a training and the time that is left, told after every step."""

from __future__ import annotations

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
        self._clips = 0
        self._last: Epoch | None = None

    def epoch_begins(self, epoch: int) -> None:
        """The clips of another epoch come."""
        self._epoch, self._since, self._clips = epoch, time.monotonic(), 0

    def step(self, step: int, clips: int, loss: float) -> None:
        """Another batch is learnt."""
        self._clips += clips
        now = time.monotonic()
        done = (self._epoch - 1 - self._before) * self._steps + step
        left = (self._epochs - self._before) * self._steps - done
        self._tell(step, loss, self._clips / max(now - self._since, 1e-9), (now - self._begun) / done * left)

    def epoch_ended(self, epoch: Epoch) -> None:
        """Its figures are known."""
        self._last = epoch

    def _tell(self, step: int, loss: float, speed: float, left: float) -> None:
        figures = {} if self._last is None else {
            "valid_loss": self._last.valid_loss, "valid_score": self._last.valid_score
        }  # fmt: skip
        self._report(
            Progress(
                stage="epoch", done=step, total=self._steps, epoch=self._epoch, epochs=self._epochs,
                chunk=self._chunk, loss=loss, items_per_second=speed, seconds_left=left, **figures,
            )
        )  # fmt: skip
