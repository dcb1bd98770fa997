"""Uploads: a file of ours for as long as it is analysed, and never longer."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from earmark.audio.files import has_audio_name
from earmark.errors import StorageError
from earmark.paths import cache_folder
from earmark.storage import plain_reason

__all__ = ["clear_uploads", "kept_upload"]

_ABANDONED = 3_600.0  # seconds after which no request can still be using a file


@contextmanager
def kept_upload(stream: BinaryIO, name: str) -> Iterator[str]:
    """The path of a file with the content of ``stream``; of the name that was sent, only a known ending is kept.

    Raises:
        StorageError: The disk is full, or refuses.
    """
    ending = Path(name).suffix.lower() if has_audio_name(name) else ""
    file: Path | None = None
    try:
        try:
            folder = _folder()
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder, suffix=ending, delete=False) as kept:
                file = Path(kept.name)
                shutil.copyfileobj(stream, kept)
        except OSError as error:
            raise StorageError(f"the upload cannot be kept while it is analysed: {plain_reason(error)}") from error
        yield str(file)
    finally:
        if file is not None:
            file.unlink(missing_ok=True)


def clear_uploads() -> None:
    """Remove what a server that was killed has left."""
    with suppress(OSError):
        for file in _folder().iterdir():
            with suppress(OSError):
                if time.time() - file.stat().st_mtime > _ABANDONED:
                    file.unlink()


def _folder() -> Path:
    return cache_folder() / "uploads"
