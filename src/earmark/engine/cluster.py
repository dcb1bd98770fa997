"""The engine of a Ray cluster: an actor a logical CPU, each with a worker process of its own.

The actor is a seat far away: what waits, what is at work and what comes out is kept by the process that asks, as with
workers on this machine. A decoder that crashes or hangs takes the actor's worker process along and not the actor, so
that it costs its file there as it does here; an actor that is lost takes nothing along, for its file waits again.
"""

from __future__ import annotations

import importlib
import os
import pickle
import shutil
import socket
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earmark import offline
from earmark.engine.base import keep
from earmark.engine.local import Job, Lost, Numbered, PooledEngine, Seat, WorkerProcess, default_workers
from earmark.errors import EarmarkError, MissingExtra
from earmark.inference.records import Failure
from earmark.models.device import Device, asked

__all__ = ["Host", "Member", "RayEngine"]

_CONNECT_SECONDS = 10.0
_START_SECONDS = 120.0
_ON_A_GPU = 10  # workers; each decodes far longer than its network runs
_FREE_SECONDS = 2.0  # until the cluster has noticed that CPUs are free
_REASON_SECONDS = 5.0  # for the others to say why the work broke off
_COUNT_SECONDS = 5.0  # between two looks at how many CPUs the cluster has
_INLINE = 90_000  # bytes of values that come with the answer, not through the object store
_OWN_STORE = 256 * 2**20  # bytes: what comes back is small
_LONG = 24  # bytes of a temporary folder's name that leave room for those of sockets
_TRIES = 3  # actors that may be lost with an item
_UNSEEN = ("missing", "permission")
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")  # and empty settings
_ADVICE = "start Ray on each machine by `ray start`, or leave --address out for a Ray of this machine alone"


class _ActorLost(Lost):
    """An actor is no more; what it was doing waits again."""

    def __init__(self, message: str) -> None:
        super().__init__(message, started=False)


