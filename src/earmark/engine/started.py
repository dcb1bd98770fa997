"""Tasks at work in a process, whether it is a worker or the one that asks; and what their exceptions mean."""

from __future__ import annotations

import errno
import os
import pickle
import traceback
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from earmark.engine.base import Alive, Result, Task
from earmark.errors import AudioError, EarmarkError, FailureKind, StorageError
from earmark.inference.records import Failure

__all__ = ["Started", "failure_of", "keep", "outcome"]

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
            _show_trace()
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
        return Failure(name, _kind_of(error), error.strerror or str(error))
    if isinstance(error, RuntimeError) and "new thread" in str(error):
        return Failure(name, "crash", "the system gave no more threads")
    _show_trace()
    return Failure(name, "crash", _one_line(error))


def _values(task: Task[Any, Any], work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """A value or Failure an item; what fails as a batch is tried again one by one."""
    if task.batch > 1 and len(items) > 1:
        try:
            return list(work(list(items)))
        except Exception as error:
            failure_of(error, "")  # raises what is not about the items
    return [_value(task, work, item) for item in items]


def _value(task: Task[Any, Any], work: Callable[[Any], Any], item: Any) -> Any:
    try:
        return work([item])[0] if task.batch > 1 else work(item)
    except Exception as error:
        return failure_of(error, task.name(item))


def _kind_of(error: OSError) -> FailureKind:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return "missing"
    return "permission" if isinstance(error, PermissionError) else "io"


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _show_trace() -> None:
    if os.environ.get("EARMARK_DEBUG"):
        traceback.print_exc()
