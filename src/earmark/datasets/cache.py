"""What was computed once: arrays on disk by content and by what made them.

One ``.npy`` file an array, memory-mapped. It is written beside its place, forced to the disk and then renamed, so that
a reader meets a whole array or none, whatever was killed, and two processes may write at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.audio.decode import load
from earmark.audio.images import read_image
from earmark.errors import StorageError
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import spectrogram
from earmark.paths import cache_folder
from earmark.recipe import ClipPlan

__all__ = [
    "ArrayStore",
    "bytes_per_hour",
    "cache_folder",
    "check_space",
    "feature_store",
    "load_features",
    "open_store",
    "storage_error",
]

_FORMAT = 1
_STALE_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class ArrayStore:
    """Arrays by content hash, all made in one way.

    Attributes:
        folder: Of these arrays.
        dtype: That they are stored in.
    """

    folder: Path
    dtype: np.dtype[Any]

    def get(self, digest: str) -> NDArray[Any] | None:
        """The array of a content hash, memory-mapped and read-only; None where there is none, or a damaged one."""
        path = self._path(digest)
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError):
            with contextlib.suppress(OSError):
                path.unlink()
            return None

    def put(self, digest: str, array: NDArray[Any]) -> NDArray[Any]:
        """Store an array and give it back as it was stored (converted to ``dtype``).

        Raises:
            StorageError: No space, or no permission; nothing half-written stays.
        """
        path = self._path(digest)
        stored = np.ascontiguousarray(array, self.dtype)
        temporary = path.with_name(f".{digest}.{secrets.token_hex(4)}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                np.save(file, stored, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            if path.is_file() and error.errno != errno.ENOSPC:
                return stored  # another process has it open under Windows: it has stored the same
            raise storage_error(self.folder, error) from error
        return stored

    def get_or_put(self, digest: str, compute: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """The stored array, or else what ``compute`` gives, stored."""
        found = self.get(digest)
        return self.put(digest, compute()) if found is None else found

    def __contains__(self, digest: str) -> bool:
        return self._path(digest).is_file()

    def _path(self, digest: str) -> Path:
        return self.folder / digest[-2:] / f"{digest}.npy"


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
    return ArrayStore(place, np.dtype(dtype))


def feature_store(frontend: Frontend, plan: ClipPlan | None = None, folder: Path | None = None) -> ArrayStore:
    """The store of spectrograms by a front end; with ``plan`` of the clips that it cuts, else of whole tracks.

    Decibels are stored as float16 (steps of at most 0.06 dB above -128 dB, far below what a codec changes), images as
    uint8, all else as float32.
    """
    facts: dict[str, Any] = {"frontend": dataclasses.asdict(frontend)}
    if plan is not None:
        facts["clips"] = {"seconds": plan.seconds, "count": plan.count, "pad": plan.pad}
    return open_store("features", facts, _dtype(frontend), folder)


def load_features(path: Path, digest: str, frontend: Frontend, store: ArrayStore) -> NDArray[Any]:
    """The spectrogram of a whole track (or image), from the store or else made and stored.

    Args:
        path: The file.
        digest: Its content hash.
        frontend: What makes the spectrogram; ``kind = "image"`` reads it from a PNG.
        store: :func:`feature_store` of that front end.

    Returns:
        (frames, bands) in the store's dtype.

    Raises:
        AudioError: The file cannot be read.
        StorageError: The cache cannot be written.
    """
    if frontend.kind == "image":
        return store.get_or_put(digest, lambda: np.rint(read_image(path)))
    return store.get_or_put(digest, lambda: spectrogram(load(path, frontend.sample_rate), frontend))


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


def _dtype(frontend: Frontend) -> str:
    if frontend.kind == "image":
        return "uint8"
    return "float16" if frontend.kind == "sox" or frontend.log == "db" else "float32"


def _sweep(folder: Path) -> None:
    """Remove what processes left that were killed while they wrote."""
    for file in folder.glob("*/.*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - file.stat().st_mtime > _STALE_SECONDS:
                file.unlink()


def storage_error(folder: Path, error: OSError) -> StorageError:
    """What to say of a disk that refuses."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT if hasattr(errno, "EDQUOT") else errno.ENOSPC):
        return StorageError(
            f"{folder}: no space left for the cache; free some, or set EARMARK_CACHE to a folder on another disk"
        )
    return StorageError(f"{folder}: the cache cannot be written: {error.strerror}; set EARMARK_CACHE to another folder")
