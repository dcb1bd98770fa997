"""Before a scan hears anything: what is new, changed, moved or gone below the folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from earmark.audio.files import Entry, walk
from earmark.errors import AudioError, EarmarkError
from earmark.inference.records import Failure
from earmark.library.records import LibraryModel
from earmark.library.schema import encode_path
from earmark.library.store import Library

__all__ = ["PASSING", "Known", "Stamp", "Survey", "Todo", "real_root", "survey"]

PASSING = ("missing", "permission", "vanished", "io")
"""Failures that say nothing of the file itself: it is tried again, and what was heard of it before still holds."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """By what a file is known not to have changed; numbers of the file system as text, for they may be long."""

    device: str
    inode: str
    size: int
    modified: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """The stamp of a file's status."""
        return cls(str(status.st_dev), str(status.st_ino), status.st_size, status.st_mtime_ns)

    def same_content(self, other: Stamp) -> bool:
        """Whether the file has not been written since."""
        return (self.size, self.modified) == (other.size, other.modified)

    @property
    def file(self) -> tuple[str, int, int] | None:
        """What stays when a file is moved or renamed; None on a file system that numbers nothing."""
        return (self.inode, self.size, self.modified) if self.inode != "0" else None


@dataclass(frozen=True, slots=True)
class Known:
    """A track as the library has it."""

    id: int
    path: str
    stamp: Stamp
    audio: int | None
    error: str | None
    vanished: float | None
    heard: float | None  # when the model asked for heard it last


@dataclass(frozen=True, slots=True)
class Todo:
    """A file that a worker has to open."""

    path: str
    stamp: Stamp
    known: Known | None


@dataclass(slots=True)
class Survey:
    """What a scan found and has to do.

    Attributes:
        roots: The folders (or files), as the file system has them.
        todo: What is to be opened, in order.
        hashes: Of audio that needs no hearing if it turns up among them.
        failures: What cannot be opened at all.
        gone: Tracks below the roots that were not met, by path.
        blocked: Folders and files that could not be looked at; nothing below them counts as gone.
        renumbered: By what a device was called before, what it is called now.
        others: Files that are no audio.
        unchanged: Tracks that need nothing.
        moved: Tracks found under another name.
    """

    roots: tuple[str, ...]
    todo: list[Todo] = field(default_factory=list)
    hashes: frozenset[str] = frozenset()
    failures: list[Failure] = field(default_factory=list)
    gone: dict[str, Known] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)
    renumbered: dict[str, str] = field(default_factory=dict)
    others: int = 0
    unchanged: int = 0
    moved: int = 0


def real_root(argument: str) -> str:
    """A folder by its one real name.

    Raises:
        EarmarkError: It is not there.
    """
    try:
        return str(Path(argument).resolve(strict=True))
    except (OSError, ValueError, RuntimeError) as error:
        raise EarmarkError(f"{argument}: no such folder") from error


def survey(library: Library, roots: Sequence[str], model: LibraryModel, heard_since: float | None) -> Survey:
    """Look at every file below the roots, and put right what needs no hearing: moved, renamed and returned files.

    Args:
        library: Open for writing.
        roots: From :func:`real_root`.
        model: That is to hear.
        heard_since: None hears only what is new or changed; a time hears all that the model has not heard since.
    """
    known = {track.path: track for track in _known(library, model)}
    found = Survey(tuple(roots))
    met = _met(found, roots)
    below = tuple(_inside(root) for root in roots)
    found.gone = {
        path: track for path, track in known.items() if path not in met and (path in roots or path.startswith(below))
    }
    by_file = {track.stamp.file: track for track in known.values() if track.stamp.file and track.audio is not None}
    with library.change():
        for path, stamp in met.items():
            _place(library, found, path, stamp, _Before(known, by_file, met), heard_since)
    if heard_since is None:
        found.hashes = _hashes(library, found)
    return found


@dataclass(frozen=True, slots=True)
class _Before:
    known: Mapping[str, Known]
    by_file: dict[tuple[str, int, int], Known]
    met: Mapping[str, Stamp]


