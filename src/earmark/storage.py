"""Files on disk: written whole or not at all, and locks that the system takes away with the process that holds them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from earmark.errors import Locked, StorageError

__all__ = ["TEMPORARY", "lock", "plain_reason", "replace_file", "sync_folder", "write_file"]

TEMPORARY = ".earmark-*.tmp"
"""What our temporary files are called; a walk through a folder leaves them out."""


def write_file(target: Path, content: str | bytes | Iterable[bytes], *, part: Path | None = None) -> None:
    """Put content into a file, which is never seen half-written; text becomes UTF-8 with plain line ends.

    A device or a pipe is written to as it is; a link keeps pointing where it points.

    Args:
        target: The file.
        content: All of it.
        part: Where it is written first. Of a large file, which a process that was killed may leave there, this is one
            name for all who write it, each while it holds a :func:`lock`; None takes a name that nobody has.

    Raises:
        StorageError: It cannot be written there.
    """
    import tempfile

    if isinstance(content, str):
        content = content.encode("utf-8", "backslashreplace")
    pieces = [content] if isinstance(content, bytes) else content
    if target.is_dir():
        raise StorageError(f"{target} is a folder, not a file")
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as stream:
                stream.writelines(pieces)
            return
        target = target.resolve() if target.is_symlink() else target
        if part is None:
            handle, name = tempfile.mkstemp(".tmp", ".earmark-", target.parent)
            os.close(handle)
            part = Path(name)
        try:
            with part.open("wb") as stream:
                stream.writelines(pieces)
                stream.flush()
                os.fsync(stream.fileno())
            part.chmod(target.stat().st_mode & 0o7777 if target.exists() else 0o666 & ~_umask())
            replace_file(part, target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{target}: cannot write there: {plain_reason(error)}") from error


def replace_file(part: Path, target: Path) -> None:
    """Rename a finished file (or folder, where the target is not there) to its name, and make the rename last."""
    part.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder outlast a power cut, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def lock(file: Path, busy: str) -> Iterator[None]:
    """Hold ``FILE.lock`` for one process at a time.

    Args:
        file: What is to be changed; the lock lies beside it.
        busy: The message of the error where another process holds the lock; its number is added where it is known.

    Raises:
        Locked: Another process holds the lock.
        StorageError: The folder cannot be written.
    """
    from filelock import FileLock, Timeout

    path = file.with_name(file.name + ".lock")
    holder = path.with_name(path.name + ".pid")
    held = FileLock(path, timeout=0)
    try:
        held.acquire()
    except Timeout:
        raise Locked(f"{busy}{_by(holder)}") from None
    except OSError as error:
        raise StorageError(f"{file}: cannot be written: {plain_reason(error)}") from error
    try:
        with suppress(OSError):
            holder.write_text(str(os.getpid()), "ascii")
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
            path.unlink(missing_ok=True)  # who opened it before sees that it has no name, and tries again
        held.release()


def plain_reason(error: OSError) -> str:
    """The system's reason, in lower case, as it stands in the middle of a sentence."""
    return (error.strerror or str(error)).lower()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _by(holder: Path) -> str:
    with suppress(OSError, ValueError):
        return f" (process {int(holder.read_text('ascii'))})"
    return ""
