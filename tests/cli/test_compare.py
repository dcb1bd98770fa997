"""``earmark compare``: a table or JSON, a page, exit codes, and mistakes in one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lessons
from commands import Earmark


@pytest.fixture(scope="module")
def sorted_songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lessons.make_songs(tmp_path_factory.mktemp("sorted") / "songs")


def test_it_compares_and_writes_a_page(earmark: Earmark, sorted_songs: Path, tmp_path: Path):
    toml = lessons.recipe_file(tmp_path / "tiny.toml")
    order = ("compare", sorted_songs, "-r", f"{toml},choi-fcn", "--set", "training.epochs=2", "--set",
             "clip.seconds=1.0", "--report", tmp_path / "page")  # fmt: skip
    done = earmark(*order, "-f", "json")
    assert done.code == 3, done.err
    said = done.json
    assert [row["recipe"] for row in said["recipes"]] == [str(toml), "choi-fcn"]
    assert said["recipes"][0]["error"] is None and "320 frames" in said["recipes"][1]["error"]
    assert said["recipes"][0]["settings"] == {"training.epochs": "2", "clip.seconds": "1.0"}
    assert said["advised"] is None or said["advised"].startswith(str(toml))
    assert said["margin"] == 0.05 and "songs_needed" in said
    assert {"split", "paired", "advice"} <= set(said) and said["baseline"]["heads"]["genre"]["accuracy"] > 0.8
    page = (tmp_path / "page" / "index.html").read_text().replace("<wbr>", "")
    assert said["advice"].split(" (")[0] in page and "choi-fcn" in page
    assert "naive" not in page and said["recipes"][0]["naive"] is None
    again = earmark(*order, "--naive", "-f", "table")
    assert again.code == 3 and "GFLOP" in again.out and re.search(r", random split [01]\.", again.out)
    assert said["advice"].split(" (")[0] in again.out


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("-r", "transfer", "--margin", "0"), "--margin 0: expected points between 0 and 100, as in 5"),
        (("-r", "transfer", "--margin", "nan"), "--margin nan: expected points between 0 and 100, as in 5"),
        (("-r", "bbn"), "did you mean 'bbnn'"),
        (("-r", "bbnn", "--sweep", "heads.dropout"), "expected KEY=V1,V2"),
        (("-r", "bbnn", "--set", "training.epoch=2"), "did you mean training.epochs"),
        (("-r", "bbnn", "--split", "0.6,0.3"), "three shares that add up to 1"),
        (("-r", "bbnn", "--split", "0.6,0.3,0.3"), "three shares that add up to 1"),
    ],
)
def test_mistakes_are_said_before_anything_is_read(earmark: Earmark, tmp_path: Path, more: tuple[str, ...], told: str):
    said = earmark("compare", tmp_path / "nowhere", *more)
    assert said.code == 1 and told in said.err and "nowhere" not in said.err
