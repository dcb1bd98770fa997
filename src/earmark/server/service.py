"""What the routes share while the server runs: the engine, the library, the jobs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self, cast

from starlette.requests import Request

from earmark.engine import LocalEngine
from earmark.server.doors.desk import Desk
from earmark.server.jobs import Jobs

if TYPE_CHECKING:
    from earmark.engine import Engine
    from earmark.library.store import Library
    from earmark.server.application import ServerOptions

__all__ = ["Service", "service_of"]


class Service:
    """What the routes share; a context that lasts as long as the server.

    Attributes:
        options: How the server was started.
        engine: Worker processes, which requests and jobs share.
        jobs: Long work.
        desk: What the doors to players share.
        closing: Is set when the server ends, so that open streams do.
    """

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self.engine: Engine = LocalEngine(options.jobs, preload="earmark.inference.tagger")
        self.closing = threading.Event()
        self.jobs = Jobs(self)
        self.desk = Desk(self)

    @contextmanager
    def library(self, *, write: bool = False) -> Iterator[Library]:
        """The library, for one request.

        Raises:
            StorageError: It is not there or cannot be used just now.
        """
        from earmark.app.library import opened

        with opened(self.options.library, write=write) as library:
            yield library

    def __enter__(self) -> Self:
        # A first worker loads the model's libraries while the first request is answered.
        threading.Thread(target=self.engine.__enter__, name="earmark-engine", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """End in order: streams, jobs, then the worker processes."""
        self.closing.set()
        self.jobs.close()
        self.engine.close()


def service_of(request: Request) -> Service:
    """The service of the application that a request came to."""
    return cast(Service, request.app.state.service)
