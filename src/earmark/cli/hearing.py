"""Content hashes for the verbs that look at data sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from earmark.cli.drawing import print_notice
from earmark.errors import StorageError

__all__ = ["hasher"]


def hasher() -> Callable[[Path], str]:
    """Content hashes of files, remembered in the cache; where that cannot be written they are computed anew."""
    from earmark.datasets.contents import FileIndex, content_hash

    try:
        return FileIndex.open().content_hash
    except StorageError as error:
        print_notice(f"{error}; going on without it")
        return content_hash
