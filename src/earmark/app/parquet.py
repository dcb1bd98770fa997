"""``-o FOLDER.parquet`` or ``-o s3://BUCKET/FOLDER``: records as parts of a Parquet data set; a stopped run goes on.

A part appears as a whole or not at all, and is named by the place of its first record. ``_earmark.json`` beside the
parts holds the settings that they were made with, and whether all is done; readers of Parquet leave it out.
"""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from earmark.analyses.facts import ANALYSES
from earmark.app.part import Part, Record, encode, open_part
from earmark.errors import MissingExtra, StorageError
from earmark.inference.records import path_fields
from earmark.remote import Place, first_line, is_address, place
from earmark.storage import TEMPORARY, lock, write_file

if TYPE_CHECKING:
    from earmark.models.card import Card

__all__ = ["Columns", "ParquetPart", "is_parquet", "open_output", "record_columns", "vector_columns"]

_ROWS = 2_000  # records of a part, at most
_SECONDS = 300.0  # after which what there is becomes a part: what a lost head loses at most
_SETTINGS = "_earmark.json"


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns are, and what a record has in them.

    Attributes:
        schema: The Arrow schema.
        row: A record as values by column.
    """

    schema: Any
    row: Callable[[Record], dict[str, Any]]


def is_parquet(output: str) -> bool:
    """Whether records go into a Parquet data set: an address, or a folder with that ending."""
    return is_address(output) or output.rstrip("/\\").lower().endswith(".parquet")


def record_columns(card: Card, features: Iterable[str] = ()) -> Columns:
    """Columns of the records of ``tag``: what all heads have in common, by head, and the features that they carry.

    ``record`` is the line of JSON.
    """
    pa = _arrow()
    heads = [head.name for head in card.heads]
    head = pa.struct([
        ("label", pa.string()), ("confidence", pa.float64()), ("labels", pa.list_(pa.string())),
        ("value", pa.float64()), ("scores", pa.map_(pa.string(), pa.float64())),
    ])  # fmt: skip
    fields = [("seconds", pa.float64()), ("model", pa.string()), ("warning", pa.string())]
    fields += [("heads", pa.struct([(name, head) for name in heads]))]
    if told := [(name, _feature(pa, name)) for name in features]:
        fields += [("features", pa.struct(told))]
    fields += [("record", pa.string())]

    def row(record: Record) -> dict[str, Any]:
        found = {
            name: dict(one) | {"scores": list(one.get("scores", {}).items())}
            for name, one in record.get("heads", {}).items()
        }
        return {**record, "heads": found or None, "record": encode(record).decode().rstrip("\n")}

    return Columns(pa.schema(_common(pa) + fields), row)


def _feature(pa: Any, name: str) -> Any:
    """The columns of a feature."""
    told = ANALYSES[name].untold.to_dict()
    texts = ("value", "camelot") if name == "key" else ()
    return pa.struct([(key, pa.string() if key in texts else pa.float64()) for key in told])


def vector_columns(vector: Callable[[Record], Any]) -> Columns:
    """Columns of embeddings: ``embedding`` is null where a file could not be analysed."""
    pa = _arrow()
    fields = [("embedding", pa.list_(pa.float32())), ("record", pa.string())]

    def row(record: Record) -> dict[str, Any]:
        failed = "error" in record
        text = encode(record).decode().rstrip("\n") if failed else encode(path_fields(record["path"])).decode().strip()
        return {**record, "embedding": None if failed else vector(record), "record": text}

    return Columns(pa.schema(_common(pa) + fields), row)


def open_output(
    output: str, paths: Sequence[str], settings: Mapping[str, Any], columns: Callable[[], Columns]
) -> Part | ParquetPart:
    """Begin what ``-o`` names, or go on with what an earlier run left of it; see :func:`earmark.app.part.open_part`.

    Raises:
        StorageError: It cannot be written there, or holds what Earmark did not make.
        EarmarkError: Parquet or the address needs what is not installed.
    """
    if not is_parquet(output):
        return open_part(Path(output), paths, settings)
    there = place(output if is_address(output) else f"file://{Path(output).absolute().as_posix()}")
    part = ParquetPart(output, there, columns(), json.loads(json.dumps(settings)))
    with ExitStack() as stack, _refusals(output):
        if there.is_local:
            folder = Path(there.path)
            folder.mkdir(exist_ok=True)
            stack.enter_context(lock(folder, f"{output}: another run is writing there"))
        part.begin(paths)
        part.held = stack.pop_all()
    return part


@dataclass(slots=True)
class ParquetPart:
    """A data set on its way.

    Attributes:
        target: What ``-o`` named.
        there: Where that is.
        columns: Of the parts.
        settings: That the records are made with.
        kept: Records of an earlier run.
        notice: What to tell of them; empty where there is nothing to tell.
        held: What keeps a second run out of a folder of this machine.
    """

    target: str
    there: Place
    columns: Columns
    settings: Mapping[str, Any]
    kept: int = 0
    notice: str = ""
    held: ExitStack = field(default_factory=ExitStack)
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _done: int = 0
    _since: float = field(default_factory=time.monotonic)

    def begin(self, paths: Sequence[str]) -> None:
        """Keep the parts of an earlier run as far as their records are those of ``paths``, in their order.

        Raises:
            StorageError: The folder holds what Earmark did not make.
        """
        found = self._parts()
        if found:
            self._keep(found, paths)
        self._write(_SETTINGS, self._facts(finished=False))

    def append(self, record: Record) -> None:
        """Take in a record; every so many, and every five minutes, they become a part."""
        self._rows.append(self.columns.row(record))
        if len(self._rows) >= _ROWS or time.monotonic() - self._since > _SECONDS:
            self._flush()

    def records(self) -> Iterator[dict[str, Any]]:
        """All records so far."""
        self._flush()
        for name in self._parts():
            yield from map(json.loads, self._read(name, "record"))

    def kinds(self) -> Iterator[str]:
        """Why each record so far is a failure; "" where it is none."""
        self._flush()
        for name in self._parts():
            yield from ("" if error is None else str(error["kind"]) for error in self._read(name, "error"))

    def width(self, column: str) -> int:
        """The length of the first list of a column; 0 without one."""
        self._flush()
        lists = (one for name in self._parts() for one in self._read(name, column) if one is not None)
        return len(next(lists, ()))

    def finish(self, build: object = None) -> None:
        """All is done; ``build`` does not count."""
        self._flush()
        with _refusals(self.target):
            self._write(_SETTINGS, self._facts(finished=True))

    def close(self) -> None:
        """Leave the data set as it is, to whoever goes on with it."""
        with self.held:
            self._flush()

    def _facts(self, *, finished: bool) -> bytes:
        return json.dumps({"finished": finished, "settings": self.settings}, indent=1).encode() + b"\n"

    def _keep(self, found: list[str], paths: Sequence[str]) -> None:
        before = self._settings()
        same = before.get("settings") == self.settings
        if before.get("finished") or not same:
            self.notice = "" if before.get("finished") else f"{self.target}: made with other settings; beginning anew"
        else:
            for name in found:
                rows = self._read(name, "path")
                asked = [path_fields(path)["path"] for path in paths[self.kept : self.kept + len(rows)]]
                if _start(name) != self.kept or rows != asked:
                    break
                self.kept += len(rows)
            self.notice = f"{self.target}: going on after {self.kept} of {len(paths)} files" if self.kept else ""
        self._done = self.kept
        for name in found:
            if _start(name) >= self.kept:
                self.there.files.delete_file(self._path(name))

    def _parts(self) -> list[str]:
        """The names of the parts, in order."""
        try:
            names = [PurePosixPath(path).name for path in self.there.below()]
        except FileNotFoundError:
            return []
        names = [name for name in names if not fnmatch(name, TEMPORARY)]  # of a run that was killed
        if names and _SETTINGS not in names:
            raise StorageError(f"{self.target}: holds files that Earmark did not make; give another -o")
        return sorted((name for name in names if _start(name) >= 0), key=_start)

    def _settings(self) -> dict[str, Any]:
        with suppress(OSError, ValueError), self.there.files.open_input_stream(self._path(_SETTINGS)) as stream:
            found = json.loads(stream.read())
            return found if isinstance(found, dict) else {}
        return {}

    def _read(self, name: str, column: str) -> list[Any]:
        from pyarrow import parquet

        with self.there.files.open_input_file(self._path(name)) as file:
            found: list[Any] = parquet.read_table(file, columns=[column]).column(column).to_pylist()
        return found

    def _flush(self) -> None:
        if self._rows:
            import pyarrow as pa
            from pyarrow import parquet

            content = io.BytesIO()
            table = pa.Table.from_pylist(self._rows, self.columns.schema)
            parquet.write_table(table, content, compression="zstd")
            with _refusals(self.target):
                self._write(f"part-{self._done:09}.parquet", content.getvalue())
            self._done += len(self._rows)
            self._rows.clear()
        self._since = time.monotonic()

    def _write(self, name: str, content: bytes) -> None:
        if self.there.is_local:
            write_file(Path(self._path(name)), content)
            return
        with self.there.files.open_output_stream(self._path(name)) as stream:
            stream.write(content)

    def _path(self, name: str) -> str:
        return f"{self.there.path}/{name}"


def _start(name: str) -> int:
    """The place of a part's first record; -1 for another file."""
    found = re.fullmatch(r"part-(\d{9,})\.parquet", name)
    return int(found[1]) if found else -1


def _common(pa: Any) -> list[tuple[str, Any]]:
    error = pa.struct([("kind", pa.string()), ("message", pa.string())])
    return [("path", pa.string()), ("path_bytes", pa.string()), ("error", error)]


def _arrow() -> Any:
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise MissingExtra("ray", "Parquet") from error
    return pyarrow


@contextmanager
def _refusals(target: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{target}: cannot write there: {first_line(error)}; what is done is kept, run again to go on"
        raise StorageError(message) from error
