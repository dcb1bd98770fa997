"""Playlists: tried, kept, and as files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from earmark.app.library import LibraryRequest
from earmark.app.playlist import (
    ForgetRequest,
    KeepRequest,
    KeptRequest,
    PlaylistRequest,
    forget_playlist,
    keep_playlist,
    kept_playlist,
    kept_playlists,
    make_playlist,
)
from earmark.app.summaries import Summary
from earmark.events import Notice
from earmark.library.options import PlaylistOptions
from earmark.library.store import KeptPlaylist
from earmark.server.service import Service, service_of
from earmark.server.values import MOST_ROWS, RowId

__all__ = ["router"]

router = APIRouter(prefix="/v1/playlists", tags=["playlists"])

Name = Annotated[str, Field(min_length=1, max_length=200)]
Names = Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=50)]
Share = Annotated[float, Field(ge=0, le=1)]
Beats = Annotated[float, Field(ge=0, le=1_000)]


class PlaylistWish(BaseModel):
    """What the songs of a playlist must be; what is left out is not asked for.

    Attributes:
        seeds: Songs that they are like.
        like: Words, as `/v1/find` takes them.
        genres: Any of them.
        moods: Any of them.
        tags: All of them.
        without: None of them.
        cluster: The name of their cluster.
        minutes: About so long in all.
        artist_gap: No artist comes again within so many songs.
        energy_min: At least so energetic.
        energy_max: At most so energetic.
        tempo_min: At least so fast, in beats a minute.
        tempo_max: At most so fast.
        key_compatible: Neighbours are of keys that go together, as far as the songs allow.
    """

    model_config = ConfigDict(extra="forbid")
    seeds: Annotated[list[RowId], Field(max_length=100)] = []
    like: Annotated[str, Field(max_length=1_000)] | None = None
    genres: Names = []
    moods: Names = []
    tags: Names = []
    without: Names = []
    cluster: Annotated[str, Field(max_length=200)] | None = None
    minutes: Annotated[float, Field(gt=0, le=24 * 60)] = 60.0
    artist_gap: Annotated[int, Field(ge=0, le=100)] = 5
    energy_min: Share | None = None
    energy_max: Share | None = None
    tempo_min: Beats | None = None
    tempo_max: Beats | None = None
    key_compatible: bool = False

    def options(self, service: Service) -> dict[str, Any]:
        """The wish as the use case takes it: seeds by their paths."""
        asked = {name: tuple(value) if isinstance(value, list) else value for name, value in self.model_dump().items()}
        return {**asked, "seeds": tuple(service.track(one).path for one in self.seeds)}


class PlaylistToKeep(BaseModel):
    """A name, and either what its songs must be, or the songs."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    wish: PlaylistWish | None = None
    tracks: Annotated[list[RowId], Field(max_length=MOST_ROWS)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> PlaylistToKeep:
        if (self.wish is None) == (self.tracks is None):
            raise ValueError("give either the wish or the tracks")
        return self


@dataclass(frozen=True)
class Preview:
    """Songs in order, their length, and what there is to say about the wish."""

    tracks: list[Summary]
    seconds: float
    notices: list[str]


@dataclass(frozen=True)
class KeptInShort:
    """A kept playlist.

    Attributes:
        id: Its row.
        name: No two have the same.
        wish: What its songs must be: they are chosen anew after a scan; null where they were chosen by hand.
        tracks: Songs.
        seconds: Their length.
        updated: When they were chosen last, seconds since 1970.
    """

    id: int
    name: str
    wish: PlaylistWish | None
    tracks: int
    seconds: float
    updated: float


@dataclass(frozen=True)
class KeptOnes:
    """All that are kept, by name."""

    playlists: list[KeptInShort]


@dataclass(frozen=True)
class KeptWhole:
    """A kept playlist with its songs in order."""

    playlist: KeptInShort
    tracks: list[Summary]


@router.post("/preview")
def preview(request: Request, wish: PlaylistWish) -> Preview:
    """The songs that a wish would choose, in an order that flows; nothing is kept."""
    service = service_of(request)
    asked = PlaylistRequest(library=service.options.library, **wish.options(service))
    run = make_playlist(asked, service.engine, service.session)
    with service.searching:
        notices = [event.message for event in run if isinstance(event, Notice)]
    tracks = service.summaries(run.result)
    return Preview(tracks, round(sum(track.seconds for track in tracks), 3), notices)


@router.get("")
def all_kept(request: Request) -> KeptOnes:
    """The playlists that are kept."""
    service = service_of(request)
    found = kept_playlists(LibraryRequest(), service.session).wait()
    return KeptOnes([_in_short(service, one) for one in found])


@router.post("", status_code=201)
def keep(request: Request, playlist: PlaylistToKeep) -> KeptInShort:
    """Keep a playlist, in place of the one of that name. A wish is chosen anew after each scan."""
    return _keep(request, playlist, None)


@router.put("/{id}")
def replace(request: Request, id: RowId, playlist: PlaylistToKeep) -> KeptInShort:
    """Give a kept playlist another name, another wish, or other songs."""
    return _keep(request, playlist, id)


@router.get("/{id}.m3u8", response_class=Response, responses={200: {"content": {"application/vnd.apple.mpegurl": {}}}})
def as_file(request: Request, id: RowId) -> Response:
    """A kept playlist as a file that players read, with the songs' full paths."""
    from earmark.library.export import m3u_text

    kept, tracks = kept_playlist(KeptRequest(playlist=id), service_of(request).session).wait()
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(kept.name, safe='')}.m3u8"}
    return Response(m3u_text(tracks, None), media_type="application/vnd.apple.mpegurl", headers=headers)


@router.get("/{id}")
def one_kept(request: Request, id: RowId) -> KeptWhole:
    """A kept playlist with its songs."""
    service = service_of(request)
    kept, tracks = kept_playlist(KeptRequest(playlist=id), service.session).wait()
    return KeptWhole(_in_short(service, kept), service.summaries(tracks))


@router.delete("/{id}", status_code=204)
def forget(request: Request, id: RowId) -> None:
    """Keep a playlist no longer; its songs stay."""
    service = service_of(request)
    forget_playlist(ForgetRequest(library=service.options.library, playlist=id)).wait()


def _keep(request: Request, playlist: PlaylistToKeep, row: int | None) -> KeptInShort:
    service = service_of(request)
    wish = None if playlist.wish is None else PlaylistOptions(**playlist.wish.options(service))
    tracks = tuple(playlist.tracks or ())
    asked = KeepRequest(library=service.options.library, name=playlist.name, wish=wish, tracks=tracks, playlist=row)
    run = keep_playlist(asked, service.engine, service.session)
    return _in_short(service, run.wait() if wish is None else service.searched(run))


def _in_short(service: Service, kept: KeptPlaylist) -> KeptInShort:
    wish = None
    if kept.wish is not None:
        known = service.ids(kept.wish.seeds)
        asked = {name: getattr(kept.wish, name) for name in PlaylistWish.model_fields}
        wish = PlaylistWish(**{**asked, "seeds": [known[path] for path in kept.wish.seeds if path in known]})
    return KeptInShort(kept.id, kept.name, wish, kept.tracks, round(kept.seconds, 3), kept.updated)
