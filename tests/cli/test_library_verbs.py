"""The verbs of the library, from ``scan`` to ``export``, on made songs."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from commands import Earmark, command, environment, in_process
from earmark.library.scan import only_one
from earmark.library.store import open_library
from people import unprivileged
from sounds_of_library import make_songs


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A folder with ``music`` and a library of it, ``a.db``."""
    folder = tmp_path_factory.mktemp("shelf")
    make_songs(folder / "music", 8)
    (folder / "music" / "bad.mp3").write_text("no sound")
    (folder / "music" / "cover.jpg").write_bytes(b"\xff\xd8")
    said = in_process("scan", folder / "music", "--library", folder / "a.db", "-m", tiny_model, "-j", 1)
    assert said.code == 3 and json.loads(said.out)["heard"] == 8
    assert "analysed 8 songs" in said.err and "1 could not be analysed: 1 not-audio" in said.err
    return folder


def test_scan_again_and_library(shelf: Path, tiny_model: Path, earmark: Earmark) -> None:
    said = earmark("scan", shelf / "music", "--library", shelf / "a.db", "-m", tiny_model, "-f", "json")
    assert said.code == 3
    assert {key: said.json[key] for key in ("heard", "unchanged", "tracks")} == {
        "heard": 0,
        "unchanged": 9,
        "tracks": 8,
    }
    assert earmark("scan", "--library", shelf / "a.db", "-m", tiny_model).json["unchanged"] == 9, "all known folders"
    said = earmark("library", "--library", shelf / "a.db")
    assert said.code == 0
    assert said.json["tracks"] == 8 and said.json["models"] == {"tiny@1": 8} and said.json["vanished"] == 0
    assert said.json["seconds"] == pytest.approx(40)
    (failure,) = said.json["failures"]
    assert failure["path"] == str(shelf / "music" / "bad.mp3") and failure["error"]["kind"] == "not-audio"
    said = earmark("library", "--library", shelf / "a.db", "-f", "table")
    assert "8 songs" in said.out and "bad.mp3" in said.out


def test_similar(shelf: Path, earmark: Earmark) -> None:
    said = earmark("similar", shelf / "music" / "2.wav", "--library", shelf / "a.db", "-n", 3)
    assert said.code == 0 and said.json["seed"] == str(shelf / "music" / "2.wav")
    assert len(said.json["tracks"]) == 3
    for one in said.json["tracks"]:
        assert {"path", "artist", "title", "distance", "why", "seconds", "copies"} <= set(one)
    said = earmark("similar", shelf / "music" / "2.wav", "--library", shelf / "a.db", "--per-artist", 1)
    artists = [one["artist"] for one in said.json["tracks"]]
    assert len(artists) == len(set(artists))
    assert "alike at" in earmark("similar", shelf / "music" / "2.wav", "--library", shelf / "a.db", "-f", "table").out
    said = earmark("similar", shelf / "music" / "no.wav", "--library", shelf / "a.db")
    assert said.code == 1 and "neither a track of the library nor a file" in said.err
    assert earmark("similar", shelf / "music" / "bad.mp3", "--library", shelf / "a.db").code == 1


def test_cluster_playlist_path_map(shelf: Path, earmark: Earmark, tmp_path: Path) -> None:
    said = earmark("cluster", "-k", 2, "--library", shelf / "a.db")
    clusters = said.json["clusters"]
    assert said.code == 0 and sum(one["size"] for one in clusters) == 8
    assert {"name", "size", "typical", "tags", "tracks"} == set(clusters[0])
    said = earmark("playlist", "--cluster", clusters[0]["name"], "--library", shelf / "a.db")
    assert {one["path"] for one in said.json["tracks"]} <= set(clusters[0]["tracks"])
    target = tmp_path / "list.m3u8"
    said = earmark("playlist", "--from", shelf / "music" / "0.wav", "--library", shelf / "a.db", "-o", target)
    assert said.code == 0 and said.out == ""
    lines = target.read_text().splitlines()
    assert lines[:2] == ["#EXTM3U", "#EXTINF:5,Artist 0 - Song 0"]
    assert (tmp_path / lines[2]).resolve() == shelf / "music" / "0.wav"
    said = earmark("path", shelf / "music" / "0.wav", shelf / "music" / "7.wav", "-n", 4, "--library", shelf / "a.db")
    paths = [one["path"] for one in said.json["tracks"]]
    assert (paths[0], paths[-1]) == (str(shelf / "music" / "0.wav"), str(shelf / "music" / "7.wav")) and len(paths) == 4
    assert earmark("path", "a", "b", "-n", 1, "--library", shelf / "a.db").code == 1
    said = earmark("map", "-o", tmp_path / "map.html", "--library", shelf / "a.db")
    assert said.code == 0 and said.json["tracks"] == 8
    assert "<canvas" in (tmp_path / "map.html").read_text()


