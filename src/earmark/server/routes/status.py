"""What runs here: the version, the library, the model; and the folders that may be scanned."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

import earmark
from earmark.errors import StorageError
from earmark.server.service import service_of

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["server"])


@router.get("")
def status(request: Request) -> dict[str, Any]:
    """The version, and what the library holds; null where there is none yet."""
    service = service_of(request)
    library = None
    try:
        with service.library() as opened:
            facts = opened.facts()
            library = {"tracks": facts.tracks, "seconds": round(facts.seconds, 1), "file": opened.file.name}
    except StorageError:
        pass
    return {"earmark": earmark.__version__, "library": library, "model": service.options.model, "page": True}
