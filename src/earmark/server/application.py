"""The application: options in, a FastAPI application out, with every router and the rules of safety around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fastapi import FastAPI

import earmark
from earmark.models.device import Device
from earmark.server import problems
from earmark.server.answers import Json
from earmark.server.doors import audiomuse, opensubsonic
from earmark.server.routes import (
    clusters,
    jobs,
    map,
    models,
    page,
    playlists,
    predict,
    review,
    search,
    statistics,
    status,
    tracks,
    write_tags,
)
from earmark.server.safety import Rules, Safety
from earmark.server.service import Service

__all__ = ["ServerOptions", "create_application"]

_ROUTERS = (
    *(status.router, predict.router, tracks.router, search.router, playlists.router, clusters.router, map.router),
    *(review.router, models.router, jobs.router, write_tags.router, statistics.router),
    *(audiomuse.router, opensubsonic.router, page.router),
)

_NO_REPORTS = {"tracing": False, "metrics": False, "logs": False, "operation_spans": False, "auto_configure": False}
"""FastAPI can report to collectors; this one never does, whatever the environment says."""

_MB = 1_000_000


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """How to serve.

    Attributes:
        library: The library's file; the one in the user's data folder where None.
        host: Name or address to listen on.
        port: To listen on.
        token: That a request must carry; None asks for none.
        music: Folders that may be scanned and learned from, beside those of the library.
        jobs: Files that are analysed at a time; as many as cores where None.
        model: A model folder or name.
        device: What networks run on; ``auto`` takes a GPU where there is one that works.
        player_key: Opens the doors to players; they are closed where it and the password are None.
        player_password: For older clients of OpenSubsonic, made for that door alone.
        media_server: URL of the Subsonic server whose ids the doors speak.
        max_upload: Bytes of an upload.
        max_seconds: Of decoded audio of an upload.
        request_seconds: That the analysis of an upload may take.
    """

    library: str | None = None
    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = field(default=None, repr=False)
    music: tuple[str, ...] = ()
    jobs: int | None = None
    model: str = "default"
    device: Device = "auto"
    player_key: str | None = field(default=None, repr=False)
    player_password: str | None = field(default=None, repr=False)
    media_server: str | None = None
    max_upload: int = 300 * _MB
    max_seconds: float = 3600.0
    request_seconds: float = 60.0


def create_application(options: ServerOptions) -> FastAPI:
    """The application for a server that listens where ``options`` say; ``state.service`` is its :class:`Service`."""
    service = Service(options)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        with service:
            yield

    application = FastAPI(
        title="Earmark",
        version=earmark.__version__,
        summary="Genre, mood and tags of your music, and your library in order; from this machine alone.",
        docs_url=None,
        redoc_url=None,
        lifespan=life,
        default_response_class=Json,
        telemetry=_NO_REPORTS,  # type: ignore[arg-type]
        responses=problems.RESPONSES,
    )
    application.state.service = service
    problems.install(application)
    for router in _ROUTERS:
        application.include_router(router)
    application.add_middleware(Safety, rules=Rules.of(options))
    return application
