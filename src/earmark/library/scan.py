"""Scanning: folders into the library. Only what is new or changed is opened, and only new audio is heard."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from pathlib import Path

from earmark.engine.predict import predict_files
from earmark.inference.options import HearingOptions
from earmark.inference.records import Failure, Prediction
from earmark.library.records import LibraryModel
from earmark.library.store import Library, StoredFile
from earmark.library.survey import PASSING, Survey, Todo, survey
from earmark.library.text import plain_text
from earmark.storage import lock
from earmark.tags.read import artist_and_album, read_tags

__all__ = ["Scan", "Scanned", "only_one", "tags_of"]


def only_one(file: Path) -> AbstractContextManager[None]:
    """Hold the right to scan into a library (StorageError where another process holds it). For ``with``."""
    return lock(file, f"{file}: another scan is at work in it; let it end, or stop it")


@dataclass(slots=True)
class Scanned:
    """What became of a scan's files.

    Attributes:
        heard: Tracks whose audio was heard.
        known: Tracks whose audio was heard before under another name, or before their tags changed.
        unchanged: Tracks that were not opened.
        moved: Tracks found under another name; they are among ``known`` or ``unchanged``.
        vanished: Tracks newly marked as not there any more.
        failed: Files that could not be heard, by kind.
        others: Files that are no audio.
        unplugged: Tracks below a folder that is not to be seen just now; nothing is changed about them.
    """

    heard: int = 0
    known: int = 0
    unchanged: int = 0
    moved: int = 0
    vanished: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    others: int = 0
    unplugged: int = 0


class Scan:
    """One scan: made, then :meth:`run` to its end (or any point before it; nothing that is done is lost).

    Args:
        library: Open for writing, and held by :func:`only_one`.
        roots: From :func:`earmark.library.survey.real_root`.
        model: That is to hear; its ``folder`` is where it is.
        rehear: Hear again what is unchanged. If that is stopped, the next such scan goes on where it was.
    """

    def __init__(self, library: Library, roots: Sequence[str], model: LibraryModel, *, rehear: bool = False) -> None:
        self._library = library
        with library.change():
            self.model = library.add_model(model)
            self._note = f"rehear {self.model.key} {os.pathsep.join(roots)}" if rehear else ""
            since = self._begun() if rehear else None
        self._devices = {root: Path(root).stat().st_dev for root in roots}
        self.survey: Survey = survey(library, roots, self.model, since)
        self.done = Scanned(unchanged=self.survey.unchanged, moved=self.survey.moved, others=self.survey.others)

    def _begun(self) -> float:
        begun = self._library.fact(self._note)
        if begun is None:
            begun = time.time()
            self._library.set_fact(self._note, begun)
        return float(begun)

    @property
    def total(self) -> int:
        """Files to open."""
        return len(self.survey.todo)

    def run(self, workers: int | None = None) -> Iterator[str]:
        """Do it; yields each file's path once it is in the library."""
        for failure in self.survey.failures:
            self._keep_unopened(failure)
        options = HearingOptions(
            embedding=True,
            clips=True,
            content_hash=True,
            layer=self.model.layer or None,
            known=self.survey.hashes,
        )
        todo = self.survey.todo
        if todo:
            count = min(workers, len(todo)) if workers else None
            paths = (one.path for one in todo)
            asked = {one.path: one for one in todo}
            results = predict_files(
                [Path(self.model.folder)], paths, workers=count, options=options, ordered=False
            )  # a slow file must not keep those behind it out of the library
            with closing(results):
                for result in results:
                    one = asked[result.path]
                    self._keep(one, result)
                    yield one.path
        self._finish()

    def _keep(self, todo: Todo, result: Prediction | Failure) -> None:
        """One file's outcome, in one transaction."""
        if isinstance(result, Failure):
            kind = "vanished" if result.kind == "missing" else result.kind
            self.done.failed[kind] += 1
            if kind in PASSING and todo.known is not None:
                return
            with self._library.change():
                self._write(todo, None, {"error": kind, "message": result.message})
            return
        tags = tags_of(todo.path)
        with self._library.change():
            if result.heads:
                audio = self._library.add_result(self.model, result)
                self.done.heard += 1
            else:
                audio = self._library.add_audio(result.content_hash or "", result.seconds)
                same = todo.known is not None and todo.known.audio == audio
                if same and todo.known and not self._library.put_tags(todo.known.id, todo.stamp, tags):
                    self.done.unchanged += 1  # a link was made, or rights were changed
                else:
                    self.done.known += 1
            self._write(todo, audio, tags)

    def _write(self, todo: Todo, audio: int | None, facts: Mapping[str, str]) -> None:
        """The track's row: its own, that of a track that moved here, or a new one."""
        known = todo.known or self._moved(audio)
        self._library.put_track(known.id if known else None, todo.path, todo.stamp, audio, facts)

    def _moved(self, audio: int | None) -> StoredFile | None:
        """The track that is gone and had this audio."""
        if audio is None:
            return None
        for path, track in self.survey.gone.items():
            if track.audio == audio:
                del self.survey.gone[path]
                self.done.moved += 1
                return track
        return None

    def _keep_unopened(self, failure: Failure) -> None:
        """What could not even be looked at is told; a file gets a row, unless the library knows more of it."""
        self.done.failed[failure.kind] += 1
        if Path(failure.path).is_dir() or self._library.track(failure.path) is not None:
            return
        if failure.kind == "missing" and not os.path.lexists(failure.path):
            return
        with self._library.change():
            self._library.put_unopened(failure)

    def _finish(self) -> None:
        """Mark what is gone, and remember the folders."""
        with self._library.change():
            for path, track in self.survey.gone.items():
                if track.vanished is not None:
                    continue
                if self._is_gone(path, track):
                    self._library.mark_vanished(track.id)
                    self.done.vanished += 1
                else:
                    self.done.unplugged += 1
            self._library.remember_roots(self.survey.roots)
            if self._note:
                self._library.set_fact(self._note, None)

    def _is_gone(self, path: str, track: StoredFile) -> bool:
        """Whether the file itself is gone, and not the drive or the folder that it was on."""
        if os.path.lexists(path) or any(path == b or path.startswith(b + os.sep) for b in self.survey.blocked):
            return False
        root = next(root for root in self.survey.roots if path == root or path.startswith(root.rstrip(os.sep) + os.sep))
        try:
            if Path(root).stat().st_dev != self._devices[root] or self._is_empty(root):
                return False
            folder = Path(path).parent
            while not folder.exists():
                folder = folder.parent
            device = str(folder.stat().st_dev)
        except OSError:
            return False
        return device in (track.stamp.device, self.survey.renumbered.get(track.stamp.device))

    def _is_empty(self, root: str) -> bool:
        """An empty folder is what an unplugged drive leaves behind."""
        return not self.survey.unchanged and not self.survey.todo and not self.survey.others and Path(root).is_dir()


def tags_of(path: str) -> dict[str, str]:
    """What the file says of itself."""
    tags = read_tags(Path(path))
    artist, album = artist_and_album(tags)
    year = (*tags.get("year", ()), *tags.get("date", ()), "")[0]
    found = re.search(r"\d{4}", year)
    said = {
        "artist": artist,
        "title": (*tags.get("title", ()), "")[0],
        "album": album,
        "year": found[0] if found else year,
        "genre": ";".join(tags.get("genre", ())),
    }
    return {name: plain_text(text) for name, text in said.items()}
