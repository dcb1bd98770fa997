"""Jobs: long work, its progress as events, its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request
from starlette.responses import StreamingResponse

from earmark.server.jobs import Job
from earmark.server.kinds import AnyJob
from earmark.server.service import Service, service_of
from earmark.text import json_text

__all__ = ["router"]

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

JobId = Annotated[int, Path(ge=1, le=2**31)]

_LOOK = 0.1  # seconds between two looks for events
_HEARTBEAT = 15.0  # seconds, so that nothing between takes a silent stream for a dead one


@router.post("", status_code=202)
def begin(request: Request, job: AnyJob) -> dict[str, Any]:
    """Begin long work; it goes on when nobody looks, and waits for work of its kind."""
    return service_of(request).jobs.add(job).to_dict()


@router.get("")
def all_jobs(request: Request) -> dict[str, Any]:
    """The jobs since the server began, the newest first."""
    return {"jobs": [job.to_dict() for job in service_of(request).jobs.all()]}


@router.get("/{id}")
def one_job(request: Request, id: JobId) -> dict[str, Any]:
    """A job, as it stands."""
    return service_of(request).jobs.get(id).to_dict()


@router.delete("/{id}")
def cancel(request: Request, id: JobId) -> dict[str, Any]:
    """End a job at its next step; what is done is kept."""
    job = service_of(request).jobs.get(id)
    job.cancel()
    return job.to_dict()


@router.get("/{id}/events", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
def events(request: Request, id: JobId, last: Annotated[str, Header(alias="Last-Event-ID")] = "0") -> StreamingResponse:
    """Events of a job as they come (``progress``, ``record``, ``notice``, ``end``); ``Last-Event-ID`` resumes."""
    service = service_of(request)
    job = service.jobs.get(id)
    first = int(last) if last.isascii() and last.isdecimal() else 0
    headers = {"Cache-Control": "no-store"}
    return StreamingResponse(_stream(service, job, first), media_type="text/event-stream", headers=headers)


async def _stream(service: Service, job: Job, last: int) -> AsyncIterator[str]:
    spoken = time.monotonic()
    yield "retry: 1000\n\n"
    while not service.closing.is_set():
        for event in job.after(last):
            last, spoken = event.number, time.monotonic()
            yield f"id: {event.number}\nevent: {event.name}\ndata: {json_text(event.data)}\n\n"
            if event.name == "end":
                return
        if job.ended and not job.after(last):
            return
        if time.monotonic() - spoken > _HEARTBEAT:
            spoken = time.monotonic()
            yield ": still here\n\n"
        await asyncio.sleep(_LOOK)
