"""Files of the library: which tracks there are, of which audio, where they lie, and what became of them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from earmark.errors import StorageError
from earmark.inference.records import Failure
from earmark.library.records import LibraryTrack
from earmark.library.store.file import LibraryFile, absolute, encode_path

__all__ = ["LibraryFacts", "Page", "Stamp", "StoredFile", "Tracks"]

_TRACK = (
    "SELECT tracks.id, path, size, modified, audio, COALESCE(hash, ''), COALESCE(seconds, 0.0), artist, title, album,"
    " year, genre, error, COALESCE(message, ''), vanished FROM tracks LEFT JOIN audio ON audio.id = tracks.audio"
)
_ORDER = f"replace(path, '{os.sep}', char(1))"  # by the parts of the path, as folders are walked
_MANY = 500  # values in one statement, below SQLite's limit
_SORTS = {
    "path": _ORDER,
    "artist": f"artist COLLATE NOCASE, album COLLATE NOCASE, {_ORDER}",
    "title": f"title COLLATE NOCASE, {_ORDER}",
    "length": f"seconds, {_ORDER}",
    "newest": "tracks.id DESC",
}


@dataclass(frozen=True, slots=True)
class LibraryFacts:
    """What the library holds, in numbers.

    Attributes:
        tracks: Files that are there and were analysed.
        seconds: Their length in all.
        vanished: Files that are not there any more.
        copies: Files beyond the first of each recording.
        failures: Files that are there and could not be analysed.
    """

    tracks: int
    seconds: float
    vanished: int
    copies: int
    failures: int


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a long list of tracks.

    Attributes:
        tracks: In order.
        total: In the whole list.
        cursor: Where the next page begins; None at the end.
    """

    tracks: tuple[LibraryTrack, ...]
    total: int
    cursor: int | None


