"""Before a scan opens anything: what is new, changed, moved or gone below the folders."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from earmark.audio.files import Entry, walk
from earmark.errors import AudioError, EarmarkError
from earmark.inference.records import Failure
from earmark.library.opening import Item
from earmark.library.records import LibraryModel
from earmark.library.store import Library, Stamp, StoredFile

__all__ = ["PASSING", "Survey", "Todo", "real_root", "survey"]

PASSING = ("missing", "permission", "vanished", "io", "crash", "timeout")
"""Failures that say nothing of the file itself: it is tried again, and what is known of it still holds."""


@dataclass(frozen=True, slots=True)
class Todo:
    """A file that a worker has to open.

    Attributes:
        item: What is to be done with it.
        stamp: Of the file as it is now.
        known: The track as the library has it, or None.
        moved: Whether it is there under another name, with new tags perhaps.
    """

    item: Item
    stamp: Stamp
    known: StoredFile | None
    moved: bool = False

    @property
    def path(self) -> str:
        """The file's."""
        return self.item.path


@dataclass(slots=True)
class Survey:
    """What a scan found and has to do.

    Attributes:
        roots: The folders (or files), as the file system has them.
        todo: What is to be opened, in order.
        met: Every file that can be looked at.
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
    met: dict[str, Stamp] = field(default_factory=dict)
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


def survey(
    library: Library,
    roots: Sequence[str],
    model: LibraryModel,
    analysed_since: float | None,
    exclude: Sequence[str] = (),
) -> Survey:
    """Look at every file below the roots, and put right what needs no opening: renamed and returned files.

    Args:
        library: Open for writing.
        roots: From :func:`real_root`.
        model: That is to analyse.
        analysed_since: None opens only what is new or changed; a time opens all that the model has not analysed since.
        exclude: Patterns of files that are left out.
    """
    known = {track.path: track for track in library.stored_files(model.key)}
    found = Survey(tuple(roots))
    _meet(found, roots, exclude)
    below = tuple(root if root.endswith(os.sep) else root + os.sep for root in roots)
    found.gone = {
        path: track
        for path, track in known.items()
        if path not in found.met and (path in roots or path.startswith(below))
    }
    before = _Before(known, {}, {})
    for track in known.values():
        if track.audio is not None and track.stamp.file:
            before.by_file[track.stamp.file] = track
        if track.state == "identify":
            before.by_name[_name(track.path, track.stamp)] = track
    with library.change():
        for path, stamp in found.met.items():
            _place(library, found, path, stamp, before, analysed_since)
    return found


@dataclass(frozen=True, slots=True)
class _Before:
    known: Mapping[str, StoredFile]
    by_file: dict[tuple[str, int, int], StoredFile]
    by_name: dict[tuple[str, int, int], StoredFile]


def _name(path: str, stamp: Stamp) -> tuple[str, int, int]:
    return Path(path).name, stamp.size, stamp.modified


def _meet(found: Survey, roots: Sequence[str], exclude: Sequence[str]) -> None:
    """Every file that can be looked at, with its stamp; what cannot goes to ``found.blocked`` and ``.failures``."""
    for entry in walk(roots, exclude):
        if not entry.audio:
            found.others += 1
            continue
        try:
            if entry.error is not None:
                raise entry.error
            found.met[entry.path] = Stamp.of(Path(entry.path).stat())
        except (AudioError, OSError) as error:
            _block(found, entry, error)


def _block(found: Survey, entry: Entry, error: AudioError | OSError) -> None:
    if not isinstance(error, AudioError):
        error = AudioError(entry.path, "io", error.strerror or str(error))
    found.blocked.append(entry.path)
    found.failures.append(Failure.of(error))


def _place(
    library: Library, found: Survey, path: str, stamp: Stamp, before: _Before, analysed_since: float | None
) -> None:
    """Decide about one file that is there."""
    track, moved = before.known.get(path), False
    if track is None:
        track = _moved(library, found, path, stamp, before)
        moved = track is not None
    if track is None:
        found.todo.append(Todo(Item(path), stamp, None))
        return
    if not moved and not track.stamp.same_content(stamp):
        identify = track.state == "identify" and analysed_since is None
        item = Item(path, "identify", track.seconds) if identify else Item(path)
        found.todo.append(Todo(item, stamp, track))
        return
    if track.stamp.device != stamp.device:
        found.renumbered[track.stamp.device] = stamp.device
    if track.stamp != stamp or track.vanished is not None:
        library.move_track(track.id, path, stamp)
    if _needs_analysis(track, analysed_since):
        found.todo.append(Todo(Item(path, "again" if track.error in PASSING else "analyse"), stamp, track))
    elif track.state == "identify":
        found.todo.append(Todo(Item(path, "identify", track.seconds), stamp, track, moved))
    elif moved:
        found.todo.append(Todo(Item(path, "tags"), stamp, track, moved))
    else:
        found.unchanged += 1


def _moved(library: Library, found: Survey, path: str, stamp: Stamp, before: _Before) -> StoredFile | None:
    """The track that this file was under another name; its row is given the new one, or copied if both are there."""
    track = before.by_file.get(stamp.file) if stamp.file else None
    if track is None:
        # The key of format 1 cannot be found again: a file of the same name, size and time is taken for the one gone.
        track = before.by_name.get(_name(path, stamp))
        if track is None or track.path not in found.gone:
            return None
    if track.path in found.met or (track.path not in found.gone and os.path.lexists(track.path)):
        row = library.copy_track(track.id, path, stamp)
        return replace(track, id=row, path=path, stamp=stamp, error=None, vanished=None)
    library.move_track(track.id, path, stamp)
    found.gone.pop(track.path, None)
    found.moved += 1
    moved = replace(track, path=path, stamp=stamp, error=None, vanished=None)
    if stamp.file:
        before.by_file[stamp.file] = moved
    return moved


def _needs_analysis(track: StoredFile, analysed_since: float | None) -> bool:
    if track.state == "analyse" or track.error in PASSING:
        return True
    if track.audio is None:
        return analysed_since is not None or track.error is None
    return analysed_since is not None and (track.analysed is None or track.analysed < analysed_since)
