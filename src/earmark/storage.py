"""Files that verbs of the library write: whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from earmark.errors import StorageError

__all__ = ["write_pieces", "write_text"]


def write_text(target: Path, text: str) -> None:
    """Put a text into a file, as UTF-8 with plain line ends; see :func:`write_pieces`."""
    write_pieces(target, [text.encode("utf-8", "backslashreplace")])


def write_pieces(target: Path, pieces: Iterable[bytes]) -> None:
    """Put bytes into a file, which is never seen half-written.

    Raises:
        StorageError: It cannot be written there.
    """
    if target.is_dir():
        raise StorageError(f"{target}: is a folder; -o takes a file")
    if target.exists() and not target.is_file():  # a device or a pipe has no part
        with target.open("wb") as file:
            file.writelines(pieces)
        return
    target = target.resolve() if target.is_symlink() else target
    part = target.with_name(target.name + ".part")
    try:
        try:
            with part.open("wb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{target}: cannot write there: {(error.strerror or str(error)).lower()}") from error
