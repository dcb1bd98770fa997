"""What was computed once: arrays on disk by content and by what made them.

One ``.npy`` file an array, memory-mapped; a reader meets a whole array or none, whatever was killed, and two processes
may write at once. A track is known by the hash of its decoded audio, or of its pixels; an index keeps it by file.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.audio import identity
from earmark.audio.images import image_hash
from earmark.audio.track import open_track
from earmark.engine.base import TOGETHER, Alive, Each, Engine, Task
from earmark.errors import StorageError
from earmark.events import Notice, Progress, Steps
from earmark.features.frontend import Frontend
from earmark.inference.records import Failure
from earmark.inference.tagger import Tagger, Work, load_model
from earmark.models.card import Card
from earmark.paths import cache_folder
from earmark.recipe import ClipPlan
from earmark.storage import TEMPORARY, write_file

__all__ = [
    "ArrayStore",
    "EmbedClips",
    "FileIndex",
    "HashAndEmbed",
    "bytes_per_hour",
    "check_space",
    "content_hash",
    "content_hashes",
    "feature_store",
    "keep_arrays",
    "open_store",
    "stamp_of",
    "storage_error",
]

Array = NDArray[Any]

_FORMAT = 1
_STALE_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class ArrayStore:
    """Arrays by content hash, all made in one way.

    Attributes:
        folder: Of these arrays.
        dtype: That they are stored in.
        stamp: When the folder was begun, by which a machine of a cluster knows whether it sees the same one.
    """

    folder: Path
    dtype: np.dtype[Any]
    stamp: int = 0

    def get(self, digest: str) -> Array | None:
        """The array of a content hash, memory-mapped and read-only; None where there is none, or a damaged one."""
        path = self._path(digest)
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError):
            with suppress(OSError):
                path.unlink()
            return None

    def put(self, digest: str, array: Array) -> Array:
        """Store an array and give it back as it was stored (converted to ``dtype``).

        Raises:
            StorageError: No space, or no permission; nothing half-written stays.
        """
        path = self._path(digest)
        stored = np.ascontiguousarray(array, self.dtype)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, _npy(stored))
        except OSError as error:
            raise storage_error(self.folder, error) from error
        except StorageError as error:
            if not isinstance(error.__cause__, OSError):
                raise
            if isinstance(error.__cause__, PermissionError) and path.is_file():
                return stored  # another process has it open under Windows: it has stored the same
            raise storage_error(self.folder, error.__cause__) from error
        return stored

    def hand_in(self, digest: str, array: Array) -> Array | None:
        """Store an array, or give it back where this machine does not see the store: who asked for it stores it then.

        Raises:
            StorageError: No space, or no permission.
        """
        if _begun(self.folder) != self.stamp:
            return np.ascontiguousarray(array, self.dtype)
        self.put(digest, array)
        return None

    def here(self) -> ArrayStore:
        """The store, where this machine sees it; else this machine's own store of the same arrays.

        Raises:
            StorageError: The machine's own cannot be written to.
        """
        if _begun(self.folder) == self.stamp:
            return self
        own = replace(self, folder=cache_folder() / self.folder.parent.name / self.folder.name)
        try:
            own.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(own.folder, error) from error
        return own

    def __getitem__(self, digest: str) -> Array:
        """The array of a content hash that was stored.

        Raises:
            StorageError: Somebody has removed it.
        """
        found = self.get(digest)
        if found is None:
            raise StorageError(f"{self._path(digest)}: is gone or damaged; run again, and it is computed again")
        return found

    def __contains__(self, digest: str) -> bool:
        return self._path(digest).is_file()

    def _path(self, digest: str) -> Path:
        return self.folder / digest[-2:] / f"{digest}.npy"


@dataclass(frozen=True, slots=True)
class KeepArray(Task[tuple[str, Path], "Array | None"]):
    """Compute an array of a file, given with its content hash, and store it: the value is what could not be stored.

    Attributes:
        make: File to array.
        store: Where it goes.
    """

    make: Task[Path, Array]
    store: ArrayStore

    def start(self, alive: Alive) -> Callable[[tuple[str, Path]], Array | None]:
        """Start what computes."""
        make = self.make.start(alive)

        def keep(item: tuple[str, Path]) -> Array | None:
            digest, path = item
            return self.store.hand_in(digest, make(path))

        return keep

    def name(self, item: Any) -> str:
        """The file."""
        return str(item[1])


def keep_arrays(
    make: Task[Path, Array], store: ArrayStore, files: Mapping[str, Path], engine: Engine
) -> Steps[dict[str, Failure]]:
    """Compute the arrays that a store does not hold yet.

    Args:
        make: File to array.
        store: Of such arrays.
        files: By content hash.
        engine: That computes.

    Returns:
        By content hash, the files that have no array.

    Raises:
        StorageError: The cache cannot be written.
    """
    missing = [(digest, path) for digest, path in files.items() if store.get(digest) is None]
    failures: dict[str, Failure] = {}
    known = len(files) - len(missing)
    with closing(engine.map(KeepArray(make, store), missing)) as results:
        for done, ((digest, _), result) in enumerate(zip(missing, results, strict=True), known + 1):
            if isinstance(result, Failure):
                failures[digest] = result
            elif result.value is not None:
                store.put(digest, result.value)
            yield Progress(done, len(files), "computing features")
    return failures


def open_store(kind: str, facts: Mapping[str, Any], dtype: str = "float16", folder: Path | None = None) -> ArrayStore:
    """The store of arrays that were made by ``facts``; it need not exist yet.

    Args:
        kind: A word for people (``features``, ``embeddings``).
        facts: All that the arrays depend on beside the content; values as JSON has them.
        dtype: That arrays are stored in.
        folder: The cache; :func:`cache_folder` if not given.

    Raises:
        StorageError: The cache cannot be written to.
    """
    text = json.dumps({"format": _FORMAT, "dtype": dtype, **facts}, sort_keys=True, ensure_ascii=True)
    place = (folder or cache_folder()) / kind / hashlib.sha256(text.encode()).hexdigest()[:16]
    try:
        place.mkdir(parents=True, exist_ok=True)
        if not (place / "made-by.json").exists():
            (place / "made-by.json").write_text(text + "\n", "utf-8")
    except OSError as error:
        raise storage_error(place, error) from error
    _sweep(place)
    return ArrayStore(place, np.dtype(dtype), _begun(place))


def feature_store(frontend: Frontend, plan: ClipPlan | None = None, folder: Path | None = None) -> ArrayStore:
    """The store of spectrograms by a front end; with ``plan`` of the clips that it cuts, else of whole tracks.

    Decibels are stored as float16 (steps of at most 0.06 dB above -128 dB, far below what a codec changes), images as
    uint8, all else as float32.
    """
    facts: dict[str, Any] = {"frontend": dataclasses.asdict(frontend)}
    if plan is not None:
        facts["clips"] = {"seconds": plan.seconds, "count": plan.count, "pad": plan.pad}
    return open_store("features", facts, _dtype(frontend), folder)


def bytes_per_hour(frontend: Frontend) -> int:
    """Bytes that an hour of music takes in :func:`feature_store`."""
    return round(frontend.frames_per_second * 3600) * frontend.bands * np.dtype(_dtype(frontend)).itemsize


def check_space(needed: int, folder: Path | None = None) -> None:
    """Refuse before the work starts if the cache's disk has fewer than ``needed`` bytes left.

    Raises:
        StorageError: Says how much is needed, how much is free, and what to do.
    """
    folder = folder or cache_folder()
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise StorageError(
            f"{folder}: the cache needs {needed / 1e6:,.0f} MB, but {free / 1e6:,.0f} MB are free; "
            "free some, or set EARMARK_CACHE to a folder on another disk"
        )


def _npy(array: Array) -> list[bytes]:
    """The content of an ``.npy`` file, without a copy of the numbers."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(array))
    return [head.getvalue(), array.reshape(-1).view(np.uint8).data]  # type: ignore[list-item]


