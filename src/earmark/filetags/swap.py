"""Putting a changed copy in a file's place, so that at every moment there is the old file or the new one."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from earmark.filetags.outcomes import Refusal
from earmark.storage import replace_file

__all__ = ["copy_beside", "facts_of", "hold", "must_be_inside", "new_copy", "put_in_place", "real_file", "refusal_of"]

_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
_LOCKED = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.ETXTBSY)


def real_file(path: str) -> Path:
    """The file that a path means, through symbolic links.

    Raises:
        Refusal: It is not there, is no file, or has a second name that a change would part from it.
    """
    try:
        real = Path(os.path.realpath(path, strict=True))
        facts = real.stat()
    except (OSError, ValueError) as error:
        raise refusal_of(error) from error
    if not stat.S_ISREG(facts.st_mode):
        raise Refusal("format", "not a file")
    if facts.st_nlink > 1:
        names = f"{facts.st_nlink} names"
        raise Refusal("links", f"the file has {names} (hard links), and a change would part them; make it a copy first")
    return real


def must_be_inside(path: str, real: Path, roots: Sequence[str]) -> None:
    """A link may lead to another place of the scanned folders, but not out of them.

    Raises:
        Refusal: ``links``, where it does.
    """
    if not roots or Path(os.path.abspath(path)) == real:  # noqa: PTH100 - follows no link
        return
    if not any(real.is_relative_to(os.path.realpath(root)) for root in roots):
        raise Refusal("links", f"a link out of the scanned folders, to {real}; --follow-links changes that file")


def facts_of(file: Path) -> os.stat_result:
    """Its facts now.

    Raises:
        Refusal: It is not there.
    """
    try:
        return file.stat()
    except OSError as error:
        raise refusal_of(error) from error


@contextmanager
def hold(file: Path) -> Iterator[BinaryIO]:
    """The file, open and locked against other programs as far as they ask; its content is not touched.

    Raises:
        Refusal: ``permission`` where it is read-only, ``locked`` where another program holds it.
    """
    try:
        if not file.stat().st_mode & 0o222:
            raise Refusal("permission", "the file is read-only")  # also for root, who may write all the same
        handle = file.open("r+b", buffering=0)
    except OSError as error:
        raise refusal_of(error) from error
    with handle:
        _lock(handle.fileno())
        yield handle


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":  # there, who has a file open keeps it from being replaced
        return
    import fcntl

    for lock in (fcntl.flock, fcntl.lockf):
        try:
            lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _LOCKED:
                raise Refusal("locked", "another program holds a lock on it") from error
            # some network disks know no locks


def copy_beside(file: Path) -> Path:
    """Where a file's changed copy is made; the same at every run, so that a killed run's rest is found again."""
    name = hashlib.blake2b(os.fsencode(file), digest_size=6).hexdigest()
    return file.with_name(f".earmark-{name}.tmp")


def new_copy(copy: Path) -> BinaryIO:
    """Open the copy for writing, in place of a killed run's; nobody else may read it before it has its rights."""
    copy.unlink(missing_ok=True)
    copy.touch(mode=0o600, exist_ok=False)
    return copy.open("wb")


def put_in_place(copy: Path, handle: BinaryIO, file: Path, facts: os.stat_result, modified: int | None) -> None:
    """Replace ``file``, which is held, by ``copy``: same owner, rights and extended attributes.

    Args:
        copy: Written, but perhaps not yet on the disk.
        handle: Of the file.
        file: Is replaced.
        facts: The file's, before anything was read of it.
        modified: The time of modification that it gets, in nanoseconds; now, where None.

    Raises:
        Refusal: The file was changed meanwhile, or the system refuses.
    """
    try:
        _same_outside(file, copy, facts, modified)
        if _identity(file.stat()) != _identity(facts):
            raise Refusal("changed", "the file was changed by another program just now")
        if os.name == "nt":
            handle.close()
        replace_file(copy, file)
    except OSError as error:
        raise refusal_of(error, replacing=True) from error


def _same_outside(file: Path, copy: Path, facts: os.stat_result, modified: int | None) -> None:
    made = copy.stat()
    if hasattr(os, "chown") and (made.st_uid, made.st_gid) != (facts.st_uid, facts.st_gid):
        try:
            os.chown(copy, facts.st_uid, facts.st_gid)
        except PermissionError as error:
            raise Refusal("permission", "the file belongs to somebody else, and would be yours after it") from error
    with copy.open("r+b") as handle:
        os.fsync(handle.fileno())
    shutil.copystat(file, copy)
    os.utime(copy, ns=(facts.st_atime_ns, time.time_ns() if modified is None else modified))


def _identity(facts: os.stat_result) -> tuple[int, ...]:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def refusal_of(error: OSError | ValueError, *, replacing: bool = False) -> Refusal:
    """What the system says, as a refusal."""
    code = error.errno if isinstance(error, OSError) else errno.ENOENT
    if code in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return Refusal("missing", "no such file")
    if code in _READ_ONLY:
        if getattr(error, "winerror", None) in (32, 33):
            return Refusal("locked", "another program has it open")
        return Refusal("permission", "its folder does not let it be replaced" if replacing else _no_right(error))
    if code == errno.ETXTBSY:
        return Refusal("locked", "another program has it open")
    if code in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return Refusal("io", "the disk is full")
    return Refusal("io", f"the system refuses: {getattr(error, 'strerror', None) or error}")


def _no_right(error: OSError | ValueError) -> str:
    return "the disk is read-only" if getattr(error, "errno", 0) == errno.EROFS else "no permission to change it"
