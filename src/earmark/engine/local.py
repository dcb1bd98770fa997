"""Worker processes on this machine, kept from map to map.

Nothing heavy is imported here: the process that asks starts at once and only waits. A thread a worker hands it one
piece of work after the other, from whichever map has the fewest at work, so that a request is served during a scan.
A worker that crashes or hangs costs its own item and is replaced; an item never costs the run.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from abc import abstractmethod
from collections import Counter, OrderedDict, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, Self

from earmark import errors
from earmark.engine.base import Engine, Item, Result, Task, Value, keep, outcome
from earmark.errors import EarmarkError, FailureKind
from earmark.inference.records import Failure
from earmark.models.device import VARIABLE, Device, may_use_gpu

__all__ = ["LocalEngine", "Lost", "PooledEngine", "Seat", "Worker", "WorkerProcess", "default_workers"]

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
        ended: Whether the worker is of no use any more.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: FailureKind = "crash",
        started: bool = True,
        killed: bool = False,
        ended: bool = True,
    ) -> None:
        super().__init__(message)
        self.message, self.kind, self.started, self.ended = message, kind, started, ended
        self.by_machine = killed or not started


class Worker(Protocol):
    """Whatever does items of a task, one piece of work after the other.

    Attributes:
        notices: Sentences about how it works.
    """

    notices: Sequence[str]

    def ask(self, key: int, pickled: bytes, items: Sequence[Any], deadline: float) -> list[Any]:
        """As of :class:`WorkerProcess`."""

    def kill(self) -> None:
        """End it at once, whatever it does; may be called from any thread."""

    def close(self) -> None:
        """End it, and wait for its end."""


class WorkerProcess:
    """A worker process.

    Args:
        preload: A module that it imports before it is asked anything.
        device: What networks run on.

    Raises:
        OSError: The system gives no process.
    """

    def __init__(self, preload: str = "", device: Device = "auto") -> None:
        self.notices: Sequence[str] = ()
        package = str(Path(errors.__file__).parent.parent)
        code = f"import sys; sys.path.insert(0, {package!r}); from earmark.engine.worker import main; "
        code += f"main({preload!r})"
        self._started: OrderedDict[int, None] = OrderedDict()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],  # -P: modules in the user's current folder are not ours to import
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("EARMARK_DEBUG") else subprocess.DEVNULL,
            env=os.environ | dict.fromkeys(_ONE_THREAD, "1") | ({} if device == "auto" else {VARIABLE: device}),
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
            if kind == "notice":
                self.notices = (*self.notices, content)
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


Numbered = list[tuple[int, Any]]

_AHEAD = 16  # items begun beyond the one waited for, a worker: bounds memory, yet a slow one holds nobody up
_DEADLINE = 120.0
_REST = 300.0  # seconds without work after which a worker goes
_PAUSE = 10.0  # seconds before another worker is tried, where the machine had room for some and no more
_AWAKE = 1.0  # seconds between two looks at Ctrl-C, which some systems do not let interrupt a wait


def default_workers() -> int:
    """As many workers as this process may use cores."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


@dataclass(eq=False, slots=True)
class Job:
    """One map: what waits, what is at work, and what is done but not given out yet."""

    task: Task[Any, Any]
    key: int  # of equal tasks
    pickled: bytes
    ordered: bool
    deadline: float
    waiting: deque[Numbered] = field(default_factory=deque)
    at_work: int = 0
    served: int = 0  # when it was given a worker last
    open: int = 0  # items taken in and not given out
    done: dict[int, Any] = field(default_factory=dict)
    next: int = 0
    tries: Counter[int] = field(default_factory=Counter)  # workers that were lost with an item
    error: BaseException | None = None
    closed: bool = False

    @property
    def ready(self) -> bool:
        """Whether an outcome can be given out."""
        return self.next in self.done if self.ordered else bool(self.done)

    def take(self) -> Any:
        """The next outcome."""
        index = self.next if self.ordered else next(iter(self.done))
        self.next += 1
        self.open -= 1
        return self.done.pop(index)

    def end(self, error: BaseException | None = None) -> None:
        """Begin nothing more."""
        self.closed, self.error = True, self.error or error
        self.waiting.clear()


class _Retired(Exception):
    """A thread has no worker and goes."""


@dataclass(eq=False, slots=True)
class Seat:
    """A thread's worker, if it has one yet, the map that it works for, and whether it goes when it has none."""

    worker: Worker | None = None
    job: Job | None = None
    leaves: bool = False


