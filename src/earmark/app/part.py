"""``-o FILE`` is written as ``FILE.part`` and renamed at the end; a run that was stopped goes on where it stood.

The part is a record a line (JSON), whatever the format of FILE. Beside it ``FILE.part.json`` holds the settings
that its records were made with, and ``FILE.part.lock`` keeps a second run out while the first one writes.
"""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from earmark.errors import StorageError
from earmark.inference.records import path_fields
from earmark.storage import lock, plain_reason
from earmark.text import json_text

__all__ = ["Part", "Record", "encode", "open_part"]

Record = Mapping[str, Any]

_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


def encode(record: Record) -> bytes:
    """A record as one line of JSON, always valid UTF-8."""
    return json_text(record).encode() + b"\n"


@dataclass(slots=True)
class Part:
    """A file on its way.

    Attributes:
        target: The FILE of ``-o``.
        kept: Records of an earlier run, which are the first of this run's list.
        notice: What to tell of them; empty where there is nothing to tell.
    """

    target: Path
    kept: int
    notice: str
    _file: io.FileIO
    _held: ExitStack

    @property
    def path(self) -> Path:
        """The part."""
        return _beside(self.target, ".part")

    def append(self, record: Record) -> None:
        """Write a record through to the system at once.

        Raises:
            StorageError: The disk is full, or refuses.
        """
        try:
            _write_all(self._file, encode(record))
        except OSError as error:
            raise self._refusal(error) from error

    def records(self) -> Iterator[dict[str, Any]]:
        """All records so far."""
        with self.path.open("rb") as lines:
            for line in lines:
                yield json.loads(line)

    def kinds(self) -> Iterator[str]:
        """Why each record so far is a failure; "" where it is none."""
        return (str(record["error"]["kind"]) if "error" in record else "" for record in self.records())

    def finish(self, build: Callable[[BinaryIO], None] | None = None) -> None:
        """Put FILE in its place: the part itself, or what ``build`` writes of it.

        Raises:
            StorageError: The disk is full, or refuses; the part is kept.
        """
        built = _beside(self.target, ".part.new")
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            if build is not None:
                with built.open("wb") as file:
                    build(file)
                    file.flush()
                    os.fsync(file.fileno())
            (built if build else self.path).replace(self.target)
            self.path.unlink(missing_ok=True)
            _sidecar(self.target).unlink(missing_ok=True)
        except OSError as error:
            raise self._refusal(error) from error
        finally:
            built.unlink(missing_ok=True)

    def close(self) -> None:
        """Leave the part as it is, to whoever goes on with it; one without a record is taken away."""
        with self._held:
            self._file.close()
            if self.path.is_file() and self.path.stat().st_size == 0:
                self.path.unlink()
                _sidecar(self.target).unlink(missing_ok=True)

    def _refusal(self, error: OSError) -> StorageError:
        why = "the disk is full" if error.errno in _FULL else plain_reason(error)
        return StorageError(f"{self.target}: {why}; what is done is kept in {self.path.name}, run again to go on")


def open_part(target: Path, paths: Sequence[str], settings: Mapping[str, Any]) -> Part:
    """Begin FILE, or go on with what an earlier run left of it.

    Records are kept as long as they are those of ``paths``, in their order; a torn line and what follows is cut off.

    Args:
        target: The FILE of ``-o``.
        paths: One a record, in order.
        settings: What the records depend on; a part made with others begins anew.

    Raises:
        StorageError: FILE cannot be written there, another run is writing it, or ``FILE.part`` is not Earmark's.
    """
    target = target.resolve() if target.is_symlink() else target
    if target.is_dir():
        raise StorageError(f"{target}: is a folder; -o takes a file")
    if not target.parent.is_dir():
        raise StorageError(f"{target}: there is no folder {target.parent}")
    part, wanted = _beside(target, ".part"), json.loads(json.dumps(settings))
    kept, end, notice = 0, 0, ""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(part.open("ab", buffering=0))
            stack.enter_context(lock(part, f"{target}: another run is writing there"))
            if part.stat().st_size:
                kept, end, notice = _left(part, target, paths, wanted)
            file.truncate(end)
            if not kept:
                _sidecar(target).write_text(json.dumps(wanted, ensure_ascii=True) + "\n", "utf-8")
        except OSError as error:
            why = "the disk is full" if error.errno in _FULL else plain_reason(error)
            raise StorageError(f"{target}: cannot write there: {why}") from error
        return Part(target, kept, notice, file, stack.pop_all())


def _left(part: Path, target: Path, paths: Sequence[str], settings: Mapping[str, Any]) -> tuple[int, int, str]:
    """Records to keep, where they end in the part, and what to say."""
    _refuse_strangers(part)
    try:
        before = json.loads(_sidecar(target).read_text("utf-8"))
        other = [key for key in {**settings, **before} if settings.get(key) != before.get(key)]
    except (OSError, ValueError, TypeError):
        return 0, 0, f"{part.name}: nothing tells how it was made; beginning anew"
    if other:
        return 0, 0, f"{part.name}: made with other settings ({' and '.join(other)}); beginning anew"
    kept = end = 0
    with part.open("rb") as lines:
        for line, path in zip(lines, paths, strict=False):
            if not _is_record_of(line, path):
                break
            kept, end = kept + 1, end + len(line)
    if not kept:
        return 0, 0, f"{part.name}: made of other files; beginning anew"
    return kept, end, f"{part.name}: going on after {kept} of {len(paths)} files"


def _refuse_strangers(part: Path) -> None:
    """A file that happens to be called FILE.part, such as a browser's download, is not ours to write over."""
    with part.open("rb") as lines:
        line = lines.readline(65_536)
    if not line.startswith(b'{"path": '):
        raise StorageError(f"{part}: was not made by Earmark; move it away, or give another -o")


def _is_record_of(line: bytes, path: str) -> bool:
    if not line.endswith(b"\n"):
        return False
    try:
        record = json.loads(line)
    except ValueError:
        return False
    fields = path_fields(path)
    return isinstance(record, dict) and all(record.get(key) == fields.get(key) for key in ("path", "path_bytes"))


def _write_all(file: io.FileIO, data: bytes) -> None:
    while data:
        data = data[file.write(data) or 0 :]


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(target.name + suffix)


def _sidecar(target: Path) -> Path:
    return _beside(target, ".part.json")
