"""What an engine is: it runs a task over many items, and gives a :class:`Result` or a Failure for each.

A use case is given an engine and need not know whether processes, this process or a cluster do the work.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from earmark.inference.records import Failure

__all__ = ["Alive", "Each", "Engine", "Result", "Task"]

Item = TypeVar("Item")
Value = TypeVar("Value")
Alive = Callable[[], None]
"""Called now and then during a long item, so that it is not taken for a hang."""


class Task(ABC, Generic[Item, Value]):
    """What is done with each item: a frozen dataclass that can be pickled, of a module that workers can import.

    Attributes:
        batch: Items that the started task takes at a time; where it is above 1, it takes and returns a list.
    """

    __slots__ = ()

    batch: int = 1

    @abstractmethod
    def start(self, alive: Alive) -> Callable[[Any], Any]:
        """Get ready once in each worker (load the model), and return what turns an item into its value.

        An :class:`EarmarkError` that is no AudioError ends the map, here and at any item: it is raised to whoever asks.
        Any other exception of an item is that item's Failure. A Failure may also be returned.
        """

    def name(self, item: Any) -> str:
        """What a Failure calls an item."""
        return os.fspath(item) if isinstance(item, (str, os.PathLike)) else str(getattr(item, "path", item))


@dataclass(frozen=True, slots=True)
class Each(Task[Item, Value]):
    """A function of each item, where nothing has to be loaded: one of a module, or a ``functools.partial`` of it."""

    function: Callable[..., Value]
    lively: bool = False
    """Whether the function takes ``alive`` too."""

    def start(self, alive: Alive) -> Callable[[Item], Value]:
        """The function."""
        return partial(self.function, alive=alive) if self.lively else self.function


@dataclass(frozen=True, slots=True, eq=False)
class Result(Generic[Item, Value]):
    """The value of one item; ``index`` is its place among the items."""

    index: int
    item: Item
    value: Value


class Engine(ABC):
    """Opened once and kept; several maps may run at once, also from several threads."""

    @property
    @abstractmethod
    def workers(self) -> int:
        """Items that are worked on at a time."""

    @abstractmethod
    def map(
        self,
        task: Task[Item, Value],
        items: Iterable[Item],
        *,
        ordered: bool = True,
        deadline: float | None = None,
    ) -> Generator[Result[Item, Value] | Failure]:
        """Do a task with each item.

        Args:
            task: Is started once in each worker that meets it; equal tasks share what was started.
            items: Paths, URIs or any values that can be pickled; read as work goes on, so that it may be a generator.
            ordered: Each outcome waits for those before it; otherwise it comes as soon as it is there.
            deadline: Seconds without a sign of life (:data:`Alive`) after which an item is given up; None for 120.

        Yields:
            One outcome an item. Closing the iterator ends the work that was begun.

        Raises:
            EarmarkError: The task refuses, whatever the item; or the machine has no room for a worker.
        """

    @abstractmethod
    def close(self) -> None:
        """End all maps, and the workers with them."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
