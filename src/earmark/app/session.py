"""A library that stays open: what a server answers from, in memory, while others write.

Requests are answered from the newest complete snapshot; a thread makes the next one once the file has changed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from earmark.library.records import LibraryModel
    from earmark.library.store import Library

__all__ = ["LibrarySession"]

_EVERY = 2.0  # seconds from one snapshot to the next, at least
_REST = 3  # times as long as the last one took to make


class LibrarySession:
    """One library for many requests, from any thread: ``similar(request, session=session)`` opens no file.

    A library that is deleted, replaced or brought to a newer format is left; the next request opens what is there then.

    Args:
        file: The library; the one in the user's data folder where None.
        every: Seconds from one snapshot to the next, at least.

    Attributes:
        file: The library's file.
    """

    def __init__(self, file: str | None = None, every: float = _EVERY) -> None:
        from earmark.library.store import default_file

        self.file, self._every = Path(file) if file else default_file(), every
        self._lock = threading.Lock()
        self._open: _Open | None = None
        self._generation = 0

    @contextmanager
    def reading(self) -> Iterator[Library]:
        """The newest snapshot, for as long as one request takes; the first request waits for the first one.

        Raises:
            StorageError: There is no library, or it cannot be used just now.
        """
        with self._lock:
            if self._open is not None and not self._open.is_of(self.file):
                self._leave()
            if self._open is None:
                self._open = _Open(self.file, self._every, self._generation)
            opened = self._open
        with opened.reading() as library:
            yield library

    @property
    def generation(self) -> int:
        """Which snapshot :meth:`reading` gives, counted from 1; 0 where there is none, or its file is gone."""
        opened = self._open
        return opened.generation if opened is not None and opened.is_of(self.file) else 0

    def look(self, wait: float = 0.0) -> None:
        """Look now, not in a while, whether the file has changed: after a change of one's own.

        Args:
            wait: Seconds to wait at most until :meth:`reading` gives what was there when this was called.
        """
        if (opened := self._open) is not None:
            opened.look(wait)

    def close(self) -> None:
        """Let go of the file; requests that are being answered come to their end."""
        with self._lock:
            if self._open is not None:
                self._leave()

    def _leave(self) -> None:
        assert self._open is not None
        self._generation = self._open.generation
        self._open.end()
        self._open = None


class _Open:
    """An open file, its newest snapshot, and the thread that makes the next; closed when the last request leaves."""

    def __init__(self, file: Path, every: float, generation: int) -> None:
        from earmark.library.store import Library

        self._identity, self._every = _identity(file), every
        self._library = Library(file, write=False, make=False)
        self._changed = threading.Condition()
        self._snapshot: Library | None = None
        self._error: Exception | None = None
        self._users, self._ending, self._look = 1, False, threading.Event()
        self._begun = self._done = 0  # looks at the file
        self.generation = generation
        threading.Thread(target=self._watch, name="earmark-library", daemon=True).start()

    def is_of(self, file: Path) -> bool:
        """Whether the file at that path is still this one, and can still be read."""
        return self._error is None and _identity(file) == self._identity

    @contextmanager
    def reading(self) -> Iterator[Library]:
        with self._changed:
            self._users += 1
            self._changed.wait_for(lambda: self._snapshot or self._error)
            snapshot, error = self._snapshot, self._error
        try:
            if snapshot is None:
                assert error is not None
                raise error
            yield snapshot
        finally:
            self._leave()

    def look(self, wait: float) -> None:
        """Look at once whether the file has changed."""
        with self._changed:
            asked = self._begun + 1
            self._look.set()
            if wait:
                self._changed.wait_for(lambda: self._done >= asked or self._error or self._ending, wait)

    def end(self) -> None:
        """End the thread, and with it its use of the file."""
        self._ending = True
        self._look.set()

    def _leave(self) -> None:
        with self._changed:
            self._users -= 1
            last = not self._users
        if last:
            self._library.close()

    def _watch(self) -> None:
        seen = None
        try:
            while not self._ending:
                begun = time.monotonic()
                self._begun += 1
                version = self._library.value("PRAGMA data_version")
                if version != seen:
                    self._library.check_format()
                    self._put(self._take())
                    seen = version
                with self._changed:
                    self._done = self._begun
                    self._changed.notify_all()
                self._look.wait(max(self._every, _REST * (time.monotonic() - begun)))
                self._look.clear()
        except Exception as error:
            self._error = error
        finally:
            with self._changed:
                self._changed.notify_all()
            self._leave()

    def _take(self) -> Library:
        from earmark.library.resident import take_snapshot

        model = _model(self._library)
        if model is None:
            return self._library.snapshot({})
        before = self._snapshot
        known = before is not None and before.remembered(("results", model.key)) is not None
        return take_snapshot(self._library, model, before if known else None)

    def _put(self, snapshot: Library) -> None:
        with self._changed:
            self._snapshot = snapshot
            self.generation += 1
            self._changed.notify_all()


def _model(library: Library) -> LibraryModel | None:
    """The model in use; None where nothing was analysed yet."""
    return library.model() if library.models() else None


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
