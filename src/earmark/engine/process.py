"""One worker process and the pipes to it, as the process that asks sees them."""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from earmark import errors
from earmark.engine.started import keep
from earmark.errors import EarmarkError, FailureKind

__all__ = ["Lost", "WorkerProcess"]

_START_SECONDS = 120.0
_END_SECONDS = 5.0
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Lost(Exception):
    """A worker process ended, or had to be ended.

    Attributes:
        message: Why.
        kind: Of the failure that it is for the item.
        started: Whether its task had been started: otherwise no item is to blame.
        by_machine: Whether the machine may be to blame, not the item.
    """

    def __init__(
        self, message: str, *, kind: FailureKind = "crash", started: bool = True, killed: bool = False
    ) -> None:
        super().__init__(message)
        self.message, self.kind, self.started = message, kind, started
        self.by_machine = killed or not started


class WorkerProcess:
    """A worker process.

    Args:
        preload: A module that it imports before it is asked anything.

    Raises:
        OSError: The system gives no process.
    """

    def __init__(self, preload: str = "") -> None:
        package = str(Path(errors.__file__).parent.parent)
        code = f"import sys; sys.path.insert(0, {package!r}); from earmark.engine.worker import main; "
        code += f"main({preload!r})"
        self._started: OrderedDict[int, None] = OrderedDict()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],  # -P: modules in the user's current folder are not ours to import
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("EARMARK_DEBUG") else subprocess.DEVNULL,
            env=os.environ | dict.fromkeys(_ONE_THREAD, "1"),
            **_own_group(),
        )
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="earmark-reader", daemon=True)
        self._reader.start()

    def ask(self, key: int, pickled: bytes, items: Sequence[Any], deadline: float) -> list[Any]:
        """Have a task done with items: a value or Failure of each.

        Args:
            key: Of the task: equal ones are started once.
            pickled: The task.
            items: One, or a batch.
            deadline: Seconds without a sign of life.

        Raises:
            EarmarkError: The worker refuses, whatever the item.
            Lost: The worker is no more.
        """
        started = key in self._started
        if started:
            keep(self._started, key, None)
        self._send((key, None if started else pickled, pickle.dumps(items)))
        while True:
            seconds = deadline if started else max(deadline, _START_SECONDS)
            try:
                kind, content = self._answers.get(timeout=seconds)
            except queue.Empty:
                message = f"no progress for {seconds:g} s; the file was given up"
                raise Lost(message, kind="timeout", started=started) from None
            if kind == "gone":
                raise self._death(started)
            if kind == "refused":
                assert isinstance(content, EarmarkError)
                raise content
            if kind == "ready":
                started = True
                keep(self._started, key, None)
            if kind == "done":
                assert isinstance(content, list)
                return content

    def kill(self) -> None:
        """End it at once, whatever it does; may be called from any thread."""
        self._process.kill()

    @property
    def ended(self) -> bool:
        """Whether the process is no more."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End it, wait for its end and close the pipes."""
        self.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what was not sent has no reader any more
                if pipe is not None:
                    pipe.close()

    def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # its end is an answer too
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()

    def _read(self) -> None:
        """Pass on what the worker says, in a thread of its own, so that whoever waits can stop waiting."""
        assert self._process.stdout is not None
        with suppress(Exception):
            while True:
                self._answers.put(pickle.load(self._process.stdout))
        self._answers.put(("gone", None))

    def _death(self, started: bool) -> Lost:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        code = self._process.poll()
        if not started:
            hint = "" if os.environ.get("EARMARK_DEBUG") else "; run again with EARMARK_DEBUG=1 to see why"
            return Lost(f"a worker process could not start ({_name(code)}){hint}", started=False)
        if code == -9:
            return Lost("the system ended the worker (SIGKILL): memory may be short", killed=True)
        return Lost(f"the decoder crashed on this file ({_name(code)})")


def _own_group() -> dict[str, Any]:
    """Ctrl-C in a terminal goes to the asking process alone; it ends its workers itself."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"process_group": 0}


def _name(code: int | None) -> str:
    if code is None:
        return "its answers broke off"
    if code < 0:
        import signal

        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"
    return f"exit status {code}"
