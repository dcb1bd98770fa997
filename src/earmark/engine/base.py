"""What an engine is: it runs a task over many items, and gives a :class:`Result` or a Failure for each.

A use case is given an engine and need not know whether processes, this process or a cluster do the work. What a
process that works does is here too: it keeps tasks started, and makes outcomes of what they return and raise.
"""

from __future__ import annotations

import errno
import os
import pickle
import queue
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

from earmark.errors import AudioError, EarmarkError, StorageError, failure_kind
from earmark.inference.records import Failure

__all__ = [
    "TOGETHER",
    "Alive",
    "Each",
    "Engine",
    "InlineEngine",
    "Limited",
    "Result",
    "Started",
    "Task",
    "ahead",
    "failure_of",
    "keep",
    "outcome",
]

Item = TypeVar("Item")
Value = TypeVar("Value")
Alive = Callable[[], None]
"""Called now and then during a long item, so that it is not taken for a hang."""


TOGETHER = 8
"""Files of a network's batch: their clips fill it; more would be held up by the slowest of them."""


class Task(ABC, Generic[Item, Value]):
    """What is done with each item: a frozen dataclass that can be pickled, of a module that workers can import.

    Attributes:
        batch: Items that the started task takes at a time; where it is above 1, it takes and returns a list.
        network: Whether the batches are for a network, which takes them on a GPU alone: else it gets lists of one.
    """

    __slots__ = ()

    batch: int = 1
    network: bool = False

    @abstractmethod
    def start(self, alive: Alive) -> Callable[[Any], Any]:
        """Get ready once in each worker (load the model), and return what turns an item into its value.

        An :class:`EarmarkError` that is no AudioError ends the map, here and at any item: it is raised to whoever asks.
        Any other exception of an item is that item's Failure. A Failure or an exception may also be returned.
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


@dataclass(frozen=True, slots=True)
class Limited(Task[Item, Value]):
    """Another task, each of whose items may take so many seconds: one that takes longer is a Failure (``timeout``).

    It is noticed at a sign of life (:data:`Alive`); where there is none, the map's deadline ends the worker.
    """

    task: Task[Item, Value]
    seconds: float

    def start(self, alive: Alive) -> Callable[[Item], Value]:
        """Start the other task."""
        end = float("inf")

        def alive_in_time() -> None:
            if time.monotonic() > end:
                raise AudioError("", "timeout", f"it takes longer than {self.seconds:g} s; it was given up")
            alive()

        work = self.task.start(alive_in_time)

        def limited(item: Item) -> Value:
            nonlocal end
            end = time.monotonic() + self.seconds
            value = _tried(self.task, work, item)
            if isinstance(value, Exception):
                raise value
            alive_in_time()  # whoever caught the error went on in vain
            return cast(Value, value)

        return limited

    def name(self, item: Any) -> str:
        """As the other task."""
        return self.task.name(item)


@dataclass(frozen=True, slots=True, eq=False)
class Result(Generic[Item, Value]):
    """The value of one item; ``index`` is its place among the items."""

    index: int
    item: Item
    value: Value


class Engine(ABC):
    """Opened once and kept; several maps may run at once, also from several threads.

    Attributes:
        gpu: Whether networks may run on a GPU.
        elsewhere: Whether other machines work, too.
    """

    gpu: bool = False
    elsewhere: bool = False

    def batch(self, task: Task[Any, Any]) -> int:
        """Items of a task that go to a worker at a time."""
        return task.batch if self.gpu or not task.network else 1

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

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences about the work so far that the person who asked should read."""
        return ()

    @abstractmethod
    def close(self) -> None:
        """End all maps, and the workers with them."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


Work = Callable[[Sequence[Any]], list[Any]]

_KEPT = 4  # tasks that a worker keeps started, each perhaps with a model
_FULL = tuple(getattr(errno, name) for name in ("ENOSPC", "EDQUOT") if hasattr(errno, name))


def keep(kept: OrderedDict[int, Any], key: int, value: Any) -> None:
    """Count a task as used last, and let go those that were not used for longest; both ends of a pipe do it alike."""
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > _KEPT:
        kept.popitem(last=False)


class Started:
    """The tasks that were started in this process, each as a function of a list of items; the last few are kept."""

    def __init__(self, alive: Alive) -> None:
        self._alive = alive
        self._kept: OrderedDict[int, Work] = OrderedDict()

    def get(self, key: int) -> Work | None:
        """A task that is still started; None where it is not."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def start(self, key: int, pickled: bytes) -> Work:
        """Start a task.

        Raises:
            EarmarkError: It cannot be started.
        """
        try:
            task = pickle.loads(pickled)
            work = task.start(self._alive)
        except EarmarkError:
            raise
        except MemoryError as error:
            raise EarmarkError("There is not enough memory to start; close other programs or use fewer jobs") from error
        except Exception as error:
            _show_trace(error)
            raise EarmarkError(f"A worker could not start its task: {_one_line(error)}") from error

        def each(items: Sequence[Any]) -> list[Any]:
            return _values(task, work, items)

        keep(self._kept, key, each)
        return each


