"""What goes wrong, as ``application/problem+json`` (RFC 9457), and the status that each error stands for."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from earmark.errors import (
    AudioError,
    Cancelled,
    DatasetError,
    EarmarkError,
    Locked,
    MissingExtra,
    ModelError,
    NoLibrary,
    RecipeError,
    StorageError,
    UnknownName,
)
from earmark.server.answers import Json

__all__ = ["RESPONSES", "Problem", "answer_of", "describe", "install", "problem", "problem_fields"]

_STATUS: tuple[tuple[type[EarmarkError], int, str], ...] = (
    (UnknownName, 404, "unknown-name"),
    (AudioError, 422, ""),
    (Locked, 409, "locked"),
    (NoLibrary, 503, "no-library"),
    (StorageError, 503, "storage"),
    (MissingExtra, 409, "missing-extra"),
    (ModelError, 409, "model"),
    (Cancelled, 409, "cancelled"),
    (RecipeError, 422, "recipe"),
    (DatasetError, 422, "dataset"),
    (EarmarkError, 400, ""),
)

_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "kind": {"type": "string"},
    },
}

RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What went wrong, and the remedy.",
        "content": {"application/problem+json": {"schema": _SCHEMA}},
    }
}
"""Of every route: what an error looks like."""


class Problem(HTTPException):
    """An answer that is an error.

    Args:
        status: Of the answer.
        detail: A whole sentence that says what is wrong and what to do.
        kind: A word by which programs tell it from others.
        headers: Of the answer.
    """

    def __init__(self, status: int, detail: str, kind: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)
        self.kind = kind


def problem(status: int, detail: str, kind: str = "", headers: dict[str, str] | None = None) -> Response:
    """The answer for an error."""
    return Json(_fields(status, detail, kind), status, headers, media_type="application/problem+json")


def problem_fields(error: EarmarkError) -> dict[str, Any]:
    """What stands in the answer for an error."""
    return _fields(**describe(error))


def describe(error: EarmarkError) -> dict[str, Any]:
    """``status``, ``detail`` and ``kind`` of an error."""
    status, kind = next((status, kind) for known, status, kind in _STATUS if isinstance(error, known))
    if isinstance(error, AudioError):
        return {"status": status, "detail": error.message, "kind": error.kind}
    return {"status": status, "detail": " ".join(str(error).split()), "kind": kind}


def install(application: FastAPI) -> None:
    """Have the application answer every error so."""
    application.add_exception_handler(HTTPException, answer_of)
    application.add_exception_handler(RequestValidationError, _invalid)
    application.add_exception_handler(EarmarkError, _ours)


def _fields(status: int, detail: str, kind: str) -> dict[str, Any]:
    fields = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return fields | ({"kind": kind} if kind else {})


def answer_of(_: Request, error: Exception) -> Response:
    """The answer for an exception of Starlette's, ours among them."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    return problem(error.status_code, str(error.detail), getattr(error, "kind", ""), headers)


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    parts = (f"{'.'.join(str(one) for one in wrong['loc'])}: {wrong['msg']}" for wrong in error.errors()[:5])
    return problem(422, "; ".join(parts), "invalid")


def _ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, EarmarkError)
    return problem(**describe(error))
