"""Engines: one outcome an item whatever the item does to its worker, several maps at once, and errors as they were."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import earmark
from earmark.engine import Engine, InlineEngine, LocalEngine, Result, default_workers
from earmark.engine.local import Lost, PooledEngine, WorkerProcess
from earmark.errors import EarmarkError, MissingExtra, ModelError, StorageError, UnknownName
from earmark.inference.records import Failure
from engine_tasks import Act, Together

TESTS = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers can import the tasks of the tests."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]))


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    with LocalEngine(2) as engine:
        yield engine


@pytest.fixture(params=[InlineEngine, LocalEngine])
def any_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with request.param() as engine:
        yield engine


def told(outcomes: Any) -> list[Any]:
    """Values, and failures as (kind, message)."""
    return [(one.kind, one.message) if isinstance(one, Failure) else one.value for one in outcomes]


def test_one_outcome_an_item_and_one_meaning_of_an_exception(any_engine: Engine) -> None:
    """Both engines take the same exceptions for the same failures, which carry the item's name and place."""
    items = ["song", "audio", "missing", "denied", "io", "memory", "nomem", "threads", "fault", "last"]
    outcomes = list(any_engine.map(Act(), iter(items)))
    assert [one.index for one in outcomes] == list(range(len(items)))
    assert [one.path if isinstance(one, Failure) else one.item for one in outcomes] == items
    assert told(outcomes) == [
        "SONG",
        ("not-audio", "no stream found"),
        ("missing", "No such file or directory"),
        ("permission", "Permission denied"),
        ("io", "Input/output error"),
        ("crash", "out of memory"),
        ("crash", "out of memory"),
        ("crash", "the system gave no more threads"),
        ("crash", "KeyError: 'a fault\\nof ours'"),
        "LAST",
    ]
    passing = [one.path for one in outcomes if isinstance(one, Failure) and one.passing]
    assert passing == ["io", "memory", "nomem", "threads", "fault"]