class RayEngine(PooledEngine):
    """Items on all CPUs of a Ray cluster.

    Args:
        address: ``HOST:PORT`` of a cluster's head, or ``auto`` for the one that runs on this machine; None for what
            ``RAY_ADDRESS`` names, or else for a Ray of this machine alone, which ends with the engine. A program that
            is connected to a cluster already stays so.
        workers: Actors at most; as many as the cluster has logical CPUs where None.
        preload: As of :class:`earmark.engine.LocalEngine`.
        device: What networks run on: ``cuda`` takes the nodes' GPUs, each of which ten workers share; ``auto`` is the
            processor, which every node has.

    Raises:
        MissingExtra: Ray is not installed.
        EarmarkError: No Ray answers there, or one of another version, or it has no GPU that is asked for.
    """

    def __init__(
        self, address: str | None = None, workers: int | None = None, *, preload: str = "", device: Device = "auto"
    ) -> None:
        super().__init__(ready=True, device="cuda" if asked(device) == "cuda" else "cpu")
        address = address or os.environ.get("RAY_ADDRESS") or None
        self._ray = _ray(alone=address is None)
        self._preload, self._limit = preload, workers
        self._actors: set[Any] = set()
        self._blind: dict[str, str] = {}  # nodes that do not see a file: how they are called
        self._counted, self._cpus = -_COUNT_SECONDS, 0
        self.elsewhere = address is not None
        self._folder = "" if address else _short_folder()
        self._connected = not self._ray.is_initialized()
        if self._connected:
            try:
                _connect(self._ray, address, self._folder)
                _check_gpus(self._ray, self._device)
            except BaseException:
                self._forget_folder()
                raise
        share = 1 / _ON_A_GPU if self._device == "cuda" else 0
        self._actor = self._ray.remote(num_cpus=1, num_gpus=share, max_restarts=0)(_actor_class())

    @property
    def workers(self) -> int:
        """Logical CPUs of the nodes that see the files (and have a GPU, if asked for); they may come and go."""
        now = time.monotonic()
        if now - self._counted > _COUNT_SECONDS:
            nodes = [node for node in self._ray.nodes() if node["Alive"] and node["NodeID"] not in self._blind]
            self._cpus, self._counted = sum(self._room(node["Resources"]) for node in nodes), now
        return max(1, min(self._limit or self._cpus, self._cpus))

    def _room(self, resources: Mapping[str, float]) -> int:
        """Workers that a node takes."""
        cpus, gpus = (resources.get(kind, 0.0) for kind in ("CPU", "GPU"))
        return int(min(cpus, gpus * _ON_A_GPU) if self._device == "cuda" else cpus)

    @contextmanager
    def members(self, most: int, *, gpus: bool) -> Iterator[list[Member]]:
        """Actors that work together, one a machine with all CPUs that are free there, until the context ends.

        Args:
            most: Of them.
            gpus: One a GPU instead, where the cluster has any that is free.

        Raises:
            EarmarkError: No CPU is free, or a machine would do other work than this one.
        """
        self.rest()
        actors: list[Any] = []
        try:
            members = []
            addresses = {node["NodeID"]: node["NodeManagerAddress"] for node in self._ray.nodes()}
            for node, cpus, gpu in self._free_places(gpus)[: min(most, self._limit or most)]:
                place = _strategies().NodeAffinitySchedulingStrategy(node, soft=False)
                options = {"num_cpus": cpus, "num_gpus": int(gpu), "scheduling_strategy": place}
                actors.append(self._actor.options(**options).remote(self._preload, self._device, str(Path.cwd())))
                members.append(Member(self._ray, actors[-1], addresses[node], cpus, gpu))
            there = [member for member in members if member.arrived()]
            if not there:
                raise EarmarkError(self._no_room())
            yield there
        finally:
            for actor in actors:
                self.dismiss(actor)

    def put(self, value: Any) -> Any:
        """A large value for members, in the object store: as an argument it is the value itself.

        Raises:
            EarmarkError: The store is full.
        """
        with _plain_errors(self._ray, socket.gethostname()):
            return self._ray.put(value)

    def _free_places(self, gpus: bool) -> list[tuple[str, int, bool]]:
        """Nodes with what is free there: CPUs for one member, and whether it has a GPU; those with most come first."""
        state, end = importlib.import_module("ray._private.state"), time.monotonic() + _START_SECONDS
        settled = time.monotonic() + _FREE_SECONDS
        while True:
            free: dict[str, dict[str, float]] = state.available_resources_per_node()
            alive = {node["NodeID"]: node["Resources"] for node in self._ray.nodes() if node["Alive"]}
            found = {name: free[name] for name in alive if name in free and int(free[name].get("CPU", 0))}
            whole = all(free.get(name, {}).get("CPU", 0) >= what.get("CPU", 0) for name, what in alive.items())
            if found and (whole or time.monotonic() > settled):
                break
            if time.monotonic() > end:
                raise EarmarkError(self._no_room())
            time.sleep(0.1)
        cpus = {name: int(what["CPU"]) for name, what in found.items()}
        cards = {name: min(int(what.get("GPU", 0)), cpus[name]) for name, what in found.items()}
        if gpus and any(cards.values()):
            return [(name, cpus[name] // count, True) for name, count in cards.items() for _ in range(count)]
        return [(name, count, False) for name, count in sorted(cpus.items(), key=lambda one: (-one[1], one[0]))]

    @property
    def notices(self) -> tuple[str, ...]:
        """What workers say, and which machines could not help."""
        blind = (f"{node} did nothing: it does not see files that are here." for node in self._blind.values())
        return (*super().notices, *blind)

    def close(self) -> None:
        """End all maps and actors, and the Ray that was started for them."""
        with self._changed:
            self._closed = True
            actors = list(self._actors)
        for actor in actors:
            self.dismiss(actor)
        super().close()
        if self._connected:
            self._ray.shutdown()
            self._connected = False
        self._forget_folder()

    def dismiss(self, actor: Any) -> None:
        """End an actor at once; may be called from any thread."""
        self._actors.discard(actor)
        with suppress(Exception):  # it is no more, or Ray is not
            self._ray.kill(actor)

    def _forget_folder(self) -> None:
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _make_worker(self) -> _RemoteWorker:
        actor = self._actor.options(**self._elsewhere()).remote(self._preload, self._device, str(Path.cwd()))
        with self._changed:
            self._actors.add(actor)
            if self._closed:
                self.dismiss(actor)
        try:
            with _plain_errors(self._ray, "the cluster"):
                facts = self._ray.get(actor.facts.remote(), timeout=_START_SECONDS)
            _check_node(facts)
        except Exception as error:
            self.dismiss(actor)
            if isinstance(error, _ActorLost):
                raise Lost(error.message, started=False) from error
            if not isinstance(error, self._ray.exceptions.GetTimeoutError):
                raise
            with self._changed:  # other seats come and go
                others = any(seat.worker for seat in self._seats)
            raise (Lost(self._no_room(), started=False) if others else EarmarkError(self._no_room())) from None
        return _RemoteWorker(self, actor, facts)

    def _elsewhere(self) -> dict[str, Any]:
        """Where to put an actor: not where the files cannot be seen.

        Raises:
            EarmarkError: They can be seen nowhere.
        """
        if not self._blind:
            return {}
        alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU")}
        if alive <= set(self._blind):
            machines = ", ".join(sorted(set(self._blind.values())))
            raise EarmarkError(
                f"No machine of the cluster sees the files ({machines}); put them where all machines have them under "
                "the same path, or name them by an address such as s3://BUCKET/FOLDER"
            )
        others = {"ray.io/node-id": _strategies().NotIn(*self._blind)}
        return {"scheduling_strategy": _strategies().NodeLabelSchedulingStrategy(others)}

    def see_nothing(self, facts: dict[str, Any], path: str) -> None:
        """Give a node no more work: it does not see a file that this machine sees."""
        with self._changed:
            self._blind.setdefault(facts["node"], f"{facts['host']} (no {path})")
            self._counted = -_COUNT_SECONDS

    def _no_room(self) -> str:
        total, free = (
            int(found.get("CPU", 0)) for found in (self._ray.cluster_resources(), self._ray.available_resources())
        )
        return (
            f"No CPU of the cluster became free in {_START_SECONDS:g} s: {free} of {total} are free; Earmark needs one "
            "logical CPU a worker, so let other work end, or give the nodes more (`ray start --num-cpus`)"
        )

    def _lost(self, seat: Seat, job: Job, piece: Numbered, lost: Lost) -> None:
        """An item that was lost with several workers is not tried again: it may be what ends them.

        A node that goes may end the worker process first, and its actor still says so: that is no fault of the item.
        """
        if isinstance(lost, _ActorLost) or (lost.started and lost.by_machine):
            for index, _ in piece:
                job.tries[index] += 1
            if max(job.tries[index] for index, _ in piece) >= _TRIES:
                lost = Lost(f"{_TRIES} workers of the cluster were lost at it: {lost.message}", killed=True)
            else:
                lost = Lost(lost.message, started=False)
        super()._lost(seat, job, piece, lost)


class _RemoteWorker:
    """An actor of the cluster, as a worker.

    Args:
        engine: That it works for.
        actor: Of :func:`_actor_class`.
        facts: That it gave of itself.
    """

    def __init__(self, engine: RayEngine, actor: Any, facts: dict[str, Any]) -> None:
        self._engine, self._actor, self._facts = engine, actor, facts
        self._known: set[int] = set()
        self.notices: Sequence[str] = ()

    def ask(self, key: int, pickled: bytes, items: Sequence[Any], deadline: float) -> list[Any]:
        """As of :class:`earmark.engine.local.WorkerProcess`."""
        kind, content = self._call(key, None if key in self._known else pickled, items, deadline)
        if kind == "unknown":
            kind, content = self._call(key, pickled, items, deadline)
        self._known.add(key)
        if kind == "full":
            raise _store_full(self._facts["host"])
        if kind == "refused":
            content.args = (f"{content} (on {self._facts['host']})",)
            raise content
        if kind == "lost":
            message, failure, started, killed = content
            raise Lost(message, kind=failure, started=started, killed=killed, ended=False)
        values: list[Any]
        values, self.notices = pickle.loads(content)
        for value in values:
            if isinstance(value, Failure) and value.kind in _UNSEEN and os.access(value.path, os.R_OK):
                self._engine.see_nothing(self._facts, value.path)
                raise Lost(f"{self._facts['host']} does not see {value.path}", started=False)
        return values

    def _call(self, key: int, pickled: bytes | None, items: Sequence[Any], deadline: float) -> tuple[str, Any]:
        ray = self._engine._ray
        with _plain_errors(ray, self._facts["host"]):
            kind, content = ray.get(self._actor.ask.remote(key, pickled, list(items), deadline))
            return ("done", ray.get(content)) if kind == "stored" else (kind, content)

    def kill(self) -> None:
        """End it at once; may be called from any thread."""
        self._engine.dismiss(self._actor)

    close = kill


@dataclass(frozen=True, eq=False)
class Member:
    """One of several actors that work together.

    Attributes:
        address: Of its machine, where the cluster's machines reach it.
        cpus: That it has.
        gpu: Whether it has a GPU.
        facts: What it says of its node: ``node``, ``host``, ``earmark``, and ``torch`` where that is installed.
    """

    _ray: Any
    _actor: Any
    address: str
    cpus: int
    gpu: bool
    facts: dict[str, str] = field(default_factory=dict)

    def arrived(self) -> bool:
        """Wait until the actor has begun; False where its node is no more, or does not answer.

        Raises:
            EarmarkError: The node would give other results.
        """
        try:
            with _plain_errors(self._ray, "the cluster"):
                self.facts.update(self._ray.get(self._actor.facts.remote(), timeout=_START_SECONDS))
        except (Lost, self._ray.exceptions.GetTimeoutError):
            return False
        _check_node(self.facts)
        return True

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """What a function returns there.

        Raises:
            EarmarkError: As the function, or there is a fault.
            Lost: The actor is no more.
        """
        return self._result(self._actor.call.remote(pickle.dumps(function), *args))

    def lead(
        self, function: Callable[..., Any], args: Sequence[Any], others: Callable[[Any], Mapping[Member, Any]]
    ) -> Generator[Any]:
        """What a generator there yields, while others do their part.

        Args:
            function: Of ``args``: a generator.
            args: For all of them; large ones are best put into the object store.
            others: Given the first value, which is not passed on: who else does what, a function of ``args``.

        Raises:
            EarmarkError: As one of the functions, or there is a fault.
            Lost: An actor is no more, or one of the functions said so.
        """
        stream = self._actor.stream.options(num_returns="streaming").remote(pickle.dumps(function), *args)
        parts = others(self._result(next(stream)))
        pending = {one._actor.call.remote(pickle.dumps(work), *args): one for one, work in parts.items()}
        try:
            while True:
                ready, _ = self._ray.wait([stream, *pending], timeout=1.0)  # so that Ctrl-C is seen
                for one in set(ready) & set(pending):
                    pending.pop(one)._result(one)
                if stream in ready:
                    if (value := next(stream, None)) is None:
                        break
                    yield self._result(value)
            if pending:
                self._ray.wait(list(pending), num_returns=len(pending), timeout=_REASON_SECONDS)
        except Lost:
            ready, _ = self._ray.wait(list(pending), timeout=_REASON_SECONDS) if pending else ([], [])
            for one in ready:
                pending[one]._result(one)  # it may know better why
            raise

    def _result(self, done: Any) -> Any:
        with _plain_errors(self._ray, self.facts["host"]):
            return self._ray.get(done)


def _strategies() -> Any:
    return importlib.import_module("ray.util.scheduling_strategies")


def _ray(alone: bool) -> Any:
    try:
        return offline.ray(alone=alone)
    except ModuleNotFoundError as error:
        raise MissingExtra("ray", "--engine ray") from error


def _short_folder() -> str:
    """A temporary folder with a short name: those of Ray's sockets in it may have 107 bytes."""
    long = os.name == "posix" and len(tempfile.gettempdir()) > _LONG
    return tempfile.mkdtemp(prefix="earmark-", dir="/tmp" if long else None)


def _connect(ray: Any, address: str | None, folder: str) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    # What befalls nodes would be printed on standard output, where records go.
    setattr(importlib.import_module("ray._private.worker"), "print_to_stdstream", lambda *_, **__: None)  # noqa: B010
    if address is None:
        cpus, memory = default_workers(), _OWN_STORE
        # Ray's workers would run at niceness 15, and wait for whatever else this machine does.
        even = {"_system_config": {"worker_niceness": 0}}
        more = {"include_dashboard": False, "_temp_dir": folder} | even | quiet
        ray.init("local", num_cpus=cpus, object_store_memory=memory, **more)
        return
    _knock(address)
    try:
        ray.init(address, **quiet)
    except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError, AssertionError) as error:
        raise EarmarkError(f"No Ray cluster can be used at {address}: {_first_line(error)}; {_ADVICE}") from error


def _check_gpus(ray: Any, device: Device) -> None:
    if device == "cuda" and not ray.cluster_resources().get("GPU"):
        ray.shutdown()
        raise EarmarkError(
            "--device cuda: the Ray cluster has no GPU; start Ray with `ray start --num-gpus N` on the machines that "
            "have some, or leave --device out"
        )


def _knock(address: str) -> None:
    """Refuse an address at which nobody speaks Ray's protocol; Ray itself would wait for minutes.

    Raises:
        EarmarkError: Nobody does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:  # auto: Ray itself knows which
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS) as wire:
            if os.environ.get("RAY_USE_TLS", "0") in ("0", "") and not _answers(wire):
                raise EarmarkError(f"{address}: what answers there is not Ray; {_ADVICE}")
    except TimeoutError:
        raise EarmarkError(f"{address}: nobody answers within {_CONNECT_SECONDS:g} s; {_ADVICE}") from None
    except (OSError, ValueError, OverflowError) as error:
        raise EarmarkError(f"{address}: no Ray cluster answers: {_first_line(error)}; {_ADVICE}") from None


def _answers(wire: socket.socket) -> bool:
    """Whether the other end speaks HTTP/2, as gRPC does: it sends a frame of its settings."""
    wire.settimeout(_CONNECT_SECONDS)
    wire.sendall(_PREFACE)
    head = b""
    while len(head) < 4 and (more := wire.recv(9)):
        head += more
    return len(head) >= 4 and head[3] == 4


@contextmanager
def _plain_errors(ray: Any, host: str) -> Iterator[None]:
    """Ray's errors as ours.

    Raises:
        EarmarkError: The object store is full, or there is a fault.
        _ActorLost: The actor is no more.
    """
    errors = ray.exceptions
    try:
        yield
    except errors.GetTimeoutError:
        raise
    except (errors.ObjectStoreFullError, errors.OutOfDiskError) as error:
        raise _store_full(host) from error
    except errors.RayTaskError as error:
        if isinstance(error.cause, (errors.ObjectStoreFullError, errors.OutOfDiskError)):
            raise _store_full(host) from error
        if isinstance(error.cause, Lost):
            raise _ActorLost(f"{error.cause.message} ({host})") from error
        if isinstance(error.cause, EarmarkError):
            error.cause.args = (f"{error.cause} (on {host})",)
            raise error.cause from None
        raise EarmarkError(f"A worker of the cluster failed ({host}): {_first_line(error.cause)}") from error
    except errors.RayError as error:
        raise _ActorLost(f"a worker of the cluster was lost ({host}): {_first_line(error)}") from error


def _store_full(host: str) -> EarmarkError:
    return EarmarkError(
        f"Ray's object store is full, and so is the disk that it spills to ({host}): give it more "
        "(`ray start --object-store-memory BYTES`), make room on the disk of Ray's temporary folder, or use fewer "
        "workers (-j N); run again to go on"
    )


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]


def _check_node(facts: dict[str, str]) -> None:
    """Refuse a node that would give other results.

    Raises:
        EarmarkError: It has no Earmark, or another version.
    """
    host, found, ours = facts["host"], facts["earmark"], importlib.import_module("earmark").__version__
    if found == ours:
        return
    if not found:
        raise EarmarkError(
            f"{host} cannot run Earmark ({facts['why']}): install it into the environment that its Ray runs in, "
            f"pip install earmark=={ours}"
        )
    raise EarmarkError(
        f"{host} has Earmark {found}, this machine {ours}: install the same version on every machine of the cluster"
    )


def _actor_class() -> type:
    """What runs on the nodes. It travels as it is, not by its name, so that a node without Earmark can say so."""

    class EarmarkWorker:
        def __init__(self, preload: str, device: str, folder: str) -> None:
            with suppress(OSError):  # paths as they were typed are below it
                os.chdir(folder)
            self.preload, self.device = preload, device
            self.host: Any = None

        def facts(self) -> dict[str, str]:
            import ray  # noqa: TID251 - it is what called us

            facts = {"node": ray.get_runtime_context().get_node_id(), "host": socket.gethostname(), "earmark": ""}
            with suppress(ImportError):  # as of a package that is not installed
                facts["torch"] = importlib.import_module("importlib.metadata").version("torch")
            try:
                return facts | {"earmark": importlib.import_module("earmark").__version__}
            except (ImportError, AttributeError) as error:
                return facts | {"why": str(error)}

        def ask(self, *asked: Any) -> tuple[str, Any]:
            if self.host is None:
                self.host = importlib.import_module("earmark.engine.cluster").Host(self.preload, self.device)
            answer: tuple[str, Any] = self.host.ask(*asked)
            return answer

        def call(self, pickled: bytes, *args: Any) -> Any:
            return pickle.loads(pickled)(*args)

        def stream(self, pickled: bytes, *args: Any) -> Iterator[Any]:
            yield from pickle.loads(pickled)(*args)

    return EarmarkWorker


class Host:
    """What an actor does on its node: it has a worker process do what is asked, and says what became of it.

    Args:
        preload: As of :class:`RayEngine`.
        device: As of :class:`RayEngine`.
    """

    def __init__(self, preload: str, device: Device = "auto") -> None:
        self._preload, self._device = preload, device
        self._worker: WorkerProcess | None = None
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def ask(self, key: int, pickled: bytes | None, items: list[Any], deadline: float) -> tuple[str, Any]:
        """A word for what became of it, and what belongs to it; ``pickled`` may be None for a task that is kept."""
        pickled = pickled or self._kept.get(key)
        if pickled is None:
            return "unknown", None
        keep(self._kept, key, pickled)
        try:
            self._worker = self._worker or WorkerProcess(self._preload, self._device)
            given = self._worker.ask(key, pickled, items, deadline)
            values = pickle.dumps((given, self._worker.notices))
        except EarmarkError as error:
            return "refused", error
        except OSError as error:
            return "lost", (f"the system gives no worker process: {error}", "crash", False, True)
        except Lost as lost:
            if self._worker is not None:
                self._worker.close()
            self._worker = None
            return "lost", (lost.message, lost.kind, lost.started, lost.by_machine)
        return ("done", values) if len(values) < _INLINE else _put(values)


def _put(values: bytes) -> tuple[str, Any]:
    """Values through the object store; as an answer, Ray would try for minutes, and then take the actor for lost."""
    ray = offline.ray()
    try:
        return "stored", ray.put(values)
    except (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError):
        return "full", None
