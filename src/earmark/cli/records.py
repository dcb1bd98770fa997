"""Records for machines: JSON, JSONL and CSV, each as pieces of text made of records as they come."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from earmark.cli.part import Record, encode

__all__ = ["FORMATS", "csv_pieces", "format_of", "json_pieces", "jsonl_pieces", "until_first_heard"]

FORMATS = ("table", "json", "jsonl", "csv")
_SUFFIXES = {".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".txt": "table"}


def format_of(target: str) -> str | None:
    """The format that a file's ending stands for."""
    return _SUFFIXES.get(Path(target).suffix.lower())


def jsonl_pieces(records: Iterable[Record]) -> Iterator[bytes]:
    """A record a line."""
    yield from map(encode, records)


def json_pieces(records: Iterable[Record]) -> Iterator[bytes]:
    """A list of records, one a line, so that it can be read while it grows."""
    before = b"[\n"
    for record in records:
        yield before + encode(record).rstrip(b"\n")
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


def csv_pieces(records: Iterable[Record], more: Sequence[str] = ()) -> Iterator[bytes]:
    """A header, and a row a record. The first track that was heard tells which heads and labels there are.

    ``more`` are further keys of the records, in columns at the end.
    """
    leading, rest = until_first_heard(records)
    heads: Mapping[str, Any] = leading[-1].get("heads", {}) if leading else {}
    columns = ["path", "path_bytes", "seconds", "error"]
    for name, head in heads.items():
        columns += [name] if head["task"] == "regression" else [name, f"{name}.confidence"]
    columns += [f"{name}:{label}" for name, head in heads.items() for label in head.get("scores", ())]
    columns += more
    yield _csv_row(columns)
    for record in itertools.chain(leading, rest):
        cells = _cells(record) | {key: _text(record.get(key)) for key in more}
        yield _csv_row([cells.get(column, "") for column in columns])


def until_first_heard(records: Iterable[Record]) -> tuple[list[Record], Iterator[Record]]:
    """The records up to the first of a track that was heard, and those after it."""
    leading, rest = [], iter(records)
    for record in rest:
        leading.append(record)
        if "error" not in record:
            break
    return leading, rest


def _cells(record: Record) -> dict[str, str]:
    cells: dict[str, str] = {key: record[key] for key in ("path", "path_bytes") if key in record}
    if "error" in record:
        return cells | {"error": f"{record['error']['kind']}: {record['error']['message']}"}
    cells["seconds"] = _number(record["seconds"])
    for name, head in record["heads"].items():
        scores = head.get("scores", {})
        if head["task"] == "multiclass":
            cells[name] = head["label"] or ""
            cells[f"{name}.confidence"] = _number(head["confidence"])
        elif head["task"] == "multilabel":
            cells[name] = ";".join(head["labels"])
            cells[f"{name}.confidence"] = ";".join(_number(scores[label]) for label in head["labels"])
        else:
            cells[name] = _number(head["value"])
        cells |= {f"{name}:{label}": _number(score) for label, score in scores.items()}
    return cells


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _number(value: float | None) -> str:
    return "" if value is None else json.dumps(value)


def _csv_row(cells: Iterable[str]) -> bytes:
    return (",".join(map(_quoted, cells)) + "\n").encode("utf-8", "backslashreplace")


def _quoted(cell: str) -> str:
    r"""As RFC 4180 has it; Python's own writer leaves a lone ``\r`` bare, and its reader ends the line there."""
    if cell.isalnum() or not any(mark in cell for mark in ',"\r\n'):
        return cell
    return '"' + cell.replace('"', '""') + '"'
