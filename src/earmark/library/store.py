"""The library: one SQLite file that knows every track of a collection and what models heard in it.

Results belong to audio, not to files: a track that is moved, renamed, copied or given other tags keeps them. Every
change is one transaction, so that a process that is killed at any moment leaves a whole library.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from earmark.errors import StorageError, UnknownName
from earmark.inference.records import ClipEmbeddings, Failure, Prediction
from earmark.library.records import (
    Correction,
    LibraryModel,
    LibraryTrack,
    corrected,
    direction,
    heads_from_json,
    heads_to_json,
    pack_clips,
    pack_scores,
    unpack_clips,
    unpack_scores,
)
from earmark.library.schema import connect, default_file, encode_path, guarded
from earmark.models.card import HeadCard

__all__ = ["Library", "open_library"]

_TRACK = (
    "SELECT tracks.id, path, size, modified, audio, COALESCE(hash, ''), COALESCE(seconds, 0.0), artist, title, album,"
    " year, genre, error, COALESCE(message, ''), vanished FROM tracks LEFT JOIN audio ON audio.id = tracks.audio"
)
_MODEL = "SELECT id, name, digest, layer, folder, dimensions, heads, aliases FROM models"
_MANY = 500  # values in one statement, below SQLite's limit
_CHUNK = 16_384  # rows read at a time


@contextmanager
def open_library(file: Path | None = None, *, write: bool = True) -> Iterator[Library]:
    """Open a library, creating a missing one empty.

    Args:
        file: The library; the one in the user's data folder where None.
        write: False opens one on a read-only disk too.

    Raises:
        StorageError: A folder, damaged, newer than this Earmark, read-only, in use; also later, at any use.
    """
    file = file or default_file()
    connection = connect(file, write=write)
    try:
        with guarded(file):
            yield Library(file, connection)
    finally:
        connection.close()


class Library:
    """An open library; see :func:`open_library`.

    Attributes:
        file: Where it is.
        db: The connection, for the modules of this package.
    """

    def __init__(self, file: Path, connection: sqlite3.Connection) -> None:
        self.file, self.db = file, connection

    def change(self) -> _Change:
        """A transaction that may write: all of it happens, or nothing. For ``with``."""
        return _Change(self.db)

    # Tracks

    def tracks(self, *, vanished: bool = True) -> list[LibraryTrack]:
        """All tracks in the order of their paths' parts, failures too; without those that vanished if asked."""
        where = "" if vanished else " WHERE vanished IS NULL"
        found = [LibraryTrack(*row) for row in self.db.execute(_TRACK + where)]
        return sorted(found, key=lambda track: Path(track.path).parts)

    def track(self, path: str) -> LibraryTrack | None:
        """The track of a path, or None; the path may lead through links, and be relative."""
        for name in dict.fromkeys((str(Path(path).absolute()), absolute(path))):
            row = self.db.execute(f"{_TRACK} WHERE path = CAST(? AS TEXT)", (encode_path(name),)).fetchone()
            if row is not None:
                return LibraryTrack(*row)
        return None

    def tracks_of(self, audio: Iterable[int]) -> dict[int, list[LibraryTrack]]:
        """The files that hold each audio and are still there, in the order of their paths."""
        found: dict[int, list[LibraryTrack]] = {int(one): [] for one in audio}
        wanted = list(found)
        for start in range(0, len(wanted), _MANY):
            part = wanted[start : start + _MANY]
            marks = ",".join("?" * len(part))
            query = f"{_TRACK} WHERE audio IN ({marks}) AND vanished IS NULL ORDER BY path"
            for row in self.db.execute(query, part):
                found[row[4]].append(LibraryTrack(*row))
        return found

    # Models

    def models(self) -> list[tuple[LibraryModel, int]]:
        """The models that heard tracks which are still there, with how many; the one in use first.

        That is the one that heard most of them, and among equals the one that was used last.
        """
        query = (
            "SELECT known.*, (SELECT COUNT(*) FROM tracks JOIN results ON results.audio = tracks.audio"
            " AND results.model = known.id WHERE vanished IS NULL) AS heard, used"
            f" FROM ({_MODEL}) AS known JOIN models USING (id) ORDER BY heard DESC, used DESC"
        )
        return [(_model(row), row[8]) for row in self.db.execute(query) if row[8]]

    def model(self, name: str | None = None) -> LibraryModel:
        """The model in use, or the one of that name (with or without its version).

        Raises:
            UnknownName: No such model heard anything here.
            StorageError: The library is empty.
        """
        known = [_model(row) for row in self.db.execute(_MODEL)]
        if not known:
            raise StorageError(f"{self.file}: the library is empty; `earmark scan FOLDER` fills it")
        if len(known) > 1:  # counting takes a while in a large library
            known = [model for model, _ in self.models()] or known
        if name is None:
            return known[0]
        for model in known:
            if name in (model.name, model.shown, model.name.split("@")[0]):
                return model
        raise UnknownName("model of the library", name, [model.shown for model in known])

    def add_model(self, model: LibraryModel) -> LibraryModel:
        """The model with the row that it has, or gets; its folder and aliases are kept up to date. In a change."""
        fresh = (model.folder, json.dumps({head: dict(names) for head, names in model.aliases.items()}), time.time())
        self.db.execute(
            "INSERT INTO models (name, digest, layer, dimensions, heads, folder, aliases, used)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name, digest, layer) DO UPDATE"
            " SET folder = excluded.folder, aliases = excluded.aliases, used = excluded.used",
            (model.name, model.digest, model.layer, model.dimensions, heads_to_json(model.heads), *fresh),
        )
        query = f"{_MODEL} WHERE name = ? AND digest = ? AND layer = ?"
        return _model(self.db.execute(query, (model.name, model.digest, model.layer)).fetchone())

    # Results

    def add_result(self, model: LibraryModel, prediction: Prediction) -> int:
        """Keep what a model said of one audio, in place of what it said before, and return the audio's row.

        The prediction must carry ``content_hash`` and ``embedding``. In a change.
        """
        audio = self.add_audio(prediction.content_hash or "", prediction.seconds)
        key = (model.key, audio)
        packed = pack_scores(prediction.heads, model.heads)
        values = (*key, *packed, prediction.warning, time.time())
        self.db.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?)", values)
        if prediction.embedding is not None:
            vector = direction(prediction.embedding).astype("<f2").tobytes()
            self.db.execute("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)", (*key, vector))
        if prediction.clips is not None:
            self.db.execute("INSERT OR REPLACE INTO clips VALUES (?, ?, ?, ?)", (*key, *pack_clips(prediction.clips)))
        return audio

    def add_audio(self, content_hash: str, seconds: float) -> int:
        """The row of an audio. In a change."""
        self.db.execute("INSERT OR IGNORE INTO audio (hash, seconds) VALUES (?, ?)", (content_hash, seconds))
        return int(self.db.execute("SELECT id FROM audio WHERE hash = ?", (content_hash,)).fetchone()[0])

    def predictions(
        self, model: LibraryModel, tracks: Sequence[LibraryTrack] | None = None
    ) -> Iterator[tuple[LibraryTrack, Prediction | Failure]]:
        """What is known of tracks (all that are there where None), in their order.

        Labels are the user's: renamed as ``scan --labels`` asked, and corrected as ``review`` was told. Tracks that
        this model has not heard are left out.
        """
        said = self.labels()
        for track in self.tracks(vanished=False) if tracks is None else tracks:
            if track.audio is None:
                yield track, Failure(track.path, track.error or "io", track.message)  # type: ignore[arg-type]
                continue
            prediction = self.prediction(model, track, said.get(track.audio, {}))
            if prediction is not None:
                yield track, prediction

    def prediction(
        self, model: LibraryModel, track: LibraryTrack, said: Mapping[str, Correction] | None = None
    ) -> Prediction | None:
        """What the model said of a track, with the user's corrections ``said``; None where it has not heard it."""
        query = "SELECT scores, numbers, warning FROM results WHERE model = ? AND audio = ?"
        row = self.db.execute(query, (model.key, track.audio)).fetchone()
        if row is None:
            return None
        heads = unpack_scores(row[0], row[1], model.heads)
        plain = Prediction(track.path, track.seconds, model.name, heads, warning=row[2])
        return corrected(plain, model, said or {})

    def embeddings(self, model: LibraryModel) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """All audio that is still there: its rows (n,) ascending, and embeddings (n, dimensions) of length 1."""
        there = (
            "FROM embeddings WHERE model = ? AND audio IN (SELECT audio FROM tracks WHERE vanished IS NULL)"
            if self._gone()
            else "FROM embeddings WHERE model = ?"
        )
        return self._matrix(f"SELECT audio, vector {there}", model, model.dimensions, "<f2")

    def scores(self, model: LibraryModel, head: HeadCard) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """All audio heard: its rows (n,) ascending, and one head's scores (n, labels), as the model gave them."""
        columns = model.columns()[head.name]
        part = f"substr(scores, {2 * columns.start + 1}, {2 * len(head.labels)})"
        query = f"SELECT audio, {part} FROM results WHERE model = ?"
        audio, steps = self._matrix(query, model, len(head.labels), "<u2")
        return audio, steps / np.float32(10_000)

    def clips(self, model: LibraryModel, audio: Iterable[int]) -> dict[int, ClipEmbeddings]:
        """The clips that were heard of some audio."""
        query = "SELECT times, vectors FROM clips WHERE model = ? AND audio = ?"
        rows = ((one, self.db.execute(query, (model.key, one)).fetchone()) for one in map(int, audio))
        return {one: unpack_clips(*row) for one, row in rows if row is not None}

    def _gone(self) -> bool:
        return self.db.execute("SELECT 1 FROM tracks WHERE vanished IS NOT NULL LIMIT 1").fetchone() is not None

    def _matrix(
        self, query: str, model: LibraryModel, width: int, kind: str
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        count = self.db.execute("SELECT COALESCE(MAX(id), 0) FROM audio").fetchone()[0]  # at most; costs nothing to ask
        keys, rows, done = np.empty(count, np.int64), np.empty((count, width), np.float32), 0
        cursor = self.db.execute(f"{query} ORDER BY audio", (model.key,))
        while chunk := cursor.fetchmany(_CHUNK):
            end = done + len(chunk)
            keys[done:end] = [row[0] for row in chunk]
            rows[done:end] = np.frombuffer(b"".join(row[1] for row in chunk), kind).reshape(-1, width)
            done = end
        return keys[:done], rows[:done]

    # What the user says

    def labels(self) -> dict[int, dict[str, Correction]]:
        """All corrections of the user's, by audio and head."""
        return _words(self.db.execute("SELECT audio, head, label FROM labels"))

    def labels_of(self, audio: Iterable[int]) -> dict[int, dict[str, Correction]]:
        """Corrections of some audio only."""
        query = "SELECT audio, head, label FROM labels WHERE audio = ?"
        return _words(row for one in audio for row in self.db.execute(query, (one,)))

    def set_label(self, audio: int, head: str, label: Correction) -> None:
        """Keep the user's word on one head of one audio."""
        word = json.dumps(label, ensure_ascii=False)
        with self.change():
            self.db.execute("INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?)", (audio, head, word, time.time()))

    # Small facts

    def fact(self, name: str) -> Any:
        """A small fact that a verb has kept, or None."""
        row = self.db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def set_fact(self, name: str, value: Any) -> None:
        """Keep a small fact; None forgets it."""
        if value is None:
            self.db.execute("DELETE FROM facts WHERE name = ?", (name,))
        else:
            self.db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))


class _Change:
    """A transaction that takes the right to write at once, so that it never fails half-way for want of it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> Self:
        self._db.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")


def absolute(path: str) -> str:
    """The path from the file system's root, its folder without links: one name for one place."""
    whole = Path(path).absolute()
    return str(Path(whole.parent.resolve(), whole.name)) if whole.name else str(whole.resolve())


def _words(rows: Iterable[tuple[int, str, str]]) -> dict[int, dict[str, Correction]]:
    found: dict[int, dict[str, Correction]] = {}
    for audio, head, label in rows:
        word = json.loads(label)
        found.setdefault(audio, {})[head] = word if isinstance(word, str) else tuple(word)
    return found


def _model(row: Sequence[Any]) -> LibraryModel:
    key, name, digest, layer, folder, dimensions, heads, aliases = row[:8]
    return LibraryModel(key, name, digest, layer, folder, dimensions, heads_from_json(heads), json.loads(aliases))
