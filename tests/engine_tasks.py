"""Tasks for tests of engines; workers import this module, so the fixture ``tasks`` puts its folder on their path."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earmark.engine import Alive, Analyse, LocalEngine, Task, analyse
from earmark.errors import AudioError, MissingExtra, ModelError, StorageError, UnknownName
from earmark.inference.options import HearingOptions
from earmark.inference.records import Failure, Prediction

REFUSALS = {
    "model": lambda: ModelError("no such model"),
    "name": lambda: UnknownName("layer", "band", ["bands"]),
    "extra": lambda: MissingExtra("train", "training"),
    "bug": lambda: KeyError("a fault\nof ours"),
    "memory": lambda: MemoryError(),
}


@dataclass(frozen=True, slots=True)
class Act(Task[str, Any]):
    """Does what an item says; ``start`` refuses for a reason of :data:`REFUSALS`; each start is a line in ``log``."""

    refusal: str = ""
    log: Path | None = None
    number: int = 0

    def start(self, alive: Alive) -> Callable[[str], Any]:
        if self.refusal == "exit":
            os._exit(9)
        if self.refusal:
            raise REFUSALS[self.refusal]()
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{os.getpid()} {self.number}\n")
        return lambda item: self._act(item, alive)

    def _act(self, item: str, alive: Alive) -> Any:
        verb, _, rest = item.partition(" ")
        if verb == "sleep":
            time.sleep(float(rest))
        elif verb == "long":
            for _ in range(round(float(rest) / 0.2)):
                time.sleep(0.2)
                alive()
        elif verb == "once" and not Path(rest).exists():
            Path(rest).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        elif verb == "large":
            return b"x" * (int(rest) * 2**20)
        elif verb in ACTS:
            return ACTS[verb]()
        elif verb == "pid":
            return os.getpid()
        elif verb == "environ":
            return os.environ.get(rest)
        elif verb == "group":
            return os.getpgrp(), signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        return item.upper()


@dataclass(frozen=True, slots=True)
class Together(Task[int, tuple[int, int]]):
    """Items in batches: an item and how many came with it; 13 spoils its batch, 99 ends the process."""

    batch: int = 4

    def start(self, alive: Alive) -> Callable[[list[int]], list[tuple[int, int]]]:
        def work(items: list[int]) -> list[tuple[int, int]]:
            if 99 in items:
                os._exit(3)
            if 13 in items:
                raise AudioError("", "decode", "unlucky")
            return [(item, len(items)) for item in items]

        return work


@dataclass(frozen=True, slots=True)
class Sees(Task[str, str]):
    """Opens a file, which is not there for nodes of a cluster whose environment says BLIND."""

    def start(self, alive: Alive) -> Callable[[str], str]:
        def work(path: str) -> str:
            if "BLIND" in os.environ:
                raise FileNotFoundError(2, "No such file or directory")
            Path(path).read_bytes()
            return path

        return work


def predict_files(
    models: Sequence[Path],
    paths: Iterable[str],
    *,
    workers: int,
    options: HearingOptions | None = None,
    ordered: bool = True,
) -> Generator[Prediction | Failure]:
    """Predictions of files by worker processes."""
    with LocalEngine(workers) as engine:
        yield from analyse(engine, Analyse.of(models, options), paths, ordered=ordered)


def _raise(error: BaseException) -> None:
    raise error


ACTS: dict[str, Callable[[], Any]] = {
    "abort": os.abort,
    "leave": lambda: os._exit(7),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "hang": lambda: time.sleep(600),
    "audio": lambda: _raise(AudioError("elsewhere", "not-audio", "no stream found")),
    "missing": lambda: _raise(FileNotFoundError(2, "No such file or directory")),
    "denied": lambda: _raise(PermissionError(13, "Permission denied")),
    "io": lambda: _raise(OSError(5, "Input/output error")),
    "full": lambda: _raise(OSError(28, "No space left on device")),
    "store": lambda: _raise(StorageError("the cache is read-only")),
    "model": lambda: _raise(ModelError("takes no audio")),
    "memory": lambda: _raise(MemoryError()),
    "nomem": lambda: _raise(OSError(12, "Cannot allocate memory")),
    "threads": lambda: _raise(RuntimeError("can't start new thread")),
    "fault": lambda: _raise(KeyError("a fault\nof ours")),
    "value": lambda: threading.Lock(),
    "nice": lambda: os.nice(0),
}
