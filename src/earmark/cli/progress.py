"""How far a long run is, on standard error; silent where that is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from earmark.cli.console import bar, columns, fit

__all__ = ["Progress", "duration", "rate"]

_EVERY = 0.1  # seconds from one drawing to the next


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
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty()
        self._total, self._before, self._done = total, done, done
        self._clock, self._start = clock, clock()
        self._drawn_at = float("-inf")
        self._on_screen = False

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
        if not self._shown or (now - self._drawn_at < _EVERY and self._done < self._total):
            return
        self._drawn_at, self._on_screen = now, True
        self._stream.write("\r" + fit(self._line(), columns(self._stream) - 1))
        self._stream.flush()

    def clear(self) -> None:
        """Take the line away, so that something else can be printed there."""
        if self._on_screen:
            self._stream.write("\r" + " " * (columns(self._stream) - 1) + "\r")
            self._stream.flush()
            self._on_screen, self._drawn_at = False, float("-inf")

    def _line(self) -> str:
        share = self._done / self._total if self._total else 1.0
        line = f"{bar(share, 20, self._stream)} {self._done} of {self._total}"
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
