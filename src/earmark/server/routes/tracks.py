"""Tracks of the library: lists, facts, audio, peaks, scores over time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from earmark.app.one_file import FileRequest, analyse_file
from earmark.app.summaries import Summary
from earmark.app.tracks import TracksRequest, list_tracks, scores_over_time, track_record
from earmark.server.audio import audio_answer
from earmark.server.service import service_of
from earmark.server.values import RowId, UnknownWord, unknown_words

__all__ = ["router"]

router = APIRouter(prefix="/v1/tracks", tags=["tracks"])

_LONGEST = 1_000  # characters of words
_FIELDS = {"seconds": "length"}
_SAME = {"genre", "mood", "instrument", "voice", "cluster", "energy_min", "energy_max", "tempo_min", "tempo_max", "key"}

Name = Annotated[str | None, Query(max_length=_LONGEST)]
Share = Annotated[float | None, Query(ge=0, le=1)]
Beats = Annotated[float | None, Query(ge=0, le=1_000)]
Sort = Literal[
    "artist", "title", "album", "year", "seconds", "energy", "confidence", "path", "tempo", "key", "loudness",
    "valence", "danceability", "acousticness", "instrumentalness", "speechiness", "liveness",
]  # fmt: skip


@dataclass(frozen=True)
class TrackList:
    """A page of tracks; ``cursor`` asks for the next one, and is null at the end."""

    tracks: list[Summary]
    total: int
    cursor: str | None
    understood: list[str]
    unknown: list[UnknownWord]


class TrackQuery(BaseModel):
    """Which tracks, and in which order."""

    model_config = ConfigDict(extra="forbid")
    cursor: Annotated[str, Query(pattern=r"^[0-9]{0,15}$")] = ""
    limit: Annotated[int, Query(ge=1, le=200)] = 50
    q: Annotated[str, Query(max_length=_LONGEST)] = ""
    sort: Sort | None = None
    order: Literal["asc", "desc"] = "asc"
    genre: Name = None
    mood: Name = None
    instrument: Name = None
    voice: Name = None
    cluster: Name = None
    energy_min: Share = None
    energy_max: Share = None
    tempo_min: Beats = None
    tempo_max: Beats = None
    key: Annotated[str | None, Query(max_length=20)] = None
    confidence_max: Share = None
    failed: bool = False
    vanished: bool = False


@router.get("")
def tracks(request: Request, query: Annotated[TrackQuery, Query()]) -> TrackList:
    """Tracks by words and filters; a genre or mood counts where it may well hold, not only where it is asserted."""
    service = service_of(request)
    state = "vanished" if query.vanished else "failed" if query.failed else "present"
    same = query.model_dump(include=_SAME)
    asked = TracksRequest(
        words=query.q.strip(),
        confidence_max=query.confidence_max,
        state=state,
        sort=_FIELDS.get(query.sort or "", query.sort),
        reverse=query.order == "desc",
        cursor=int(query.cursor or 0),
        limit=query.limit,
        **same,
    )
    run = list_tracks(asked, service.session)
    page, words = service.searched(run) if asked.words else run.wait()
    unknown = unknown_words(words) if words else []
    understood = [str(term) for term in words.terms] if words else []
    cursor = None if page.cursor is None else str(page.cursor)
    return TrackList(service.summaries(page.tracks), page.total, cursor, understood, unknown)


class Rows(BaseModel):
    """Ids of tracks."""

    model_config = ConfigDict(extra="forbid")
    ids: Annotated[list[RowId], Field(max_length=500)]


@dataclass(frozen=True)
class Looked:
    """The tracks that there are of those asked for, in that order."""

    tracks: list[Summary]


@router.post("/lookup")
def lookup(request: Request, rows: Rows) -> Looked:
    """Tracks by their ids, at most 500."""
    service = service_of(request)
    with service.library() as library:
        found = library.tracks_by_id(rows.ids)
    return Looked(service.summaries(found[row] for row in dict.fromkeys(rows.ids) if row in found))


@router.get("/{id}")
def track(request: Request, id: RowId) -> dict[str, Any]:
    """A track in short, its ``record`` as `export -f json` has it, and ``copies`` of the same recording."""
    service = service_of(request)
    found = service.track(id)
    record = track_record(found, service.session).wait()
    copies = record.pop("copies")
    [short] = service.summaries([found])
    return {**asdict(short), "record": record, "copies": copies}


@router.get("/{id}/audio", response_class=Response, responses={200: {"content": {"audio/*": {}}}, 206: {}})
def audio(request: Request, id: RowId) -> Response:
    """The file, by ranges; only while it is the one that was scanned, or still in a scanned folder."""
    service = service_of(request)
    found = service.track(id)
    with service.library() as library:
        roots = library.roots()
    return audio_answer(request, found, roots)


@router.get("/{id}/peaks")
def peaks(request: Request, id: RowId, count: Annotated[int, Query(ge=1, le=4000)] = 800) -> dict[str, Any]:
    """The waveform to draw: greatest amplitudes of equal stretches, 0..1."""
    service = service_of(request)
    found = service.peaks(service.track(id), count)
    return {"peaks": found.peaks, "seconds": found.seconds}


@router.get("/{id}/taggram")
def taggram(request: Request, id: RowId, whole: bool = False) -> dict[str, Any]:
    """Scores over time: of the clips that the library holds, or of all of the track (``whole``), analysed anew."""
    service = service_of(request)
    found = service.track(id)
    prediction = None if whole else scores_over_time(found, service.session).wait()
    if prediction is None:
        asked = FileRequest(
            path=service.here(found), model=service.options.model, taggram=True, excerpt="whole" if whole else None
        )
        prediction, _ = analyse_file(asked, service.engine, service.bounds).wait()
    rows = {name: head.taggram for name, head in prediction.heads.items() if head.taggram is not None}
    first = next(iter(rows.values()), None)
    return {
        "starts": first.start if first else (),
        "seconds": round(first.end[0] - first.start[0], 3) if first and first.start else 0,
        "heads": {
            name: {"labels": list(one.scores), "scores": list(zip(*one.scores.values(), strict=True))}
            for name, one in rows.items()
        },
    }
