"""Make a playlist: songs by seeds, a cluster or labels, in an order that flows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from earmark.app.library import LibraryRequest, chosen_model, opened
from earmark.app.search import described
from earmark.events import Notice, Steps, use_case

if TYPE_CHECKING:
    from earmark.library.records import LibraryTrack

__all__ = ["PlaylistRequest", "make_playlist"]

_ENOUGH = 0.9  # of the length that was asked for


@dataclass(frozen=True, kw_only=True)
class PlaylistRequest(LibraryRequest):
    """What the songs must be; what is left empty is not asked for.

    Attributes:
        seeds: Songs that they are like.
        cluster: The name of their cluster.
        genres: Any of them.
        moods: Any of them.
        tags: All of them, labels of any head.
        without: None of them, labels of any head.
        like: Words, as `find` takes them: the songs that they describe.
        minutes: About so long in all.
        artist_gap: No artist comes again within so many songs.
    """

    seeds: tuple[str, ...] = ()
    cluster: str | None = None
    genres: tuple[str, ...] = ()
    moods: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    like: str | None = None
    minutes: float = 60.0
    artist_gap: int = 5


@use_case
def make_playlist(request: PlaylistRequest) -> Steps[tuple[LibraryTrack, ...]]:
    """Songs in order.

    Raises:
        EarmarkError: No song meets all that is asked for; the line says how many meet each part.
    """
    from earmark.library import playlist

    with opened(
        request.library, write=request.cluster is not None
    ) as library:  # clusters are made where there are none
        model = yield from chosen_model(library, request.model)
        like = None if request.like is None else (yield from described(library, model, request.like))
        asked = playlist.PlaylistRequest(
            seeds=request.seeds,
            cluster=request.cluster,
            genres=request.genres,
            moods=request.moods,
            tags=request.tags,
            without=request.without,
            like=like,
            minutes=request.minutes,
            artist_gap=request.artist_gap,
        )
        tracks = playlist.make_playlist(library, model, asked)
    minutes = sum(track.seconds for track in tracks) / 60
    if minutes < _ENOUGH * request.minutes:
        yield Notice(f"Only {minutes:.1f} minutes of music meet what is asked for.")
    return tuple(tracks)
