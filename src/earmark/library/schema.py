"""The library's file: its tables, how it is opened, and what is said when it cannot be."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from earmark.errors import StorageError

__all__ = ["FORMAT", "connect", "default_file", "encode_path", "guarded"]

FORMAT = 1
"""The version of the file's tables (``user_version``). A reader refuses a greater one."""

_APPLICATION = 0x4561726D  # "Earm": tells the file from any other SQLite file
_WAIT_SECONDS = 10.0  # for another process that is just writing

_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE roots (path TEXT PRIMARY KEY, scanned REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE audio (
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,          -- earmark.audio.decode.content_hash: the same whatever the tags
    seconds REAL NOT NULL
);
CREATE TABLE tracks (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,          -- absolute; bytes that are not UTF-8 as they are
    device TEXT NOT NULL, inode TEXT NOT NULL, size INTEGER NOT NULL, modified INTEGER NOT NULL,  -- nanoseconds
    audio INTEGER REFERENCES audio(id), -- NULL where the file could not be heard
    artist TEXT NOT NULL DEFAULT '', title TEXT NOT NULL DEFAULT '', album TEXT NOT NULL DEFAULT '',
    year TEXT NOT NULL DEFAULT '', genre TEXT NOT NULL DEFAULT '',  -- as the file's own tags say; genres joined by ;
    error TEXT, message TEXT,           -- why it could not be heard
    vanished REAL                       -- since when it is not there any more (seconds since 1970)
);
CREATE INDEX tracks_audio ON tracks(audio);
CREATE INDEX tracks_file ON tracks(inode, size);
CREATE TABLE models (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,                 -- name@version
    digest TEXT NOT NULL,               -- of its card: tells apart models of one name
    layer TEXT NOT NULL DEFAULT '',     -- whose output the embeddings are; '' is the network's own embedding
    folder TEXT NOT NULL,
    dimensions INTEGER NOT NULL,
    heads TEXT NOT NULL,                -- JSON: name, task, labels, threshold, thresholds
    aliases TEXT NOT NULL DEFAULT '{}', -- the user's own names of labels (scan --labels)
    used REAL NOT NULL,
    UNIQUE (name, digest, layer)
);
CREATE TABLE results (
    model INTEGER NOT NULL REFERENCES models(id),
    audio INTEGER NOT NULL REFERENCES audio(id),
    scores BLOB NOT NULL,               -- uint16, 1/10000: all labels of all heads in order
    numbers BLOB NOT NULL,              -- float64: the regression heads in order
    warning TEXT,
    heard REAL NOT NULL,                -- seconds since 1970
    PRIMARY KEY (model, audio)
) WITHOUT ROWID;
CREATE TABLE embeddings (
    model INTEGER NOT NULL REFERENCES models(id),
    audio INTEGER NOT NULL REFERENCES audio(id),
    vector BLOB NOT NULL,               -- float16: its direction, length 1
    PRIMARY KEY (model, audio)
) WITHOUT ROWID;
CREATE TABLE clips (
    model INTEGER NOT NULL REFERENCES models(id),
    audio INTEGER NOT NULL REFERENCES audio(id),
    times BLOB NOT NULL,                -- float32: start and end of each clip, seconds
    vectors BLOB NOT NULL,              -- int8: directions of the clips' embeddings, each scaled to 127
    PRIMARY KEY (model, audio)
) WITHOUT ROWID;
CREATE TABLE labels (                   -- what the user says
    audio INTEGER NOT NULL REFERENCES audio(id),
    head TEXT NOT NULL,
    label TEXT NOT NULL,                -- JSON: a name, or a list of names
    made REAL NOT NULL,
    PRIMARY KEY (audio, head)
) WITHOUT ROWID;
CREATE TABLE clusters (
    model INTEGER NOT NULL REFERENCES models(id),
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    tags TEXT NOT NULL,                 -- JSON: its most telling labels
    center BLOB NOT NULL,               -- float32
    PRIMARY KEY (model, number)
) WITHOUT ROWID;
CREATE TABLE members (
    model INTEGER NOT NULL, audio INTEGER NOT NULL REFERENCES audio(id),
    cluster INTEGER NOT NULL, joined INTEGER NOT NULL DEFAULT 0,  -- 1: came after the clusters were made
    PRIMARY KEY (model, audio)
) WITHOUT ROWID;
CREATE TABLE places (                   -- the map
    model INTEGER NOT NULL, audio INTEGER NOT NULL REFERENCES audio(id),
    x REAL NOT NULL, y REAL NOT NULL, joined INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (model, audio)
) WITHOUT ROWID;
"""

_WHY = {
    sqlite3.SQLITE_NOTADB: "not an Earmark library",
    sqlite3.SQLITE_CORRUPT: "the library is damaged; move it away (or put a copy back) and scan again",
    sqlite3.SQLITE_BUSY: "in use by another program; try again when that is done",
    sqlite3.SQLITE_LOCKED: "in use by another program; try again when that is done",
    sqlite3.SQLITE_READONLY: "cannot be written: the file or the disk is read-only",
    sqlite3.SQLITE_FULL: "the disk is full; what was done before is kept",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: no permission, or the folder is not there or read-only",
    sqlite3.SQLITE_IOERR: "the disk refuses to read or write",
    sqlite3.SQLITE_PERM: "no permission to use it",
    sqlite3.SQLITE_AUTH: "no permission to use it",
}


def default_file() -> Path:
    """The library in the user's data folder."""
    from earmark.paths import data_folder

    return data_folder() / "library.db"


def encode_path(path: str) -> bytes:
    """A path as its bytes (UTF-8 but for undecodable names), to be bound as ``CAST(? AS TEXT)``."""
    return path.encode("utf-8", "surrogatepass" if os.name == "nt" else "surrogateescape")


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass" if os.name == "nt" else "surrogateescape")


@contextmanager
def guarded(file: Path) -> Iterator[None]:
    """What SQLite raises as one line about the file: StorageError."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        raise StorageError(f"{file}: {_WHY.get(code, f'the library cannot be used: {error}')}") from error


def connect(file: Path, *, write: bool) -> sqlite3.Connection:
    """Open the library's file; a missing one is created empty.

    Args:
        file: The library.
        write: False where it is only read: then a read-only file or disk will do.

    Raises:
        StorageError: A folder, damaged, newer than this Earmark, read-only, or in use.
    """
    if file.is_dir():
        raise StorageError(f"{file}: is a folder; --library takes a file")
    if not file.exists():
        _make_room(file)
    with guarded(file):
        connection = _open(file, write)
        try:
            _check(connection, file)
            return connection
        except BaseException:
            connection.close()
            raise


def _make_room(file: Path) -> None:
    try:
        if file.parent == default_file().parent:
            file.parent.mkdir(parents=True, exist_ok=True)
        if not file.parent.is_dir():
            raise StorageError(f"{file}: there is no folder {file.parent}")
        file.open("xb").close()
    except FileExistsError:
        pass  # another process was quicker
    except OSError as error:
        read_only = error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)
        why = "the folder is read-only" if read_only else (error.strerror or str(error)).lower()
        raise StorageError(f"{file}: the library cannot be made: {why}") from error


def _open(file: Path, write: bool) -> sqlite3.Connection:
    """A connection that writes where it can; where only reading is asked for, a read-only disk is no obstacle."""
    writable = os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)
    if not writable and not write:
        still = "" if _beside(file, "-wal").exists() else "&immutable=1"
        return _tuned(sqlite3.connect(f"{_uri(file)}?mode=ro{still}", uri=True, timeout=_WAIT_SECONDS))
    if not os.access(file, os.W_OK):
        raise StorageError(f"{file}: {_WHY[sqlite3.SQLITE_READONLY]}")
    connection = _tuned(sqlite3.connect(file, timeout=_WAIT_SECONDS))
    if file.stat().st_size == 0:
        _create(connection)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def _uri(file: Path) -> str:
    return file.resolve().as_uri()


def _beside(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)


def _tuned(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.isolation_level = None  # transactions are begun where they are meant
    connection.text_factory = _decode
    connection.execute("PRAGMA mmap_size=4294967296")
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


def _create(connection: sqlite3.Connection) -> None:
    """The tables, in one transaction: two processes that begin at once make them once."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0 and not _tables(connection):
            for statement in _statements():
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id={_APPLICATION}")
            connection.execute(f"PRAGMA user_version={FORMAT}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _statements() -> list[str]:
    plain = "\n".join(line.split("--")[0] for line in _TABLES.splitlines())
    return [statement for statement in plain.split(";") if statement.strip()]


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _check(connection: sqlite3.Connection, file: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != _APPLICATION:
        raise StorageError(f"{file}: not an Earmark library")
    if version > FORMAT:
        raise StorageError(f"{file}: format {version} is newer than this Earmark reads ({FORMAT}); update Earmark")
    if not {"tracks", "audio", "models", "results"} <= _tables(connection):
        raise StorageError(f"{file}: {_WHY[sqlite3.SQLITE_CORRUPT]}")
