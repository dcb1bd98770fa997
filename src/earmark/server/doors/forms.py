"""Answers of OpenSubsonic, in JSON and in XML, and songs, artists and albums as they stand in them.

Both have the same facts: objects are elements, plain values attributes (https://opensubsonic.netlify.app/docs/responses/).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from starlette.responses import Response

import earmark
from earmark.app.catalogue import title_of
from earmark.server.answers import Json
from earmark.server.audio import content_type
from earmark.text import fold, plain_text

if TYPE_CHECKING:
    from earmark.app.catalogue import Album, Artist, Catalogue
    from earmark.app.summaries import Summary
    from earmark.library.records import LibraryTrack

__all__ = [
    "album_form",
    "answer",
    "artist_form",
    "failure",
    "index_of",
    "iso_date",
    "song_form",
    "year_of",
]

_VERSION = "1.16.1"  # of Subsonic's interface
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def answer(facts: Mapping[str, Any], form: str, status: str = "ok", http_status: int = 200) -> Response:
    """The answer that holds ``facts``: JSON where ``form`` is ``json``, else XML."""
    head = {"status": status, "version": _VERSION, "type": "earmark", "serverVersion": earmark.__version__}
    body = {**head, "openSubsonic": True, **facts}
    if form == "json":
        return Json({"subsonic-response": body}, http_status)
    root = _element("subsonic-response", {"xmlns": "http://subsonic.org/restapi", **body})
    text = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return Response(text, http_status, media_type="application/xml")


def failure(code: int, message: str, form: str, http_status: int = 200) -> Response:
    """The answer to a request that failed, with a code of https://opensubsonic.netlify.app/docs/responses/error/."""
    return answer({"error": {"code": code, "message": message}}, form, "failed", http_status)


def _element(name: str, value: Any) -> ElementTree.Element:
    element = ElementTree.Element(name)
    if not isinstance(value, Mapping):
        element.text = _text(value)
        return element
    for key, one in value.items():
        if isinstance(one, Mapping):
            element.append(_element(key, one))
        elif isinstance(one, list):
            element.extend(_element(key, part) for part in one)
        elif key == "value":
            element.text = _text(one)
        else:
            element.set(key, _text(one))
    return element


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else _NOT_XML.sub("\ufffd", str(value))


def song_form(catalogue: Catalogue, track: LibraryTrack, short: Summary | None = None) -> dict[str, Any]:
    """A song (``Child``); its mood, and a genre where the file names none, are those of ``short``."""
    genres = [name for name in track.genre.split(";") if name]
    if not genres and short and short.genre and short.genre.label:
        genres = [short.genre.label]
    artist, album = catalogue.artist_of(track.artist), catalogue.album_of[track.id]
    suffix = track.path.rpartition(".")[2].lower()
    form: dict[str, Any] = {
        "id": str(track.id),
        "parent": album,
        "isDir": False,
        "title": title_of(track),
        "album": catalogue.albums[album].name,
        "albumId": album,
        "artist": artist.name if artist else "",
        "artistId": artist.id if artist else "",
        "coverArt": str(track.id),
        "duration": round(track.seconds),
        "size": track.size,
        "bitRate": round(track.size * 8 / 1000 / track.seconds) if track.seconds else 0,
        "suffix": suffix,
        "contentType": content_type(track.path),
        "path": _below_root(catalogue, track.path),
        "created": iso_date(track.modified / 1e9),
        "isVideo": False,
        "type": "music",
        "mediaType": "song",
        "genres": [{"name": name} for name in genres],
        "moods": [short.mood.label] if short and short.mood and short.mood.label else [],
        "displayArtist": track.artist,
    }
    if year_of(track.year):
        form["year"] = year_of(track.year)
    if genres:
        form["genre"] = genres[0]
    return form | _measured(short.features if short and short.features else {})


def _measured(features: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """``bpm`` and ``replayGain`` (to -18 LUFS, the peak linear), where they are known."""
    tempo, loudness = features.get("tempo", {}).get("value"), features.get("loudness", {})
    form: dict[str, Any] = {} if tempo is None else {"bpm": round(tempo)}
    if loudness.get("gain") is not None:
        peak = 10 ** (loudness["true_peak"] / 20)
        form["replayGain"] = {"trackGain": loudness["gain"], "trackPeak": round(peak, 6)}
    return form


def artist_form(artist: Artist) -> dict[str, Any]:
    """An artist (``ArtistID3``)."""
    return {"id": artist.id, "name": artist.name, "albumCount": len(artist.albums), "coverArt": str(artist.songs[0])}


def album_form(album: Album) -> dict[str, Any]:
    """An album (``AlbumID3``, and what ``Child`` asks of a folder)."""
    form: dict[str, Any] = {
        "id": album.id,
        "name": album.name,
        "title": album.name,
        "album": album.name,
        "isDir": True,
        "artist": album.artist,
        "songCount": len(album.songs),
        "duration": round(album.seconds),
        "created": iso_date(album.modified / 1e9),
        "coverArt": album.id,
    }
    if album.artist_id:
        form |= {"artistId": album.artist_id, "parent": album.artist_id}
    if year_of(album.year):
        form["year"] = year_of(album.year)
    return form


def index_of(name: str) -> str:
    """The letter under which a name stands."""
    first = fold(name).removeprefix("the ")[:1].upper()
    return first if first.isalpha() else "#"


def year_of(text: str) -> int:
    """A year; 0 where there is none."""
    return int(text[:4]) if text[:4].isascii() and text[:4].isdigit() else 0


def _below_root(catalogue: Catalogue, path: str) -> str:
    """A path from the folder that was scanned; where it is on this machine is nobody's business."""
    root = next((one for one in catalogue.roots if Path(path).is_relative_to(one)), "")
    below = Path(path).relative_to(root).as_posix() if root else Path(path).name
    return plain_text(below)


def iso_date(seconds: float) -> str:
    """A moment, seconds since 1970."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
