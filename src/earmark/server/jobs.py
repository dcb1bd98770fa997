"""Long work: it goes on when the page is closed, tells how far it is, and can be cancelled.

A job is a use case that runs in a thread of its kind's resource, one after the other: two scans never meet. Its events
are kept, so that whoever comes later, or comes back, gets what was missed.
"""

from __future__ import annotations

import logging
import queue
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from earmark.errors import Cancelled, EarmarkError, UnknownName
from earmark.events import Event, Notice, Progress, Record, Run
from earmark.server.problems import problem_fields

if TYPE_CHECKING:
    from earmark.app.session import LibrarySession
    from earmark.server.service import Service

__all__ = ["Job", "JobEvent", "JobRequest", "Jobs"]

_KEPT_JOBS = 100
_MOST_WAITING = 100
_KEPT_NOTICES = 100
_EVERY = 0.1  # seconds from one progress to the next
_FRESH = 10.0  # seconds that the end of a job waits until requests see what it did
_LAST_WORDS = 10.0  # seconds that jobs get to end in order when the server ends

State = Literal["queued", "running", "done", "failed", "cancelled"]


class JobRequest(BaseModel, ABC):
    """What is asked of a job; a subclass a kind, whose field ``kind`` is a literal.

    Attributes:
        resource: What it needs for itself: jobs of one resource wait for each other.
        kept: Events that are kept for those who come later.
    """

    model_config = ConfigDict(extra="forbid")
    resource: ClassVar[str] = "library"
    kept: ClassVar[int] = 2_000
    kind: str

    @abstractmethod
    def start(self, service: Service) -> Run[Any]:
        """The work.

        Raises:
            EarmarkError: The request makes no sense: it is refused, and there is no job.
        """

    def described(self) -> dict[str, Any]:
        """What was asked as JSON, in short."""
        return self.model_dump(exclude={"kind"})

    def release(self) -> None:
        """Let go of what the work alone needed: a job is kept long after its end."""

    def record(self, value: Any) -> Any:
        """A record of the work as JSON; None where nobody needs it."""
        return None

    def result(self, value: Any) -> Any:
        """What came of the work as JSON."""
        return asdict(value) if is_dataclass(value) and not isinstance(value, type) else None


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened to a job: ``progress``, ``record``, ``notice`` or ``end``; ``number`` counts from 1."""

    number: int
    name: str
    data: Any


@dataclass(eq=False)
class Job:
    """A job; all but its thread only read it.

    Attributes:
        id: Counts from a number that is another in each server: a page that was left open follows no stranger.
        request: What was asked.
        run: The work; None once it has ended.
        state: Where it stands.
        events: The newest of them.
        created: Seconds since 1970, as is ``ended``.
    """

    id: int
    request: JobRequest
    run: Run[Any] | None
    state: State = "queued"
    progress: dict[str, Any] | None = None
    notices: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_NOTICES))
    result: Any = None
    problem: Mapping[str, Any] | None = None
    created: float = field(default_factory=time.time)
    ended: float | None = None
    events: deque[JobEvent] = field(init=False)
    _asked: dict[str, Any] = field(init=False)
    _beginning: threading.Lock = field(default_factory=threading.Lock)
    _count: int = 0
    _stage: tuple[str, int | None] = ("", None)
    _since: tuple[float, int] = (0.0, 0)
    _told: float = float("-inf")

    def __post_init__(self) -> None:
        """No events yet."""
        self.events = deque(maxlen=self.request.kept)
        self._asked = self.request.described()

    def to_dict(self) -> dict[str, Any]:
        """The job as REST gives it."""
        return {
            "id": self.id,
            "kind": self.request.kind,
            "request": self._asked,
            "state": self.state,
            "progress": self.progress,
            "notices": list(self.notices),
            "result": self.result,
            "problem": self.problem,
            "created": round(self.created, 3),
            "ended": self.ended and round(self.ended, 3),
        }

    def after(self, number: int) -> list[JobEvent]:
        """Events that came after the one of that number, as far as they are kept."""
        new = list(islice(reversed(self.events), max(0, self._count - number)))  # of thousands, mostly none
        return [event for event in reversed(new) if event.number > number]

    def work(self, session: LibrarySession) -> bool:
        """Do the work, in the thread that calls; ``session`` knows what it did before the end is told.

        Returns:
            Whether there was any: a job may be cancelled while it waits.
        """
        with self._beginning:
            if self.ended:
                return False
            self.state, run = "running", self.run
        assert run is not None
        try:
            for event in run:
                self._take(event)
            self.result = self.request.result(run.result)
            session.look(_FRESH)
            self._end("done")
        except Cancelled:
            self._end("cancelled")
        except EarmarkError as error:
            self._end("failed", problem_fields(error))
        except Exception:
            logging.getLogger("earmark.server").exception("job %d, %s", self.id, self.request.kind)
            self._end("failed", problem_fields(EarmarkError("something unexpected went wrong")) | {"status": 500})
        return True

    def cancel(self) -> None:
        """End it at its next event; one that waits ends at once."""
        if (run := self.run) is not None:
            run.cancel()
        with self._beginning:
            if self.state == "queued":
                self._end("cancelled")

    def forget(self) -> None:
        """Keep of the events of a job that has ended the last one alone."""
        self.events = deque(list(self.events)[-1:], maxlen=1)

    def _take(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._take_progress(event)
        elif isinstance(event, Notice):
            self.notices.append(event.message)
            self._tell("notice", {"message": event.message})
        elif isinstance(event, Record):
            described = self.request.record(event.value)
            if described is not None:
                self._tell("record", described)

    def _take_progress(self, event: Progress) -> None:
        now = time.monotonic()
        if (event.stage, event.total) != self._stage:
            self._stage, self._since, self._told = (event.stage, event.total), (now, event.done), float("-inf")
        begun, first = self._since
        left = None
        if event.total is not None and event.done > first:
            left = round((now - begun) / (event.done - first) * (event.total - event.done), 1)
        self.progress = {
            "done": event.done,
            "total": event.total,
            "stage": event.stage,
            "unit": event.unit,
            "facts": {name: value if abs(value) < float("inf") else None for name, value in event.facts.items()},
            "seconds_left": left,
        }
        if now - self._told >= _EVERY or event.done == event.total or event.facts:
            self._told = now
            self._tell("progress", self.progress)

    def _end(self, state: State, problem: Mapping[str, Any] | None = None) -> None:
        self.problem, self.ended, self.state = problem, time.time(), state
        self.run = None
        self.request.release()
        self._tell("end", self.to_dict())

    def _tell(self, name: str, data: Any) -> None:
        self._count += 1
        self.events.append(JobEvent(self._count, name, data))


class Jobs:
    """The jobs of a server."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._jobs: dict[int, Job] = {}
        self._queues: dict[str, queue.SimpleQueue[Job | None]] = {}
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._count = secrets.randbelow(1 << 30)

    def add(self, request: JobRequest) -> Job:
        """Begin a job, or let it wait for those before it.

        Raises:
            EarmarkError: The request makes no sense, or too many jobs wait already.
        """
        run = request.start(self._service)
        with self._lock:
            if sum(not one.ended for one in self._jobs.values()) >= _MOST_WAITING:
                raise EarmarkError(f"{_MOST_WAITING} jobs wait already; cancel some of them, or wait for their ends")
            self._count += 1
            job = self._jobs[self._count] = Job(self._count, request, run)
            over = [one.id for one in self._jobs.values() if one.ended][: max(0, len(self._jobs) - _KEPT_JOBS)]
            for old in over:
                del self._jobs[old]
            if request.resource not in self._queues:
                waiting = self._queues[request.resource] = queue.SimpleQueue[Job | None]()
                thread = threading.Thread(
                    target=self._work, args=(waiting,), name=f"earmark-{request.resource}", daemon=True
                )
                self._threads.append(thread)
                thread.start()
            self._queues[request.resource].put(job)
        return job

    def all(self) -> list[Job]:
        """All jobs, the newest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: -job.id)

    def get(self, number: int) -> Job:
        """The job of that number.

        Raises:
            UnknownName: There is none.
        """
        with self._lock:
            if number not in self._jobs:
                raise UnknownName("job", str(number), ())
            return self._jobs[number]

    def cancel(self) -> None:
        """Cancel all jobs, and take no more."""
        for job in self.all():
            job.cancel()
        with self._lock:
            for waiting in self._queues.values():
                waiting.put(None)

    def wait(self, seconds: float = _LAST_WORDS) -> None:
        """Wait for the ends of jobs that were cancelled."""
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _work(self, waiting: queue.SimpleQueue[Job | None]) -> None:
        while (job := waiting.get()) is not None:
            worked = job.work(self._service.session)
            for older in self.all() if worked else ():
                if older.id < job.id and older.request.kind == job.request.kind and older.ended:
                    older.forget()  # up to hundreds of thousands of events each
