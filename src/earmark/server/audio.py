"""A track's file over HTTP: only while it is the library's, by ranges, with a type that no browser takes for a page."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Iterator, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from earmark.library.records import LibraryTrack
from earmark.server.problems import Problem, problem

__all__ = ["audio_answer", "content_type", "open_audio"]

_BLOCK = 1 << 16
_TYPES = {".flac": "audio/flac", ".m4a": "audio/mp4", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".opus": "audio/ogg",
          ".wav": "audio/wav", ".aac": "audio/aac", ".aif": "audio/aiff", ".aiff": "audio/aiff"}  # fmt: skip


def open_audio(track: LibraryTrack, roots: Sequence[str]) -> tuple[BinaryIO, os.stat_result]:
    """The file of a track, opened, and its status.

    It must be what the library knows: unchanged since the scan, or at least in one of the scanned folders; a link that
    now leads elsewhere is not followed.

    Raises:
        Problem: 404, it is not there or cannot be read; 410, it is not the library's any more.
    """
    try:
        if not Path(track.path).is_file():  # a pipe would be waited for
            raise FileNotFoundError
        file = Path(track.path).open("rb")  # noqa: SIM115 - the answer closes it
    except (OSError, ValueError) as error:
        raise Problem(404, "The file is not there just now, or cannot be read.", "missing") from error
    try:
        status = os.fstat(file.fileno())
        same = (status.st_size, status.st_mtime_ns) == (track.size, track.modified)
        if not (same or _inside(track.path, roots)):
            raise Problem(410, "The file is not the one that was scanned; scan its folder again.", "changed")
    except BaseException:
        file.close()
        raise
    return file, status


def audio_answer(request: Request, track: LibraryTrack, roots: Sequence[str]) -> Response:
    """The answer with a track's file, or with the range that was asked for.

    Raises:
        Problem: As :func:`open_audio`.
    """
    file, status = open_audio(track, roots)
    tag = f'"{status.st_size:x}-{status.st_mtime_ns:x}"'
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": tag,
        "Last-Modified": formatdate(status.st_mtime, usegmt=True),
        "Cache-Control": "private, no-cache",
    }
    if tag in request.headers.get("if-none-match", ""):
        file.close()
        return Response(status_code=304, headers=headers)
    size, first, last, code = status.st_size, 0, status.st_size - 1, 200
    asked = request.headers.get("range")
    if asked and request.headers.get("if-range", tag) in (tag, headers["Last-Modified"]):
        found = _range(asked, size)
        if found == "none":
            file.close()
            headers["Content-Range"] = f"bytes */{size}"
            return problem(416, f"The file has {size:,} bytes; this range is none of them.", "range", headers)
        if isinstance(found, tuple):
            (first, last), code = found, 206
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    headers["Content-Length"] = str(last - first + 1)
    return StreamingResponse(_pieces(file, first, last - first + 1), code, headers, content_type(track.path))


def _range(text: str, size: int) -> tuple[int, int] | str | None:
    """First and last byte of one range; "none" where there are none of them; None where all is to be sent."""
    unit, _, spec = text.partition("=")
    begin, dash, end = (part.strip() for part in spec.partition("-"))
    if unit.strip().lower() != "bytes" or not dash or "," in spec:
        return None  # several ranges, or nonsense: the whole file is an answer to both
    if not all(part.isascii() and (part.isdecimal() or not part) for part in (begin, end)) or not (begin or end):
        return None
    if not begin:
        first, last = max(0, size - int(end[:19])), size - 1
    else:
        first, last = int(begin[:19]), min(size - 1, int(end[:19])) if end else size - 1
        if end and int(end[:19]) < first:
            return None
    return (first, last) if first <= last and first < size else "none"


def _pieces(file: BinaryIO, first: int, count: int) -> Iterator[bytes]:
    with file:
        file.seek(first)
        while count > 0 and (piece := file.read(min(_BLOCK, count))):
            count -= len(piece)
            yield piece


def _inside(path: str, roots: Sequence[str]) -> bool:
    try:
        real = Path(path).resolve(strict=True)
    except (OSError, RuntimeError):
        return False
    return any(real.is_relative_to(root) for root in roots)


def content_type(path: str) -> str:
    """By a file's ending; never one that a browser takes for a page."""
    suffix = Path(path).suffix.lower()
    found = _TYPES.get(suffix) or mimetypes.guess_type(f"a{suffix}")[0] or ""
    return found if found.startswith(("audio/", "video/")) else "application/octet-stream"
