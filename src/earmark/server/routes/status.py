"""What runs here: the version, the library, the model; and the folders that may be scanned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request

import earmark
from earmark.errors import StorageError
from earmark.inference.records import path_fields
from earmark.server.problems import problem_fields
from earmark.server.routes import page
from earmark.server.service import service_of

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["server"])


@router.get("")
def status(request: Request) -> dict[str, Any]:
    """The version, the model, and what the library holds: null where there is none, and ``problem`` says why."""
    service = service_of(request)
    library, problem = None, None
    try:
        with service.library(fresh=not service.session.generation) as opened:  # an answer that waits for nothing
            facts = opened.facts()
            library = {"tracks": facts.tracks, "seconds": round(facts.seconds, 1), "file": opened.file.name}
            library["generation"] = service.session.generation
    except StorageError as error:
        problem = problem_fields(error)
    about = {"earmark": earmark.__version__, "library": library, "model": service.model_id, "page": page.has_page()}
    return about | {"problem": problem}


@router.get("/folders")
def folders(request: Request) -> dict[str, Any]:
    """Folders that may be scanned and learned from."""
    service = service_of(request)
    found = []
    for folder in service.folders():
        songs = None
        if folder.scanned:
            with service.library() as library:
                songs = library.count_below(folder.path)
        path = path_fields(folder.path)["path"]
        name = path_fields(Path(folder.path).name or folder.path)["path"]
        about = {"id": folder.id, "name": name, "path": path, "scanned": folder.scanned}
        found.append(about | {"songs": songs, "available": folder.available})
    return {"folders": found}
