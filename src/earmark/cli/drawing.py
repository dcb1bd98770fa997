"""A run on a terminal: one line that is drawn over itself, notices above it, and what is said where it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

from earmark.cli.console import bar, columns, fit, plain
from earmark.events import Event, Notice, Progress, Record, Run

if TYPE_CHECKING:
    pass

__all__ = ["Drawing", "Stopped", "count_of", "duration", "follow", "print_notice", "print_summary", "rate", "records"]

R = TypeVar("R")

_EVERY = 0.1  # seconds from one drawing to the next


class Stopped(KeyboardInterrupt):
    """Ctrl-C, after some work is done that is kept."""


class Drawing:
    """One line on a terminal that is drawn over itself: how much is done, how fast, and the time left.

    Where the stream is no terminal there is no line, only notices.

    Args:
        stream: Standard error, unless said.
        clock: Seconds that only grow.
        epochs_stay: Whether an epoch of a training that is over leaves its line.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        epochs_stay: bool = True,
    ) -> None:
        self._stream, self._clock, self._epochs_stay = stream or sys.stderr, clock, epochs_stay
        self._first, self._start = Progress(0), clock()  # of the stage: what an earlier run did is not our speed
        self._drawn_at = float("-inf")
        self._on_screen = False
        self.begun = False

    def show(self, event: Event) -> None:
        """Draw how far the work is, but not more often than an eye can follow; or print a notice."""
        if isinstance(event, Notice):
            self.clear()
            print_notice(event.message, self._stream)
        elif isinstance(event, Progress) and event.stage == "epochs":
            if self._epochs_stay:
                self.clear()
                print_notice(_epoch(event), self._stream)
        elif isinstance(event, Progress):
            if (event.stage, event.total) != (self._first.stage, self._first.total):
                self._first, self._start, self._drawn_at = event, self._clock(), float("-inf")
            self.begun |= event.done > self._first.done
            now = self._clock()
            if self._stream.isatty() and (now - self._drawn_at >= _EVERY or event.done == event.total):
                self._drawn_at = now
                self._draw(self._words(event))

    def clear(self) -> None:
        """Take the line away, so that something else can be printed there."""
        if self._on_screen:
            self._stream.write("\r" + " " * (columns(self._stream) - 1) + "\r")
            self._stream.flush()
            self._on_screen = False
            self._drawn_at = float("-inf")

    def _draw(self, words: str) -> None:
        self._stream.write("\r" + fit(plain(words), columns(self._stream) - 1))
        self._stream.flush()
        self._on_screen = True

    def _words(self, event: Progress) -> str:
        if event.stage == "training" and "epoch" in event.facts:
            return f"{bar(event.done / (event.total or 1), 20, self._stream)} {_training(event)}"
        stage = f"{event.stage}: " if event.stage else ""
        facts = "".join(f", {name} {value:.3f}" for name, value in event.facts.items() if value == value)
        if event.total is None:
            return f"{stage}{event.done} {event.unit}{facts}" if event.done else f"{event.stage} ..."
        drawn = bar(event.done / event.total if event.total else 1.0, 20, self._stream)
        line = f"{drawn} {stage}{event.done} of {event.total}"
        if event.unit != "songs":
            line += f" {event.unit}"
        fresh, seconds = event.done - self._first.done, self._clock() - self._start
        if fresh <= 0:
            return line + facts
        left = seconds / fresh * (event.total - event.done)
        speed = f", {rate(fresh, seconds)}" if event.unit == "songs" else ""
        return f"{line}{facts}{speed}, {duration(left)} left"


def _training(event: Progress) -> str:
    """Of an epoch that goes on."""
    known = event.facts
    score = f", validation score {known['valid_score']:.3f}" if "valid_score" in known else ""
    left = f", {duration(known['seconds_left'])} left" if "seconds_left" in known else ""
    place = f"{_chunk(event)}epoch {known['epoch']:.0f} of {known['epochs']:.0f}"
    return f"{place}, loss {_figure(event, 'loss')}{score}, {known['clips_per_second']:.0f} clips/s{left}"


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


def records(run: Run[Any], drawing: Drawing | None = None) -> Generator[Any]:
    """The records of a run, while its progress and its notices are drawn."""
    drawing = drawing or Drawing()
    try:
        with closing(cast("Generator[Event]", iter(run))) as events:
            for event in events:
                if isinstance(event, Record):
                    drawing.clear()
                    yield event.value
                else:
                    drawing.show(event)
    finally:
        drawing.clear()


def follow(run: Run[R], *, keeps: bool = False, epochs_stay: bool = True) -> R:
    """Draw a run to its end.

    Args:
        run: The work.
        keeps: Whether what is done when it is stopped is there for the next run.
        epochs_stay: Whether an epoch of a training that is over leaves its line.

    Raises:
        Stopped: Ctrl-C came after some work that is kept.
    """
    drawing = Drawing(epochs_stay=epochs_stay)
    try:
        for _ in records(run, drawing):
            pass
    except KeyboardInterrupt:
        if keeps and drawing.begun:
            raise Stopped from None
        raise
    return run.result


def print_notice(message: str, stream: TextIO | None = None) -> None:
    """A sentence for the person who asked, on standard error."""
    print(plain(message), file=stream or sys.stderr, flush=True)


def print_summary(verb: str, result: Any) -> None:
    """Say on standard error what became of files: of an ``Analysed`` or an ``Embedded``."""
    failed = _failed(result)
    done = result.tracks + sum(failed.values())
    fresh = done - result.kept
    line = f"{verb} {count_of(result.tracks, 'song')}"
    if result.kept:
        line += f", {result.kept} of the {done} records by an earlier run"
    if fresh and result.tracks:
        line += f" in {duration(result.seconds)} ({rate(fresh, result.seconds)})"
    print_notice(line)
    if failed:
        kinds = ", ".join(f"{count} {kind}" for kind, count in failed.items())
        print_notice(f"{sum(failed.values())} could not be analysed: {kinds}")
    if result.others:
        print_notice(f"{result.others} other {'file is' if result.others == 1 else 'files are'} not audio")


def _failed(result: Any) -> Mapping[str, int]:
    if hasattr(result, "failed"):
        return cast("Mapping[str, int]", result.failed)
    kinds = [record["error"]["kind"] for record in result.failures]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def count_of(number: int, what: str) -> str:
    """As in ``1 song``, ``3 songs``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


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
