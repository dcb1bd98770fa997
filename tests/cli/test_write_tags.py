"""``earmark write-tags`` and ``undo``: from the library into files and back, and what is said on the way."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import mutagen
import numpy as np
import pytest
import soundfile

from commands import Earmark, Terminal, in_process
from earmark.audio.identity import content_hash
from earmark.cli import main
from earmark.inference.records import HeadPrediction, Prediction
from earmark.library.records import LibraryModel
from earmark.library.store import Library, Stamp, open_library
from earmark.models.card import HeadCard
from made_tagged import FEATURES, make_song, sha256

GENRE = HeadCard("genre", "multiclass", ("Rock", "Jazz"), threshold=0.4)
MOOD = HeadCard("mood", "multiclass", ("happy", "sad"), threshold=0.5)
ENERGY = HeadCard("energy", "regression")
MODEL = LibraryModel(0, "tiny@1", "d", "", "", 2, (GENRE, MOOD, ENERGY))


def keep(library: Library, model: LibraryModel, path: Path, rock: float, happy: float, **more: Any) -> None:
    """As ``scan`` would."""
    heads = {
        "genre": HeadPrediction("multiclass", scores={"Rock": rock, "Jazz": round(1 - rock, 4)}),
        "mood": HeadPrediction("multiclass", scores={"happy": happy, "sad": round(1 - happy, 4)}),
        "energy": HeadPrediction("regression", value=0.5),
    }
    said = Prediction(str(path), 1.0, model.name, heads, embedding=np.ones(2, np.float32), **more)
    with library.change():
        audio = library.add_result(model, replace(said, content_hash=content_hash(path)))
        library.put_track(None, str(path), Stamp.of(path.stat()), audio, {})


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Three songs in a library, one that is not, and a file that is no music."""
    folder = tmp_path / "music"
    (folder / "deep").mkdir(parents=True)
    with open_library(tmp_path / "library.db", make=True) as library:
        with library.change():
            model = library.add_model(MODEL)
        for name, rock, happy in (("a.mp3", 0.83, 0.9), ("b.flac", 0.3, 0.52), ("deep/c.m4a", 0.5, 0.2)):
            keep(library, model, make_song(folder / name, 0.3), rock, happy)
    make_song(folder / "new.ogg", 0.3)
    (folder / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    return folder


@pytest.fixture
def write(earmark: Earmark, tmp_path: Path) -> Earmark:
    return lambda *arguments: earmark("write-tags", "--library", tmp_path / "library.db", *arguments)


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def test_there_and_back(music: Path, write: Earmark, earmark: Earmark) -> None:
    before = hashes(music)
    said = write()
    assert said.code == 0 and said.json["dry_run"] is False
    assert [said.json[status] for status in ("changed", "unchanged", "skipped")] == [3, 0, 0]
    run = said.json["run"]
    first = said.json["files"][0]
    assert first["path"] == str(music / "a.mp3") and first["status"] == "changed"
    assert first["changes"]["genre"] == {"before": [], "after": ["Rock"]}
    scores = json.loads(first["changes"]["scores"]["after"][0])
    assert scores["genre"] == {"Rock": 0.83, "Jazz": 0.17} and scores["model"] == "tiny@1"
    assert said.err.splitlines() == ["changed 3 files, 0 had nothing to change", f"`earmark undo {run}` takes it back"]
    assert {name for name, digest in hashes(music).items() if digest != before[name]} == {"a.mp3", "b.flac", "c.m4a"}
    assert mutagen.File(music / "deep" / "c.m4a").tags["\xa9gen"] == ["Rock"]
    listed = earmark("undo", "--list").json["runs"]
    assert [(r["run"], r["changes"], r["undone"]) for r in listed] == [(run, 3, 0)]
    back = earmark("undo")
    assert back.code == 0 and back.json["restored"] == 3 and back.json["runs"] == [run]
    assert back.err.splitlines() == ["restored 3 files"]
    assert hashes(music) == before
    again = earmark("undo")
    assert (again.code, again.err.strip(), again.json["files"]) == (0, "nothing to undo", [])
    assert earmark("undo", "--list").json["runs"][0]["undone"] == 3


def test_tempo_key_gain_and_energy_there_and_back(
    music: Path, write: Earmark, earmark: Earmark, tmp_path: Path
) -> None:
    """The numbers of the library stand in the file, and an undo leaves the file as it was."""
    song = make_song(music / "d.mp3", 0.4)
    with open_library(tmp_path / "library.db") as library:
        keep(library, library.models()[0][0], song, 0.83, 0.9, features=FEATURES)
    before = hashes(music)
    said = write("--fields", "bpm,key,replaygain,energy", "--key-notation", "camelot")
    assert (said.code, said.json["changed"]) == (0, 4)
    lacks = "the library has no tempo or key or loudness for 3 of 4 files; `earmark scan --features` adds it"
    assert lacks in said.err
    (record,) = earmark("export", "--library", tmp_path / "library.db", "-f", "json").json[2:3]
    assert record["path"] == str(song) and record["features"]["tempo"]["value"] == 120.7
    tags = mutagen.File(song).tags
    assert [str(tags[name]) for name in ("TBPM", "TKEY", "TXXX:REPLAYGAIN_TRACK_GAIN", "COMM::eng")] == [
        *("121", "11A", "-8.20 dB", "Energy 5")
    ]
    assert mutagen.File(music / "b.flac").tags["COMMENT"] == ["Energy 5"], "the energy is the model's"
    assert earmark("undo").json["restored"] == 4 and hashes(music) == before
    wrong = write("--fields", "tempo")
    assert wrong.code == 1 and wrong.err.startswith("earmark: error: unknown field 'tempo'")


def test_from_a_scan_to_the_beats_of_a_file_and_back(tmp_path: Path, tiny_model: Path, earmark: Earmark) -> None:
    """What a scan finds of a song stands in its file, within 4 % of its beat; an undo leaves no trace."""
    rate, beat = 22_050, round(22_050 * 60 / 126)
    time = np.arange(beat) / rate
    notes = [220 * 2 ** (step / 12) for step in (0, 3, 7, 12, 7, 3, 5, 8)]
    plucked = [sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 6)) for hertz in notes]
    song_of_notes = np.concatenate([0.2 * one * np.exp(-6 * time) for one in plucked * 5]).astype(np.float32)
    (tmp_path / "music").mkdir()
    songs = [tmp_path / "music" / name for name in ("a.flac", "b.mp3")]
    for song in songs:
        soundfile.write(song, song_of_notes, rate)
    before, library = hashes(tmp_path / "music"), ("--library", tmp_path / "library.db")
    assert earmark("scan", tmp_path / "music", "-m", tiny_model, "-j", 1, "--features", *library).code == 0
    told = {Path(one["path"]).name: one["features"] for one in earmark("export", "-f", "json", *library).json}
    said = earmark("write-tags", "--fields", "bpm,replaygain", *library)
    assert (said.code, said.json["changed"]) == (0, 2), said.err
    flac, mp3 = (mutagen.File(song).tags for song in songs)
    beats = told["a.flac"]["tempo"]["value"]
    assert beats == pytest.approx(126, rel=0.04) and float(flac["BPM"][0]) == beats
    assert str(mp3["TBPM"]) == str(round(told["b.mp3"]["tempo"]["value"]))
    assert flac["REPLAYGAIN_TRACK_GAIN"] == [f"{told['a.flac']['loudness']['gain']:.2f} dB"]
    assert earmark("undo").json["restored"] == 2 and hashes(tmp_path / "music") == before


