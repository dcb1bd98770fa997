"""The journal: a file a run, a record a line (JSON), written through to the disk before each change.

``run`` heads it; ``copy`` says which file is being prepared; ``change`` holds everything to make the old file of the
new one; ``undone`` says that a change was taken back, ``closed`` that all was that can be. Every line stands for
itself, so that a journal that was cut off or damaged in the middle still serves with all its other lines.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from earmark.errors import StorageError, UnknownName
from earmark.filetags.swap import Step
from earmark.inference.records import path_fields
from earmark.paths import data_folder
from earmark.storage import lock, plain_reason, sync_folder

__all__ = ["FORMAT", "Change", "Journal", "Run", "journal_folder", "locked", "read_run", "run_names"]

FORMAT = 2
"""Version of the journal's lines. A reader refuses a greater one."""

_STAMP = "%Y%m%d-%H%M%S"
_PATH_IN_PIECE = re.compile(rb'"path": ("(?:[^"\\]|\\.)*")')


def journal_folder() -> Path:
    """Where the journals are: in the user's data folder, whatever library was used, so that an undo finds them."""
    return data_folder() / "tag-journal"


@dataclass(frozen=True, slots=True)
class Change:
    """One file's change as the journal holds it.

    Attributes:
        number: Of its line, from 1.
        path: The file, absolute, links followed.
        before: SHA-256 of the old file.
        after: And of the new one.
        size: Bytes of the old file.
        modified: Its time of modification, in nanoseconds.
        offset: Where its line begins in the journal.
    """

    number: int
    path: str
    before: str
    after: str
    size: int
    modified: int
    offset: int


@dataclass(slots=True)
class Run:
    """One run as its journal has it; of a change only its place is kept, so that 50,000 of them need little memory.

    Attributes:
        name: Its time (UTC), as in ``20260131-185900``.
        file: The journal.
        facts: Its head: library, policy and the like; empty where that line is lost.
        places: Number and first byte of each change's line, in the order in which they were made.
        last_copy: The last file that was being prepared, changed or not.
        undone: Numbers of the changes that were taken back.
        closed: Whether it was taken back as far as that goes.
        damage: What cannot be read and was not reported yet: a line for people, by the number of the journal's line.
    """

    name: str
    file: Path
    facts: dict[str, Any] = field(default_factory=dict)
    places: list[tuple[int, int]] = field(default_factory=list)
    last_copy: str = ""
    undone: set[int] = field(default_factory=set)
    closed: bool = False
    damage: dict[int, str] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """How many changes were not taken back."""
        return sum(number not in self.undone for number, _ in self.places)

    def changes(self) -> Iterator[Change]:
        """Those that were not taken back, the last first."""
        for number, offset in reversed(self.places):
            if number not in self.undone:
                yield _change_of(number, offset, self._record(offset))

    def steps(self, change: Change) -> list[Step]:
        """The way back of one change."""
        steps: list[Step] = self._record(change.offset)["back"]
        return steps

    def _record(self, offset: int) -> dict[str, Any]:
        with self.file.open("rb") as lines:
            lines.seek(offset)
            record: dict[str, Any] = json.loads(lines.readline())
            return record


class Journal:
    """A journal that is written: a new run's, or a known run's that goes on.

    The file is made with its first record.
    """

    def __init__(self, folder: Path, name: str, head: dict[str, Any] | None = None) -> None:
        self.name, self.file = name, folder / f"{name}.jsonl"
        self._head = head
        self._open: IO[bytes] | None = None

    @classmethod
    def new(cls, folder: Path, **facts: Any) -> Journal:
        """A journal of a new run, which is later by name than all that there are."""
        now = datetime.now(UTC)
        names = run_names(folder)
        if names and names[-1] >= now.strftime(_STAMP):  # within a second, or the clock was turned back
            now = datetime.strptime(names[-1], _STAMP).replace(tzinfo=UTC) + timedelta(seconds=1)
        name = now.strftime(_STAMP)
        return cls(folder, name, {"event": "run", "format": FORMAT, "run": name, **facts})

    @property
    def begun(self) -> bool:
        """Whether there is anything in it."""
        return self._open is not None

    def copying(self, path: Path) -> None:
        """Note that a copy of this file is being made beside it."""
        self._write({"event": "copy", **path_fields(str(path))})

    def changing(self, path: Path, facts: dict[str, Any], steps: Sequence[Step]) -> None:
        """Note a change with the way back, and see it safely on the disk."""
        self._write({"event": "change", **path_fields(str(path)), **facts, "back": steps}, sync=True)

    def undone(self, number: int) -> None:
        """Note that a change was taken back, or a lost line reported."""
        self._write({"event": "undone", "change": number})

    def closing(self) -> None:
        """Note that the run was taken back as far as that goes: the next undo takes the one before."""
        self._write({"event": "closed"})

    def close(self) -> None:
        """End it."""
        if self._open is not None:
            self._open.close()

    def _write(self, record: dict[str, Any], *, sync: bool = False) -> None:
        try:
            if self._open is None:
                self._open = self._begin()
            self._open.write(_line(record))
            self._open.flush()
            if sync:
                os.fsync(self._open.fileno())
        except OSError as error:
            reason = f"the journal cannot be written, so no file is changed: {plain_reason(error)}"
            raise StorageError(f"{self.file}: {reason}") from error

    def _begin(self) -> IO[bytes]:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        file = self.file.open("ab")
        if self._head is not None:
            file.write(_line(self._head))
            file.flush()
            sync_folder(self.file.parent)
        elif not _ends_whole(self.file):
            file.write(b"\n")  # after a line that was cut off
        return file