def test_kept_playlists(earmark: Earmark, tiny_model: Path, tmp_path: Path) -> None:
    """A wish goes on: what a scan finds is in it; what is out of it stays as it was, with a line that says so."""
    make_songs(tmp_path / "music", 4)
    library = ("--library", tmp_path / "a.db")
    scan = ("scan", tmp_path / "music", "-m", tiny_model, "-j", 1)
    assert earmark(*scan, *library).code == 0
    wish = ("playlist", "--like", "artist", "--minutes", 60, "--keep", "evening")
    assert len(earmark(*wish, *library).json["tracks"]) == 4
    said = earmark("playlist", "--energy", "-0.4", *library)
    assert said.code == 1 and "(energy 0 to 0.4: 0)" in said.err
    make_songs(tmp_path / "music", 6)
    assert earmark(*scan, *library).code == 0
    (kept,) = earmark("playlist", "--kept", *library).json["playlists"]
    assert kept == {"name": "evening", "tracks": 6, "seconds": 30.0}
    said = earmark("playlist", "--kept", "Evening", *library, "-o", tmp_path / "evening.m3u8")
    assert said.code == 0 and (tmp_path / "evening.m3u8").read_text().count("#EXTINF") == 6
    assert "evening" in earmark("playlist", "--kept", "-f", "table", *library).out
    said = earmark("playlist", "--kept", "evning", *library)
    assert said.code == 1 and "did you mean 'evening'" in said.err
    assert earmark("playlist", "--forget", "evening", *library).code == 0
    assert earmark("playlist", "--kept", *library).json == {"playlists": []}
    for bad in ("0.9-0.1", "loud", "-", "0.5", "0-2"):
        said = earmark("playlist", f"--energy={bad}", *library)
        assert said.code == 2 and "0.6-0.9" in said.err, bad
    assert earmark("playlist", "--like", "song 5", "--keep", "two", *library).code == 0
    for number in (4, 5):
        (tmp_path / "music" / f"{number}.wav").unlink()
    said = earmark(*scan, *library)
    assert said.code == 0 and "The songs of the kept playlist two stay as they were" in said.err


def test_what_no_song_has(shelf: Path, earmark: Earmark) -> None:
    said = earmark("playlist", "--genre", "Jazz", "--not", "jazz", "--library", shelf / "a.db")
    assert said.code == 1 and said.err.count("\n") == 1 and "no song has all that is asked for" in said.err


def test_export(shelf: Path, earmark: Earmark, tmp_path: Path) -> None:
    said = earmark("export", "-f", "csv", "--library", shelf / "a.db")
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert len(rows) == 9
    assert list(rows[0])[-8:] == ["artist", "title", "album", "year", "cluster", "x", "y", "vanished"]
    assert rows[0]["title"] == "Song 0" and rows[8]["error"].startswith("not-audio: ")
    tagged = earmark("tag", shelf / "music" / "0.wav", "-m", _model_of(shelf), "-f", "csv").out
    assert next(csv.DictReader(io.StringIO(tagged))).items() <= rows[0].items(), "as `tag` says it"
    assert earmark("export", "--library", shelf / "a.db", "-o", tmp_path / "all.json").code == 0
    assert len(json.loads((tmp_path / "all.json").read_text())) == 9
    assert earmark("export", "-f", "jams", "--library", shelf / "a.db", "-o", tmp_path / "jams").code == 0
    assert sorted(file.name for file in (tmp_path / "jams").iterdir()) == [f"{n}.wav.jams" for n in range(8)]
    assert len(earmark("export", "-f", "jams", "--library", shelf / "a.db").records) == 8


def _model_of(shelf: Path) -> str:
    connection = sqlite3.connect(shelf / "a.db")
    folder = connection.execute("SELECT folder FROM models").fetchone()[0]
    connection.close()
    return str(folder)