def _dtype(frontend: Frontend) -> str:
    if frontend.kind == "image":
        return "uint8"
    return "float16" if frontend.kind == "sox" or frontend.log == "db" else "float32"


def _begun(folder: Path) -> int:
    """When a store was begun; -1 where there is none."""
    try:
        return (folder / "made-by.json").stat().st_mtime_ns
    except OSError:
        return -1


def _sweep(folder: Path) -> None:
    """Remove what processes left that were killed while they wrote."""
    for file in folder.glob(f"*/{TEMPORARY}"):
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > _STALE_SECONDS:
                file.unlink()


def storage_error(folder: Path, error: OSError) -> StorageError:
    """What to say of a disk that refuses."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT if hasattr(errno, "EDQUOT") else errno.ENOSPC):
        return StorageError(
            f"{folder}: no space left for the cache; free some, or set EARMARK_CACHE to a folder on another disk"
        )
    return StorageError(f"{folder}: the cache cannot be written: {error.strerror}; set EARMARK_CACHE to another folder")


Stamp = tuple[bytes, int, int]
"""A file as it is now: path, size and time of change."""


def content_hash(path: Path, alive: Alive = lambda: None) -> str:
    """Key of a file's decoded audio (:mod:`earmark.audio.identity`), or hash of the pixels of a PNG.

    Raises:
        AudioError: The file cannot be read.
    """
    return image_hash(path) if path.suffix.lower() == ".png" else identity.content_hash(path, alive)


_HASH: Task[Path, str] = Each(content_hash, lively=True)


def content_hashes(
    paths: Sequence[Path], engine: Engine, task: Task[Path, str] | HashAndEmbed = _HASH
) -> Steps[list[str | Failure]]:
    """Content hash of each file, or why it has none; files that did not change since the last time are not decoded.

    Where several files have one key they are decoded to their ends: equal hashes mean equal recordings. A cache that
    cannot be read or written is no reason to stop.

    Args:
        paths: The files.
        engine: That decodes.
        task: File to content hash; one that keeps something else of what it decodes saves decoding it again.
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
    with closing(engine.map(task, [paths[row] for row in rows])) as results:
        for row, result in zip(rows, results, strict=True):
            if isinstance(result, Failure):
                found[row] = result
            else:
                found[row] = task.take_in(result.value) if isinstance(task, HashAndEmbed) else result.value
            _note(index, stamps[row], found[row])
            yield Progress(len(found), len(paths), "reading files")
    apart = yield from _told_apart(found, paths, engine)
    for row, digest in apart.items():
        _note(index, stamps[row], digest)
    return [(found | apart)[row] for row in range(len(paths))]


