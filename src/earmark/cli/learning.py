"""How far a training is, on standard error: a run's line, and one that stays for every epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO, TypeVar

from earmark.cli.console import bar, plain
from earmark.cli.drawing import Drawing, duration
from earmark.events import Event, Progress, Run

if TYPE_CHECKING:
    from earmark.events import Steps

__all__ = ["Learning"]

R = TypeVar("R")


class Learning(Drawing):
    """A line that is drawn over, and one that stays for every epoch.

    Args:
        epochs_stay: Whether an epoch that is over leaves its line.
        stream: Standard error, unless said.
    """

    def __init__(self, *, epochs_stay: bool = True, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._epochs_stay = epochs_stay

    def follow(self, steps: Steps[R]) -> R:
        """Draw the steps of a training, and return their result."""
        run = Run(steps)
        try:
            for event in run:
                self.show(event)
        finally:
            self.clear()
        return run.result

    def show(self, event: Event) -> None:
        """Draw what happened."""
        if not isinstance(event, Progress) or event.stage != "epochs":
            super().show(event)
        elif self._epochs_stay:
            self.clear()
            print(plain(_epoch(event)), file=self._stream, flush=True)

    def _words(self, event: Progress) -> str:
        if event.stage != "training":
            return super()._words(event)
        known = event.facts
        score = f", validation score {known['valid_score']:.3f}" if "valid_score" in known else ""
        left = f", {duration(known['seconds_left'])} left" if "seconds_left" in known else ""
        place = f"{_chunk(event)}epoch {known['epoch']:.0f} of {known['epochs']:.0f}"
        drawn = bar(event.done / (event.total or 1), 20, self._stream)
        return f"{drawn} {place}, loss {_figure(event, 'loss')}{score}, {known['clips_per_second']:.0f} clips/s{left}"


def _epoch(event: Progress) -> str:
    """Of one that is over."""
    measured = ""
    if "valid_loss" in event.facts:
        measured = f", validation loss {_figure(event, 'valid_loss')}, score {_figure(event, 'valid_score')}"
    speed = f"{event.facts['clips_per_second']:.0f} clips/s"
    return f"{_chunk(event)}epoch {event.done} of {event.total}: loss {_figure(event, 'loss')}{measured}; {speed}"


def _figure(event: Progress, name: str) -> str:
    return f"{event.facts[name]:.3f}" if name in event.facts else "unknown"


def _chunk(event: Progress) -> str:
    return f"chunk {event.facts['chunk']:.0f}, " if "chunk" in event.facts else ""
