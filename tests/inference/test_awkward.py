"""Every odd file of audio libraries' test sets gets its record, twice over the same."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from earmark.errors import FAILURE_KINDS
from engine_tasks import predict_files


@pytest.fixture(scope="module")
def rows(shared: Path) -> list[dict[str, str]]:
    with (shared / "data" / "awkward" / "files.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_every_file_twice(shared: Path, tiny_model: Path, rows: list[dict[str, str]]) -> None:
    """And what two decoders found to hold a tenth of a second of sound is tagged, not lost."""
    paths = [str(shared / "data" / "awkward" / row["path"]) for row in rows]
    once = [result.to_dict() for result in predict_files([tiny_model], paths, workers=2)]
    again = [result.to_dict() for result in predict_files([tiny_model], paths, workers=1)]
    assert [record["path"] for record in once] == paths
    assert once == again
    for record, row in zip(once, rows, strict=True):
        if "error" in record:
            assert record["error"]["kind"] in FAILURE_KINDS
            assert record["error"]["kind"] not in ("crash", "timeout")
            assert "\n" not in record["error"]["message"]
            assert float(row["decoded_seconds"] or 0) < 0.1, row["path"]
        else:
            assert record["seconds"] >= 0.099
