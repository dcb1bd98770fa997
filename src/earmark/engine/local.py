"""Many files on all cores: worker processes, each with one file at a time, and their answers in the order asked.

Nothing heavy is imported here: the process that asks starts at once and only waits. A worker that crashes or hangs
costs its own file (a Failure) and is replaced; a file never costs the run.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from earmark import errors
from earmark.errors import EarmarkError, ModelError
from earmark.inference.options import HearingOptions
from earmark.inference.records import Failure, Prediction

__all__ = ["default_workers", "predict_files"]

_START_SECONDS = 60.0
_AHEAD = 16  # files begun beyond the one waited for, a worker: bounds memory, yet a slow file holds nobody up


def default_workers() -> int:
    """As many workers as this process may use cores."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def predict_files(
    models: Sequence[Path],
    paths: Iterable[str],
    *,
    workers: int | None = None,
    options: HearingOptions | None = None,
    ordered: bool = True,
) -> Iterator[Prediction | Failure]:
    """Hear many files.

    Args:
        models: Model folders; several are an ensemble.
        paths: Files. Read as work goes on, so that it may be a generator.
        workers: Processes; as many as cores where None.
        options: How to hear.
        ordered: Wait with an answer for those before it; otherwise it comes as soon as it is there.

    Yields:
        One Prediction or Failure a path, in their order unless told otherwise. Closing the iterator ends the workers.

    Raises:
        EarmarkError: No worker could load the model, or do what ``options`` asks for.
    """
    count = workers or default_workers()
    crew = _Crew(list(models), options or HearingOptions())
    remaining = iter(paths)
    waiting: deque[Future[Prediction | Failure]] = deque()
    executor = ThreadPoolExecutor(count, thread_name_prefix="earmark")
    try:
        while True:
            waiting.extend(
                executor.submit(crew.hear, path) for path in islice(remaining, count * _AHEAD - len(waiting))
            )
            if not waiting:
                return
            done = [waiting[0]] if ordered else wait(waiting, return_when=FIRST_COMPLETED).done
            for future in done:
                waiting.remove(future)
                yield future.result()
    finally:
        crew.stop()
        executor.shutdown(wait=True, cancel_futures=True)
        crew.reap()


@dataclass(slots=True)
class _Crew:
    """The worker processes, one a thread; each is started by its first file."""

    models: list[Path]
    options: HearingOptions
    _mine: threading.local = field(default_factory=threading.local)
    _all: set[_Worker] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def hear(self, path: str) -> Prediction | Failure:
        worker: _Worker | None = getattr(self._mine, "worker", None)
        if worker is None:
            worker = self._mine.worker = self._start()
        result = worker.ask(path)
        if worker.ended:
            self._mine.worker = None
            with self._lock:
                self._all.discard(worker)
            worker.reap()
        return result

    def _start(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise ModelError("stopped")
            worker = _Worker(self.options.timeout)
            self._all.add(worker)
        worker.set_up(self.models, self.options)
        return worker

    def stop(self) -> None:
        """End all workers; threads that wait for one get its end as an answer."""
        with self._lock:
            self._closed = True
            for worker in self._all:
                worker.kill()

    def reap(self) -> None:
        """Wait for the workers' ends, so that none is left behind as a zombie; no thread uses them any more."""
        for worker in self._all:
            worker.reap()


class _Worker:
    """One worker process and the pipes to it."""

    def __init__(self, timeout: float) -> None:
        package = str(Path(errors.__file__).parent.parent)
        code = f"import sys; sys.path.insert(0, {package!r}); from earmark.engine.worker import main; main()"
        self._timeout = timeout
        self._timed_out = False
        self.ended = False
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],  # -P: modules in the user's current folder are not ours to import
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("EARMARK_DEBUG") else subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            **_own_group(),
        )

    def set_up(self, models: list[Path], options: HearingOptions) -> None:
        kind, _ = self._exchange((models, options), _START_SECONDS)
        if kind != "ready":
            self.kill()
            raise ModelError("a worker process could not start; run again with EARMARK_DEBUG=1 to see why")

    def ask(self, path: str) -> Prediction | Failure:
        kind, said = self._exchange(path, self._timeout)
        if kind == "done":
            assert isinstance(said, (Prediction, Failure))
            return said
        self.kill()
        if self._timed_out:
            return Failure(path, "timeout", f"no progress for {self._timeout:g} s; the file was given up")
        return Failure(path, "crash", f"the decoder crashed on this file ({_death(self._process.wait())})")

    def kill(self) -> None:
        self.ended = True
        self._process.kill()

    def reap(self) -> None:
        """Wait for the end of the killed process and close its pipes."""
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what was not sent has no reader any more
                if pipe is not None:
                    pipe.close()

    def _exchange(self, message: object, timeout: float) -> tuple[str, Any]:
        """Send a message and wait for what is not a sign of life; ``gone`` where the process ended.

        Raises:
            EarmarkError: The worker refused: the model cannot do what is asked, whatever the file.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()
            while True:
                watch = threading.Timer(timeout, self._give_up)
                watch.daemon = True
                watch.start()
                try:
                    kind, said = pickle.load(self._process.stdout)
                finally:
                    watch.cancel()
                if kind == "refused":
                    self.kill()
                    raise _as_raised(*said)
                if kind != "alive":
                    return kind, said
        except (EOFError, OSError, pickle.UnpicklingError):
            return "gone", None

    def _give_up(self) -> None:
        self._timed_out = True
        self._process.kill()


def _own_group() -> dict[str, Any]:
    """Ctrl-C in a terminal goes to the asking process alone; it ends its workers itself."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"process_group": 0}


def _death(code: int) -> str:
    if code < 0:
        import signal

        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"
    return f"exit status {code}"


def _as_raised(name: str, message: str) -> EarmarkError:
    """The worker's error as one of ours, with its message as it was."""
    kind: type[EarmarkError] = getattr(errors, name, EarmarkError)
    error = EarmarkError.__new__(kind)
    Exception.__init__(error, message)
    return error
