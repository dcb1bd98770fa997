"""The door that speaks OpenSubsonic, below /rest: what a player needs to log in, browse, search and play; and by sound.

Specification: https://opensubsonic.netlify.app/docs/ with the extensions apiKeyAuthentication, formPost and
sonicSimilarity. Nothing can be changed through it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Any, cast
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from earmark.errors import EarmarkError, UnknownName
from earmark.server.audio import audio_answer
from earmark.server.doors import keys
from earmark.server.doors.forms import answer, failure
from earmark.server.doors.keys import Refused
from earmark.server.doors.methods import METHODS, Call
from earmark.server.problems import Problem
from earmark.server.service import service_of

__all__ = ["router"]

router = APIRouter()

_MOST_PARAMETERS = 1_000
_DAY = 86_400
_TRIED = 5  # songs of an album that are looked into for a picture


async def parameters(request: Request) -> dict[str, str]:
    """The parameters of a call, of its URL and of its form; of several of a name the first."""
    body = await request.body() if request.method == "POST" else b""
    text = f"{request.url.query}&{body.decode('utf-8', 'replace')}"
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS, errors="replace")
    except ValueError:
        return {}
    return dict(reversed(pairs))


async def called(request: Request, method: str) -> Call | Response:
    """The call, or the answer where it is not let in."""
    call = Call(service_of(request).desk, await parameters(request))
    if method.removesuffix(".view") != "getOpenSubsonicExtensions":
        try:
            call.desk.keys.admit(call.given)
        except Refused as error:
            if error.code in (40, 44) and call.given.keys() & {"apiKey", "p", "t"}:
                await asyncio.sleep(keys.WRONG_KEY_SECONDS)
            return failure(error.code, error.message, call.form)
    return call


@router.api_route("/rest/{method}", methods=["GET", "POST"], include_in_schema=False)
def rest(request: Request, method: str, call: Annotated[Any, Depends(called)]) -> Response:
    """Any method of OpenSubsonic, with or without ``.view``; failures are answers too."""
    if not isinstance(call, Call):
        return cast(Response, call)
    name = method.removesuffix(".view")
    try:
        if name in _FILES:
            return _FILES[name](call, request)
        if name not in METHODS:
            return failure(0, f"Earmark has no method {name[:60]}.", call.form, 404)
        return answer(METHODS[name](call), call.form)
    except Refused as error:
        return failure(error.code, error.message, call.form)
    except EarmarkError as error:
        return failure(70 if isinstance(error, UnknownName) else 0, call.desk.reason(error), call.form)


def _stream(call: Call, request: Request) -> Response:
    """A song's file as it is: nothing is transcoded, so the formats and rates that are asked for are passed over."""
    try:
        return audio_answer(request, call.song(), call.catalogue.roots)
    except Problem as error:
        raise Refused(70, f"The requested data was not found: {error.detail}") from None


def _picture(call: Call, _: Request) -> Response:
    """The picture in the file of a song, or of an album's first songs; as large as it is."""
    catalogue = call.catalogue
    album = catalogue.albums.get(call.text("id"))
    tracks = [catalogue.songs[row] for row in album.songs[:_TRIED]] if album else [call.song()]
    found = next((one for track in tracks if (one := call.desk.picture(track))), None)
    if found is None:
        raise Refused(70, "The requested data was not found: the file carries no picture.")
    kind, data = found
    return Response(data, media_type=kind, headers={"Cache-Control": f"private, max-age={_DAY}"})


_FILES: Mapping[str, Callable[[Call, Request], Response]] = {
    "stream": _stream,
    "download": _stream,
    "getCoverArt": _picture,
}
