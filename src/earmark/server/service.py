"""What the routes share while the server runs: the engine, the library, the jobs."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from anyio import CapacityLimiter
from starlette.requests import Request

from earmark.app.session import LibrarySession
from earmark.engine import LocalEngine
from earmark.errors import EarmarkError, StorageError, UnknownName
from earmark.paths import music_folder
from earmark.server.audio import open_audio
from earmark.server.doors.desk import Desk
from earmark.server.jobs import Jobs
from earmark.server.uploads import clear_uploads
from earmark.text import encode_path

if TYPE_CHECKING:
    from earmark.app.one_file import Bounds
    from earmark.app.summaries import Summary
    from earmark.engine import Engine
    from earmark.engine.peaks import Waveform
    from earmark.events import Run
    from earmark.library.records import LibraryTrack
    from earmark.library.store import Library
    from earmark.server.application import ServerOptions

__all__ = ["Service", "service_of"]

V = TypeVar("V")


_ANALYSES = 16  # uploads that are analysed, or wait for it in the engine, at a time
_SEEN = 1.0  # seconds that a change waits at most until other requests see it
_KEPT_PEAKS = 300
_GRACE = 2.0  # seconds that jobs get to end by themselves


@dataclass(frozen=True)
class Folder:
    """A folder of music: known by ``id``; ``scanned`` where the library holds it."""

    id: str
    path: str
    scanned: bool

    @property
    def available(self) -> bool:
        """Whether it can be seen just now."""
        return Path(self.path).is_dir()


@dataclass(eq=False)
class _Cell:
    """A value with the snapshot and the state that it was made of, and when."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    value: Any = None
    generation: int = -1
    state: Hashable = None
    made: float = 0.0