def test_review(shelf: Path, earmark: Earmark, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = earmark("review", "--library", shelf / "a.db", "-f", "json")
    assert listed.code == 0 and listed.json["labels"] == 0
    if not listed.json["songs"]:
        pytest.skip("the made model is sure of all")
    monkeypatch.setattr(sys, "stdin", io.StringIO("2\nb\n1\ns\nt\nPolka\nq\n"))
    said = earmark("review", "--library", shelf / "a.db", "-f", "table")
    assert said.code == 0 and "labels kept" in said.out
    assert earmark("review", "--library", shelf / "a.db", "-f", "json").json["labels"] >= 1


@pytest.mark.parametrize(
    ("old", "new", "arguments"),
    [
        ("--rehear", "--force", ("scan", "x")),
        ("--anew", "--rebuild", ("cluster",)),
        ("--anew", "--rebuild", ("map",)),
        ("--apart", "--artist-gap", ("playlist",)),
    ],
)
def test_an_old_name_of_an_option_says_the_new_one(
    old: str, new: str, arguments: tuple[str, ...], earmark: Earmark, tmp_path: Path
) -> None:
    said = earmark(*arguments, old, "3")
    assert said.code == 2 and f"{old} is called {new} now" in said.err
    assert old not in earmark(arguments[0], "-h").out
    settings = tmp_path / "earmark.toml"
    settings.write_text(f"[{arguments[0]}]\n{old[2:]} = true\n")
    said = earmark(*arguments, "--config", settings)
    assert said.code == 1 and f"{old[2:]} is called {new[2:]} now" in said.err
    assert old[2:] not in earmark("config", arguments[0]).json["verbs"][arguments[0]]


@pytest.mark.parametrize(
    "arguments",
    [
        ("library",),
        ("similar", "x"),
        ("find", "x"),
        ("cluster",),
        ("playlist",),
        ("playlist", "--cluster", "x"),
        ("path", "a", "b"),
        ("map",),
        ("export",),
        ("review",),
    ],
)
def test_a_missing_library_is_not_made(arguments: tuple[str, ...], earmark: Earmark, tmp_path: Path) -> None:
    said = earmark(*arguments, "--library", tmp_path / "typo.db")
    assert said.code == 1 and said.err.count("\n") == 1
    assert "typo.db: there is no library; `earmark scan FOLDER` makes one" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("similar", "x"),
        ("find", "x"),
        ("cluster",),
        ("playlist",),
        ("path", "a", "b"),
        ("map",),
        ("export",),
        ("review",),
    ],
)
def test_an_empty_library(arguments: tuple[str, ...], earmark: Earmark, tmp_path: Path) -> None:
    with open_library(tmp_path / "new.db", make=True):
        pass
    said = earmark(*arguments, "--library", tmp_path / "new.db")
    assert said.code == 1 and said.err.count("\n") == 1 and "`earmark scan FOLDER` fills it" in said.err
    assert earmark("library", "--library", tmp_path / "new.db").json["tracks"] == 0


@pytest.mark.parametrize("verb", ["library", "cluster", "scan"])
def test_a_library_that_cannot_be_used(verb: str, tiny_model: Path, earmark: Earmark, tmp_path: Path) -> None:
    more = (tmp_path, "-m", tiny_model) if verb == "scan" else ()
    (tmp_path / "text.db").write_text("not a database " * 100)
    for file in (tmp_path, tmp_path / "text.db", tmp_path / "none" / "a.db"):
        said = earmark(verb, *more, "--library", file)
        assert said.code == 1 and said.err.count("\n") == 1 and str(file) in said.err, said.err


@pytest.mark.parametrize("verb", ["library", "similar", "find", "cluster", "playlist", "map", "export", "review"])
def test_a_damaged_library_is_one_plain_line(verb: str, shelf: Path, earmark: Earmark, tmp_path: Path) -> None:
    """Bytes of a text that are no text, and numbers that are cut: SQLite minds neither."""
    more = {
        "similar": (shelf / "music" / "0.wav",),
        "find": ("song",),
        "map": ("-o", tmp_path / "m.html"),
        "review": ("-f", "json"),
    }
    data = (shelf / "a.db").read_bytes()
    for old, new in (
        (b"music/", b"\xff\xfe\xfd\xfc\xfb/"),
        (b'"threshold"', b'"xhreshold"'),
        (b'"labels"', b'"labelx" '),
    ):
        file = tmp_path / "damaged.db"
        file.write_bytes(data.replace(old, new[: len(old)]))
        said = earmark(verb, *more.get(verb, ()), "--library", file)
        assert "unexpected" not in said.err and "Traceback" not in said.err, said.err
        assert said.code in (0, 3) or said.err.splitlines()[-1].startswith(f"earmark: error: {file}")


