"""``-o``: what was done is never done twice, never lost, and never mixed with what was made otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from earmark.app.part import open_part
from earmark.errors import StorageError

PATHS = ["a.mp3", "b\udce9.mp3", "c.mp3"]
SETTINGS: dict[str, Any] = {"model": "m@1", "labels": {"genre": {"Rock": "rock"}}, "excerpt": None}


def record(path: str) -> dict[str, Any]:
    from earmark.inference.records import Failure

    return Failure(path, "empty", "").to_dict()


def fill(target: Path, paths: list[str]) -> None:
    part = open_part(target, PATHS, SETTINGS)
    for path in paths:
        part.append(record(path))
    part.close()


def kept(target: Path, paths: list[str] = PATHS, settings: dict[str, Any] = SETTINGS) -> tuple[int, str]:
    part = open_part(target, paths, settings)
    part.close()
    return part.kept, part.notice


def test_a_part_is_continued_and_becomes_the_file(tmp_path: Path) -> None:
    target = tmp_path / "x.jsonl"
    fill(target, PATHS[:2])
    assert not target.exists()
    part = open_part(target, PATHS, SETTINGS)
    assert (part.kept, part.notice) == (2, "x.jsonl.part: going on after 2 of 3 files")
    part.append(record("c.mp3"))
    part.finish()
    part.close()
    assert [json.loads(line)["path"] for line in target.read_text().splitlines()] == ["a.mp3", "b\\xe9.mp3", "c.mp3"]
    assert [file.name for file in tmp_path.iterdir()] == ["x.jsonl"]


def test_a_finished_file_is_replaced_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "x.jsonl"
    target.write_text("before")
    part = open_part(target, PATHS[:1], SETTINGS)
    part.append(record("a.mp3"))
    assert target.read_text() == "before"
    part.finish(lambda file: file.write(b"after") and None)
    part.close()
    assert target.read_text() == "after"
    assert [file.name for file in tmp_path.iterdir()] == ["x.jsonl"]


@pytest.mark.parametrize("torn", [b'{"path": "c.m', b'{"path": "c.mp3"}', b"\xff\xff\n", b"[]\n", b"\n"])
def test_a_torn_line_is_cut(tmp_path: Path, torn: bytes) -> None:
    target = tmp_path / "x.jsonl"
    fill(target, PATHS[:2])
    whole = (tmp_path / "x.jsonl.part").read_bytes()
    with (tmp_path / "x.jsonl.part").open("ab") as file:
        file.write(torn)
    assert kept(target)[0] == 2
    assert (tmp_path / "x.jsonl.part").read_bytes() == whole


def test_records_are_kept_as_long_as_they_are_of_this_list(tmp_path: Path) -> None:
    target = tmp_path / "x.jsonl"
    fill(target, PATHS)
    assert kept(target, [*PATHS, "d.mp3"])[0] == 3
    assert kept(target, ["a.mp3", "new.mp3", *PATHS[1:]])[0] == 1
    assert kept(target, ["0.mp3", *PATHS]) == (0, "x.jsonl.part: made of other files; beginning anew")


def test_other_settings_begin_anew_and_say_so(tmp_path: Path) -> None:
    target = tmp_path / "x.jsonl"
    fill(target, PATHS)
    assert kept(target, settings=SETTINGS | {"excerpt": 30.0, "model": "m@2"}) == (
        0,
        "x.jsonl.part: made with other settings (model and excerpt); beginning anew",
    )
    assert list(tmp_path.iterdir()) == [], "a part without a record leaves nothing behind"
    fill(target, PATHS)
    (tmp_path / "x.jsonl.part.json").unlink()
    assert "nothing tells how it was made" in kept(target)[1]


def test_what_cannot_be_written_is_said_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is a folder"):
        open_part(tmp_path, PATHS, SETTINGS)
    with pytest.raises(StorageError, match="there is no folder"):
        open_part(tmp_path / "no" / "x.jsonl", PATHS, SETTINGS)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "real.jsonl"
    real.write_text("")
    link = tmp_path / "link.jsonl"
    try:
        link.symlink_to(real)
    except OSError:
        pytest.skip("no symbolic links here")
    part = open_part(link, PATHS, SETTINGS)
    part.append(record("a.mp3"))
    part.finish()
    assert link.is_symlink() and real.read_text().startswith("{")


def test_a_failed_ending_keeps_the_part(tmp_path: Path) -> None:
    def full(file: object) -> None:
        raise OSError(28, "No space left on device")

    target = tmp_path / "x.csv"
    part = open_part(target, PATHS, SETTINGS)
    part.append(record("a.mp3"))
    with pytest.raises(StorageError, match=r"the disk is full; what is done is kept in x\.csv\.part, run again"):
        part.finish(full)
    part.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x.csv.part", "x.csv.part.json"]
    assert kept(target)[0] == 1


def test_a_second_run_into_the_same_file_is_refused_by_name(tmp_path: Path) -> None:
    target = tmp_path / "x.jsonl"
    part = open_part(target, PATHS, SETTINGS)
    part.append(record("a.mp3"))
    with pytest.raises(StorageError, match=r"x\.jsonl: another run is writing there"):
        open_part(target, PATHS, SETTINGS)
    part.close()
    assert kept(target)[0] == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x.jsonl.part", "x.jsonl.part.json"]


@pytest.mark.parametrize("foreign", [b"half a download", b"\x00\x01" * 99, b"[]\n"])
def test_a_part_of_somebody_else_is_never_touched(tmp_path: Path, foreign: bytes) -> None:
    (tmp_path / "x.jsonl.part").write_bytes(foreign)
    with pytest.raises(StorageError, match="was not made by Earmark"):
        open_part(tmp_path / "x.jsonl", PATHS, SETTINGS)
    assert (tmp_path / "x.jsonl.part").read_bytes() == foreign
    assert [file.name for file in tmp_path.iterdir()] == ["x.jsonl.part"]


def test_a_folder_that_is_called_as_the_part_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl.part").mkdir()
    (tmp_path / "x.jsonl.part" / "weights").touch()
    with pytest.raises(StorageError, match="cannot write there: is a directory"):
        open_part(tmp_path / "x.jsonl", PATHS, SETTINGS)
    assert (tmp_path / "x.jsonl.part" / "weights").exists()
