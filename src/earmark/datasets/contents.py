"""What a track is known by: the hash of its decoded audio, or of its pixels; and which files are known already."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from earmark.audio import identity
from earmark.audio.images import image_hash
from earmark.audio.track import open_track
from earmark.datasets.cache import storage_error
from earmark.engine.base import Alive, Each, Engine
from earmark.errors import StorageError
from earmark.events import Notice, Progress, Steps
from earmark.inference.records import Failure
from earmark.paths import cache_folder

__all__ = ["FileIndex", "content_hash", "content_hashes", "stamp_of"]

Stamp = tuple[bytes, int, int]
"""A file as it is now: path, size and time of change."""


def content_hash(path: Path, alive: Alive = lambda: None) -> str:
    """Key of a file's decoded audio (:mod:`earmark.audio.identity`), or hash of the pixels of a PNG.

    Raises:
        AudioError: The file cannot be read.
    """
    return image_hash(path) if path.suffix.lower() == ".png" else identity.content_hash(path, alive)


def content_hashes(paths: Sequence[Path], engine: Engine) -> Steps[list[str | Failure]]:
    """Content hash of each file, or why it has none; files that did not change since the last time are not decoded.

    Where several files have one key they are decoded to their ends: equal hashes mean equal recordings. A cache that
    cannot be read or written is no reason to stop.
    """
    try:
        index = FileIndex.open()
    except StorageError as error:
        index = None
        yield Notice(f"{error}; every file is decoded.")
    stamps = [stamp_of(path) for path in paths]
    found: dict[int, str | Failure] = {}
    for row, stamp in enumerate(stamps):
        if index and stamp and (known := index.get(stamp)):
            found[row] = known
    rows = [row for row in range(len(paths)) if row not in found]
    with closing(engine.map(Each(content_hash, lively=True), [paths[row] for row in rows])) as results:
        for row, result in zip(rows, results, strict=True):
            found[row] = result if isinstance(result, Failure) else result.value
            yield Progress(len(found), len(paths), "reading files")
    found |= yield from _told_apart(found, paths, engine)
    for row, stamp in enumerate(stamps):
        digest = found[row]
        if index and stamp and isinstance(digest, str):
            index.put(stamp, digest)
    return [found[row] for row in range(len(paths))]


def _told_apart(
    found: Mapping[int, str | Failure], paths: Sequence[Path], engine: Engine
) -> Steps[dict[int, str | Failure]]:
    """New hashes of files that share their key with another recording."""
    alike: dict[str, list[int]] = {}
    for row, digest in found.items():
        if isinstance(digest, str) and paths[row].suffix.lower() != ".png":
            alike.setdefault("-".join(digest.split("-")[:2]), []).append(row)
    rows = [row for group in alike.values() if len(group) > 1 for row in group]
    whole: dict[int, str | Failure] = {}
    with closing(engine.map(Each(_samples_hash, lively=True), [paths[row] for row in rows])) as results:
        for row, result in zip(rows, results, strict=True):
            whole[row] = result if isinstance(result, Failure) else result.value
            yield Progress(len(whole), len(rows), "comparing copies")
    apart: dict[int, str | Failure] = {row: one for row, one in whole.items() if isinstance(one, Failure)}
    for key, group in alike.items():
        ends = {row: str(whole[row]) for row in group if row in whole and row not in apart}
        if len(set(ends.values())) > 1 or any(found[row] != key for row in ends):
            apart |= {row: f"{key}-{end}" for row, end in ends.items()}
    return apart


def _samples_hash(path: Path, alive: Alive) -> str:
    """Hash of every sample of every channel: 8 hexadecimal digits tell recordings of one key apart."""
    with open_track(path, alive=alive) as track:
        digest, channels = hashlib.blake2b(digest_size=4), 0
        for block in track.frames(0, None):
            digest.update(block.tobytes())
            channels = block.shape[1]
        digest.update(f"{track.rate} {channels}".encode())
    return digest.hexdigest()


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


def stamp_of(path: Path) -> Stamp | None:
    """A file's stamp; None for one that is not there: whoever opens it says what is wrong."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return os.fsencode(path.absolute()), status.st_size, status.st_mtime_ns
