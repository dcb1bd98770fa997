"""Make a playlist: songs by seeds, a cluster or labels, in an order that flows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from earmark.app.library import LibraryRequest, chosen_model, opened
from earmark.app.search import described
from earmark.events import Notice, Steps, use_case
from earmark.library.options import PlaylistOptions

if TYPE_CHECKING:
    from earmark.library.records import LibraryTrack

__all__ = ["PlaylistRequest", "make_playlist"]

_ENOUGH = 0.9  # of the length that was asked for


@dataclass(frozen=True, kw_only=True)
class PlaylistRequest(LibraryRequest, PlaylistOptions):
    """Which library and model, and what the songs must be."""


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
        tracks = playlist.make_playlist(library, model, request, like)
    minutes = sum(track.seconds for track in tracks) / 60
    if minutes < _ENOUGH * request.minutes:
        yield Notice(f"Only {minutes:.1f} minutes of music meet what is asked for.")
    return tuple(tracks)
