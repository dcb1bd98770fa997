"""The library's file: how it is opened, one connection a thread, and the message where it cannot be used.

What is worked out of a library is remembered until the file changes, or, of a :meth:`LibraryFile.snapshot`, for good.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from pathlib import Path
from typing import Any, Self, TypeVar

from earmark.errors import NoLibrary, StorageError
from earmark.library.store.migrations import migrate
from earmark.library.store.schema import APPLICATION, FORMAT, create, tables
from earmark.paths import data_folder
from earmark.text import decode_path

__all__ = ["LibraryFile", "absolute", "default_file"]

V = TypeVar("V")

_WAIT_SECONDS = 10.0  # for another process that is just writing
_LOG_WAIT = 200  # milliseconds, for another process that is just reading

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

_BUGS = ("ambiguous column name", 'near "', "Incorrect number of bindings", "You did not supply a value for binding")
"""Of statements that are wrong whatever the file holds; other plain errors, as a missing table, may be the file's."""


def default_file() -> Path:
    """The library in the user's data folder."""
    return data_folder() / "library.db"


def absolute(path: str) -> str:
    """The path from the file system's root, its folder without links: one name for one place."""
    whole = Path(path).absolute()
    return str(Path(whole.parent.resolve(), whole.name)) if whole.name else str(whole.resolve())


class LibraryFile:
    """The file with its connections: each thread that uses it has its own, so that reading goes on while one writes.

    Args:
        file: Where it is.
        write: Whether it is to be written; otherwise a read-only disk will do.
        make: Whether a missing one is made, empty.

    Raises:
        StorageError: A folder, missing, damaged, newer than this Earmark, read-only, or in use.
    """

    def __init__(self, file: Path, *, write: bool, make: bool) -> None:
        if file.is_dir():
            raise StorageError(f"{file}: is a folder; --library takes a file")
        if not file.exists() or not (file.stat().st_size or write):
            if not make:
                raise NoLibrary(f"{file}: there is no library; `earmark scan FOLDER` makes one")
            _make_room(file)
        self.file, self._write = file, write
        self._mine, self._all, self._lock = threading.local(), list[sqlite3.Connection](), threading.Lock()
        self._lasting: dict[Hashable, Any] | None = None
        with self.guarded():
            _ = self.db  # what is wrong shows now

    @property
    def db(self) -> sqlite3.Connection:
        """This thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._mine, "connection", None)
        if connection is None:
            connection = self._mine.connection = _open(self.file, self._write)
            with self._lock:
                self._all.append(connection)
        return connection

    @property
    def writable(self) -> bool:
        """Whether it was opened to be written, and is not a snapshot."""
        return self._write and self._lasting is None

    @property
    def is_snapshot(self) -> bool:
        """Whether it is one: see :meth:`snapshot`."""
        return self._lasting is not None

    def close(self) -> None:
        """Close the connections of all threads; what was written is in the file itself then, where nobody reads it now.

        Left in the log beside the file, it would be applied to a copy that is put in the file's place.
        """
        with self._lock:
            if self._write and self._all:
                with suppress(sqlite3.Error):  # the next one who writes does it
                    self._all[0].execute(f"PRAGMA busy_timeout={_LOG_WAIT}")
                    self._all[0].execute("PRAGMA wal_checkpoint(TRUNCATE)")
            for connection in self._all:
                connection.close()
            self._all.clear()

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """What SQLite raises about the file becomes one line, StorageError; a statement that is wrong stays a bug."""
        try:
            yield
        except sqlite3.Error as error:
            if str(error).startswith(_BUGS):
                raise
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            raise StorageError(f"{self.file}: {_WHY.get(code, f'the library cannot be used: {error}')}") from error

    @contextmanager
    def change(self) -> Iterator[None]:
        """A transaction that may write: all of it happens, or nothing. One inside another is a part of that."""
        with self.guarded():
            db = self.db
            if db.in_transaction:
                yield
                return
            db.execute("BEGIN IMMEDIATE")  # the right to write at once, so that it never fails half-way for want of it
            try:
                yield
                db.execute("COMMIT")
            finally:
                if db.in_transaction:  # where the disk is full, SQLite has rolled back already
                    db.execute("ROLLBACK")

    def check_format(self) -> None:
        """Whether the file is still what was opened.

        Raises:
            StorageError: Another program has made something else of it.
        """
        with self.guarded():
            if _format(self.db, self.file) != FORMAT:
                raise StorageError(f"{self.file}: its format has changed; try again")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A transaction in which all that is read is of one moment, whatever others write meanwhile."""
        with self.guarded():
            self.db.execute("BEGIN")
            try:
                yield
            finally:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")

    def remember(self, key: Hashable, make: Callable[[], V]) -> V:
        """What ``make`` gives, worked out once for as long as the library stays as it is."""
        kept = self._memory()
        if key not in kept:
            kept[key] = make()
        return kept[key]  # type: ignore[no-any-return]

    def remembered(self, key: Hashable) -> Any:
        """What is remembered by a key, or None."""
        return self._memory().get(key)

    def snapshot(self, kept: Mapping[Hashable, Any]) -> Self:
        """The same library with its connections, which takes what it remembers for true whatever the file says now."""
        found = copy(self)
        found._lasting = dict(kept)
        return found

    def _memory(self) -> dict[Hashable, Any]:
        """What is remembered: of a snapshot, or by this thread of the file as it is now."""
        if self._lasting is not None:
            return self._lasting
        state = (self.value("PRAGMA data_version"), self.db.total_changes)
        known = getattr(self._mine, "memory", None)
        if known is None or known[0] != state:
            known = self._mine.memory = (state, {})
        return known[1]

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows that a query gives, or what a statement returns."""
        with self.guarded():
            return self.db.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[Any] = ()) -> Any:
        """The first row, or None."""
        with self.guarded():
            return self.db.execute(query, values).fetchone()

    def value(self, query: str, values: Sequence[Any] = ()) -> Any:
        """The first value of the first row, or None."""
        row = self.row(query, values)
        return None if row is None else row[0]


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
    writable = os.access(file, os.W_OK) and (write or os.access(file.parent, os.W_OK))
    if write and not writable:
        raise StorageError(f"{file}: {_WHY[sqlite3.SQLITE_READONLY]}")
    still = "" if writable or file.with_name(file.name + "-wal").exists() else "&immutable=1"
    # Each thread has its own connection; the one that opened the library closes them all.
    uri = f"{file.resolve().as_uri()}?mode={'rw' if writable else 'ro'}{still}"
    connection = sqlite3.connect(uri, uri=True, timeout=_WAIT_SECONDS, check_same_thread=False)
    try:
        connection.isolation_level = None  # transactions are begun where they are meant
        connection.text_factory = decode_path
        if write and file.stat().st_size == 0:
            create(connection)
        if _format(connection, file) < FORMAT:
            if not writable:
                raise StorageError(
                    f"{file}: of an older format, and read-only: it can be updated where it can be written"
                )
            migrate(connection)
        connection.execute("PRAGMA mmap_size=134217728")
        connection.execute("PRAGMA foreign_keys=ON")
        if writable:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _format(connection: sqlite3.Connection, file: Path) -> int:
    """The format of a library, as it is."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION:
        raise StorageError(f"{file}: not an Earmark library")
    if version > FORMAT:
        raise StorageError(f"{file}: format {version} is newer than this Earmark reads ({FORMAT}); update Earmark")
    if not {"tracks", "audio", "models", "results"} <= tables(connection):
        raise StorageError(f"{file}: {_WHY[sqlite3.SQLITE_CORRUPT]}")
    return int(version)
