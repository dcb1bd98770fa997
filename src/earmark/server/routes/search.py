"""Search: by sound, in words, and a walk from one track to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request

from earmark.app.search import FindRequest, SimilarRequest, WalkRequest
from earmark.app.search import find as find_songs
from earmark.app.search import similar as similar_songs
from earmark.app.search import walk as walk_songs
from earmark.app.summaries import Summary
from earmark.server.service import service_of
from earmark.server.values import RowId, UnknownWord, unknown_words

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["search"])

_LONGEST = 1_000  # characters of words

Count = Annotated[int, Query(ge=1, le=500)]


@dataclass(frozen=True)
class SimilarSong:
    """A song that sounds like the seed.

    Attributes:
        track: The song.
        distance: 0 is the same, 2 the opposite.
        why: In words.
        seconds: Where they are most alike: the second in the seed, and in this song; null where that is not known.
        copies: Other files with the same recording.
    """

    track: Summary
    distance: float
    why: str
    seconds: tuple[float, float] | None
    copies: list[int]


@dataclass(frozen=True)
class SimilarSongs:
    """Songs that sound like one, the nearest first."""

    seed: Summary
    tracks: list[SimilarSong]


@dataclass(frozen=True)
class FoundSong:
    """A song that words describe, with a score of 0..1 and the reason."""

    track: Summary
    score: float
    why: str


@dataclass(frozen=True)
class FoundSongs:
    """What words were understood as, and the songs, the best first."""

    understood: list[str]
    unknown: list[UnknownWord]
    tracks: list[FoundSong]


@dataclass(frozen=True)
class Walk:
    """Songs in order."""

    tracks: list[Summary]


@router.get("/tracks/{id}/similar")
def similar(
    request: Request, id: RowId, count: Count = 20, per_artist: Annotated[int, Query(ge=0)] = 2, same_key: bool = False
) -> SimilarSongs:
    """The songs that sound most like one (and are in its key), why, and which seconds of both are most alike."""
    service = service_of(request)
    seed = service.track(id)
    asked = SimilarRequest(track=seed.path, count=count, per_artist=per_artist, same_key=same_key)
    found = service.searched(similar_songs(asked, service.engine, service.session))
    first, *short = service.summaries([seed, *(one.track for one in found)])
    songs = []
    for one, track in zip(found, short, strict=True):
        seconds = (one.seed_seconds[0], one.seconds[0]) if one.seed_seconds and one.seconds else None
        songs.append(SimilarSong(track, one.distance, one.why, seconds, [copy.id for copy in one.copies]))
    return SimilarSongs(first, songs)


@router.get("/find")
def find(request: Request, q: Annotated[str, Query(max_length=_LONGEST)], count: Count = 50) -> FoundSongs:
    """The songs that words describe: names, genres, moods, instruments; ``not`` turns one around."""
    service = service_of(request)
    found = service.searched(find_songs(FindRequest(words=q, count=count), service.session))
    short = service.summaries(hit.track for hit in found.hits)
    return FoundSongs(
        [str(term) for term in found.query.terms],
        unknown_words(found.query),
        [FoundSong(track, hit.score, hit.why) for hit, track in zip(found.hits, short, strict=True)],
    )


@router.get("/path")
def path(
    request: Request,
    start: Annotated[RowId, Query(alias="from")],
    end: Annotated[RowId, Query(alias="to")],
    count: Annotated[int, Query(ge=2, le=200)] = 10,
    key_compatible: bool = False,
) -> Walk:
    """Songs from one to another, each a small step nearer (and in keys that go together, as far as the songs allow)."""
    service = service_of(request)
    ends = [service.track(one).path for one in (start, end)]
    asked = WalkRequest(start=ends[0], end=ends[1], count=count, key_compatible=key_compatible)
    found = service.searched(walk_songs(asked, service.engine, service.session))
    return Walk(service.summaries(found))
