"""Files as people's collections hold them, made by the generators in ``../shared/cases``."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from cases import make_case
from commands import Earmark


@pytest.fixture
def scan(tiny_model: Path, tmp_path: Path, earmark: Earmark) -> Earmark:
    return lambda folder: earmark("scan", folder, "-m", tiny_model, "-j", 1, "--library", tmp_path / "a.db")


def test_two_shows_with_one_opening(shared: Path, tmp_path: Path, scan: Earmark, earmark: Earmark) -> None:
    shows = make_case(shared, "01", tmp_path / "shows")
    assert scan(shows).json["heard"] == 2
    one, two = earmark("export", "-f", "json", "--library", tmp_path / "a.db").json
    assert one["audio"] != two["audio"] and one["heads"] != two["heads"]
    assert (one["seconds"], two["seconds"]) == (pytest.approx(66.4, abs=0.7), pytest.approx(86.1, abs=0.9))
    assert earmark("library", "--library", tmp_path / "a.db").json["copies"] == 0
    found = earmark("similar", shows / "episode 1.mp3", "--library", tmp_path / "a.db").json["tracks"]
    assert [one["path"] for one in found] == [str(shows / "episode 2.mp3")]


def test_a_retag_that_keeps_size_and_time(shared: Path, tmp_path: Path, scan: Earmark, earmark: Earmark) -> None:
    pytest.importorskip("mutagen")
    music = make_case(shared, "13", tmp_path / "music", songs=1)
    assert scan(music).json["heard"] == 1
    script = shared / "cases" / "13-retagged-unseen" / "retag.py"
    subprocess.run([sys.executable, str(script), str(music / "a.flac")], check=True)
    said = scan(music).json
    assert (said["heard"], said["known"]) == (0, 1)
    (record,) = earmark("export", "-f", "json", "--library", tmp_path / "a.db").json
    assert (record["title"], record["artist"]) == ("New", "Corrected")


def test_silence_is_no_song(shared: Path, tmp_path: Path, scan: Earmark, earmark: Earmark) -> None:
    music = make_case(shared, "15", tmp_path / "music", songs=1)
    assert scan(music).json["silent"] == 1
    library = ("--library", tmp_path / "a.db")
    silent, *others = sorted(
        earmark("export", "-f", "json", *library).json, key=lambda one: "silence" not in Path(one["path"]).name
    )
    assert silent["warning"] == "silence" and silent["cluster"] is None
    assert not any(head.get("label") or head.get("labels") for head in silent["heads"].values())
    paths = {one["path"] for one in others}
    assert {path for one in earmark("cluster", *library).json["clusters"] for path in one["tracks"]} == paths
    found = earmark("similar", music / "1.mp3", *library).json["tracks"]
    assert {one["path"] for one in found} == paths - {str(music / "1.mp3")}
    playlist = earmark("playlist", "--from", music / "1.mp3", *library).json["tracks"]
    assert {one["path"] for one in playlist} <= paths
    assert earmark("map", "-o", tmp_path / "map.html", *library).json["tracks"] == 3


def test_a_name_in_the_other_form(shared: Path, tmp_path: Path, scan: Earmark, earmark: Earmark) -> None:
    music = make_case(shared, "19", tmp_path / "music", songs=1)
    make_case(shared, "15", tmp_path / "music", songs=1)
    scan(music)
    (there,) = (path for path in music.iterdir() if not path.name.isascii())
    other = there.with_name(unicodedata.normalize("NFC", there.name))
    assert other.name != there.name
    for verb in (("similar", other), ("playlist", "--from", other), ("path", other, music / "1.mp3", "-n", 3)):
        said = earmark(*verb, "--library", tmp_path / "a.db")
        assert said.code == 0 and said.json["tracks"], verb
