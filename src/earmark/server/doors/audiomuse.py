"""The door that speaks as AudioMuse-AI does, below /api: what its plug-in for Navidrome asks, and other clients.

Songs have the ids of the media server (``--media-server``), so that it finds them; without one, the library's own.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from earmark.app.catalogue import LikeArtist, SongFacts, title_of
from earmark.app.search import SimilarRequest, WalkRequest, similar, walk
from earmark.errors import EarmarkError
from earmark.server.answers import Json
from earmark.server.doors import keys
from earmark.server.service import service_of

if TYPE_CHECKING:
    from earmark.app.catalogue import Artist, Catalogue
    from earmark.library.records import LibraryTrack
    from earmark.server.doors.desk import Desk

__all__ = ["router"]


def _has_key(request: Request) -> bool:
    return service_of(request).desk.keys.takes_bearer(request.headers.get("authorization", ""))


async def _hold_up(request: Request) -> None:
    """Have a wrong key wait for its answer."""
    if request.headers.get("authorization") and not _has_key(request):
        await asyncio.sleep(keys.WRONG_KEY_SECONDS)


router = APIRouter(prefix="/api", include_in_schema=False, dependencies=[Depends(_hold_up)])

_MOST = 500
_PER_ARTIST = 3
_UNKNOWN = "unknown"

Row = dict[str, Any]


class _Wrong(Exception):
    """A request that gets an error: its status, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class _Call:
    """One call: its parameters, the catalogue, and names as the media server has them."""

    def __init__(self, request: Request) -> None:
        self.given = request.query_params
        self.desk: Desk = service_of(request).desk
        if not _has_key(request):
            raise _Wrong(401, "Unauthorized")
        self.catalogue: Catalogue = self.desk.shelves.catalogue()

    def number(self, name: str, default: int) -> int:
        """From 1 to the most that is answered; the default where it is no number."""
        text = self.given.get(name, "")
        plain = text.isascii() and text.removeprefix("-").isdecimal()
        return max(1, min(int(text[:12]), _MOST)) if plain else default

    def is_true(self, name: str, default: bool) -> bool:
        text = self.given.get(name)
        return default if text is None else text.lower() == "true"

    def song(self, key: str) -> LibraryTrack:
        server = self.desk.media_server
        if server is not None:
            track = server.song(key, self.catalogue)
        else:
            plain = key.isascii() and key.isdecimal() and len(key) < 19
            track = self.catalogue.songs.get(int(key)) if plain else None
        if track is None or not track.song:
            raise _Wrong(404, f"The library has no music that is {key[:100]!r} of the media server.")
        return track

    def artist(self) -> Artist:
        """By name or id: the plug-in sends the media server's id as the name."""
        server = self.desk.media_server
        for name in filter(None, (self.given.get("artist"), self.given.get("artist_id"))):
            found = self.catalogue.artists.get(name) or self.catalogue.artist_of(name)
            if found is None and server is not None:
                found = self.catalogue.artist_of(server.artist(name, self.catalogue) or name)
            if found is not None:
                return found
        if not self.given.get("artist") and not self.given.get("artist_id"):
            raise _Wrong(400, "The request needs 'artist' or 'artist_id'.")
        raise _Wrong(404, "The library has no such artist.")

    def ids(self, tracks: Iterable[LibraryTrack]) -> dict[int, str]:
        """How the media server calls tracks; those that it does not have are left out.

        Where it has not told its songs, all have "": Navidrome finds them by artist and title then.
        """
        server = self.desk.media_server
        if server is None:
            return {track.id: str(track.id) for track in tracks}
        known = server.matches(self.catalogue)
        if not known.theirs:
            return dict.fromkeys((track.id for track in tracks), "")
        return {track.id: known.ids[track.id] for track in tracks if track.id in known.ids}

    def artist_ids(self, artists: Iterable[Artist]) -> dict[str, str | None]:
        """The same of artists, by the library's ids; None for all where it has not told its songs."""
        server = self.desk.media_server
        if server is None:
            return {artist.id: artist.id for artist in artists}
        known = server.matches(self.catalogue)
        if not known.theirs:
            return dict.fromkeys((artist.id for artist in artists), None)
        return {artist.id: known.artist_ids[artist.id] for artist in artists if artist.id in known.artist_ids}


def _answered(request: Request, answer: Callable[[_Call], Any]) -> Response:
    try:
        return Json(answer(_Call(request)))
    except _Wrong as error:
        return Json({"error": error.reason}, error.status)
    except EarmarkError as error:
        return Json({"error": service_of(request).desk.reason(error)}, 503)


@router.get("/health")
def health() -> Response:
    """Whether the server runs; the one call that needs no key."""
    return Json({"status": "ok"})


@router.get("/similar_tracks")
def similar_tracks(request: Request) -> Response:
    """Songs like ``item_id``, or like ``title`` and ``artist``: a list of rows, the nearest first."""
    return _answered(request, _similar_tracks)


@router.get("/similar_artists")
def similar_artists(request: Request) -> Response:
    """Artists like ``artist`` (a name or an id) or ``artist_id``."""
    return _answered(request, _similar_artists)