def test_one_run_of_two(music: Path, write: Earmark, earmark: Earmark) -> None:
    before = hashes(music)
    first = write("--heads", "genre").json["run"]
    between = hashes(music)
    second = write("--heads", "mood", "--policy", "merge").json["run"]
    early = earmark("undo", first)
    assert early.code == 3 and "undo that first" in early.out and "skipped 3 files: 3 changed" in early.err
    assert earmark("undo", second).code == 0 and hashes(music) == between
    assert earmark("undo", first).code == 0 and hashes(music) == before
    wrong = earmark("undo", "2026")
    assert wrong.code == 1 and wrong.err.startswith("earmark: error: unknown run '2026'")


def test_undo_takes_the_last_run_and_a_skipped_file_spoils_nothing(
    music: Path, write: Earmark, earmark: Earmark
) -> None:
    before = hashes(music)
    first = write("--heads", "genre").json["run"]
    between = hashes(music)
    second = write("--heads", "mood", music / "a.mp3", music / "b.flac").json["run"]
    third = write("--policy", "overwrite", "--comment", music / "deep").json["run"]
    with (music / "deep" / "c.m4a").open("ab") as song:
        song.write(b"changed since")
    skipped = earmark("undo")
    assert (skipped.code, skipped.json["runs"], skipped.json["skipped"]) == (3, [third], 1)
    assert f"`earmark undo {third}` tries again" in skipped.err
    assert earmark("undo").json["runs"] == [second]
    assert {name: digest for name, digest in hashes(music).items() if name != "c.m4a"} == {
        name: digest for name, digest in between.items() if name != "c.m4a"
    }
    last = earmark("undo")
    assert (last.json["runs"], last.json["restored"], last.json["skipped"]) == ([first], 2, 1)
    assert {name for name, digest in hashes(music).items() if digest != before[name]} == {"c.m4a"}
    assert earmark("undo").err.strip() == "nothing to undo"