def test_on_a_read_only_disk(shelf: Path, tmp_path: Path, tiny_model: Path) -> None:
    """Reading works, writing is refused in one line."""
    before = unprivileged()
    file = tmp_path / "still" / "a.db"
    file.parent.mkdir()
    file.write_bytes((shelf / "a.db").read_bytes())
    file.chmod(0o444)
    file.parent.chmod(0o555)
    try:
        assert in_process("library", "--library", file, before=before).code == 0
        said = in_process("scan", shelf / "music", "-m", tiny_model, "--library", file, before=before)
        assert said.code == 1 and "read-only" in said.err and said.err.count("\n") == 1
        said = in_process("library", "--library", file.parent / "new.db", before=before)
        assert said.code == 1 and said.err.count("\n") == 1
    finally:
        file.parent.chmod(0o755)


def test_two_scans_at_once(shelf: Path, tiny_model: Path, earmark: Earmark) -> None:
    with only_one(shelf / "a.db"):
        said = earmark("scan", shelf / "music", "-m", tiny_model, "--library", shelf / "a.db")
        assert said.code == 1 and "another scan is at work" in said.err
        assert earmark("library", "--library", shelf / "a.db").code == 0


def test_ctrl_c_keeps_what_is_done(tmp_path: Path, tiny_model: Path) -> None:
    make_songs(tmp_path / "music", 80)
    arguments = command("scan", tmp_path / "music", "--library", tmp_path / "a.db", "-m", tiny_model, "-j", 1)
    scan = subprocess.Popen(arguments, env=environment(), stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "a.db").exists() or not _tracks(tmp_path / "a.db"):
        assert scan.poll() is None
    scan.send_signal(2 if os.name != "nt" else 15)
    _, told = scan.communicate(timeout=60)
    assert scan.returncode == 130 and "stopped; what is done is kept" in told
    assert 0 < _tracks(tmp_path / "a.db") < 80


def _tracks(file: Path) -> int:
    connection = sqlite3.connect(file)
    try:
        return int(connection.execute("SELECT COUNT(*) FROM tracks").fetchone()[0])
    except sqlite3.Error:
        return 0
    finally:
        connection.close()


def test_the_users_names_of_labels(tmp_path: Path, tiny_model: Path, earmark: Earmark) -> None:
    make_songs(tmp_path / "music", 3)
    (tmp_path / "mine.toml").write_text('[genre]\n"Rock" = "Loud"\n"Pop" = "Loud"\n"Jazz" = "Loud"\n')
    scan = ("scan", tmp_path / "music", "--library", tmp_path / "a.db", "-m", tiny_model, "-j", 1)
    assert earmark(*scan, "--labels", tmp_path / "mine.toml").code == 0
    said = earmark("playlist", "--genre", "loud", "--library", tmp_path / "a.db")
    assert len(said.json["tracks"]) == 3
    said = earmark("export", "-f", "json", "--library", tmp_path / "a.db")
    assert set(said.json[0]["heads"]["genre"]["scores"]) == {"Loud"}


def test_another_layer(tmp_path: Path, tiny_model: Path, earmark: Earmark) -> None:
    make_songs(tmp_path / "music", 2)
    scan = ("scan", tmp_path / "music", "--library", tmp_path / "a.db", "-m", tiny_model, "-j", 1)
    assert earmark(*scan, "--layer", "bands").code == 0
    assert earmark("library", "--library", tmp_path / "a.db").json["models"] == {"tiny@1 (layer bands)": 2}
    said = earmark(*scan, "--layer", "band", "--force")
    assert said.code == 1 and "did you mean 'bands'" in said.err
    assert earmark("library", "--library", tmp_path / "a.db").json["models"] == {"tiny@1 (layer bands)": 2}
