"""An engine without processes, for tests."""

from __future__ import annotations

import pickle
from collections.abc import Generator, Iterable
from itertools import islice

from earmark.engine.base import Engine, Item, Result, Task, Value
from earmark.engine.started import Started, outcome
from earmark.inference.records import Failure

__all__ = ["InlineEngine"]


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
        while batch := list(islice(numbered, task.batch)):
            for (index, item), given in zip(batch, work([item for _, item in batch]), strict=True):
                yield outcome(given, index, item)

    def close(self) -> None:
        """Let go what was started."""
        self._started = Started(lambda: None)