def test_comment_and_times(music: Path, write: Earmark, earmark: Earmark) -> None:
    songs = [music / "a.mp3", music / "b.flac"]
    for song in songs:
        os.utime(song, ns=(10**18, 10**18))
    said = write("--comment", songs[0])
    assert said.json["files"][0]["changes"]["comment"] == {"before": [], "after": ["Rock / happy / energy 5"]}
    assert str(mutagen.File(songs[0]).tags["COMM::eng"]) == "Rock / happy / energy 5"
    assert songs[0].stat().st_mtime_ns > 10**18 + 10**17
    write("--keep-mtime", "--min-confidence", "0", songs[1])
    assert mutagen.File(songs[1]).tags["GENRE"] == ["Jazz"] and songs[1].stat().st_mtime_ns == 10**18
    assert earmark("undo", "--all").json["restored"] == 2
    assert [song.stat().st_mtime_ns for song in songs] == [10**18] * 2


def test_a_link_out_of_the_scanned_folder_is_left_alone(music: Path, write: Earmark, tmp_path: Path) -> None:
    outside = (music / "a.mp3").rename(tmp_path / "outside.mp3")
    (music / "a.mp3").symlink_to(outside)
    (music / "again.flac").symlink_to(music / "b.flac")
    before = sha256(outside)
    said = write(music)
    found = {
        Path(file["path"]).name: (file["status"], file.get("error", {}).get("kind")) for file in said.json["files"]
    }
    assert found["a.mp3"] == ("skipped", "links") and sha256(outside) == before
    assert sorted((found["b.flac"][0], found["again.flac"][0])) in (["changed", "skipped"], ["changed", "unchanged"])
    assert write("--follow-links", music).json["changed"] == 1 and sha256(outside) != before
    assert (music / "a.mp3").is_symlink()


def test_undo_of_one_library(music: Path, write: Earmark, earmark: Earmark, tmp_path: Path) -> None:
    write()
    assert earmark("undo", "--library", tmp_path / "other.db").err.strip() == "nothing to undo"
    assert earmark("undo", "--library", tmp_path / "library.db").json["restored"] == 3


def test_dry_run_shows_and_touches_nothing(music: Path, write: Earmark, earmark: Earmark) -> None:
    before = hashes(music)
    said = write("--dry-run", "--min-confidence", "0.6")
    assert (said.code, said.json["run"], said.json["dry_run"], said.json["changed"]) == (0, None, True, 3)
    assert [set(file["changes"]) for file in said.json["files"]] == [
        {"genre", "mood", "scores"},
        {"genre", "scores"},
        {"mood", "scores"},
    ]
    assert hashes(music) == before and earmark("undo", "--list").json["runs"] == []
    table = write("--dry-run", "-f", "table")
    assert table.out.splitlines()[0].split() == ["file", "field", "before", "after"]
    assert [line.split()[-3:] for line in table.out.splitlines() if "genre  " in line] == [
        ["genre", "-", "Rock"],
        ["genre", "-", "Jazz"],
        ["genre", "-", "Rock"],
    ]


def test_paths_and_what_is_not_in_the_library(music: Path, write: Earmark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(music.parent)
    said = write("music", "gone.mp3", "music/a.mp3")
    found = [(file["path"], file["status"], file.get("error", {}).get("kind")) for file in said.json["files"]]
    assert found == [
        (str(Path("music", "a.mp3")), "changed", None),
        (str(Path("music", "b.flac")), "changed", None),
        (str(Path("music", "deep", "c.m4a")), "changed", None),
        (str(Path("music", "new.ogg")), "skipped", "not-in-library"),
        ("gone.mp3", "skipped", "missing"),
        (str(Path("music", "a.mp3")), "unchanged", None),
    ]
    assert said.code == 3 and said.json["skipped"] == 2
    assert "skipped 2 files: 1 missing, 1 not-in-library" in said.err
    assert "not in the library; `earmark scan` adds it" in said.out


def test_own_names_of_labels(music: Path, write: Earmark, tmp_path: Path) -> None:
    names = tmp_path / "names.toml"
    names.write_text('[genre]\nRock = "Krach"\n')
    assert write("--labels", names, music / "a.mp3").json["files"][0]["changes"]["genre"]["after"] == ["Krach"]
    names.write_text('[genre]\nRok = "Krach"\n')
    wrong = write("--labels", names)
    assert wrong.code == 1 and "did you mean 'Rock'" in wrong.err


def test_a_correction_of_the_user_counts(music: Path, write: Earmark, tmp_path: Path) -> None:
    with open_library(tmp_path / "library.db") as library:
        library.set_label(library.track(str(music / "a.mp3")).audio, "genre", "Skiffle")
    said = write("--dry-run", "--min-confidence", "0.95", music / "a.mp3")
    assert said.json["files"][0]["changes"]["genre"]["after"] == ["Skiffle"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--heads", "energy"), 1, "the head 'energy' has no field that players read"),
        (("--heads", "genres"), 1, "unknown head 'genres'; did you mean 'genre'?"),
        (("--heads", ","), 1, "--heads names no head"),
        (("--min-confidence", "1.5"), 2, "'1.5' is not a number from 0 to 1"),
        (("--policy", "all"), 2, "invalid choice: 'all'"),
    ],
)
def test_wrong_wishes(music: Path, write: Earmark, arguments: tuple[str, ...], code: int, told: str) -> None:
    before = hashes(music)
    said = write(*arguments)
    assert said.code == code and told in said.err and said.out == ""
    assert hashes(music) == before


