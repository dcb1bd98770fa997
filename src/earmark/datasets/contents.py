"""What a track is known by: the hash of its decoded audio, or of its pixels; and which files are known already."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from earmark.audio import identity
from earmark.audio.images import image_hash
from earmark.datasets.cache import storage_error
from earmark.engine.base import Each, Engine
from earmark.errors import StorageError
from earmark.events import Notice, Progress, Steps
from earmark.inference.records import Failure
from earmark.paths import cache_folder

__all__ = ["FileIndex", "content_hash", "content_hashes"]

Stamp = tuple[bytes, int, int]
"""A file as it is now: path, size and time of change."""


def content_hash(path: Path) -> str:
    """Key of a file's decoded audio (:mod:`earmark.audio.identity`), or hash of the pixels of a PNG.

    Raises:
        AudioError: The file cannot be read.
    """
    return image_hash(path) if path.suffix.lower() == ".png" else identity.content_hash(path)


def content_hashes(paths: Sequence[Path], engine: Engine) -> Steps[list[str | Failure]]:
    """Content hash of each file, or why it has none; files that did not change since the last time are not decoded.

    A cache that cannot be read or written is no reason to stop.
    """
    try:
        index = FileIndex.open()
    except StorageError as error:
        index = None
        yield Notice(f"{error}; every file is decoded.")
    stamps = [_stamp(path) for path in paths]
    found: dict[int, str | Failure] = {}
    for row, stamp in enumerate(stamps):
        if index and stamp and (known := index.get(stamp)):
            found[row] = known
    rows = [row for row in range(len(paths)) if row not in found]
    with closing(engine.map(Each(content_hash), [paths[row] for row in rows])) as results:
        for row, result in zip(rows, results, strict=True):
            found[row] = result if isinstance(result, Failure) else result.value
            stamp = stamps[row]
            if index and stamp and not isinstance(result, Failure):
                index.put(stamp, result.value)
            yield Progress(len(found), len(paths), "reading files")
    return [found[row] for row in range(len(paths))]


@dataclass(frozen=True, slots=True)
class FileIndex:
    """Content hashes of files by path, size and time of change, so that an unchanged file is not decoded again.

    An SQLite file in WAL mode: safe with several processes; at worst the last entries are lost if one is killed.
    """

    path: Path

    @classmethod
    def open(cls, folder: Path | None = None) -> FileIndex:
        """The index of the cache, made if there is none.

        Raises:
            StorageError: It cannot be written, or is damaged.
        """
        path = (folder or cache_folder()) / "files.sqlite"
        index = cls(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with index._connection() as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS keys (path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, hash TEXT)"
                )
        except OSError as error:
            raise storage_error(path.parent, error) from error
        except sqlite3.Error as error:
            raise StorageError(f"{path}: the index of known files cannot be used: {error}; remove the file") from error
        return index

    def get(self, stamp: Stamp) -> str | None:
        """The hash that is known of a file as it is now; None where the cache cannot be read."""
        with suppress(sqlite3.Error), self._connection() as connection:
            query = "SELECT hash FROM keys WHERE path = ? AND size = ? AND mtime_ns = ?"
            row = connection.execute(query, stamp).fetchone()
            return None if row is None else str(row[0])
        return None

    def put(self, stamp: Stamp, digest: str) -> None:
        """Keep a hash, where the cache can be written."""
        with suppress(sqlite3.Error), self._connection() as connection:
            connection.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?)", (*stamp, digest))

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=30.0)
        try:
            connection.execute("PRAGMA synchronous=NORMAL")
            with connection:
                yield connection
        finally:
            connection.close()


def _stamp(path: Path) -> Stamp | None:
    """None for a file that is not there: whoever opens it says what is wrong."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return os.fsencode(path.absolute()), status.st_size, status.st_mtime_ns
