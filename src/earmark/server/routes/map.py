"""The map of the library."""

from __future__ import annotations

import hashlib
import json
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


_SECONDS = 10.0  # that songs analysed anew may have their old colours
_PART = 10_000  # numbers written at a time


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
    with service.library() as library:
        state = library.map_state(library.model())
    body = service.cached("map", lambda: _body(known_map(LibraryRequest(), service.session).wait()), state, _SECONDS)
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in known:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _body(found: KnownMap) -> bytes:
    """The map as JSON, column by column: one call for all of a large map would keep other requests waiting."""
    views = {
        view.name.lower(): f'{{"names": {json_text(list(view.names))}, "of": {_column(view.index)}}}'
        for view in found.views
    }
    if found.energy is not None:
        views["energy"] = f'{{"values": {_column(found.energy)}}}'
    columns = {
        "ids": _column(found.ids),
        "x": _column(found.places[:, 0]),
        "y": _column(found.places[:, 1]),
        "views": "{" + ", ".join(f"{json_text(name)}: {view}" for name, view in views.items()) + "}",
        "method": json_text(found.method),
        "joined": str(found.joined),
    }
    return ("{" + ", ".join(f'"{name}": {column}' for name, column in columns.items()) + "}").encode()


def _column(numbers: Any) -> str:
    """Numbers as a list in JSON, with four decimals at most."""
    parts = []
    for start in range(0, len(numbers), _PART):
        part = numbers[start : start + _PART]
        parts.append(json.dumps((part.astype(float).round(4) if part.dtype.kind == "f" else part).tolist())[1:-1])
    return f"[{', '.join(parts)}]"