class PooledEngine(Engine):
    """Threads that hand pieces of work to workers, which are made when they are first needed.

    Args:
        ready: Whether the first worker is made as soon as the engine is entered, while the work is being prepared.
        device: What networks run on.

    Raises:
        EarmarkError: The environment names a device that there is not.
    """

    def __init__(self, *, ready: bool = False, device: Device = "auto") -> None:
        self._ready, self._device, self.gpu = ready, device, may_use_gpu(device)
        self._notices: dict[str, None] = {}
        self._changed = threading.Condition()
        self._jobs: list[Job] = []
        self._seats: dict[Seat, threading.Thread] = {}
        self._most = 0  # seats at a time, so far
        self._idle = 0
        self._turn = 0
        self._deaths = 0  # of workers in a row, with nothing done in between
        self._no_seat_before = 0.0
        self._closed = False

    @property
    def notices(self) -> tuple[str, ...]:
        """What the workers say of the devices that networks run on, each sentence once."""
        with self._changed:
            return tuple(self._notices)

    @abstractmethod
    def _make_worker(self) -> Worker:
        """Another worker.

        Raises:
            Lost: There is no room for it just now.
            EarmarkError: There will never be one.
        """

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
        job = Job(task, hash(pickled), pickled, ordered, deadline or _DEADLINE)
        with self._changed:
            if self._closed:
                raise RuntimeError("the engine is closed")
            self._jobs.append(job)
        source: Iterator[tuple[int, Item]] = enumerate(items)
        batch, more = self.batch(task), True
        try:
            while True:
                while more and job.open < self.workers * _AHEAD * batch:  # a cluster may have grown
                    piece = list(islice(source, batch))
                    more = bool(piece)
                    if more:
                        self._submit(job, piece)
                    if job.ready:
                        break
                with self._changed:
                    while not job.ready:
                        if job.error is not None:
                            raise job.error
                        if not job.open:
                            return
                        self._changed.wait(_AWAKE)
                    given = job.take()
                yield given
        finally:
            self._end(job)

    def __enter__(self) -> Self:
        if self._ready:
            with self._changed:
                self._add_seat()
        return self

    def close(self) -> None:
        """End all maps and all workers, and wait for their ends, so that none is left behind."""
        with self._changed:
            self._closed = True
            threads = list(self._seats.values())
        for job in list(self._jobs):
            self._end(job, EarmarkError("The engine was closed while it was at work"))
        with self._changed:
            self._changed.notify_all()
        for thread in threads:
            thread.join()

    def rest(self) -> None:
        """End the workers that have nothing to do, and wait for their ends: what they hold is needed otherwise."""
        with self._changed:
            idle = {seat: thread for seat, thread in self._seats.items() if seat.job is None}
            for seat in idle:
                seat.leaves = True
            self._changed.notify_all()
        for thread in idle.values():
            thread.join()

    def _submit(self, job: Job, piece: Numbered) -> None:
        with self._changed:
            job.open += len(piece)
            if job.closed:
                return
            job.waiting.append(piece)
            if sum(len(one.waiting) for one in self._jobs) > self._idle:
                self._add_seat()
            self._changed.notify_all()

    def _add_seat(self) -> None:
        if len(self._seats) >= self.workers or (self._seats and time.monotonic() < self._no_seat_before):
            return
        seat = Seat()
        thread = threading.Thread(target=self._serve, args=(seat,), name="earmark-worker", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            if not self._seats:
                raise EarmarkError(f"The system gives Earmark no thread to work with: {error}") from error
            return
        self._seats[seat] = thread
        self._most = max(self._most, len(self._seats))

    def _end(self, job: Job, error: BaseException | None = None) -> None:
        """Begin nothing more of a map; workers that are busy with it are given up."""
        with self._changed:
            job.end(error)
            if job in self._jobs:
                self._jobs.remove(job)
            for seat in self._seats:
                if seat.job is job and seat.worker is not None:
                    seat.worker.kill()
            self._changed.notify_all()

    def _serve(self, seat: Seat) -> None:
        """What a thread does: take a piece of work, have its worker do it, hand in what came of it."""
        try:
            refusal = self._prepare(seat) if self._ready else None
            while (taken := self._take(seat)) is not None:
                job, piece = taken
                try:
                    if refusal is not None:
                        raise refusal
                    self._do(seat, job, piece)
                except _Retired:
                    raise
                except Exception as error:  # a refusal, or an item that cannot be pickled
                    self._fail(job, error)
                finally:
                    refusal = None
                    with self._changed:
                        job.at_work -= 1
                        seat.job = None
                        ended = job.closed
                    if ended:  # whoever ended the map has perhaps killed the worker
                        self._dismiss(seat)
        except _Retired:
            pass
        finally:
            self._dismiss(seat)
            with self._changed:
                self._seats.pop(seat, None)

    def _prepare(self, seat: Seat) -> Exception | None:
        """Have a worker before there is work for it, so that no work waits for its start; or why there is none.

        Raises:
            _Retired: There is no room for it.
        """
        try:
            self._new_worker(seat)
        except Lost:  # alone, it is tried again when there is work
            self._retire(seat)
        except Exception as error:  # as where there is work already: whoever waits must hear of it
            return error
        return None

    def _retire(self, seat: Seat) -> None:
        with self._changed:
            if len(self._seats) > 1:
                del self._seats[seat]
                self._no_seat_before = time.monotonic() + _PAUSE
                raise _Retired

    def _take(self, seat: Seat) -> tuple[Job, Numbered] | None:
        """A piece of work of the map that has the fewest at work, or was served longest ago; None at the end.

        A worker that had nothing to do for long goes too, and its memory with it.
        """
        with self._changed:
            self._idle += 1
            end = time.monotonic() + _REST
            try:
                while not self._closed:
                    jobs = [job for job in self._jobs if job.waiting]
                    if jobs:
                        job = seat.job = min(jobs, key=lambda one: (one.at_work, one.served))
                        self._turn += 1
                        job.served = self._turn
                        job.at_work += 1
                        return job, job.waiting.popleft()
                    if seat.leaves or time.monotonic() >= end:
                        del self._seats[seat]
                        break
                    self._changed.wait(end - time.monotonic())
                return None
            finally:
                self._idle -= 1

    def _do(self, seat: Seat, job: Job, piece: Numbered) -> None:
        try:
            worker = seat.worker or self._new_worker(seat)
            if job.closed:
                return
            values = worker.ask(job.key, job.pickled, [item for _, item in piece], job.deadline)
        except EarmarkError as error:
            self._fail(job, error)
        except Lost as lost:
            if lost.ended:
                self._dismiss(seat)
            self._lost(seat, job, piece, lost)
        else:
            self._hand_in(job, piece, values, worker.notices)

    def _new_worker(self, seat: Seat) -> Worker:
        worker = self._make_worker()
        with self._changed:
            seat.worker = worker
        return worker

    def _lost(self, seat: Seat, job: Job, piece: Numbered, lost: Lost) -> None:
        """A worker ended: its item is a Failure. But a worker that never began, or a batch, is tried again.

        Raises:
            _Retired: The machine has perhaps no room for this worker; there are others.
        """
        with self._changed:
            if job.closed:
                return
            self._changed.notify_all()
            self._deaths = self._deaths + 1 if lost.by_machine else 0
            if self._deaths > 2 * max(self.workers, self._most) + 2:  # a node that goes takes all its workers at once
                self._deaths = 0
                for one in self._jobs:
                    one.end(EarmarkError(f"The worker processes end before they have done anything: {lost.message}"))
            elif not lost.started:
                job.waiting.appendleft(piece)
                self._retire(seat)
            elif len(piece) > 1:
                job.waiting.extendleft([one] for one in reversed(piece))
            else:
                ((index, item),) = piece
                job.done[index] = Failure(job.task.name(item), lost.kind, lost.message, index)

    def _hand_in(self, job: Job, piece: Numbered, values: list[Any], notices: Sequence[str]) -> None:
        with self._changed:
            self._deaths = 0
            self._notices |= dict.fromkeys(notices)
            for (index, item), value in zip(piece, values, strict=True):
                job.done[index] = outcome(value, index, item)
            self._changed.notify_all()

    def _fail(self, job: Job, error: BaseException) -> None:
        with self._changed:
            job.end(error)
            self._changed.notify_all()

    def _dismiss(self, seat: Seat) -> None:
        with self._changed:
            worker, seat.worker = seat.worker, None
        if worker is not None:
            worker.close()


class LocalEngine(PooledEngine):
    """Items on all cores, in worker processes that are started when they are first needed.

    Args:
        workers: Processes at most; as many as cores where None.
        preload: A module that workers import before they are asked anything. With one the first worker is started as
            soon as the engine is entered, so that it gets ready while the work is still being prepared.
        device: What networks run on: ``auto`` takes a GPU where there is one that works.

    Raises:
        EarmarkError: The environment names a device that there is not.
    """

    def __init__(self, workers: int | None = None, *, preload: str = "", device: Device = "auto") -> None:
        super().__init__(ready=bool(preload), device=device)
        self._preload = preload
        self._workers = workers or default_workers()

    @property
    def workers(self) -> int:
        """Items that are worked on at a time."""
        return self._workers

    def _make_worker(self) -> WorkerProcess:
        try:
            return WorkerProcess(self._preload, self._device)
        except (OSError, RuntimeError) as error:  # no process, or no thread to read from it
            raise Lost(f"the system gives no worker process: {error}", started=False) from error
