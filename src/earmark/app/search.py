"""Search the library: the tracks that sound most like one, and a walk from one to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from earmark.app.library import LibraryRequest, chosen_model, opened
from earmark.errors import EarmarkError
from earmark.events import Notice, Steps, use_case

if TYPE_CHECKING:
    from earmark.library.records import LibraryTrack
    from earmark.library.similar import Similar

__all__ = ["SimilarRequest", "WalkRequest", "similar", "walk"]


@dataclass(frozen=True, kw_only=True)
class SimilarRequest(LibraryRequest):
    """What to search for.

    Attributes:
        track: A song of the library, or any audio file.
        count: Songs at most.
        per_artist: At most so many of one artist; 0 does not count them.
    """

    track: str
    count: int = 10
    per_artist: int = 2


@dataclass(frozen=True, kw_only=True)
class WalkRequest(LibraryRequest):
    """Where to walk.

    Attributes:
        start: The first song: of the library, or any audio file.
        end: The last one.
        count: Songs in all, at least 2.
    """

    start: str
    end: str
    count: int = 10


@use_case
def similar(request: SimilarRequest) -> Steps[tuple[Similar, ...]]:
    """The tracks of the library that sound most like one, the nearest first.

    Raises:
        EarmarkError: The library holds nothing else, or the song cannot be analysed.
    """
    from earmark.library.similar import find_seed, similar_to

    with opened(request.library) as library:
        model = yield from chosen_model(library, request.model)
        seed = find_seed(library, model, request.track)
        found = similar_to(library, model, seed, request.count, request.per_artist or None)
    if not found:
        raise EarmarkError("the library holds no other song to compare it with; `earmark scan FOLDER` adds some")
    return tuple(found)


@use_case
def walk(request: WalkRequest) -> Steps[tuple[LibraryTrack, ...]]:
    """Songs from one to another, each a small step nearer; both ends are part of it.

    Raises:
        EarmarkError: The count is below 2, or a song cannot be analysed.
    """
    from earmark.library.playlist import walk_between

    if request.count < 2:
        raise EarmarkError(f"-n {request.count}: a path has at least the two songs that it joins")
    with opened(request.library) as library:
        model = yield from chosen_model(library, request.model)
        tracks = walk_between(library, model, request.start, request.end, request.count)
    if len(tracks) < request.count:
        yield Notice(f"There are only {len(tracks)} songs: the library holds no more.")
    return tuple(tracks)
