"""JSON, JSONL and CSV say the same of a file, and any name comes back as it went in."""

from __future__ import annotations

import base64
import csv
import io
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli_records import BAD, heard
from earmark.cli.records import csv_pieces, format_of, json_pieces, jsonl_pieces
from earmark.inference.records import Failure, HeadPrediction


def rows(records: list[dict[str, Any]], *, raw: bool = False) -> list[list[str]]:
    return list(csv.reader(io.StringIO(b"".join(csv_pieces(records, ("artist", "x"), raw=raw)).decode(), newline="")))


def test_csv_has_the_columns_of_the_design() -> None:
    header, bad, good = rows([BAD, heard()])
    assert header == [
        *("path", "path_bytes", "seconds", "error"),
        *("genre", "genre.confidence", "tags", "tags.confidence", "energy"),
        *("genre:Rock", "genre:Jazz", "tags:guitar", "tags:piano", "tags:a,b"),
        *("artist", "x"),
    ]
    assert bad[:4] == ["b.mp3", "", "", "not-audio: not an audio file: no stream found"] and set(bad[4:]) == {""}
    assert good[:9] == ["a.mp3", "", "212.4", "", "Rock", "0.83", "piano;a,b", "0.9;0.6", "0.62"]
    assert good[9:14] == ["0.83", "0.17", "0.1", "0.9", "0.6"]


def test_csv_steers_nothing_and_keeps_the_bytes_of_the_name() -> None:
    path = "x\u202e3pm\x1b.mp3"
    record = heard() | {"path": path, "artist": "A\u2066B"}
    row = rows([record])[1]
    assert row[0] == "x\\u202e3pm\\x1b.mp3" and base64.b64decode(row[1]).decode() == path
    assert row[-2] == "A\\u2066B"
    assert rows([record], raw=True)[1][0] == path


def test_csv_of_failures_alone_has_a_header() -> None:
    assert rows([BAD])[0] == ["path", "path_bytes", "seconds", "error", "artist", "x"]
    assert rows([]) == [["path", "path_bytes", "seconds", "error", "artist", "x"]]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_a_spreadsheet_computes_nothing(start: str) -> None:
    """A song may be called as a formula that starts a program; numbers stay numbers."""
    text = f"{start}HYPERLINK(1)"
    label = HeadPrediction("multiclass", text, 0.9, scores={text: 0.9})
    record = heard(text, genre=label, tags=HeadPrediction("multilabel", labels=(text,), scores={text: 0.6}))
    record |= {"artist": text, "x": -0.5}
    for found in (rows([record]), rows([Failure(text, "io", "").to_dict() | {"artist": text}])):
        assert not [cell for row in found for cell in row if cell.startswith(start) and cell != "-0.5"]
    header, row = rows([record])
    assert row[header.index("artist")] == row[0] == row[header.index("genre")] == f"'{text}"
    assert row[header.index("x")] == "-0.5"
    assert rows([record], raw=True)[1][0] == text


def test_not_sure_is_null_and_an_empty_cell() -> None:
    record = heard(genre=HeadPrediction("multiclass", None, 0.4, scores={"Rock": 0.4}))
    assert json.loads(next(jsonl_pieces([record])))["heads"]["genre"]["label"] is None
    header, row = rows([record])
    assert row[header.index("genre")] == "" and row[header.index("genre.confidence")] == "0.4"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=5))
def test_any_name_comes_back(names: list[str]) -> None:
    records = [heard(name) for name in names]
    assert [row[0] for row in rows(records, raw=True)[1:]] == names
    back = [base64.b64decode(row[1]).decode() if row[1] else row[0] for row in rows(records)[1:]]
    assert [name.removeprefix("'") for name in back] == [name.removeprefix("'") for name in names]
    assert [json.loads(piece)["path"] for piece in jsonl_pieces(records)] == names
    assert [record["path"] for record in json.loads(b"".join(json_pieces(records)))] == names


def test_names_that_are_not_utf8_are_marked() -> None:
    record = heard("caf\udce9.mp3")
    assert (record["path"], record["path_bytes"]) == ("caf\\xe9.mp3", "Y2Fm6S5tcDM=")
    assert rows([record])[1][:2] == ["caf\\xe9.mp3", "Y2Fm6S5tcDM="]


def test_a_stray_surrogate_cannot_stop_a_run() -> None:
    record = Failure("a", "io", "about \udce9").to_dict()
    assert json.loads(next(jsonl_pieces([record])).decode("utf-8"))["path"] == "a"
    b"".join(csv_pieces([record])).decode("utf-8")


def test_a_json_list_is_whole_at_any_length() -> None:
    for count in range(3):
        assert len(json.loads(b"".join(json_pieces([BAD] * count)))) == count


@pytest.mark.parametrize(
    ("name", "shape"), [("x.json", "json"), ("x.JSONL", "jsonl"), ("x.csv", "csv"), ("x.txt", "table"), ("x", None)]
)
def test_formats_by_ending(name: str, shape: str | None) -> None:
    assert format_of(name) == shape
