"""Files of the library: which tracks there are, of which audio, where they lie, and what became of them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.inference.records import Failure
from earmark.library.records import LibraryFacts, LibraryTrack, Listing, Page
from earmark.library.store.file import LibraryFile, absolute
from earmark.text import composed_path, encode_path

__all__ = ["LISTED", "Stamp", "StoredFile", "Tracks", "listed"]

_KEY = "iif(number = 1, hash, hash || '.' || number)"  # recordings that share a key are told apart
_TRACK = (
    "SELECT tracks.id, path, size, modified, audio, COALESCE(hash, ''), COALESCE(seconds, 0.0), artist, title,"
    " album, year, genre, error, COALESCE(message, ''), vanished, COALESCE(song, 1), COALESCE(number, 1), state"
    " FROM tracks LEFT JOIN audio ON audio.id = tracks.audio"
)
_ORDER = r"replace(replace(path, '/', char(1)), '\', char(1))"  # by the parts of the path, as folders are walked
_MANY = 500  # values in one statement, below SQLite's limit
_SORTS = {
    "path": (_ORDER,),
    "artist": ("artist COLLATE NOCASE", "album COLLATE NOCASE", _ORDER),
    "title": ("title COLLATE NOCASE", _ORDER),
    "album": ("album COLLATE NOCASE", _ORDER),
    "year": ("year", _ORDER),
    "length": ("seconds", _ORDER),
    "newest": ("-tracks.id",),
}
_BLANKS_LAST = {name: (f"{name} = ''",) for name in ("artist", "title", "album", "year")}
_STATES = {
    "present": "vanished IS NULL AND audio IS NOT NULL",
    "failed": "vanished IS NULL AND error IS NOT NULL",
    "vanished": "vanished IS NOT NULL",
}
_ALL = Listing()

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stamp:
    """By what a file is known not to have changed; numbers of the file system as text, for they may be long."""

    device: str
    inode: str
    size: int
    modified: int
    changed: int = 0  # ctime in nanoseconds; 0 where the system has none (on Windows it is something else)

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """The stamp of a file's status."""
        changed = 0 if os.name == "nt" else status.st_ctime_ns
        return cls(str(status.st_dev), str(status.st_ino), status.st_size, status.st_mtime_ns, changed)

    def same_content(self, other: Stamp) -> bool:
        """Whether the file has not been written since.

        A tagger may keep size and time of modification; it cannot keep the time of change, or where there is none, the
        number of a file that it has replaced.
        """
        if (self.size, self.modified) != (other.size, other.modified):
            return False
        if self.changed and other.changed:
            return self.changed == other.changed
        return bool(self.changed or other.changed) or self.inode == other.inode or "0" in (self.inode, other.inode)

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
        state: What a scan owes it: ``identify`` (its audio has a key of format 1), ``analyse`` (it shared such a key
            with another file), ``compare`` (its audio shares a key), or "".
        seconds: Length; 0 where it could not be analysed.
        key: Of its audio; "" where it could not be analysed.
        analysed: When the model asked for analysed it last, or None.
    """

    id: int
    path: str
    stamp: Stamp
    audio: int | None
    error: str | None
    vanished: float | None
    state: str
    seconds: float
    key: str
    analysed: float | None


class Tracks(LibraryFile):
    """The tables of files and their audio."""

    def tracks(self, *, vanished: bool = True) -> list[LibraryTrack]:
        """All tracks in the order of their paths' parts, failures too; without those that vanished if asked."""
        where = "" if vanished else " WHERE vanished IS NULL"
        return [LibraryTrack(*row) for row in self.rows(f"{_TRACK}{where} ORDER BY {_ORDER}")]

    def failures(self) -> list[LibraryTrack]:
        """The tracks that are there and could not be analysed, or not again, in the order of their paths."""
        return [
            LibraryTrack(*row)
            for row in self.rows(f"{_TRACK} WHERE error IS NOT NULL AND vanished IS NULL ORDER BY {_ORDER}")
        ]

    def page(
        self, cursor: int = 0, limit: int = 100, listing: Listing = _ALL, audio: Sequence[int] | Rows | None = None
    ) -> Page:
        """A page of a list of tracks; the order of all of them is remembered, so that the next page is a slice of it.

        Args:
            cursor: Of the page before; 0 is the first.
            limit: Tracks at most.
            listing: Which, and in which order.
            audio: Only tracks of this audio (rows), each named once.
        """
        given = listing.sort == "given"
        order = replace(listing, sort="path", reverse=False) if given else listing
        key = ("order", order)
        rows, held = self._order(order) if order.text else self.remember(key, lambda: self._order(order))
        keys: Rows | None = None
        if audio is not None:
            place = _places(np.asarray(audio, np.int64), held)
            kept = place >= 0
            rows = rows[kept]
            keys = place[kept] * len(held) + np.arange(len(rows)) if given else None
        if keys is not None:
            part = rows[_smallest(-keys if listing.reverse else keys, cursor, cursor + limit)].tolist()
        else:
            ordered = rows[::-1] if given and listing.reverse else rows
            part = ordered[cursor : cursor + limit].tolist()
        known = self.tracks_by_id(part)
        end = cursor + len(part)
        found = tuple(known[row] for row in part if row in known)
        return Page(found, len(rows), end if part and end < len(rows) else None)

    def _order(self, listing: Listing) -> tuple[Rows, Rows]:
        """All tracks of a list in its order: their rows (n,), and those of their audio, 0 where there is none."""
        where, values = _STATES[listing.state], list[Any]()
        if listing.text:
            mark = "%" + listing.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
            fields = ("path", "artist", "title", "album")
            where += f" AND ({' OR '.join(f'{name} LIKE ? ESCAPE char(92)' for name in fields)})"
            values += [mark] * len(fields)
        order = ", ".join((*_BLANKS_LAST.get(listing.sort, ()), *map(_way(listing.reverse), _SORTS[listing.sort])))
        joined = " LEFT JOIN audio ON audio.id = audio" if listing.sort == "length" else ""
        each = f"SELECT tracks.id AS row, COALESCE(audio, 0) AS held FROM tracks{joined} WHERE {where} ORDER BY {order}"
        texts = self.row(f"SELECT group_concat(row, ' '), group_concat(held, ' ') FROM ({each})", values)
        rows, held = (np.fromstring(text or "", np.int64, sep=" ") for text in texts)
        return rows, held

    def names(self) -> tuple[NDArray[np.int64], str]:
        r"""Names of all songs that are there: the audio of each file, and a line a file: artist, title, album.

        Between two of them stands ``\x1f``, and blanks around each. In place of a title that is missing stands the
        file's name.
        """
        file = r"replace(path, rtrim(path, replace(replace(path, '/', ''), '\', '')), '')"  # what is behind the last /
        title = f"CASE title WHEN '' THEN replace({file}, char(10), ' ') ELSE title END"
        line = f"' ' || artist || ' \x1f ' || {title} || ' \x1f ' || album || ' '"
        where = "vanished IS NULL AND audio IS NOT NULL AND audio NOT IN (SELECT id FROM audio WHERE song = 0)"
        # Two texts, put together by SQLite: no object for each of many files.
        query = f"SELECT group_concat(audio, ' '), group_concat({line}, char(10)) FROM tracks WHERE {where}"
        audio, text = self.row(query)
        return np.fromstring(audio or "", np.int64, sep=" "), text or ""

    def facts(self) -> LibraryFacts:
        """What the library holds, in numbers."""
        return self.remember("facts", self._facts)

    def _facts(self) -> LibraryFacts:
        # One walk over an index that has all of it, in the order of the audio.
        query = (
            "SELECT COALESCE(SUM(files), 0), COALESCE(SUM(files * seconds), 0.0), COALESCE(SUM(files - 1), 0),"
            " COALESCE(SUM(files * (1 - song)), 0) FROM (SELECT audio AS one, COUNT(*) AS files FROM tracks"
            " WHERE audio IS NOT NULL AND vanished IS NULL GROUP BY audio) JOIN audio ON audio.id = one"
        )
        tracks, seconds, copies, silent = self.row(query)
        failures = self.value("SELECT COUNT(*) FROM tracks WHERE error IS NOT NULL AND vanished IS NULL")
        vanished = self.value("SELECT COUNT(*) FROM tracks WHERE vanished IS NOT NULL")
        return LibraryFacts(tracks, seconds, vanished, copies, failures, silent)

    def track(self, path: str) -> LibraryTrack | None:
        """The track of a path, or None; it may be relative, lead through links, or be in another form of Unicode."""
        query = (
            f"{_TRACK} WHERE path IN (CAST(?1 AS TEXT), CAST(?2 AS TEXT)) OR nfc = CAST(?2 AS TEXT)"
            " ORDER BY path = CAST(?1 AS TEXT) DESC LIMIT 1"
        )
        for name in dict.fromkeys((str(Path(path).absolute()), absolute(path))):
            row = self.row(query, (encode_path(name), composed_path(name) or encode_path(name)))
            if row is not None:
                return LibraryTrack(*row)
        return None

    def ids_by_path(self, ids: Iterable[int] | None = None) -> dict[str, int]:
        """The row of each track by its path, in the order of the paths' parts; of some rows only, where given."""
        where, values = ("", ()) if ids is None else (f" WHERE id IN {LISTED}", (listed(ids),))
        return dict(self.rows(f"SELECT path, id FROM tracks{where} ORDER BY {_ORDER}", values))

    def count_below(self, folder: str) -> int:
        """How many tracks that are there lie below a folder."""
        first = encode_path(folder.rstrip("/\\") + os.sep)
        query = (
            "SELECT COUNT(*) FROM tracks WHERE path >= CAST(?1 AS TEXT) AND path < CAST(?2 AS TEXT)"
            " AND vanished IS NULL AND audio IS NOT NULL"
        )
        return int(self.value(query, (first, first[:-1] + bytes([first[-1] + 1]))))

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

    def tracks_by_id(self, ids: Iterable[int]) -> dict[int, LibraryTrack]:
        """The tracks of some rows, vanished ones too, by their row; what is no row is left out."""
        query = f"{_TRACK} WHERE tracks.id IN {LISTED}"
        return {row[0]: LibraryTrack(*row) for row in self.rows(query, (listed(ids),))}

    def first_tracks(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first file of each audio that is there: rows of audio (n,) ascending, and of tracks."""
        each = "SELECT audio AS one, MIN(id) AS first FROM tracks WHERE audio IS NOT NULL AND vanished IS NULL"
        query = f"SELECT group_concat(one, ' '), group_concat(first, ' ') FROM ({each} GROUP BY audio ORDER BY audio)"
        audio, first = (np.fromstring(text or "", np.int64, sep=" ") for text in self.row(query))
        return audio, first

    def song_files(self) -> list[tuple[int, str, str]]:
        """Audio, path and genre tag of the first file by path of each song that is there."""
        query = (
            f"SELECT audio, path, genre FROM tracks JOIN audio ON audio.id = audio WHERE vanished IS NULL AND song = 1"
            f" ORDER BY {_ORDER}"
        )
        first: dict[int, tuple[int, str, str]] = {}
        for row in self.rows(query):
            first.setdefault(row[0], row)
        return list(first.values())

    def count_years(self) -> dict[str, int]:
        """Files that are there by the year of their tags, where that is one."""
        four = "year GLOB '[0-9][0-9][0-9][0-9]'"
        query = (
            f"SELECT year, COUNT(*) FROM tracks WHERE vanished IS NULL AND audio IS NOT NULL AND {four} GROUP BY year"
        )
        return dict(self.rows(query))

    def count_minutes(self, bounds: Sequence[int]) -> list[int]:
        """Files that are there by minutes: how many are below the first bound, below the next, ...; and the others."""
        step = "".join(f" WHEN seconds < {60 * int(bound)} THEN {place}" for place, bound in enumerate(bounds))
        query = (
            f"SELECT CASE{step} ELSE {len(bounds)} END, COUNT(*) FROM tracks JOIN audio ON audio.id = audio"
            " WHERE vanished IS NULL GROUP BY 1"
        )
        counts = dict(self.rows(query))
        return [counts.get(place, 0) for place in range(len(bounds) + 1)]

    def first_of(self, audio: Iterable[int], count: int) -> list[int]:
        """So many of some audio: those with the files that come first by path, and are still there."""
        query = (
            f"SELECT audio FROM tracks WHERE vanished IS NULL AND audio IN {LISTED}"
            " GROUP BY audio ORDER BY MIN(path) LIMIT ?"
        )
        return [row[0] for row in self.rows(query, (json.dumps(list(map(int, audio))), count))]

    # Audio

    def add_audio(self, content_hash: str, seconds: float, *, song: bool = True, apart: bool = False) -> int:
        """The row of the audio with a key, or of a new one; ``apart`` makes another of the same key. In a change."""
        row = None if apart else self.audio_of(content_hash)
        if row is None:
            query = (
                "INSERT INTO audio (hash, number, seconds, song) VALUES"
                " (?1, (SELECT COALESCE(MAX(number), 0) + 1 FROM audio WHERE hash = ?1), ?2, ?3) RETURNING id"
            )
            return int(self.value(query, (content_hash, seconds, song)))
        return row

    def describe_audio(self, audio: int, seconds: float, *, song: bool) -> None:
        """Length of an audio, and whether it is a song. In a change."""
        self.rows("UPDATE audio SET seconds = ?, song = ? WHERE id = ?", (seconds, song, audio))

    def audio_of(self, content_hash: str | None) -> int | None:
        """The row of the first audio with this key, or None."""
        row: int | None = self.value("SELECT id FROM audio WHERE hash = ? ORDER BY number LIMIT 1", (content_hash,))
        return row

    def set_key(self, audio: int, content_hash: str, seconds: float) -> bool:
        """Give an audio key and length; returns whether another has that key: they have to be compared. In a change."""
        query = (
            "UPDATE audio SET hash = ?1, number = (SELECT COALESCE(MAX(number), 0) + 1 FROM audio"
            " WHERE hash = ?1 AND id <> ?2), seconds = ?3 WHERE id = ?2 RETURNING number"
        )
        return int(self.value(query, (content_hash, audio, seconds))) > 1

    def content_hashes(self) -> dict[int, str]:
        """The key of each audio, by its row; where audio shares a key, with a number."""
        return dict(self.rows(f"SELECT id, {_KEY} FROM audio"))

    def audio_by_key(self, count: int) -> list[int]:
        """So much audio (rows) in the order of keys, which has nothing to do with where or when files were found."""
        return [row[0] for row in self.rows("SELECT id FROM audio ORDER BY hash, number LIMIT ?", (count,))]

    def holders(self, audio: Iterable[int | None], sizes: Iterable[int]) -> dict[str, list[tuple[int, str]]]:
        """By key, the audio (row) and the path of each file there is of some audio, and of all files of some sizes."""
        query = (
            "SELECT audio, hash, path FROM tracks JOIN audio ON audio.id = tracks.audio"
            f" WHERE state IN ('', 'compare') AND (audio IN {LISTED} OR size IN {LISTED}) ORDER BY tracks.id"
        )
        found: dict[str, list[tuple[int, str]]] = {}
        for one, key, path in self.rows(query, (listed(row for row in audio if row is not None), listed(sizes))):
            found.setdefault(key, []).append((one, path))
        return found

    def holders_of(self, audio: int) -> list[str]:
        """Paths of the files that are there and hold an audio, as far as is known."""
        query = "SELECT path FROM tracks WHERE audio = ? AND vanished IS NULL AND state <> 'analyse'"
        return [row[0] for row in self.rows(query, (audio,))]

    def to_compare(self) -> list[tuple[int, str, int, list[tuple[int, str]]]]:
        """Files whose audio shares a key with other audio, or is shared unproven.

        Returns:
            Of each: its row, its path, its audio, and the audio and path of files that it may be a copy of.
        """
        query = (
            "SELECT tracks.id, path, audio, hash, number FROM tracks JOIN audio ON audio.id = tracks.audio"
            " WHERE state = 'compare' AND vanished IS NULL ORDER BY number, tracks.id"
        )
        others = (
            "SELECT audio, path FROM tracks JOIN audio ON audio.id = tracks.audio WHERE hash = ? AND vanished IS NULL"
            " AND tracks.id <> ? AND (number < ? OR audio = ?) AND state IN ('', 'compare') ORDER BY number, tracks.id"
        )
        return [
            (track, path, audio, self.rows(others, (key, track, number, audio)))
            for track, path, audio, key, number in self.rows(query)
        ]

    def set_state(self, track: int, state: str) -> None:
        """What a scan owes a track; see :class:`StoredFile`. In a change."""
        self.rows("UPDATE tracks SET state = ? WHERE id = ?", (state, track))

    def merge_audio(self, one: int, other: int) -> None:
        """Two rows of audio are one recording: the older keeps its results and gets what it lacks. In a change."""
        keep, drop = min(one, other), max(one, other)
        self.rows("UPDATE tracks SET audio = ? WHERE audio = ?", (keep, drop))
        finer = "SELECT backbone FROM clips WHERE audio = ? AND kind = 'float16'"
        self.rows(f"DELETE FROM clips WHERE audio = ? AND kind = 'int8' AND backbone IN ({finer})", (keep, drop))
        for table in ("results", "embeddings", "clips", "features", "labels", "members", "places"):
            self.rows(f"UPDATE OR IGNORE {table} SET audio = ? WHERE audio = ?", (keep, drop))
            self.rows(f"DELETE FROM {table} WHERE audio = ?", (drop,))
        key, number = self.row("SELECT hash, number FROM audio WHERE id = ?", (drop,))
        self.rows("DELETE FROM audio WHERE id = ?", (drop,))
        self.rows("UPDATE audio SET number = ? WHERE id = ? AND hash = ? AND number > ?", (number, keep, key, number))

    # What a scan compares and writes

    def stored_files(self, model: int, roots: Iterable[str], inodes: Iterable[str]) -> list[StoredFile]:
        """Tracks as a scan compares them, with when the model (its row) analysed each.

        Those of some files and below some folders, of files with some numbers (which may have had another name), and
        those that are known by an older key; however many others the library has.
        """
        asked, values = list[str](), list[Any]()
        for root in roots:
            first = encode_path(root.rstrip("/\\") + os.sep)
            path = "SELECT id FROM tracks WHERE path"
            asked += [f"{path} = CAST(? AS TEXT)", f"{path} >= CAST(? AS TEXT) AND path < CAST(? AS TEXT)"]
            values += [encode_path(root), first, first[:-1] + bytes([first[-1] + 1])]
        asked += [
            "SELECT id FROM tracks WHERE inode IN (SELECT value FROM json_each(?)) AND inode <> '0'",
            "SELECT id FROM tracks WHERE state = 'identify'",
        ]
        query = (
            "SELECT tracks.id, path, device, inode, size, modified, changed, tracks.audio, error, vanished, state,"
            " COALESCE(seconds, 0.0), COALESCE(hash, ''), analysed FROM tracks"
            " LEFT JOIN audio ON audio.id = tracks.audio"
            " LEFT JOIN results ON results.audio = tracks.audio AND results.model = ?"
            f" WHERE tracks.id IN ({' UNION '.join(asked)}) ORDER BY tracks.id"
        )
        rows = self.rows(query, (model, *values, json.dumps(list(inodes))))
        return [StoredFile(row[0], row[1], Stamp(*row[2:7]), *row[7:]) for row in rows]

    def put_track(
        self, track: int | None, path: str, stamp: Stamp, audio: int | None, facts: Mapping[str, Any]
    ) -> None:
        """Write the row of a track that is there, or a new row where ``track`` is None. In a change.

        ``facts`` are its tags, or the ``error`` and ``message`` of why it could not be analysed.
        """
        values: dict[str, Any] = {
            "device": stamp.device,
            "inode": stamp.inode,
            "size": stamp.size,
            "modified": stamp.modified,
            "changed": stamp.changed,
            "audio": audio,
            **{"error": None, "message": None, "failed_by": None, "state": "", "vanished": None, **facts},
        }
        names = (encode_path(path), composed_path(path))
        if track is None:
            columns, marks = ", ".join(values), ", ".join("?" * len(values))
            query = f"INSERT INTO tracks (path, nfc, {columns}) VALUES (CAST(? AS TEXT), CAST(? AS TEXT), {marks})"
            self.rows(query, (*names, *values.values()))
        else:
            columns = ", ".join(f"{name} = ?" for name in values)
            query = f"UPDATE tracks SET path = CAST(? AS TEXT), nfc = CAST(? AS TEXT), {columns} WHERE id = ?"
            self.rows(query, (*names, *values.values(), track))

    def put_failure(self, track: int, failure: Failure | None, model: int | None = None) -> None:
        """Why a track could not be analysed or measured again, whose results stand; None takes it back. In a change."""
        facts = (None, None) if failure is None else (failure.kind, failure.message)
        self.rows("UPDATE tracks SET error = ?, message = ?, failed_by = ? WHERE id = ?", (*facts, model, track))

    def put_tags(self, track: int, stamp: Stamp, tags: Mapping[str, str]) -> bool:
        """New tags of an unchanged recording; returns whether they are other than before. In a change."""
        names = ("artist", "title", "album", "year", "genre")
        before = self.row(f"SELECT {', '.join(names)} FROM tracks WHERE id = ?", (track,))
        columns = ", ".join(f"{name} = ?" for name in names)
        values = tuple(tags[name] for name in names)
        self.rows(f"UPDATE tracks SET changed = ?, {columns} WHERE id = ?", (stamp.changed, *values, track))
        return bool(before != values)

    def put_unopened(self, failure: Failure) -> None:
        """A row for a file that could not even be looked at. In a change."""
        facts = {"error": failure.kind, "message": failure.message}
        self.put_track(None, failure.path, Stamp("", "", 0, 0), None, facts)

    def move_track(self, track: int, path: str, stamp: Stamp) -> None:
        """The file has another name, or another number, and is there. In a change."""
        query = (
            "UPDATE tracks SET path = CAST(? AS TEXT), nfc = CAST(? AS TEXT), device = ?, inode = ?, changed = ?,"
            " vanished = NULL WHERE id = ?"
        )
        values = (encode_path(path), composed_path(path), stamp.device, stamp.inode, stamp.changed, track)
        self.rows(query, values)

    def copy_track(self, track: int, path: str, stamp: Stamp) -> int:
        """A second name of the same file; returns its row. In a change."""
        same = "artist, title, album, year, genre, audio, size, modified, state"
        query = (
            f"INSERT INTO tracks (path, nfc, device, inode, changed, {same})"
            f" SELECT CAST(? AS TEXT), CAST(? AS TEXT), ?, ?, ?, {same} FROM tracks WHERE id = ? RETURNING id"
        )
        values = (encode_path(path), composed_path(path), stamp.device, stamp.inode, stamp.changed, track)
        return int(self.value(query, values))

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


def _way(reverse: bool) -> Callable[[str], str]:
    return (lambda term: f"{term} DESC") if reverse else str


def _places(wanted: Rows, held: Rows) -> Rows:
    """(n,) where each of the audio that is held stands among what is wanted; -1 where it does not."""
    places = np.full(max(int(held.max(initial=0)), int(wanted.max(initial=0))) + 1, -1, np.int64)
    places[wanted] = np.arange(len(wanted))
    return places[held]


def _smallest(keys: Rows, start: int, end: int) -> Rows:
    """Where the ``start``-th to the ``end``-th smallest of different keys stand, in order; sorts no more than these."""
    first = np.argpartition(keys, end - 1)[:end] if end < len(keys) else np.arange(len(keys))
    return first[np.argsort(keys[first])][start:]


LISTED = "(SELECT value FROM json_each(?))"
"""After ``IN``: the rows that :func:`listed` made one value of."""


def listed(rows: Iterable[int]) -> str:
    """Rows as one value of a statement."""
    return json.dumps(list(map(int, rows)))
