"""Playlists that are kept: the songs of each in order, and what they must be where a wish chose them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from earmark.errors import EarmarkError, UnknownName
from earmark.library.options import PlaylistOptions
from earmark.library.records import LibraryTrack
from earmark.library.store.tracks import Tracks
from earmark.text import plain_text

__all__ = ["KeptPlaylist", "Playlists"]


@dataclass(frozen=True, slots=True)
class KeptPlaylist:
    """A kept playlist.

    Attributes:
        id: Its row.
        name: No two have the same, whatever the case.
        wish: What its songs must be: they are chosen anew after a scan; None where they were chosen by hand.
        model: Whose labels and embeddings it goes by; None: those of the model in use.
        tracks: How many of its songs are there.
        seconds: Their length.
        updated: When its songs were chosen last, seconds since 1970.
    """

    id: int
    name: str
    wish: PlaylistOptions | None
    model: str | None
    tracks: int
    seconds: float
    updated: float


_KEPT = (
    "SELECT playlists.id, name, wish, model, COUNT(tracks.id), COALESCE(SUM(seconds), 0.0), updated FROM playlists"
    " LEFT JOIN entries ON playlist = playlists.id"
    " LEFT JOIN tracks ON tracks.id = track AND vanished IS NULL LEFT JOIN audio ON audio.id = audio"
)


class Playlists(Tracks):
    """The tables of kept playlists."""

    def playlists(self) -> list[KeptPlaylist]:
        """All that are kept, by name."""
        return [self._kept(row) for row in self.rows(f"{_KEPT} GROUP BY playlists.id ORDER BY name")]

    def playlist(self, which: int | str) -> KeptPlaylist:
        """One, by its row or its name.

        Raises:
            UnknownName: There is no such playlist.
        """
        column = "name" if isinstance(which, str) else "playlists.id"
        row = self.row(f"{_KEPT} WHERE {column} = ? GROUP BY playlists.id", (which,))
        if row is None:
            raise UnknownName("playlist", str(which), [kept.name for kept in self.playlists()])
        return self._kept(row)

    def playlist_tracks(self, playlist: int) -> list[LibraryTrack]:
        """The songs of one that are there, in order."""
        query = "SELECT track FROM entries WHERE playlist = ? ORDER BY place"
        ids = [row[0] for row in self.rows(query, (playlist,))]
        found = self.tracks_by_id(ids)
        return [found[one] for one in ids if one in found and found[one].vanished is None]

    def put_playlist(
        self,
        name: str,
        tracks: Sequence[int],
        wish: PlaylistOptions | None = None,
        *,
        model: str | None = None,
        playlist: int | None = None,
    ) -> int:
        """Keep songs (rows of tracks) by a name, in place of those of that name or of ``playlist``. Returns its row.

        Raises:
            UnknownName: There is no such ``playlist``.
            EarmarkError: The name is empty, or another playlist's.
        """
        name = plain_text(name)
        if not name:
            raise EarmarkError("a playlist needs a name")
        text = None if wish is None else json.dumps(self._portable(wish))
        with self.change():
            same = self.value("SELECT id FROM playlists WHERE name = ?", (name,))
            if playlist is None:
                playlist = same
            elif same not in (None, playlist):
                raise EarmarkError(f"{name}: another playlist has this name; choose another, or delete that one first")
            values = (name, text, model, time.time())
            if playlist is None:
                query = "INSERT INTO playlists (name, wish, model, updated) VALUES (?, ?, ?, ?) RETURNING id"
                playlist = int(self.value(query, values))
            else:
                self.playlist(playlist)
                query = "UPDATE playlists SET name = ?, wish = ?, model = ?, updated = ? WHERE id = ?"
                self.rows(query, (*values, playlist))
                self.rows("DELETE FROM entries WHERE playlist = ?", (playlist,))
            for place, track in enumerate(tracks):
                self.rows("INSERT INTO entries VALUES (?, ?, ?)", (playlist, place, track))
        return playlist

    def drop_playlist(self, playlist: int) -> None:
        """Forget one."""
        with self.change():
            self.rows("DELETE FROM entries WHERE playlist = ?", (playlist,))
            self.rows("DELETE FROM playlists WHERE id = ?", (playlist,))

    def _portable(self, wish: PlaylistOptions) -> dict[str, Any]:
        """A wish as the file holds it: seeds by their rows, so that a song may be moved meanwhile."""
        seeds = [track.id if (track := self.track(path)) is not None else path for path in wish.seeds]
        facts = {name: getattr(wish, name) for name in PlaylistOptions.__dataclass_fields__}
        return {**facts, "seeds": seeds}

    def _kept(self, row: Sequence[Any]) -> KeptPlaylist:
        kept = KeptPlaylist(*row)
        if row[2] is None:
            return kept
        facts: dict[str, Any] = json.loads(row[2])
        rows = self.tracks_by_id([seed for seed in facts["seeds"] if isinstance(seed, int)])
        facts["seeds"] = [rows[seed].path if seed in rows else str(seed) for seed in facts["seeds"]]
        facts = {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}
        return replace(kept, wish=PlaylistOptions(**facts))
