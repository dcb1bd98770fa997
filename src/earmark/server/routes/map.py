"""The map of the library."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from earmark.app.library import LibraryRequest
from earmark.app.map import KnownMap, known_map
from earmark.server.service import service_of
from earmark.text import json_text

__all__ = ["router"]

router = APIRouter(prefix="/v1/map", tags=["map"])


@dataclass(frozen=True)
class View:
    """One way to colour the map: names with the number of its name for each song (-1: none), or a number for each."""

    names: list[str] | None = None
    of: list[int] | None = None
    values: list[float] | None = None


@dataclass(frozen=True)
class Map:
    """The map in columns, a place each for every song.

    Attributes:
        ids: Of the tracks; what they are called tells `/v1/tracks/lookup`.
        x: -1..1.
        y: -1..1.
        views: By name: `genre`, `mood`, `cluster`, `energy`; those that the model and the library have.
        method: `t-SNE` or `PCA`; empty before a job of the kind `map` has made it.
        joined: Songs that were put in between since it was made.
    """

    ids: list[int]
    x: list[float]
    y: list[float]
    views: dict[str, View]
    method: str
    joined: int


@router.get("", response_model=Map)
def map(request: Request, known: Annotated[str, Header(alias="If-None-Match")] = "") -> Response:
    """The map; 304 where it is still the one of the `ETag`."""
    service = service_of(request)
    body = service.cached("map", lambda: _body(known_map(LibraryRequest(), service.session).wait()))
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in known:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _body(found: KnownMap) -> bytes:
    views: dict[str, dict[str, Any]] = {}
    for view in found.views:
        views[view.name.lower()] = {"names": list(view.names), "of": view.index.tolist()}
    if found.energy is not None:
        views["energy"] = {"values": found.energy.astype(float).round(4).tolist()}
    x, y = found.places.astype(float).round(4).T.tolist() if len(found.ids) else ([], [])
    columns = {"ids": found.ids.tolist(), "x": x, "y": y, "views": views}
    return json_text({**columns, "method": found.method, "joined": found.joined}).encode()
