"""How far a training is, on standard error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TextIO

from earmark.cli import console
from earmark.cli.progress import Line, duration

if TYPE_CHECKING:
    from earmark.training.options import Progress

__all__ = ["Learning"]

_STAGES = {
    "files": "reading files",
    "features": "computing features",
    "heads": "training heads",
    "export": "writing the network",
    "scores": "scoring",
}


class Learning:
    """A line that is drawn over, and one that stays for every epoch.

    Args:
        epochs_stay: Whether an epoch that is over leaves its line.
        stream: Standard error, unless said.
    """

    def __init__(self, *, epochs_stay: bool = True, stream: TextIO | None = None) -> None:
        self._line, self._epochs_stay = Line(stream), epochs_stay

    def show(self, progress: Progress) -> None:
        """Draw what was told."""
        if progress.stage != "validation":
            if self._line.shown:
                share = progress.done / max(progress.total, 1)
                self._line.draw(f"{console.bar(share, 20, self._line.stream)} {_words(progress)}")
        elif self._epochs_stay:
            self.clear()
            print(console.plain(_epoch(progress)), file=self._line.stream, flush=True)

    def clear(self) -> None:
        """Take the line away, so that something else can be printed there."""
        self._line.clear()


def _words(progress: Progress) -> str:
    if progress.stage != "epoch":
        return f"{_STAGES.get(progress.stage, progress.stage)}: {progress.done} of {progress.total}"
    said = "" if math.isnan(progress.valid_score) else f", validation score {progress.valid_score:.3f}"
    left = "" if math.isnan(progress.seconds_left) else f", {duration(progress.seconds_left)} left"
    return f"{_place(progress)}, loss {progress.loss:.3f}{said}, {progress.items_per_second:.0f} clips/s{left}"


def _epoch(progress: Progress) -> str:
    """Of one that is over."""
    known = not math.isnan(progress.valid_loss)
    said = f", validation loss {progress.valid_loss:.3f}, score {progress.valid_score:.3f}" if known else ""
    return f"{_place(progress)}: loss {progress.loss:.3f}{said}; {progress.items_per_second:.0f} clips/s"


def _place(progress: Progress) -> str:
    chunk = f"chunk {progress.chunk}, " if progress.chunk else ""
    return f"{chunk}epoch {progress.epoch} of {progress.epochs}"