@dataclass(frozen=True, slots=True)
class Stamp:
    """By what a file is known not to have changed; numbers of the file system as text, for they may be long."""

    device: str
    inode: str
    size: int
    modified: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """The stamp of a file's status."""
        return cls(str(status.st_dev), str(status.st_ino), status.st_size, status.st_mtime_ns)

    def same_content(self, other: Stamp) -> bool:
        """Whether the file has not been written since."""
        return (self.size, self.modified) == (other.size, other.modified)

    @property
    def file(self) -> tuple[str, int, int] | None:
        """What stays when a file is moved or renamed; None on a file system that numbers nothing."""
        return (self.inode, self.size, self.modified) if self.inode != "0" else None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A track as a scan compares it with the file.

    Attributes:
        id: Its row.
        path: Absolute.
        stamp: Of the file, when it was opened last.
        audio: Row of its audio; None where it could not be analysed.
        error: Kind of failure, or None.
        vanished: Since when it is not there, or None.
        analysed: When the model asked for analysed it last, or None.
    """

    id: int
    path: str
    stamp: Stamp
    audio: int | None
    error: str | None
    vanished: float | None
    analysed: float | None


class Tracks(LibraryFile):
    """The tables of files and their audio."""

    def tracks(self, *, vanished: bool = True) -> list[LibraryTrack]:
        """All tracks in the order of their paths' parts, failures too; without those that vanished if asked."""
        where = "" if vanished else " WHERE vanished IS NULL"
        return [LibraryTrack(*row) for row in self.rows(f"{_TRACK}{where} ORDER BY {_ORDER}")]

    def failures(self) -> list[LibraryTrack]:
        """The tracks that are there and could not be analysed, in the order of their paths."""
        return [
            LibraryTrack(*row)
            for row in self.rows(f"{_TRACK} WHERE audio IS NULL AND vanished IS NULL ORDER BY {_ORDER}")
        ]

    def page(
        self,
        cursor: int = 0,
        limit: int = 100,
        *,
        sort: Literal["path", "artist", "title", "length", "newest"] = "path",
        text: str = "",
        audio: Iterable[int] | None = None,
    ) -> Page:
        """A page of the tracks that are there and were analysed.

        Args:
            cursor: Of the page before; 0 is the first.
            limit: Tracks at most.
            sort: By what.
            text: Only those with this in path, artist, title or album, without case.
            audio: Only tracks of this audio (rows).
        """
        where, values = "vanished IS NULL AND audio IS NOT NULL", list[Any]()
        if text:
            mark = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
            fields = ("path", "artist", "title", "album")
            where += f" AND ({' OR '.join(f'{name} LIKE ? ESCAPE char(92)' for name in fields)})"
            values += [mark] * len(fields)
        if audio is not None:
            where += " AND audio IN (SELECT value FROM json_each(?))"
            values.append(f"[{','.join(str(int(one)) for one in audio)}]")
        total = int(self.value(f"SELECT COUNT(*) FROM tracks WHERE {where}", values))
        query = f"{_TRACK} WHERE {where} ORDER BY {_SORTS[sort]} LIMIT ? OFFSET ?"
        found = tuple(LibraryTrack(*row) for row in self.rows(query, [*values, limit, cursor]))
        end = cursor + len(found)
        return Page(found, total, end if found and end < total else None)

    def facts(self) -> LibraryFacts:
        """What the library holds, in numbers."""
        query = (
            "SELECT COUNT(audio), COALESCE(SUM(seconds), 0.0), COUNT(audio) - COUNT(DISTINCT audio),"
            " COUNT(*) - COUNT(audio) FROM tracks LEFT JOIN audio ON audio.id = audio WHERE vanished IS NULL"
        )
        tracks, seconds, copies, failures = self.row(query)
        vanished = self.value("SELECT COUNT(*) FROM tracks WHERE vanished IS NOT NULL")
        return LibraryFacts(tracks, seconds, vanished, copies, failures)

    def track(self, path: str) -> LibraryTrack | None:
        """The track of a path, or None; the path may lead through links, and be relative."""
        for name in dict.fromkeys((str(Path(path).absolute()), absolute(path))):
            row = self.row(f"{_TRACK} WHERE path = CAST(? AS TEXT)", (encode_path(name),))
            if row is not None:
                return LibraryTrack(*row)
        return None

    def tracks_of(self, audio: Iterable[int]) -> dict[int, list[LibraryTrack]]:
        """The files that hold each audio and are still there, in the order of their paths."""
        found: dict[int, list[LibraryTrack]] = {int(one): [] for one in audio}
        asked = list(found)
        for start in range(0, len(asked), _MANY):
            part = asked[start : start + _MANY]
            marks = ",".join("?" * len(part))
            query = f"{_TRACK} WHERE audio IN ({marks}) AND vanished IS NULL ORDER BY path"
            for row in self.rows(query, part):
                found[row[4]].append(LibraryTrack(*row))
        return found

    # Audio

    def add_audio(self, content_hash: str, seconds: float) -> int:
        """The row of an audio. In a change."""
        self.rows("INSERT OR IGNORE INTO audio (hash, seconds) VALUES (?, ?)", (content_hash, seconds))
        row = self.audio_of(content_hash)
        if row is None:
            raise StorageError(f"{self.file}: the library is damaged: an audio cannot be kept")
        return row

    def audio_of(self, content_hash: str | None) -> int | None:
        """The row of the audio with this hash, or None."""
        row: int | None = self.value("SELECT id FROM audio WHERE hash = ?", (content_hash,))
        return row

    def content_hashes(self) -> dict[int, str]:
        """The content hash of each audio, by its row."""
        return dict(self.rows("SELECT id, hash FROM audio"))

    def hashes_of_files(self, audio: Iterable[int | None], sizes: Iterable[int]) -> frozenset[str]:
        """Content hashes of some audio, and of all files of some sizes."""
        rows, lengths = set(audio), set(sizes)
        query = "SELECT size, audio, hash FROM tracks JOIN audio ON audio.id = tracks.audio"
        return frozenset(row[2] for row in self.rows(query) if row[1] in rows or row[0] in lengths)

    # What a scan compares and writes

    def stored_files(self, model: int) -> list[StoredFile]:
        """All tracks as a scan compares them, with when the model (its row) analysed each."""
        query = (
            "SELECT id, path, device, inode, size, modified, tracks.audio, error, vanished, heard FROM tracks"
            " LEFT JOIN results ON results.audio = tracks.audio AND results.model = ?"
        )
        return [StoredFile(row[0], row[1], Stamp(*row[2:6]), *row[6:]) for row in self.rows(query, (model,))]

    def put_track(
        self, track: int | None, path: str, stamp: Stamp, audio: int | None, facts: Mapping[str, str | None]
    ) -> None:
        """Write the row of a track that is there, or a new row where ``track`` is None. In a change.

        ``facts`` are its tags, or the ``error`` and ``message`` of why it could not be analysed.
        """
        values: dict[str, Any] = {
            "device": stamp.device,
            "inode": stamp.inode,
            "size": stamp.size,
            "modified": stamp.modified,
            "audio": audio,
            **{"error": None, "message": None, "vanished": None, **facts},
        }
        if track is None:
            names, marks = ", ".join(values), ", ".join("?" * len(values))
            query = f"INSERT INTO tracks (path, {names}) VALUES (CAST(? AS TEXT), {marks})"
            self.rows(query, (encode_path(path), *values.values()))
        else:
            names = ", ".join(f"{name} = ?" for name in values)
            query = f"UPDATE tracks SET path = CAST(? AS TEXT), {names} WHERE id = ?"
            self.rows(query, (encode_path(path), *values.values(), track))

    def put_unopened(self, failure: Failure) -> None:
        """A row for a file that could not even be looked at. In a change."""
        query = (
            "INSERT INTO tracks (path, device, inode, size, modified, error, message)"
            " VALUES (CAST(? AS TEXT), '', '', 0, 0, ?, ?)"
        )
        self.rows(query, (encode_path(failure.path), failure.kind, failure.message))

    def move_track(self, track: int, path: str, stamp: Stamp) -> None:
        """The file has another name, or another number, and is there. In a change."""
        query = "UPDATE tracks SET path = CAST(? AS TEXT), device = ?, inode = ?, vanished = NULL WHERE id = ?"
        self.rows(query, (encode_path(path), stamp.device, stamp.inode, track))

    def copy_track(self, track: int, path: str, stamp: Stamp) -> int:
        """A second name of the same file; returns its row. In a change."""
        same = "artist, title, album, year, genre, audio, size, modified"
        query = (
            f"INSERT INTO tracks (path, device, inode, {same})"
            f" SELECT CAST(? AS TEXT), ?, ?, {same} FROM tracks WHERE id = ? RETURNING id"
        )
        return int(self.value(query, (encode_path(path), stamp.device, stamp.inode, track)))

    def mark_vanished(self, track: int) -> None:
        """The file is not there any more. In a change."""
        self.rows("UPDATE tracks SET vanished = ? WHERE id = ?", (time.time(), track))

    # Folders

    def roots(self) -> list[str]:
        """The folders that were scanned."""
        return sorted(row[0] for row in self.rows("SELECT path FROM roots"))

    def remember_roots(self, roots: Sequence[str]) -> None:
        """Keep the folders that were scanned, each but once: one inside another is a part of it. In a change."""
        known = {*self.roots(), *roots}
        for root in known:
            raw = encode_path(root)
            if any(Path(root).is_relative_to(other) for other in known - {root}):
                self.rows("DELETE FROM roots WHERE path = CAST(? AS TEXT)", (raw,))
            elif root in roots:
                self.rows("INSERT OR REPLACE INTO roots VALUES (CAST(? AS TEXT), ?)", (raw, time.time()))
