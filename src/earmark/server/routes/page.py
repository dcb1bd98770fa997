"""The page, its parts, and the REST's description; every part is known by name before a request names it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse

from earmark.pages.render import Link, Site, document_page, render
from earmark.pages.view import Document
from earmark.server.problems import Problem
from earmark.server.safety import nonce_of

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_HERE = Path(__file__).parents[1]
_NEEDED = ("lit-html/lit-html.js", "wavesurfer.js/dist/wavesurfer.esm.js", "swagger-ui-dist/swagger-ui-bundle.js")
_VIEWS = ("Drop", "Library", "Map", "Playlists", "Review", "Models", "Write tags", "Jobs")
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_HOW = (
    "The page's parts are not here. In a checkout, install npm and run `make setup`; in an installed package, install"
    " npm and run `python -m earmark.server.npm`. Then start the server again. The REST API answers without them:"
    " /openapi.json describes it."
)


def has_page() -> bool:
    """Whether the parts from npm are here."""
    return all(f"vendor/{name}" in _parts() for name in _NEEDED)


@router.get("/")
def page(request: Request) -> HTMLResponse:
    """The page, or a plain one that says what it needs."""
    nonce = nonce_of(request)
    if not has_page():
        return HTMLResponse(document_page(Document("Earmark", "The server runs.", (), lead=_HOW), Site(nonce)))
    links = [Link(name, f"#/{name.lower().removeprefix('write ')}") for name in _VIEWS]
    return HTMLResponse(render("app.html", title="Earmark", site=Site(nonce, links)))


@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    """The REST, described and to try."""
    nonce = nonce_of(request)
    if not has_page():
        return HTMLResponse(document_page(Document("Earmark", "The server runs.", (), lead=_HOW), Site(nonce)))
    return HTMLResponse(render("docs.html", title="Earmark: REST", site=Site(nonce, [Link("The page", "/")])))


@router.get("/static/{name:path}")
def static(name: str) -> FileResponse:
    """A part of the page."""
    return _part(f"static/{name}")


@router.get("/vendor/{name:path}")
def vendor(name: str) -> FileResponse:
    """A part from npm."""
    return _part(f"vendor/{name}")


def _part(name: str) -> FileResponse:
    file = _parts().get(name)
    if file is None:
        raise Problem(404, f"There is no /{name}.", "unknown-name")
    return FileResponse(file, media_type=_TYPES.get(file.suffix, "text/plain"), headers={"Cache-Control": "no-cache"})


@cache
def _parts() -> dict[str, Path]:
    folders = (_HERE / "static", _HERE / "vendor")
    return {
        file.relative_to(_HERE).as_posix(): file for folder in folders for file in folder.rglob("*") if file.is_file()
    }
