"""What a track is known by: the hash of its decoded audio, or of its pixels; and which files are known already."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from earmark.audio import identity
from earmark.audio.images import image_hash
from earmark.datasets.cache import cache_folder, storage_error
from earmark.datasets.core import Dataset
from earmark.errors import AudioError, StorageError

__all__ = ["FileIndex", "content_hash", "track_hashes"]


def content_hash(path: Path) -> str:
    """Key of a file's decoded audio (:mod:`earmark.audio.identity`), or hash of the pixels of a PNG.

    Raises:
        AudioError: The file cannot be heard or seen.
    """
    return image_hash(path) if path.suffix.lower() == ".png" else identity.content_hash(path)


def track_hashes(dataset: Dataset, index: FileIndex | None = None) -> list[str | AudioError]:
    """Content hash of each track, or why it has none; with ``index`` unchanged files are not decoded again."""
    found: list[str | AudioError] = []
    for track in dataset.tracks:
        try:
            found.append(content_hash(track.path) if index is None else index.content_hash(track.path, content_hash))
        except AudioError as error:
            found.append(error)
    return found


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

    def content_hash(self, path: Path, compute: Callable[[Path], str] = content_hash) -> str:
        """The hash that is known of the file as it is now, or else what ``compute`` gives, kept.

        A cache that cannot be read or written is no reason to stop: then the hash is computed.
        """
        try:
            status = path.stat()
        except OSError:
            return compute(path)  # which says what is wrong in its own words
        key = os.fsencode(path.absolute())
        with contextlib.suppress(sqlite3.Error), self._connection() as connection:
            query = "SELECT hash FROM keys WHERE path = ? AND size = ? AND mtime_ns = ?"
            row = connection.execute(query, (key, status.st_size, status.st_mtime_ns)).fetchone()
            if row is not None:
                return str(row[0])
        digest = compute(path)
        with contextlib.suppress(sqlite3.Error), self._connection() as connection:
            values = (key, status.st_size, status.st_mtime_ns, digest)
            connection.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?)", values)
        return digest

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=30.0)
        try:
            connection.execute("PRAGMA synchronous=NORMAL")
            with connection:
                yield connection
        finally:
            connection.close()
