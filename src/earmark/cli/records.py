"""Records for machines: JSON, JSONL and CSV, each as pieces of text made of records as they come."""

from __future__ import annotations

import argparse
import base64
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.analyses.facts import ANALYSES
from earmark.app.part import Record, encode
from earmark.inference.records import path_fields
from earmark.text import escaped

if TYPE_CHECKING:
    from earmark.library.records import LibraryTrack

__all__ = [
    "FORMATS",
    "add_raw",
    "csv_pieces",
    "format_of",
    "json_pieces",
    "jsonl_pieces",
    "name_of",
    "song_fields",
    "until_first_analysed",
]

FORMATS = ("table", "json", "jsonl", "csv")
_SUFFIXES = {".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".txt": "table"}

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


def add_raw(parser: argparse.ArgumentParser) -> None:
    """Declare ``--raw``."""
    text = "csv: texts as they are, without the ' before =, +, - and @ that keeps spreadsheets from computing them"
    parser.add_argument("--raw", action=argparse.BooleanOptionalAction, default=False, help=text)


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


def csv_pieces(
    records: Iterable[Record], more: Sequence[str] = (), features: Iterable[str] = (), *, raw: bool = False
) -> Iterator[bytes]:
    """A header, and a row a record. The first track that was analysed tells which heads and labels there are.


    Args:
        records: As ``tag -f json`` has them.
        more: Further keys of the records, in columns at the end.
        features: Names of features that any record may have, beside those of the first track.
        raw: Write texts as they are. Otherwise control characters and direction overrides are escaped (``path_bytes``
            has the path as it is), and one that a spreadsheet would take for a formula gets an apostrophe in
            front (OWASP, "CSV injection").
    """
    leading, rest = until_first_analysed(records)
    heads: Mapping[str, Any] = leading[-1].get("heads", {}) if leading else {}
    columns = ["path", "path_bytes", "seconds", "error"]
    for name, head in heads.items():
        columns += [name] if head["task"] == "regression" else [name, f"{name}.confidence"]
    columns += [f"{name}:{label}" for name, head in heads.items() for label in head.get("scores", ())]
    known: Mapping[str, Any] = leading[-1].get("features", {}) if leading else {}
    for name in (name for name in ANALYSES if name in {*known, *features}):
        columns += _feature_cells(name, ANALYSES[name].untold.to_dict(), heads)
    columns += more
    yield _csv_row(columns, raw=raw)
    for record in itertools.chain(leading, rest):
        cells = _cells(record) | {key: record.get(key) for key in more}
        yield _csv_row((cells.get(column) for column in columns), raw=raw)


def song_fields(track: LibraryTrack) -> dict[str, Any]:
    """A track of the library in a record: path (and its bytes, where it is not valid text), artist and title."""
    return {**path_fields(track.path), "artist": track.artist, "title": track.title}


def name_of(track: LibraryTrack) -> str:
    """A track for people: artist and title, or its path."""
    if track.title:
        return f"{track.artist} - {track.title}" if track.artist else track.title
    return track.path


def until_first_analysed(records: Iterable[Record]) -> tuple[list[Record], Iterator[Record]]:
    """The records up to the first of a track that was analysed, and those after it."""
    leading, rest = [], iter(records)
    for record in rest:
        leading.append(record)
        if "error" not in record:
            break
    return leading, rest


def _cells(record: Record) -> dict[str, Any]:
    cells: dict[str, Any] = {key: record[key] for key in ("path", "path_bytes") if key in record}
    if "path_bytes" not in cells and escaped(record["path"]) != record["path"]:
        cells["path_bytes"] = base64.b64encode(record["path"].encode()).decode("ascii")
    if "error" in record:
        return cells | {"error": f"{record['error']['kind']}: {record['error']['message']}"}
    cells["seconds"] = record["seconds"]
    for name, head in record["heads"].items():
        scores = head.get("scores", {})
        if head["task"] == "multiclass":
            cells |= {name: head["label"], f"{name}.confidence": head["confidence"]}
        elif head["task"] == "multilabel":
            cells[name] = ";".join(head["labels"])
            cells[f"{name}.confidence"] = ";".join(json.dumps(scores[label]) for label in head["labels"])
        else:
            cells[name] = head["value"]
        cells |= {f"{name}:{label}": score for label, score in scores.items()}
    for name, facts in record.get("features", {}).items():
        cells |= _feature_cells(name, facts, record["heads"])
    return cells


def _feature_cells(name: str, facts: Mapping[str, Any], heads: Iterable[str]) -> dict[str, Any]:
    """``tempo``, ``tempo.confidence``; ``valence.value`` where a head has the column ``valence``."""
    return {
        name if key == "value" and name not in heads else f"{name}.{key}": value
        for key, value in facts.items()
        if key != "estimate"
    }


def _csv_row(cells: Iterable[Any], *, raw: bool) -> bytes:
    return (",".join(_quoted(_text(cell, raw=raw)) for cell in cells) + "\n").encode("utf-8", "backslashreplace")


def _text(value: object, *, raw: bool) -> str:
    if isinstance(value, str):
        return value if raw else escaped(f"'{value}" if value.startswith(_FORMULA) else value)
    return "" if value is None else json.dumps(value)


def _quoted(cell: str) -> str:
    r"""As RFC 4180 has it; Python's own writer leaves a lone ``\r`` bare, and its reader ends the line there."""
    if cell.isalnum() or not any(mark in cell for mark in ',"\r\n'):
        return cell
    return '"' + cell.replace('"', '""') + '"'
