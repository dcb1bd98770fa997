"""Export: everything that the library knows, for other programs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earmark.app.library import LibraryRequest, chosen_model, opened
from earmark.errors import StorageError
from earmark.events import Record, Steps, use_case
from earmark.storage import lock, plain_reason, write_file
from earmark.text import json_text

__all__ = ["ExportRequest", "Exported", "Form", "as_jams", "export"]

Form = Callable[[Iterable[Mapping[str, Any]]], Iterator[bytes]]


@dataclass(frozen=True, kw_only=True)
class ExportRequest(LibraryRequest):
    """What to export.

    Attributes:
        output: The file that gets it, or the folder of JAMS files; the records are only yielded where None.
        jams: A JAMS file a song, in a folder.
    """

    output: str | None = None
    jams: bool = False


@dataclass(frozen=True)
class Exported:
    """What was written: ``files`` with ``records`` in all."""

    files: int
    records: int


@use_case
def export(request: ExportRequest, form: Form | None = None) -> Steps[Exported]:
    """Export; ``form`` makes the text of the file out of the records.

    Yields:
        Where there is no file to write: each record as ``tag -f json`` has it, with what the library knows besides.

    Raises:
        EarmarkError: The library cannot be read, or the output cannot be written.
    """
    from earmark.library.export import everything

    target = Path(request.output) if request.output else None
    with opened(request.library) as library, _alone(target):
        model = yield from chosen_model(library, request.model)
        records = counted = _Counted(everything(library, model))
        if target is None:
            for record in records:
                yield Record(record)
            files = 0
        elif request.jams:
            files = _write_jams(records, target)
        else:
            assert form is not None
            write_file(target, form(records))
            files = 1
    return Exported(files, counted.count)


class _Counted:
    """Records, and how many there were."""

    def __init__(self, records: Iterable[Mapping[str, Any]]) -> None:
        self._records, self.count = records, 0

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for record in self._records:
            self.count += 1
            yield record


def _alone(target: Path | None) -> Any:
    """Nobody else writes there meanwhile; a device or a pipe needs no such care."""
    if target is None or not target.parent.is_dir() or (target.exists() and not target.is_file()):
        return nullcontext()
    return lock(target, f"{target}: another run is writing there")


def as_jams(record: Mapping[str, Any]) -> str | None:
    """A record as one line of JAMS; None where it is a failure."""
    from earmark.library.export import jams

    if "error" in record:
        return None
    return json_text(jams(record))


def _write_jams(records: Iterable[Mapping[str, Any]], folder: Path) -> int:
    """A file a song that could be analysed, each of a name of its own."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: the folder of JAMS files cannot be made: {plain_reason(error)}") from error
    seen: set[str] = set()
    for record in records:
        text = as_jams(record)
        if text is None:
            continue
        stem = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", Path(record["path"]).name)[:150]
        name, number = f"{stem}.jams", 1
        while name.casefold() in seen:
            number += 1
            name = f"{stem} ({number}).jams"
        seen.add(name.casefold())
        write_file(folder / name, text + "\n")
    return len(seen)