def test_an_empty_library_and_no_audio(earmark: Earmark, music: Path, write: Earmark, tmp_path: Path) -> None:
    empty = earmark("write-tags", "--library", tmp_path / "none.db")
    assert empty.code == 1 and "`earmark scan FOLDER`" in empty.err and len(empty.err.splitlines()) == 1
    (tmp_path / "void").mkdir()
    nothing = write(tmp_path / "void")
    assert nothing.code == 1 and "no audio file in" in nothing.err and nothing.out == ""
    folder = earmark("write-tags", "--library", tmp_path)
    assert folder.code == 1 and "is a folder" in folder.err


def test_a_damaged_journal_is_told_and_the_rest_restored(music: Path, write: Earmark, earmark: Earmark) -> None:
    before = hashes(music)
    run = write().json["run"]
    (journal,) = Path(os.environ["HOME"]).rglob(f"{run}.jsonl")
    journal.write_bytes(journal.read_bytes()[:-40])
    said = earmark("undo")
    assert said.code == 3 and said.json["restored"] == 2 and "is cut off" in said.out
    assert {name for name, digest in hashes(music).items() if digest != before[name]} == {"c.m4a"}


def test_a_newer_journal_keeps_nobody_else_from_undoing(music: Path, write: Earmark, earmark: Earmark) -> None:
    run = write().json["run"]
    (journal,) = Path(os.environ["HOME"]).rglob(f"{run}.jsonl")
    newer = journal.with_name("20200101-000000.jsonl")
    newer.write_text('{"event": "run", "format": 9}\n')
    said = earmark("undo")
    assert said.code == 3 and said.json["restored"] == 3 and "a newer Earmark wrote this journal" in said.out
    assert earmark("undo", newer.stem).code == 1


def test_on_a_terminal(music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copyfile(music / "a.mp3", music / "\x1b[31mred.mp3")
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(f"sys.{stream}", Terminal())
    monkeypatch.setenv("COLUMNS", "90")
    import sys

    assert main(["write-tags", "--library", str(tmp_path / "library.db"), str(music)]) == 3
    sys.stdout.flush()
    shown = sys.stdout.buffer.getvalue().decode()  # type: ignore[attr-defined]
    assert "\x1b[31m" not in shown and "not-in-library: not in the library" in shown


def test_stopped_by_ctrl_c(music: Path, write: Earmark, earmark: Earmark, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list ends properly, what is done can be taken back, and nothing is left beside the song that was in work."""
    import earmark.filetags.write as module

    before, real_check = hashes(music), module.must_sound_the_same

    def stop_at_the_second(old: Path, new: Path, engine: object) -> None:
        if old.name == "b.flac":
            raise KeyboardInterrupt
        real_check(old, new, engine)

    monkeypatch.setattr(module, "must_sound_the_same", stop_at_the_second)
    said = write()
    assert said.code == 130 and [file["status"] for file in said.json["files"]] == ["changed"]
    assert "takes it back" in said.err and said.err.splitlines()[-1] == "earmark: stopped; what is done is kept"
    assert {name for name, digest in hashes(music).items() if digest != before.get(name)} == {"a.mp3"}
    assert earmark("undo").json["restored"] == 1 and hashes(music) == before


def test_another_run_at_work(music: Path, write: Earmark, earmark: Earmark) -> None:
    from earmark.filetags.journal import journal_folder, locked

    with locked(journal_folder()):
        for said in (write(), earmark("undo")):
            assert said.code == 1 and "another `write-tags` or `undo` is at work" in said.err
    assert write().code == 0


def test_without_mutagen(music: Path, tmp_path: Path) -> None:
    """In a plain install the command to get the extra is named."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['mutagen'] = None\n")
    where: dict[str, Any] = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[2] / 'src'}"}
    said = in_process("write-tags", "--library", tmp_path / "library.db", env=where)
    assert said.code == 1 and "pip install 'earmark[tags]'" in said.err and len(said.err.splitlines()) == 1