def outcome(given: Any, index: int, item: Any) -> Result[Any, Any] | Failure:
    """What a started task gave for an item, with its place."""
    return replace(given, index=index) if isinstance(given, Failure) else Result(index, item, given)


def failure_of(error: Exception, name: str) -> Failure:
    """The failure that an exception of an item stands for: the one place where exceptions become kinds.

    Raises:
        EarmarkError: It is one that is not about the item, or the disk is full.
    """
    if isinstance(error, AudioError):
        return Failure(name, error.kind, error.message)
    if isinstance(error, EarmarkError):
        raise error
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return Failure(name, "crash", "out of memory")
    if isinstance(error, OSError):
        if error.errno in _FULL:
            raise StorageError(f"{error.filename or name}: the disk is full") from error
        return Failure(name, failure_kind(error), error.strerror or str(error))
    if isinstance(error, RuntimeError) and "new thread" in str(error):
        return Failure(name, "crash", "the system gave no more threads")
    _show_trace(error)
    return Failure(name, "crash", _one_line(error))


def _values(task: Task[Any, Any], work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """A value or Failure an item; what fails as a batch is tried again one by one."""
    values: Iterable[Any] = (_tried(task, work, item) for item in items)
    if task.batch > 1 and len(items) > 1:
        try:
            values = list(work(list(items)))
        except Exception as error:
            failure_of(error, "")  # raises what is not about the items
    return [
        failure_of(value, task.name(item)) if isinstance(value, Exception) else value
        for value, item in zip(values, items, strict=True)
    ]


def _tried(task: Task[Any, Any], work: Callable[[Any], Any], item: Any) -> Any:
    """The value of one item, or the exception."""
    try:
        return work([item])[0] if task.batch > 1 else work(item)
    except Exception as error:
        return error


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _show_trace(error: Exception) -> None:
    if os.environ.get("EARMARK_DEBUG"):
        traceback.print_exception(error)


class InlineEngine(Engine):
    """The same in this process, one item after the other: a hang is not noticed, a crash takes the process along."""

    workers = 1

    def __init__(self) -> None:
        self._started = Started(lambda: None)

    def map(
        self,
        task: Task[Item, Value],
        items: Iterable[Item],
        *,
        ordered: bool = True,
        deadline: float | None = None,
    ) -> Generator[Result[Item, Value] | Failure]:
        """As the engine's."""
        pickled = pickle.dumps(task)
        work = self._started.get(hash(pickled)) or self._started.start(hash(pickled), pickled)
        numbered = enumerate(items)
        while batch := list(islice(numbered, self.batch(task))):
            for (index, item), given in zip(batch, work([item for _, item in batch]), strict=True):
                yield outcome(given, index, item)

    def close(self) -> None:
        """Let go what was started."""
        self._started = Started(lambda: None)


T = TypeVar("T")

_END = object()


def ahead(items: Iterable[T]) -> Generator[T]:
    """The same items in their order; the next ones are made in a thread meanwhile. Raises what making them raises."""
    ready: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(1)
    stopped = threading.Event()

    def work() -> None:
        try:
            for item in items:
                ready.put((item, None))
                if stopped.is_set():
                    return
            ready.put((_END, None))
        except BaseException as error:
            ready.put((_END, error))

    thread = threading.Thread(target=work, name="earmark-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stopped.set()
        with suppress(queue.Empty):
            ready.get_nowait()  # so that the thread can put its last item, and ends
        thread.join()
