"""One scan of a library at a time: a lock that the system takes away with the process, however that ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from earmark.errors import StorageError

__all__ = ["only_one"]


@contextmanager
def only_one(file: Path) -> Iterator[None]:
    """Hold the right to scan into a library.

    Raises:
        StorageError: Another process holds it; or the folder is read-only.
    """
    path = file.with_name(file.name + ".lock")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(f"{file}: cannot be written: {(error.strerror or str(error)).lower()}") from error
    try:
        if not _locked(handle):
            raise StorageError(f"{file}: another scan is at work in it{_by(path)}; let it end, or stop it")
        with suppress(OSError):
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0) if hasattr(os, "pwrite") else None
        yield
    finally:
        os.close(handle)  # and with it goes the lock


def _locked(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, 1 << 20, os.SEEK_SET)  # beyond the number, which others may read
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _by(path: Path) -> str:
    with suppress(OSError, ValueError):
        return f" (process {int(path.read_text('ascii'))})"
    return ""
