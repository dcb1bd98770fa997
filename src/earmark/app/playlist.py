"""Make a playlist: songs by seeds, a cluster or labels, in an order that flows; and keep it by a name.

A kept wish is chosen anew after each scan; songs that were chosen by hand stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from earmark.app.library import LibraryRequest, chosen_model, opened, searched
from earmark.app.search import described
from earmark.errors import EarmarkError, UnknownName
from earmark.events import Notice, Run, Steps, use_case
from earmark.library.options import PlaylistOptions

if TYPE_CHECKING:
    from earmark.app.session import LibrarySession
    from earmark.engine import Engine
    from earmark.library.records import LibraryTrack
    from earmark.library.store import KeptPlaylist, Library

__all__ = [
    "ForgetRequest",
    "KeepRequest",
    "KeptRequest",
    "PlaylistRequest",
    "forget_playlist",
    "keep_playlist",
    "kept_playlist",
    "kept_playlists",
    "make_playlist",
    "refresh_playlists",
]

_ENOUGH = 0.9  # of the length that was asked for


@dataclass(frozen=True, kw_only=True)
class PlaylistRequest(LibraryRequest, PlaylistOptions):
    """Which library and model, and what the songs must be.

    Attributes:
        keep: Keep the wish by this name, in place of the one that has it; None keeps nothing.
    """

    keep: str | None = None


@dataclass(frozen=True, kw_only=True)
class KeepRequest(LibraryRequest):
    """What to keep: songs that a wish chooses, or songs by hand.

    Attributes:
        name: The playlist's.
        wish: What its songs must be; None where they are chosen by hand.
        tracks: Rows of those, in order.
        playlist: The row of the one that it replaces; None: the one of that name, if there is one.
    """

    name: str
    wish: PlaylistOptions | None = None
    tracks: tuple[int, ...] = ()
    playlist: int | None = None


@dataclass(frozen=True, kw_only=True)
class KeptRequest(LibraryRequest):
    """Which kept playlist.

    Attributes:
        playlist: Its name, or its row.
    """

    playlist: str | int


class ForgetRequest(KeptRequest):
    """Which kept playlist to forget: its ``playlist``, a name or a row."""


@use_case
def make_playlist(
    request: PlaylistRequest, engine: Engine | None = None, session: LibrarySession | None = None
) -> Steps[tuple[LibraryTrack, ...]]:
    """Songs in order.

    Raises:
        EarmarkError: No song meets all that is asked for; the line says how many meet each part.
    """
    # Clusters are made where there are none; of a session they are taken as they are.
    write = request.keep is not None or (request.cluster is not None and session is None)
    with opened(request.library, write=write, session=session) as library:
        tracks = yield from _songs(library, request, request.model, engine)
        if request.keep is not None:
            library.put_playlist(request.keep, _rows(tracks), request, model=request.model)
    return tracks


@use_case
def kept_playlists(request: LibraryRequest, session: LibrarySession | None = None) -> Steps[tuple[KeptPlaylist, ...]]:
    """All kept playlists, by name."""
    yield from ()
    with opened(request.library, session=session) as library:
        return tuple(library.playlists())


@use_case
def kept_playlist(
    request: KeptRequest, session: LibrarySession | None = None
) -> Steps[tuple[KeptPlaylist, tuple[LibraryTrack, ...]]]:
    """A kept playlist with those of its songs that are there.

    Raises:
        UnknownName: There is none of that name.
    """
    yield from ()
    with opened(request.library, session=session) as library:
        kept = library.playlist(request.playlist)
        return kept, tuple(library.playlist_tracks(kept.id))


@use_case
def keep_playlist(
    request: KeepRequest, engine: Engine | None = None, session: LibrarySession | None = None
) -> Steps[KeptPlaylist]:
    """Keep a playlist; a wish chooses from the session's snapshot, where there is one, and nobody waits for the file.

    Raises:
        EarmarkError: No song meets the wish, a track is not in the library, or the name is another playlist's.
    """
    rows = request.tracks
    if request.wish is not None:
        with opened(request.library, write=session is None, session=session) as library:
            rows = _rows((yield from _songs(library, request.wish, request.model, engine)))
    with opened(request.library, write=True) as library:
        if request.wish is None and (unknown := set(rows) - library.tracks_by_id(rows).keys()):
            raise EarmarkError(f"the library has no track {min(unknown)}")
        row = library.put_playlist(request.name, rows, request.wish, model=request.model, playlist=request.playlist)
        return library.playlist(row)


@use_case
def forget_playlist(request: ForgetRequest) -> Steps[None]:
    """Forget a kept playlist; its songs stay.

    Raises:
        UnknownName: There is none of that name.
    """
    yield from ()
    with opened(request.library, write=True) as library:
        library.drop_playlist(library.playlist(request.playlist).id)


def refresh_playlists(library: Library, engine: Engine | None = None) -> Steps[int]:
    """Choose the songs of all kept wishes anew; where none meets one any more, its old songs stay. Returns how many."""
    done = 0
    for kept in library.playlists():
        if kept.wish is None:
            continue
        try:
            tracks = Run(_songs(library, kept.wish, kept.model, engine)).wait()
        except EarmarkError as error:
            yield Notice(f"The songs of the kept playlist {kept.name} stay as they were: {error}.")
            continue
        with library.change(), suppress(UnknownName):  # it may be gone, or have another name or wish by now
            now = library.playlist(kept.id)
            if now.wish == kept.wish:
                library.put_playlist(now.name, _rows(tracks), now.wish, model=now.model, playlist=now.id)
                done += 1
    return done


def _songs(
    library: Library, wish: PlaylistOptions, model_name: str | None, engine: Engine | None
) -> Steps[tuple[LibraryTrack, ...]]:
    from earmark.library import playlist

    model = yield from chosen_model(library, model_name)
    like = None if wish.like is None else (yield from described(library, model, wish.like))
    tracks = yield from searched(library, model, lambda: playlist.make_playlist(library, model, wish, like, engine))
    minutes = sum(track.seconds for track in tracks) / 60
    if minutes < _ENOUGH * wish.minutes:
        yield Notice(f"Only {minutes:.1f} minutes of music meet what is asked for.")
    return tuple(tracks)


def _rows(tracks: Sequence[LibraryTrack]) -> tuple[int, ...]:
    """Of those that are in the library: a seed may be any file."""
    return tuple(track.id for track in tracks if track.id)
