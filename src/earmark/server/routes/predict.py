"""Analyse an upload, or a track of the library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from starlette.datastructures import UploadFile

from earmark.app.one_file import FileRequest, analyse_file
from earmark.inference.records import path_fields
from earmark.server.problems import Problem
from earmark.server.service import Service, service_of
from earmark.server.uploads import kept_upload
from earmark.server.values import RowId

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["predict"])


class TrackChoice(BaseModel):
    """A track of the library."""

    model_config = ConfigDict(extra="forbid")
    track: RowId


_UPLOAD = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary"}, "features": {"type": "boolean"}},
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _UPLOAD},
            "application/json": {"schema": TrackChoice.model_json_schema()},
        },
    }
}


@router.post("/predict", openapi_extra=_BODY)
async def predict(
    request: Request,
    taggram: bool = False,
    why: bool = False,
    features: bool = False,
    peaks: Annotated[int, Query(ge=0, le=2000)] = 0,
) -> dict[str, Any]:
    """Genre, mood and tags of an uploaded file, or of a track of the library, as ``earmark tag -f json`` gives them.

    With ``features`` (also as a field of the form) tempo, key, loudness and further numbers, too. A file that cannot
    be analysed is a problem 422 whose ``kind`` says why.
    """
    service = service_of(request)
    how: dict[str, Any] = {"taggram": taggram, "why": why, "peaks": peaks, "features": features}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        path = await to_thread.run_sync(_path_of, service, await request.body())
        return await to_thread.run_sync(_analysed, service, path, path, how, limiter=service.analysing)
    if kind != "multipart/form-data":
        raise Problem(415, 'Send a file as multipart/form-data, or {"track": ID} as application/json.', "media-type")
    async with request.form(max_files=1, max_fields=10) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise Problem(422, "The form has no file: its part must be named file, and carry a file name.", "invalid")
        how["features"] = features or _is_true(form.get("features", "false"))
        return await to_thread.run_sync(_uploaded, service, file, how, limiter=service.analysing)


def _is_true(field: Any) -> bool:
    try:
        return TypeAdapter(bool).validate_python(field)
    except ValidationError as error:
        raise Problem(422, "The form's features are true or false.", "invalid") from error


def _path_of(service: Service, body: bytes) -> str:
    try:
        choice = TrackChoice.model_validate(json.loads(body))
    except (ValueError, RecursionError, ValidationError) as error:
        raise Problem(422, 'The body must be {"track": ID}.', "invalid") from error
    return service.here(service.track(choice.track))


def _uploaded(service: Service, file: UploadFile, how: Mapping[str, Any]) -> dict[str, Any]:
    name = (file.filename or "").replace("\\", "/").rpartition("/")[2] or "upload"
    with kept_upload(file.file, name) as path:
        return _analysed(service, path, name, how)


def _analysed(service: Service, path: str, name: str, how: Mapping[str, Any]) -> dict[str, Any]:
    asked = FileRequest(path=path, model=service.options.model, **how)
    prediction, waveform = analyse_file(asked, service.engine, service.bounds).wait()
    record = prediction.to_dict() | path_fields(name)
    return record | ({"peaks": waveform.peaks} if waveform else {})