@router.get("/find_path")
def find_path(request: Request) -> Response:
    """Songs from ``start_song_id`` to ``end_song_id``, each a small step nearer."""
    return _answered(request, _find_path)


@router.get("/search_tracks")
def search_tracks(request: Request) -> Response:
    """Songs whose names have all words of ``search_query``."""
    return _answered(request, _search_tracks)


def _similar_tracks(call: _Call) -> list[Row]:
    key, title, artist = (call.given.get(name) for name in ("item_id", "title", "artist"))
    if not key and ("mood" in call.given or "anchor_id" in call.given):
        raise _Wrong(400, "Earmark has no centroids and no anchors; send 'item_id', or 'title' and 'artist'.")
    if key:
        track = call.song(key)
    elif title and artist:
        found = call.catalogue.find(SongFacts(artist, title))
        if found is None or not found.song:
            raise _Wrong(404, f"The library has no music {title[:100]!r} by {artist[:100]!r}.")
        track = found
    else:
        raise _Wrong(400, "The request needs 'item_id', or both 'title' and 'artist'.")
    count = call.number("n", 10)
    per_artist = _PER_ARTIST if call.is_true("eliminate_duplicates", True) else 0
    # The media server may lack some: ask for a few more.
    asked = count if call.desk.media_server is None else min(2 * count + 10, _MOST)
    request = SimilarRequest(track=track.path, count=asked, per_artist=per_artist)
    found_songs = call.desk.service.searched(similar(request, call.desk.service.engine, call.desk.service.session))
    ids = call.ids(one.track for one in found_songs)
    rows = [_row(call, one.track, ids) | {"distance": one.distance} for one in found_songs if one.track.id in ids]
    if not rows:
        raise _Wrong(404, "The media server has none of the songs that are like this one.")
    return rows[:count]


def _find_path(call: _Call) -> Row:
    if any(name in call.given for name in ("start_mood", "end_mood", "start_anchor", "end_anchor")):
        raise _Wrong(400, "Earmark has no centroids and no anchors; send 'start_song_id' and 'end_song_id'.")
    start, end = call.given.get("start_song_id"), call.given.get("end_song_id")
    if not start or not end:
        raise _Wrong(400, "The request needs 'start_song_id' and 'end_song_id'.")
    first, last = call.song(start), call.song(end)
    if first.id == last.id:
        raise _Wrong(400, "Start and end are the same song.")
    count = max(2, call.number("max_steps", 25))
    request = WalkRequest(start=first.path, end=last.path, count=count)
    tracks = call.desk.service.searched(walk(request, call.desk.service.engine, call.desk.service.session))
    ids = call.ids(tracks)
    path = [_row(call, track, ids) | {"embedding_vector": []} for track in tracks if track.id in ids]
    steps = call.desk.shelves.closeness(list(itertools.pairwise(tracks)))
    return {"path": path, "total_distance": round(sum(1 - step for step in steps if step is not None), 4)}


def _similar_artists(call: _Call) -> list[Row]:
    artist = call.artist()
    like = call.desk.shelves.like_artists(artist, _MOST)
    ids = call.artist_ids(one.artist for one in like)
    rows: list[Row] = []
    for one in [one for one in like if one.artist.id in ids][: call.number("n", 10)]:
        row: Row = {"artist": one.artist.name, "artist_id": ids[one.artist.id], "divergence": one.distance}
        row["track_count"] = len(one.artist.songs)
        if call.is_true("include_component_matches", False):
            row["component_matches"] = [_component(call, artist, one)]
        rows.append(row)
    if not rows:
        raise _Wrong(404, "No other artist of the library is known to the media server.")
    return rows


def _component(call: _Call, artist: Artist, like: LikeArtist) -> Row:
    """The songs that tell two artists' likeness: here an artist is of one piece."""
    return {
        "component1_index": 0,
        "component2_index": 0,
        "distance": like.distance,
        "component1_weight": 1.0,
        "component2_weight": 1.0,
        "artist1_representative_songs": _songs(call, call.desk.shelves.typical(artist, 3)),
        "artist2_representative_songs": _songs(call, like.songs),
    }


def _songs(call: _Call, rows: Iterable[int]) -> list[Row]:
    tracks = [call.catalogue.songs[row] for row in rows if row in call.catalogue.songs]
    ids = call.ids(tracks)
    return [{"item_id": ids[track.id], "title": title_of(track)} for track in tracks if track.id in ids]


def _search_tracks(call: _Call) -> list[Row]:
    words = call.given.get("search_query") or " ".join(call.given.get(name, "") for name in ("artist", "title"))
    if not words.strip():
        return []
    found = call.catalogue.search(words)[2][:_MOST]
    ids = call.ids(found)
    return [_row(call, track, ids) for track in found if track.id in ids][: call.number("end", 20)]


def _row(call: _Call, track: LibraryTrack, ids: dict[int, str]) -> Row:
    """A song as AudioMuse-AI has it; what it keeps and Earmark does not is null."""
    return {
        "item_id": ids[track.id],
        "title": title_of(track),
        "author": track.artist,
        "album": track.album or _UNKNOWN,
        "album_artist": call.catalogue.albums[call.catalogue.album_of[track.id]].artist,
        "mood_vector": None,
        "other_features": None,
        "top_genre": None,
        "top_mood": None,
    }
