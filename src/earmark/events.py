"""What a long piece of work tells on its way: events, and the run that yields them and ends in a result.

A use case is a generator that yields events and returns its result; :func:`use_case` makes it return a :class:`Run`.
Parts of one are generators too, joined by ``yield from``: nothing is called back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeVar

from earmark.errors import Cancelled

__all__ = ["Event", "Notice", "Progress", "Record", "Run", "Steps", "use_case"]

R = TypeVar("R")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work is.

    Attributes:
        done: Items done.
        total: Items altogether; None where nobody knows.
        stage: What is being done, in a word or two ("reading", "training"); progress counts anew in each stage.
        unit: What is counted, in the plural ("songs", "epochs").
        facts: Figures of the moment, by name (loss, validation loss, ...).
    """

    done: int
    total: int | None = None
    stage: str = ""
    unit: str = "songs"
    facts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """One finished item of the work: a prediction, a failure, a row of a table."""

    value: Any


@dataclass(frozen=True, slots=True)
class Notice:
    """A whole sentence that the person who asked should read."""

    message: str


Event = Progress | Record | Notice
Steps = Generator[Event, None, R]
"""What a part of a use case is: it yields events and returns a result."""


class Run(Generic[R]):
    """Work in progress: iterate for its events; ``result`` is there once the iteration has ended.

    Closing or cancelling a run ends its worker processes and leaves on disk what is done.
    """

    def __init__(self, steps: Steps[R]) -> None:
        self._steps = steps
        self._cancelled = threading.Event()
        self._result: tuple[R] | None = None

    def __iter__(self) -> Iterator[Event]:
        """Events, until the work is done.

        Raises:
            Cancelled: :meth:`cancel` was called, from this thread or another.
            EarmarkError: What the work itself raises.
        """
        try:
            while not self._cancelled.is_set():
                try:
                    event = next(self._steps)
                except StopIteration as end:
                    self._result = (end.value,)
                    return
                yield event
        finally:
            self._steps.close()
        raise Cancelled("the work was cancelled")

    def cancel(self) -> None:
        """End the work at its next event; may be called from another thread."""
        self._cancelled.set()

    def wait(self) -> R:
        """Go through all events, and return the result."""
        for _ in self:
            pass
        return self.result

    @property
    def result(self) -> R:
        """What came of it.

        Raises:
            RuntimeError: The iteration has not ended.
        """
        if self._result is None:
            raise RuntimeError("the run has not ended: iterate over it first")
        return self._result[0]


def use_case(function: Callable[P, Steps[R]]) -> Callable[P, Run[R]]:
    """Make a generator of events that returns a result into a function that returns a :class:`Run`."""

    @wraps(function)
    def start(*args: P.args, **kwargs: P.kwargs) -> Run[R]:
        return Run(function(*args, **kwargs))

    return start
