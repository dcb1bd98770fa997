"""What the library holds, in numbers."""

from __future__ import annotations

from fastapi import APIRouter, Request

from earmark.app.library import LibraryRequest
from earmark.app.statistics import Statistics, count_library
from earmark.server.service import service_of

__all__ = ["router"]

router = APIRouter(prefix="/v1/statistics", tags=["statistics"])


@router.get("")
def statistics(request: Request) -> Statistics:
    """Songs by genre, mood, decade, energy and length; failures by kind."""
    service = service_of(request)
    return service.cached("statistics", lambda: count_library(LibraryRequest(), service.session).wait())
