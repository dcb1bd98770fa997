"""How far a long run is, on standard error; silent where that is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from earmark.cli.console import bar, columns, fit

__all__ = ["Line", "Progress", "duration", "rate"]

_EVERY = 0.1  # seconds from one drawing to the next


class Line:
    """A line on a terminal that is drawn over itself; elsewhere nothing."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.shown = self.stream.isatty()
        self._on_screen = False

    def draw(self, words: str) -> None:
        """Show these words in the place of the last ones."""
        if self.shown:
            self.stream.write("\r" + fit(words, columns(self.stream) - 1))
            self.stream.flush()
            self._on_screen = True

    def clear(self) -> None:
        """Take the line away, so that something else can be printed there."""
        if self._on_screen:
            self.stream.write("\r" + " " * (columns(self.stream) - 1) + "\r")
            self.stream.flush()
            self._on_screen = False


class Progress:
    """One line that is drawn over itself: songs done, songs a minute, time left.

    Args:
        total: Songs in all.
        done: Songs that an earlier run has done; they do not count for the speed.
        stream: Standard error, unless said.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        total: int,
        done: int = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._line = Line(stream)
        self._total, self._before, self._done = total, done, done
        self._clock, self._start = clock, clock()
        self._drawn_at = float("-inf")

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self._clock() - self._start

    @property
    def heard(self) -> int:
        """Songs done in this run."""
        return self._done - self._before

    def step(self) -> None:
        """One more song is done."""
        self._done += 1
        self.draw()

    def draw(self) -> None:
        """Show the line, but not more often than an eye can follow."""
        now = self._clock()
        if not self._line.shown or (now - self._drawn_at < _EVERY and self._done < self._total):
            return
        self._drawn_at = now
        self._line.draw(self._words())

    def clear(self) -> None:
        """Take the line away, so that something else can be printed there."""
        self._line.clear()
        self._drawn_at = float("-inf")

    def _words(self) -> str:
        share = self._done / self._total if self._total else 1.0
        line = f"{bar(share, 20, self._line.stream)} {self._done} of {self._total}"
        if not self.heard:
            return line
        left = self.seconds / self.heard * (self._total - self._done)
        return f"{line}, {rate(self.heard, self.seconds)}, {duration(left)} left"


def rate(songs: int, seconds: float) -> str:
    """As in ``96 songs/min``."""
    a_minute = 60 * songs / max(seconds, 1e-9)
    return f"{a_minute:.0f} songs/min" if a_minute >= 10 else f"{a_minute:.1f} songs/min"


def duration(seconds: float) -> str:
    """As in ``40 s``, ``3 min 10 s``, ``2 h 5 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if whole < 60:
        return f"{whole} s"
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