def _known(library: Library, model: LibraryModel) -> Iterable[Known]:
    query = (
        "SELECT id, path, device, inode, size, modified, tracks.audio, error, vanished, heard FROM tracks"
        " LEFT JOIN results ON results.model = ? AND results.audio = tracks.audio"
    )
    for row in library.db.execute(query, (model.key,)):
        yield Known(row[0], row[1], Stamp(*row[2:6]), *row[6:])


def _inside(root: str) -> str:
    return root if root.endswith(os.sep) else root + os.sep


def _met(found: Survey, roots: Sequence[str]) -> dict[str, Stamp]:
    """Every file that can be looked at, with its stamp; what cannot goes to ``found.blocked`` and ``.failures``."""
    met: dict[str, Stamp] = {}
    for entry in walk(roots):
        if not entry.audio:
            found.others += 1
            continue
        try:
            if entry.error is not None:
                raise entry.error
            met[entry.path] = Stamp.of(Path(entry.path).stat())
        except (AudioError, OSError) as error:
            _block(found, entry, error)
    return met


def _block(found: Survey, entry: Entry, error: AudioError | OSError) -> None:
    if not isinstance(error, AudioError):
        error = AudioError(entry.path, "io", error.strerror or str(error))
    found.blocked.append(entry.path)
    found.failures.append(Failure.of(error))


def _place(
    library: Library, found: Survey, path: str, stamp: Stamp, before: _Before, heard_since: float | None
) -> None:
    """Decide about one file that is there."""
    track = before.known.get(path)
    if track is None:
        track = _moved(library, found, path, stamp, before)
    if track is None:
        found.todo.append(Todo(path, stamp, None))
        return
    if not track.stamp.same_content(stamp):
        found.todo.append(Todo(path, stamp, track))
        return
    if track.stamp.device != stamp.device:
        found.renumbered[track.stamp.device] = stamp.device
    if (track.stamp.device, track.stamp.inode) != (stamp.device, stamp.inode) or track.vanished is not None:
        query = "UPDATE tracks SET device = ?, inode = ?, vanished = NULL WHERE id = ?"
        library.db.execute(query, (stamp.device, stamp.inode, track.id))
    if _needs_hearing(track, heard_since):
        found.todo.append(Todo(path, stamp, track))
    else:
        found.unchanged += 1


def _moved(library: Library, found: Survey, path: str, stamp: Stamp, before: _Before) -> Known | None:
    """The track that this file was under another name; its row is given the new one, or copied if both are there."""
    track = before.by_file.get(stamp.file) if stamp.file else None
    if track is None or stamp.file is None:
        return None
    if track.path in before.met or (track.path not in found.gone and os.path.lexists(track.path)):
        copied = "artist, title, album, year, genre, audio, size, modified"
        row = library.db.execute(
            f"INSERT INTO tracks (path, device, inode, {copied})"
            f" SELECT CAST(? AS TEXT), ?, ?, {copied} FROM tracks WHERE id = ? RETURNING id",
            (encode_path(path), stamp.device, stamp.inode, track.id),
        ).fetchone()
        return Known(row[0], path, stamp, track.audio, None, None, track.heard)
    query = "UPDATE tracks SET path = CAST(? AS TEXT), device = ?, inode = ?, vanished = NULL WHERE id = ?"
    library.db.execute(query, (encode_path(path), stamp.device, stamp.inode, track.id))
    found.gone.pop(track.path, None)
    found.moved += 1
    before.by_file[stamp.file] = moved = replace(track, path=path, stamp=stamp, error=None, vanished=None)
    return moved


def _needs_hearing(track: Known, heard_since: float | None) -> bool:
    if track.audio is None:
        return heard_since is not None or track.error is None or track.error in PASSING
    return heard_since is not None and (track.heard is None or track.heard < heard_since)


def _hashes(library: Library, found: Survey) -> frozenset[str]:
    """Of the changed files themselves, of those that are gone, and of those of the same size as a new one."""
    audio = {todo.known.audio for todo in found.todo if todo.known} | {track.audio for track in found.gone.values()}
    sizes = {todo.stamp.size for todo in found.todo}
    hashes = set()
    if sizes:
        query = "SELECT size, audio, hash FROM tracks JOIN audio ON audio.id = tracks.audio"
        hashes = {row[2] for row in library.db.execute(query) if row[1] in audio or row[0] in sizes}
    return frozenset(hashes)
