"""Before a scan hears anything: what is new, changed, moved or gone below the folders."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from earmark.audio.files import Entry, walk
from earmark.errors import AudioError, EarmarkError
from earmark.inference.records import Failure
from earmark.library.records import LibraryModel
from earmark.library.store import Library, Stamp, StoredFile

__all__ = ["PASSING", "Survey", "Todo", "real_root", "survey"]

PASSING = ("missing", "permission", "vanished", "io")
"""Failures that say nothing of the file itself: it is tried again, and what was heard of it before still holds."""


@dataclass(frozen=True, slots=True)
class Todo:
    """A file that a worker has to open."""

    path: str
    stamp: Stamp
    known: StoredFile | None


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
    gone: dict[str, StoredFile] = field(default_factory=dict)
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
    known = {track.path: track for track in library.stored_files(model.key)}
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
    known: Mapping[str, StoredFile]
    by_file: dict[tuple[str, int, int], StoredFile]
    met: Mapping[str, Stamp]


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
        library.move_track(track.id, path, stamp)
    if _needs_hearing(track, heard_since):
        found.todo.append(Todo(path, stamp, track))
    else:
        found.unchanged += 1


def _moved(library: Library, found: Survey, path: str, stamp: Stamp, before: _Before) -> StoredFile | None:
    """The track that this file was under another name; its row is given the new one, or copied if both are there."""
    track = before.by_file.get(stamp.file) if stamp.file else None
    if track is None or stamp.file is None:
        return None
    if track.path in before.met or (track.path not in found.gone and os.path.lexists(track.path)):
        row = library.copy_track(track.id, path, stamp)
        return replace(track, id=row, path=path, stamp=stamp, error=None, vanished=None)
    library.move_track(track.id, path, stamp)
    found.gone.pop(track.path, None)
    found.moved += 1
    before.by_file[stamp.file] = moved = replace(track, path=path, stamp=stamp, error=None, vanished=None)
    return moved


def _needs_hearing(track: StoredFile, heard_since: float | None) -> bool:
    if track.audio is None:
        return heard_since is not None or track.error is None or track.error in PASSING
    return heard_since is not None and (track.analysed is None or track.analysed < heard_since)


def _hashes(library: Library, found: Survey) -> frozenset[str]:
    """Of the changed files themselves, of those that are gone, and of those of the same size as a new one."""
    audio = {todo.known.audio for todo in found.todo if todo.known} | {track.audio for track in found.gone.values()}
    sizes = {todo.stamp.size for todo in found.todo}
    return frozenset(library.holders(audio, sizes)) if sizes else frozenset()