class Service:
    """What the routes share; a context that lasts as long as the server.

    Attributes:
        options: How the server was started.
        engine: Worker processes, which requests and jobs share.
        session: The library as requests read it: in memory, of one moment.
        jobs: Long work.
        desk: What the doors to players share.
        analysing: Threads for uploads, apart from those that all other requests share.
        searching: Held by each search, of the page as of the doors.
        closing: Is set when the server ends, so that open streams do.
    """

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self.engine: Engine = LocalEngine(options.jobs, preload="earmark.inference.tagger", device=options.device)
        self.session = LibrarySession(options.library)
        self.analysing = CapacityLimiter(_ANALYSES)
        self.closing = threading.Event()
        self.searching = threading.BoundedSemaphore(2)  # searches hold large arrays, and more at a time are no faster
        self._lock = threading.Lock()
        self._peaks: OrderedDict[tuple[str, int, int, int], Waveform] = OrderedDict()
        self.jobs = Jobs(self)
        self.desk = Desk(self)
        self._cache: dict[str, _Cell] = {}

    @contextmanager
    def library(self, *, write: bool = False, fresh: bool = False) -> Iterator[Library]:
        """The library, for one request: its newest snapshot, or the file itself, to be written or read as it is now.

        Raises:
            StorageError: It is not there or cannot be used just now.
        """
        from earmark.app.library import opened

        with opened(self.options.library, write=write, session=None if fresh else self.session) as library:
            yield library
        if write:
            self.session.look(_SEEN)

    def track(self, row: int) -> LibraryTrack:
        """The track of a row.

        Raises:
            UnknownName: There is none.
            StorageError: The library cannot be used just now.
        """
        with self.library() as library:
            found = library.tracks_by_id([row]).get(row)
        if found is None:
            raise UnknownName("track", str(row), ())
        return found

    @property
    def model_id(self) -> str | None:
        """``name@version`` of the model that analyses uploads and new songs; None where it cannot be used."""
        from earmark.app.selection import find_models

        with suppress(EarmarkError):
            return find_models(self.options.model).card.id
        return None

    def here(self, track: LibraryTrack) -> str:
        """The path of a track whose file is there, and still the library's.

        Raises:
            Problem: 404 or 410, it is not.
        """
        with self.library() as library:
            file, _ = open_audio(track, library.roots())
        file.close()
        return track.path

    def peaks(self, track: LibraryTrack, count: int) -> Waveform:
        """The peaks of a track; the last few hundred waveforms are kept.

        Raises:
            AudioError: It cannot be decoded.
            Problem: 404 or 410, its file is not there.
        """
        from earmark.app.one_file import Bounds, draw_file

        key = (self.here(track), track.size, track.modified, count)
        with self._lock:
            if key in self._peaks:
                self._peaks.move_to_end(key)
                return self._peaks[key]
        unbounded = Bounds(float("inf"), self.options.request_seconds)
        found = draw_file(track.path, count, self.engine, unbounded).wait()
        with self._lock:
            self._peaks[key] = found
            while len(self._peaks) > _KEPT_PEAKS:
                self._peaks.popitem(last=False)
        return found

    def searched(self, run: Run[V]) -> V:
        """What a search finds, when its turn has come."""
        with self.searching:
            return run.wait()

    @property
    def bounds(self) -> Bounds:
        """What an upload may cost."""
        from earmark.app.one_file import Bounds

        return Bounds(self.options.max_seconds, self.options.request_seconds)

    def summaries(self, tracks: Iterable[LibraryTrack]) -> list[Summary]:
        """Tracks in short, by the results of the model in use."""
        from earmark.app.summaries import summaries

        with self.library() as library:
            return summaries(library, library.model() if library.models() else None, tracks)

    def ids(self, paths: Iterable[str]) -> dict[str, int]:
        """The ids of the tracks of some paths, by path; those that the library has."""
        with self.library() as library:
            found = {path: library.track(path) for path in paths}
        return {path: track.id for path, track in found.items() if track is not None}

    def digest_in_use(self) -> str:
        """Digest of the model whose labels the library goes by; empty where there is none."""
        with suppress(StorageError), self.library() as library:
            return library.model().digest
        return ""

    def cached(self, key: str, make: Callable[[], V], state: Hashable = None, seconds: float = 0.0) -> V:
        """What ``make`` gives, worked out by one request for all.

        It holds for as long as the library stays as it is; and for so many ``seconds`` at least while ``state`` does.
        """
        with self._lock:
            cell = self._cache.setdefault(key, _Cell())
        with cell.lock:
            generation, now = self.session.generation, time.monotonic()
            fresh = cell.generation == generation or (cell.state == state and now - cell.made < seconds)
            if not (generation and cell.made and fresh):
                cell.value, cell.generation, cell.state, cell.made = make(), generation, state, time.monotonic()
            return cast(V, cell.value)

    def folders(self) -> list[Folder]:
        """Folders that may be scanned and learned from: the library's, those of the options, the user's music folder.

        No other folder can be named: a request holds ids, never paths.
        """
        roots: list[str] = []
        with suppress(StorageError), self.library() as library:
            roots = library.roots()
        own = music_folder()
        named = [
            *roots,
            *(str(Path(one).resolve()) for one in self.options.music),
            *([str(own)] if own.is_dir() else []),
        ]
        return [Folder(_id_of(path), path, path in roots) for path in dict.fromkeys(named)]

    def folder(self, key: str) -> Folder:
        """The folder of an id.

        Raises:
            UnknownName: There is none.
        """
        found = {one.id: one for one in self.folders()}
        if key not in found:
            raise UnknownName("folder", key[:100], found)
        return found[key]

    def __enter__(self) -> Self:
        # A first worker loads the model's libraries while the first request is answered.
        threading.Thread(target=self._warm, name="earmark-engine", daemon=True).start()
        return self

    def _warm(self) -> None:
        self.engine.__enter__()
        clear_uploads()
        with suppress(EarmarkError), self.library():  # a large one takes a while to read
            pass

    def __exit__(self, *_: object) -> None:
        """End in order: streams, jobs, then the worker processes."""
        self.closing.set()
        self.jobs.cancel()
        self.jobs.wait(_GRACE)
        self.engine.close()  # which ends what waits for it, too
        self.jobs.wait()
        self.session.close()


def _id_of(path: str) -> str:
    return "f" + hashlib.sha256(encode_path(path)).hexdigest()[:12]


def service_of(request: Request) -> Service:
    """The service of the application that a request came to."""
    return cast(Service, request.app.state.service)
