"""What both doors share: their keys, the catalogue of the library, the media server whose ids they speak, pictures."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from earmark.app.catalogue import Shelves
from earmark.engine import Alive, Task
from earmark.errors import EarmarkError, StorageError
from earmark.inference.records import Failure
from earmark.server.doors.keys import Keys
from earmark.server.doors.media_server import MediaServer
from earmark.server.problems import Problem
from earmark.tags.pictures import read_picture
from earmark.tags.read import read_tags

if TYPE_CHECKING:
    from earmark.library.records import LibraryTrack
    from earmark.server.service import Service

__all__ = ["Desk"]

_MOST_KEPT = 30_000_000  # bytes of pictures

# A path from its root to its last separator, spaces within it and all; then what stands before any other separator.
_PATHS = re.compile(r"\S*(?<!\w)[/\\].*[/\\](?=[^/\\])|\S*[/\\](?=[^/\\])")

Picture = tuple[str, bytes]
Tags = Mapping[str, tuple[str, ...]]
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _ReadTags(Task[str, Tags]):
    """Reads the tags of a file, in a process of its own: a damaged file ends that alone."""

    def start(self, alive: Alive) -> Callable[[str], Tags]:
        """Nothing to get ready."""
        return lambda path: read_tags(Path(path))


@dataclass(frozen=True, slots=True)
class _ReadPicture(Task[str, Picture | None]):
    """Reads the picture of a file, likewise."""

    def start(self, alive: Alive) -> Callable[[str], Picture | None]:
        """Nothing to get ready."""
        return lambda path: read_picture(Path(path))


class Desk:
    """What the doors share while the server runs.

    Attributes:
        service: The server's.
        keys: That open the doors.
        shelves: The library as players browse it.
        media_server: Whose ids the door of AudioMuse-AI speaks; None: it speaks the library's own.
    """

    def __init__(self, service: Service) -> None:
        options = service.options
        self.service = service
        self.keys = Keys(options.player_key, options.player_password)
        self.shelves = Shelves(service.session, tags_of=lambda track: self._read(_ReadTags(), track) or {})
        self.media_server = MediaServer.of(options.media_server) if options.media_server else None
        self._lock = threading.Lock()
        self._pictures: OrderedDict[tuple[str, int], Picture | None] = OrderedDict()

    def reason(self, error: EarmarkError) -> str:
        """Why something went wrong, without telling where files lie on this machine."""
        if isinstance(error, StorageError):
            return "The library cannot be used just now; the server's own page says why."
        return _PATHS.sub("", " ".join(str(error).split()))

    def picture(self, track: LibraryTrack) -> Picture | None:
        """The picture that a track's file carries; None where it carries none."""
        key = track.path, track.modified
        with self._lock:
            if key in self._pictures:
                self._pictures.move_to_end(key)
                return self._pictures[key]
        picture = self._read(_ReadPicture(), track)
        with self._lock:
            self._pictures[key] = picture
            while sum(len(one[1]) if one else 1_000 for one in self._pictures.values()) > _MOST_KEPT:
                self._pictures.popitem(last=False)
        return picture

    def _read(self, task: Task[str, V], track: LibraryTrack) -> V | None:
        """What a worker reads of a track's file; None where it cannot, or the file is not the library's any more."""
        try:
            path = self.service.here(track)
        except Problem:
            return None
        found = next(iter(self.service.engine.map(task, [path])), None)
        return None if found is None or isinstance(found, Failure) else found.value