@pytest.mark.parametrize(
    ("item", "kind", "message"),
    [
        ("model", ModelError, "takes no audio"),
        ("store", StorageError, "read-only"),
        ("full", StorageError, "disk is full"),
    ],
)
def test_what_is_not_about_the_item_ends_the_map(any_engine: Engine, item: str, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        list(any_engine.map(Act(), ["song", item, "song"]))
    assert told(any_engine.map(Act(), ["song"])) == ["SONG"], "the engine goes on"


@pytest.mark.parametrize(
    ("refusal", "kind", "message"),
    [
        ("model", ModelError, "no such model"),
        ("name", UnknownName, "did you mean 'bands'"),
        ("extra", MissingExtra, "earmark\\[train\\]"),
        ("bug", EarmarkError, "KeyError"),
        ("memory", EarmarkError, "memory"),
    ],
)
def test_a_task_that_refuses_raises_its_own_error(any_engine: Engine, refusal: str, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        list(any_engine.map(Act(refusal), ["a", "b", "c"]))
    assert type(caught.value) is kind
    if isinstance(caught.value, MissingExtra):
        assert caught.value.extra == "train"


@pytest.mark.parametrize("items", [[], ["a"], ["b", "a"]])
def test_few_items(any_engine: Engine, items: list[str]) -> None:
    assert told(any_engine.map(Act(), items)) == [item.upper() for item in items]


def test_items_may_be_any_value(any_engine: Engine) -> None:
    """What is no path is called by its text."""
    assert told(any_engine.map(Together(), [1, 2])) == [(1, 2), (2, 2)]
    (failure,) = any_engine.map(Together(), [13])
    assert isinstance(failure, Failure) and failure.path == "13"


def test_batches(any_engine: Engine) -> None:
    """A batch that fails is tried again one by one: one item spoils itself alone."""
    outcomes = list(any_engine.map(Together(), range(10, 19)))
    assert [one.index for one in outcomes] == list(range(9))
    assert told(outcomes) == [
        (10, 1), (11, 1), (12, 1), ("decode", "unlucky"), (14, 4), (15, 4), (16, 4), (17, 4), (18, 1),
    ]  # fmt: skip


def test_a_crash_in_a_batch_costs_one_item(engine: LocalEngine) -> None:
    assert told(engine.map(Together(), [1, 99, 2, 3, 4])) == [
        (1, 1), ("crash", "the decoder crashed on this file (exit status 3)"), (2, 1), (3, 1), (4, 1),
    ]  # fmt: skip


def test_a_crash_costs_one_item(engine: LocalEngine) -> None:
    items = ["abort", "a", "leave", "kill", "b", "abort"]
    outcomes = list(engine.map(Act(), items))
    crash, a, leave, kill, b, _ = told(outcomes)
    assert (a, b) == ("A", "B")
    assert [one.path if isinstance(one, Failure) else one.item for one in outcomes] == items
    if os.name != "nt":
        assert crash == ("crash", "the decoder crashed on this file (SIGABRT)")
        assert kill == ("crash", "the system ended the worker (SIGKILL): memory may be short")
    assert leave == ("crash", "the decoder crashed on this file (exit status 7)")


def test_a_hang_costs_one_item_and_signs_of_life_extend_its_time(engine: LocalEngine) -> None:
    outcomes = list(engine.map(Act(), ["hang", "long 2.5", "a", "b"], deadline=1.0))
    assert told(outcomes) == [("timeout", "no progress for 1 s; the file was given up"), "LONG 2.5", "A", "B"]
    assert outcomes[0].passing


def test_a_late_timer_never_blames_the_next_item(engine: LocalEngine) -> None:
    """Items that end just when their time does."""
    items = [item for _ in range(12) for item in ("sleep 0.29", "next")]
    for one in engine.map(Act(), items, deadline=0.3):
        assert isinstance(one, Result) or one.path != "next"


def test_a_machine_without_room_is_told_once(engine: LocalEngine) -> None:
    """Workers that die before they have done anything are nobody's failure."""
    with pytest.raises(EarmarkError, match=r"before they have done anything.*could not start"):
        list(engine.map(Act("exit"), [f"song {i}" for i in range(50)]))
    with pytest.raises(EarmarkError, match=r"before they have done anything.*memory may be short"):
        list(engine.map(Act(), ["kill"] * 50))
    assert told(engine.map(Act(), ["a"])) == ["A"]


def test_no_process_to_be_had(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(EarmarkError, match="Resource temporarily unavailable"):
        list(engine.map(Act(), ["a", "b"]))


def test_room_for_one_worker_alone(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no second process, the first one does all."""
    true_popen, once = subprocess.Popen, threading.Lock()

    def one_alone(*args: Any, **kwargs: Any) -> Any:
        if not once.acquire(blocking=False):
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return true_popen(*args, **kwargs)

    monkeypatch.setattr(subprocess, "Popen", one_alone)
    assert told(engine.map(Act(), ["sleep 0.1"] * 8)) == ["SLEEP 0.1"] * 8


def test_order(engine: LocalEngine) -> None:
    items = ["sleep 1", *"abcdef"]
    assert [one.index for one in engine.map(Act(), items)] == list(range(7))
    unordered = [one.index for one in engine.map(Act(), items, ordered=False)]
    assert sorted(unordered) == list(range(7))
    assert unordered[-1] == 0


def test_items_are_read_as_work_goes_on(engine: LocalEngine) -> None:
    read = []

    def endless() -> Iterator[str]:
        while True:
            read.append(1)
            yield "a"

    with closing(engine.map(Act(), endless())) as outcomes:
        for _ in range(5):
            next(outcomes)
    assert len(read) < 100


def test_two_maps_at_once_and_a_small_one_is_not_starved(engine: LocalEngine) -> None:
    """A request during a scan is served by the same workers after the items that are at work."""
    big: list[Any] = []
    scan = threading.Thread(target=lambda: big.extend(engine.map(Act(), ["sleep 0.1"] * 60)))
    scan.start()
    while not big:
        time.sleep(0.01)
    assert told(engine.map(Act(number=1), ["request"])) == ["REQUEST"]
    assert len(big) < 40
    scan.join()
    assert told(big) == ["SLEEP 0.1"] * 60


def test_a_map_inside_another_and_failures_stay_apart(engine: LocalEngine) -> None:
    for one in engine.map(Act(), ["a", "b"]):
        with pytest.raises(ModelError):
            list(engine.map(Act("model"), ["x"]))
        assert told(engine.map(Act(), ["abort", "c"]))[1] == "C"
        assert isinstance(one, Result)


def test_a_task_is_started_once_a_worker_and_kept(engine: LocalEngine, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for _ in range(3):
        for number in range(3):
            list(engine.map(Act(log=log, number=number), ["a", "b", "c", "d"]))
    lines = log.read_text().splitlines()
    assert len(set(lines)) == len(lines) <= 6
    for number in range(3, 9):  # more tasks than a worker keeps
        assert told(engine.map(Act(log=log, number=number), ["a", "b"])) == ["A", "B"]
    assert told(engine.map(Act(log=log, number=0), ["a", "b", "c"])) == ["A", "B", "C"]


def test_closing_a_map_ends_its_work_alone(engine: LocalEngine) -> None:
    """Busy workers are given up and replaced; the others stay for the next map."""
    before = {one.value for one in engine.map(Act(), ["pid", "pid", "sleep 0.2", "pid", "pid"]) if one.item == "pid"}
    outcomes = engine.map(Act(), ["pid", "hang", "hang", "a"])
    next(outcomes)
    begun = time.monotonic()
    outcomes.close()
    assert told(engine.map(Act(), ["a", "b", "c"])) == ["A", "B", "C"]
    assert time.monotonic() - begun < 10
    after = {one.value for one in engine.map(Act(), ["pid", "sleep 0.2", "pid"]) if one.item == "pid"}
    assert after and not (after & before == after and len(after) == 2)


def test_idle_workers_survive_from_map_to_map() -> None:
    with LocalEngine(1) as engine:
        pids = [told(engine.map(Act(), ["pid"]))[0] for _ in range(3)]
    assert len(set(pids)) == 1
    with pytest.raises(RuntimeError, match="closed"):
        next(engine.map(Act(), ["a"]))


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
def test_a_worker_without_work_goes_and_another_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that nobody asks anything holds no model in memory."""
    monkeypatch.setattr("earmark.engine.local._REST", 0.2)
    with LocalEngine(1) as engine:
        for _ in range(3):
            (pid,) = told(engine.map(Act(), ["pid"]))
            with pytest.raises(ProcessLookupError):
                for _ in range(500):
                    os.kill(pid, 0)
                    time.sleep(0.02)


class Elsewhere(PooledEngine):
    """An engine whose workers do what a function does, and may become more or fewer."""

    workers = 1

    def __init__(self, do: Callable[[Any], Any], *, ready: bool = False) -> None:
        super().__init__(ready=ready)
        self.do = do

    def _make_worker(self) -> Away:
        return Away(self.do)


@dataclass(frozen=True)
class Away:
    do: Callable[[Any], Any]
    notices: Sequence[str] = ()

    def ask(self, key: int, pickled: bytes, items: Sequence[Any], deadline: float) -> list[Any]:
        return [self.do(item) for item in items]

    def kill(self) -> None:
        pass

    close = kill


def test_many_workers_that_go_at_once_are_no_fault_of_those_that_stay() -> None:
    """A large node of a cluster goes, and one worker stays: what the others had begun is done by that one."""
    together, first = threading.Barrier(20), itertools.count()

    def do(item: int) -> int:
        if next(first) < 20 and together.wait(20):
            engine.workers = 1
            raise Lost("its node went", started=False)
        time.sleep(0.01)
        return item

    with Elsewhere(do) as engine:
        engine.workers = 20
        assert told(engine.map(Act(), range(100))) == list(range(100))


def test_items_for_workers_that_join_are_read() -> None:
    """As many items are begun as the workers need that there are now, not those that there were at the start."""
    read, busy = list[int](), set[int]()

    def do(item: int) -> None:
        busy.add(threading.get_ident())
        time.sleep(0.01)

    with Elsewhere(do) as engine, closing(engine.map(Act(), (read.append(n) or n for n in range(1_000)))) as outcomes:
        next(outcomes)
        assert len(read) < 40 and len(busy) == 1
        engine.workers = 10
        for _ in range(400):
            next(outcomes)
        assert len(read) > 500 and len(busy) == 10


def test_a_worker_that_cannot_be_made_for_an_odd_reason_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no wait without end, even where it was to be made before there was work."""

    def fail(engine: Engine) -> None:
        raise ConnectionError("the cluster is gone")

    monkeypatch.setattr(Elsewhere, "_make_worker", fail)
    with Elsewhere(str, ready=True) as engine, pytest.raises(ConnectionError, match="the cluster is gone"):
        list(engine.map(Act(), range(3)))


def test_no_pool_but_the_engines() -> None:
    """Whatever reads people's files does it through an engine; ``doctor`` tries parts of the installation alone."""
    pools = re.compile(r"ThreadPoolExecutor|multiprocessing|ProcessPool")
    package = Path(earmark.__file__).parent
    users = {
        file.relative_to(package).as_posix() for file in package.rglob("*.py") if pools.search(file.read_text("utf-8"))
    }
    assert {user for user in users if not user.startswith("engine/")} <= {"cli/commands/doctor.py"}


def test_closing_the_engine_ends_maps_and_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    processes: list[WorkerProcess] = []
    true_init = WorkerProcess.__init__

    def init(self: WorkerProcess, *arguments: Any) -> None:
        true_init(self, *arguments)
        processes.append(self)

    monkeypatch.setattr(WorkerProcess, "__init__", init)
    engine = LocalEngine(2)
    outcomes = engine.map(Act(), ["a", "hang", "hang", "b"])
    next(outcomes)
    threading.Timer(0.3, engine.close).start()
    with pytest.raises(EarmarkError, match="closed"):
        list(outcomes)
    engine.close()
    assert processes and all(process.ended for process in processes)


def test_a_value_that_cannot_travel_is_a_plain_error(engine: LocalEngine) -> None:
    with pytest.raises(EarmarkError, match="cannot leave its worker"):
        list(engine.map(Act(), ["value"]))
    with pytest.raises(Exception, match="pickle"):
        list(engine.map(Act(), [threading.Lock()]))  # type: ignore[list-item]


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
def test_interrupts_are_for_the_process_that_asks(engine: LocalEngine) -> None:
    """Ctrl-C reaches no worker, whatever the asking process was started with."""
    ((group, ignored),) = told(engine.map(Act(), ["group"]))
    assert group != os.getpgrp()
    assert ignored


INTERRUPTED = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from earmark.engine import LocalEngine
from engine_tasks import Act
try:
    with LocalEngine(2) as engine:
        for one in engine.map(Act(), ["a", "hang", "hang"]):
            print("ready", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
def test_ctrl_c_ends_the_asking_process_without_a_trace_of_its_workers() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"EARMARK_DEBUG": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("interrupted\n", "", 0)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_as_many_workers_as_cores_that_may_be_used() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); import earmark.engine as e; " \
        "print(e.default_workers(), e.LocalEngine().workers, e.LocalEngine(3).workers)"  # fmt: skip
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env).stdout == "1 1 3\n"
    assert default_workers() == len(os.sched_getaffinity(0))


def test_the_first_worker_gets_ready_while_the_work_is_prepared() -> None:
    """With a module to preload an entered engine has a worker before it is asked anything, and uses that one."""
    with LocalEngine(1, preload="earmark.inference.records") as engine:
        deadline = time.monotonic() + 20
        while not any(seat.worker for seat in engine._seats) and time.monotonic() < deadline:
            time.sleep(0.01)
        (seat,) = engine._seats
        ready = seat.worker
        assert ready is not None
        assert [outcome.value for outcome in engine.map(Act(), ["a"])] == ["A"]
        assert seat.worker is ready