def run_names(folder: Path) -> list[str]:
    """All runs that there are journals of, the oldest first."""
    try:
        return sorted(file.stem for file in folder.glob("*.jsonl") if re.fullmatch(r"\d{8}-\d{6}", file.stem))
    except OSError as error:
        raise StorageError(f"{folder}: the journals cannot be read: {error.strerror}") from error


def read_run(folder: Path, name: str) -> Run:
    """Read a run's journal as far as it can be read.

    Raises:
        UnknownName: There is no such run.
        StorageError: It cannot be read at all, or a newer Earmark wrote it.
    """
    file = folder / f"{name}.jsonl"
    if name not in run_names(folder):
        raise UnknownName("run", name, run_names(folder))
    run, offset = Run(name, file), 0
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                _take(run, number, line, offset)
                offset += len(line)
    except OSError as error:
        raise StorageError(f"{file}: the journal cannot be read: {error.strerror}") from error
    run.damage = {number: line for number, line in run.damage.items() if number not in run.undone}
    return run


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else writes or undoes tags meanwhile.

    Raises:
        StorageError: Somebody does, or the folder cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{folder}: the journals cannot be written, so no file is changed: {plain_reason(error)}"
        ) from error
    with lock(folder / "journal", "another `write-tags` or `undo` is at work; try again when it is done"):
        yield


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=True).encode() + b"\n"


def _ends_whole(file: Path) -> bool:
    with file.open("rb") as lines:
        if lines.seek(0, os.SEEK_END) == 0:
            return True
        lines.seek(-1, os.SEEK_END)
        return lines.read() == b"\n"


def _take(run: Run, number: int, line: bytes, offset: int) -> None:
    """What one line says; a damaged one is noted with the file that it was about, as far as that can be read."""
    try:
        record = json.loads(line)
        _record(run, number, record, offset)
    except (ValueError, KeyError, TypeError):
        named = _PATH_IN_PIECE.search(line)
        about = named[1].decode("utf-8", "replace").strip('"') if named else "a file"
        end = "is cut off" if not line.endswith(b"\n") else "is damaged"
        run.damage[number] = f"line {number} {end}: if {about} was changed there, it keeps its new tags"


def _record(run: Run, number: int, record: dict[str, Any], offset: int) -> None:
    event = record["event"]
    if event == "run":
        if int(record["format"]) > FORMAT:
            raise StorageError(f"{run.file}: a newer Earmark wrote this journal; update Earmark")
        run.facts = record
    elif event == "copy":
        run.last_copy = _path(record)
    elif event == "undone":
        run.undone.add(int(record["change"]))
    elif event == "closed":
        run.closed = True
    elif event == "change":
        _change_of(number, offset, record)
        run.places.append((number, offset))
    else:
        raise ValueError


def _change_of(number: int, offset: int, record: dict[str, Any]) -> Change:
    if not isinstance(record["back"], list):
        raise TypeError
    before, after = record["before"], record["after"]
    facts = (str(before["sha256"]), str(after["sha256"]), int(before["size"]), int(before["modified"]))
    return Change(number, _path(record), *facts, offset)


def _path(record: dict[str, Any]) -> str:
    if "path_bytes" in record:
        return os.fsdecode(base64.b64decode(record["path_bytes"]))
    return str(record["path"])
