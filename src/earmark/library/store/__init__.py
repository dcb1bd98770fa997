"""The library's file: one SQLite database that knows every track of a collection and what models predict of it.

Results belong to audio, not to files: a track that is moved, renamed, copied or given other tags keeps them. Every
change is one transaction, so that a process that is killed at any moment leaves a whole library. All SQL is here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from earmark.library.records import LibraryFacts, Listing, Page
from earmark.library.store.file import absolute, default_file
from earmark.library.store.playlists import KeptPlaylist, Playlists
from earmark.library.store.results import AllResults, Results, StoredCluster
from earmark.library.store.schema import FORMAT
from earmark.library.store.tracks import Stamp, StoredFile

__all__ = [
    "FORMAT",
    "AllResults",
    "KeptPlaylist",
    "Library",
    "LibraryFacts",
    "Listing",
    "Page",
    "Stamp",
    "StoredCluster",
    "StoredFile",
    "absolute",
    "default_file",
    "open_library",
]


class Library(Results, Playlists):
    """An open library; see :func:`open_library`. Several threads may use it at a time.

    Attributes:
        file: Where it is.
    """


@contextmanager
def open_library(file: Path | None = None, *, write: bool = True, make: bool = False) -> Iterator[Library]:
    """Open a library.

    Args:
        file: The library; the one in the user's data folder where None.
        write: False opens one on a read-only disk too.
        make: A missing library is made, empty, as ``earmark scan`` does; otherwise it is an error.

    Raises:
        StorageError: Missing, a folder, damaged, newer than this Earmark, read-only, in use; also later, at any use.
    """
    library = Library(file or default_file(), write=write, make=make)
    try:
        yield library
    finally:
        library.close()
