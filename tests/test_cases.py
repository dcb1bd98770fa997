"""Every generator of ``../shared/cases`` with the command line that people tried on it, and the right answer.

A folder of cases without a test here fails. What the rooms do with the same files is tested there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cases import make_case
from commands import Earmark, Said
from conftest import ROOT, program
from earmark.tags import id3
from made_songs import write_collection
from made_tagged import make_song, sha256

FOLDERS = sorted(folder.name for folder in (ROOT.parent / "shared" / "cases").glob("*-*"))


@dataclass(frozen=True)
class Desk:
    """Where a case is tried.

    Attributes:
        shared: The shared data.
        folder: An empty folder.
        model: A model.
        earmark: The command line.
    """

    shared: Path
    folder: Path
    model: Path
    earmark: Earmark

    @property
    def library(self) -> tuple[object, ...]:
        return "--library", self.folder / "a.db"

    def made(self, number: str, *more: str, songs: int = 1) -> Path:
        return make_case(self.shared, number, self.folder / "".join(["made", *more]), *more, songs=songs)

    def tag(self, *arguments: object) -> dict[str, dict[str, Any]]:
        """By name of the file: the record."""
        said = self.earmark("tag", *arguments, "-m", self.model, "-f", "jsonl", "-j", 1)
        return {Path(record["path"]).name: record for record in said.records}

    def scan(self, folder: Path) -> Any:
        return self.earmark("scan", folder, "-m", self.model, "-j", 1, *self.library).json

    def export(self) -> list[dict[str, Any]]:
        return list(self.earmark("export", "-f", "json", *self.library).json)

    def write_tags(self, *options: object) -> Said:
        return self.earmark("write-tags", "--heads", "genre", "--min-confidence", 0, *options, *self.library)


def case_01(desk: Desk) -> None:
    """Two shows with one opening are two recordings, each with its own labels and length."""
    shows = desk.made("01", songs=2)
    assert desk.scan(shows)["heard"] == 2
    one, two = desk.export()
    assert one["audio"] != two["audio"] and one["heads"] != two["heads"]
    assert (one["seconds"], two["seconds"]) == (pytest.approx(66.4, abs=0.7), pytest.approx(86.1, abs=0.9))
    assert desk.earmark("library", *desk.library).json["copies"] == 0
    found = desk.earmark("similar", shows / "episode 1.mp3", *desk.library).json["tracks"]
    assert [track["path"] for track in found] == [str(shows / "episode 2.mp3")]
    (desk.folder / "set").mkdir()
    shows.rename(desk.folder / "set" / "Show")
    audit = desk.earmark("audit", desk.folder / "set", "-m", desk.model, "-f", "json").json
    assert [pair for pair in audit["duplicates"] if pair["kind"] == "exact"] == []


def case_04(desk: Desk) -> None:
    """ID3v2.2 stays 2.2, with its unknown frame; undo gives every byte back."""
    program("ffmpeg")
    (desk.folder / "music").mkdir()
    song = desk.folder / "music" / "old.mp3"
    script = desk.shared / "cases" / "04-id3v22-becomes-v24" / "make.py"
    subprocess.run([sys.executable, script, make_song(desk.folder / "a.wav", 3.0), song], check=True)
    desk.scan(song.parent)
    digest, before = sha256(song), id3.parse(song.read_bytes())
    assert desk.write_tags().json["changed"] == 1
    after = id3.parse(song.read_bytes())
    assert before is not None and after is not None and after.version == 2
    assert after.frames[: len(before.frames)] == before.frames and len(after.frames) > len(before.frames)
    assert desk.earmark("undo").json["restored"] == 1 and sha256(song) == digest


def case_05(desk: Desk) -> None:
    """All of an mp3 without a header frame counts, with any plan of excerpts."""
    folder = desk.made("05")
    for more in ((), ("--excerpt", "whole")):
        found = desk.tag(folder, *more)
        assert len(found) == 4
        for name, record in found.items():
            assert record["seconds"] == pytest.approx(30 if name == "piped.mp3" else 150, rel=0.01), name
            assert "warning" not in record


def case_06(desk: Desk) -> None:
    """A recording of a radio is one track of all its songs."""
    folder = desk.made("06", songs=2)
    for more in ((), ("--excerpt", "whole")):
        found = desk.tag(folder, *more)
        assert set(found) == {"radio.ogg", "radio.opus"}
        assert all(record["seconds"] == pytest.approx(28, rel=0.01) for record in found.values())


def case_07(desk: Desk) -> None:
    """An album of one file counts as one, and says so; the cue sheet is no file of audio."""
    folder = desk.made("07", songs=2)
    found = desk.tag(folder)
    assert set(found) == {"album.flac"}
    assert found["album.flac"]["warning"].startswith("the cue sheet album.cue lists 2 tracks in this file")
    assert desk.scan(folder)["tracks"] == 1
    assert desk.export()[0]["warning"] == found["album.flac"]["warning"]


def case_09(desk: Desk) -> None:
    """A FLAC whose end is missing is read as far as it goes, and says so."""
    seconds = {"full": 60, "stereo": 60, "short": 30, "full-cut": 54, "stereo-cut": 54.3, "short-cut": 27}
    folder = desk.made("09")
    found = desk.tag(folder)
    assert len(found) == len(seconds) + 1
    for name, expected in (seconds | {"last-frame-gone": 60}).items():
        record = found[f"{name}.flac"]
        assert record["seconds"] == pytest.approx(expected, rel=0.02), name
        assert not name.endswith("-cut") or record["warning"], name
        assert record["heads"], name
    assert desk.scan(folder)["failed"] == {}


def case_10(desk: Desk) -> None:
    """Trash, versions, half downloads stay out; what is named on the command line is taken."""
    folder = desk.made("10")
    assert set(desk.tag(folder)) == {"Song.mp3"}
    assert desk.scan(folder)["tracks"] == 1
    thrown = folder / ".Trash-1000" / "files" / "deleted.mp3"
    assert desk.tag(thrown)["deleted.mp3"]["heads"]


def case_11(desk: Desk) -> None:
    """Folders of systems are no classes."""
    for kind in ("eadir", "macosx", "windows", "art", "recycle"):
        said = desk.earmark("audit", desk.made("11", kind), "-m", desk.model, "-f", "json")
        assert said.code == 0 and said.json["balance"] == {"genre": {"pop": 6, "rock": 6}}, kind
        assert ("Artwork: pictures, no songs: left out" in said.json["notices"]) is (kind == "art")


def case_12(desk: Desk) -> None:
    """Players and backups see by the time of modification that a file was changed, unless asked otherwise."""
    folder = desk.made("12")
    songs = sorted(folder.iterdir())
    desk.scan(folder)
    for keep in (True, False):
        for song in songs:
            os.utime(song, ns=(10**18, 10**18))
        said = desk.write_tags("--policy", "overwrite", *(["--keep-mtime"] if keep else []))
        assert said.json["changed"] == 2
        assert [song.stat().st_mtime_ns == 10**18 for song in songs] == [keep] * 2
        desk.earmark("undo")
        assert [song.stat().st_mtime_ns for song in songs] == [10**18] * 2


def case_13(desk: Desk) -> None:
    """New tags are seen where size and time of modification are the old ones."""
    pytest.importorskip("mutagen")
    music = desk.made("13")
    assert desk.scan(music)["heard"] == 1
    script = desk.shared / "cases" / "13-retagged-unseen" / "retag.py"
    subprocess.run([sys.executable, str(script), str(music / "a.flac")], check=True)
    said = desk.scan(music)
    assert (said["heard"], said["known"]) == (0, 1)
    (record,) = desk.export()
    assert (record["title"], record["artist"]) == ("New", "Corrected")


def case_14(desk: Desk) -> None:
    """Artist and title are those of the file, in every container; a data set keeps its artists apart by them."""
    folder = desk.made("14")
    assert desk.scan(folder)["tracks"] == 7
    for record in desk.export():
        kind = Path(record["path"]).suffix[1:]
        assert (record["artist"], record["title"]) == (f"Artist {kind}", f"Title {kind}")
    assert desk.write_tags("--dry-run").json["changed"] > 0


def case_15(desk: Desk) -> None:
    """Silence is no song: no labels, no cluster, no neighbour, no playlist, nothing written."""
    music = desk.made("15")
    silence = desk.tag(music)["silence 30s.flac"]
    assert silence["warning"] == "silence"
    assert desk.scan(music)["silent"] == 1
    silent, *others = sorted(desk.export(), key=lambda one: "silence" not in Path(one["path"]).name)
    assert silent["warning"] == "silence" and silent["cluster"] is None
    for heads in (silence["heads"], silent["heads"]):
        assert not any(head.get("label") or head.get("labels") for head in heads.values())
    paths = {one["path"] for one in others}
    clusters = desk.earmark("cluster", *desk.library).json["clusters"]
    assert {path for one in clusters for path in one["tracks"]} == paths
    found = desk.earmark("similar", music / "1.mp3", *desk.library).json["tracks"]
    assert {one["path"] for one in found} == paths - {str(music / "1.mp3")}
    playlist = desk.earmark("playlist", "--from", music / "1.mp3", *desk.library).json["tracks"]
    assert {one["path"] for one in playlist} <= paths
    assert desk.earmark("map", "-o", desk.folder / "map.html", *desk.library).json["tracks"] == 3
    written = desk.write_tags().json
    assert written["changed"] == 3
    assert all(one["status"] == "unchanged" for one in written["files"] if one["path"] not in paths)


def case_17(desk: Desk) -> None:
    """Labels that differ by case are named, by audit and by train; they stay two."""
    songs = desk.made("17")
    words = "the labels 'Rock' and 'rock' differ only in case"
    audit = desk.earmark("audit", songs, "-m", desk.model, "-f", "json").json
    assert sum(words in notice for notice in audit["notices"]) == 1
    assert audit["balance"] == {"genre": {"Pop": 3, "Rock": 3, "rock": 3}}
    said = desk.earmark("train", songs, "--init", desk.model, "-o", desk.folder / "m")
    assert words in said.err  # and then: one artist's songs under three labels cannot be learned from
    songs = write_collection(desk.folder / "songs", {"Hip Hop": 90.0, "hip-hop": 700.0}, songs=8)
    said = desk.earmark("train", songs, "--init", desk.model, "-o", desk.folder / "m", "-f", "json")
    assert said.code == 0 and said.err.count("the labels 'Hip Hop' and 'hip-hop' differ only in case") == 1


def case_18(desk: Desk) -> None:
    """A class of which no file can be read is no label of a model."""
    songs = desk.made("18")
    audit = desk.earmark("audit", songs, "-m", desk.model, "-f", "json")
    words = "genre: the tracks of 'broken' (3) cannot be read"
    assert audit.code == 3 and f"{words}: training leaves the label out" in audit.json["notices"]
    write_collection(desk.folder / "songs", {"low": 90.0, "high": 3000.0}, songs=8)
    (songs / "broken").rename(desk.folder / "songs" / "broken")
    trained = ("--init", desk.model, "-o", desk.folder / "m", "-f", "json")
    said = desk.earmark("train", desk.folder / "songs", *trained)
    assert said.code == 0 and said.err.count(words) == 1 and "the label is left out of the model" in said.err
    models = desk.earmark("tag", desk.folder / "songs" / "low", "-m", desk.folder / "m", "-f", "jsonl").records
    assert all(set(record["heads"]["genre"]["scores"]) == {"low", "high"} for record in models)


def case_19(desk: Desk) -> None:
    """A name in the other Unicode form is the same song."""
    music = desk.made("19")
    make_case(desk.shared, "15", music, songs=1)
    desk.scan(music)
    (there,) = (path for path in music.iterdir() if not path.name.isascii())
    other = there.with_name(unicodedata.normalize("NFC", there.name))
    assert other.name != there.name
    for verb in (("similar", other), ("playlist", "--from", other), ("path", other, music / "1.mp3", "-n", 3)):
        said = desk.earmark(*verb, *desk.library)
        assert said.code == 0 and said.json["tracks"], verb


@pytest.mark.parametrize("folder", FOLDERS or ["none"])
def test_the_right_answer(folder: str, shared: Path, tmp_path: Path, tiny_model: Path, earmark: Earmark) -> None:
    tried: Callable[[Desk], None] | None = globals().get(f"case_{folder[:2]}")
    assert tried is not None, f"{folder} has no test"
    tried(Desk(shared, tmp_path, tiny_model, earmark))