def _note(index: FileIndex | None, stamp: Stamp | None, digest: str | Failure) -> None:
    if index and stamp and isinstance(digest, str):
        index.put(stamp, digest)


@dataclass(frozen=True, slots=True)
class EmbedClips(Task[Path, Array]):
    """Embeddings of the clips of a file, (clips, dimensions) float32.

    Attributes:
        folder: The model folder.
        card: The model's, perhaps with other clips than its folder says.
    """

    folder: Path
    card: Card

    def start(self, alive: Alive) -> Callable[[Path], Array]:
        """Load the model."""
        tagger = self.tagger()
        return lambda path: tagger.alone(tagger.embed_clips(path, alive))[1]

    def tagger(self) -> Tagger:
        """The model, with its card."""
        return replace(load_model(self.folder), card=self.card)


@dataclass(frozen=True, slots=True)
class HashAndEmbed(Task[Path, "tuple[str, Array | None]"]):
    """Content hash of a file; the embeddings of its clips go into a store, from the same decoding, or come with it.

    Attributes:
        model: Whose embeddings.
        store: Where they go.
    """

    batch = TOGETHER
    network = True

    model: EmbedClips
    store: ArrayStore

    def start(self, alive: Alive) -> Callable[[Sequence[Path]], list[tuple[str, Array | None] | Exception]]:
        """Load the model."""
        tagger = self.model.tagger()

        def embed(path: Path) -> Work[tuple[str, Array | None]]:
            digest, vectors = yield from tagger.embed_clips(path, alive)
            return digest, self.store.hand_in(digest, vectors)

        return lambda paths: tagger.together(map(embed, paths))

    def take_in(self, value: tuple[str, Array | None]) -> str:
        """The hash; what a worker could not store is stored."""
        digest, vectors = value
        if vectors is not None:
            self.store.put(digest, vectors)
        return digest


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
