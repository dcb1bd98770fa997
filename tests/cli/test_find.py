"""``earmark find`` and ``playlist --like``: what was understood, what was found, and what neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import Earmark, in_process
from sounds_of_library import make_songs


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A library of eight made songs by four artists."""
    folder = tmp_path_factory.mktemp("find")
    music = make_songs(folder / "music", 8)
    said = in_process("scan", music, "--library", folder / "a.db", "-m", tiny_model, "-j", 1)
    assert said.code == 0, said.err
    return folder / "a.db"


def test_json(library: Path, earmark: Earmark) -> None:
    said = earmark("find", "Arist 1, not rock, blobfish", "--library", library)
    assert said.code == 0
    assert {"understood", "unknown", "tracks"} <= set(said.json)
    assert said.json["understood"] == ["Arist 1", "not rock"] and said.json["unknown"] == ["blobfish"]
    assert said.json["read_as"] == {"Arist 1": "artist 1"}
    assert "Understood Arist 1 (as artist 1), not rock." in said.err and "Did not understand blobfish" in said.err
    for one in said.json["tracks"]:
        assert set(one) == {"path", "artist", "title", "score", "why"}
        assert one["artist"] == "Artist 1" and 0 < one["score"] <= 1
        assert 'artist "Artist 1"' in one["why"] and "not Rock" in one["why"]


def test_table_and_count(library: Path, earmark: Earmark) -> None:
    said = earmark("find", "artist", "1", "-n", 1, "-f", "table", "--library", library)
    lines = said.out.splitlines()
    assert said.code == 0 and len(lines) == 2 and lines[0].split() == ["score", "song", "why"]
    assert 'Artist 1 - Song 2  artist "Artist 1"' in lines[1]


@pytest.mark.parametrize(
    "typed", [("artist", "1", "-rock"), ("-metal artist 1",), ("-rock", "artist 1", "-n", "5", "-fjson"), ("-folk",)]
)
def test_a_hyphen_in_front_is_no_option(typed: tuple[str, ...], library: Path, earmark: Earmark) -> None:
    said = earmark("find", *typed, "--library", library)
    assert said.code in (0, 1) and any(one.startswith("not ") for one in [*said.json["understood"], "not folk"])
    assert "artist 1" in said.json["understood"] or typed == ("-folk",)
    said = earmark("playlist", "--like", "-rock artist 1", "--library", library)
    assert said.code == 0 and {one["artist"] for one in said.json["tracks"]} == {"Artist 1"}
    said = earmark("playlist", "--like", "-metal", "--library", library)
    assert "Understood not metal" in said.err, said.err
    said = earmark("playlist", "--from", "-no such song.wav", "--library", library)
    assert said.code == 1 and "-no such song.wav" in said.err, "the name of a song stays as it is"


def test_nothing_understood(library: Path, earmark: Earmark) -> None:
    said = earmark("find", "jxzz blobfish", "--library", library)
    assert said.code == 1 and said.json["tracks"] == [] and said.json["unknown"] == ["jxzz", "blobfish"]
    assert said.json["nearest"]["jxzz"] == ["Jazz"]
    assert said.err.count("\n") == 1 and "nearest: Jazz" in said.err and "labels such as" in said.err
    assert earmark("find", "blobfish", "-f", "table", "--library", library).out == ""


def test_no_hit_is_said(library: Path, earmark: Earmark) -> None:
    said = earmark("find", '"song 1" -"artist 0"', "--library", library)
    assert said.code == 1 and said.json["tracks"] == [] and said.json["understood"] == ["song 1", "not artist 0"]
    assert "leave a part of it out" in said.err


@pytest.mark.parametrize("words", ["", ",,,", "not", "\u202e\x1b["])
def test_no_words(words: str, library: Path, earmark: Earmark) -> None:
    said = earmark("find", words, "--library", library)
    assert said.code == 1 and said.out == "" and said.err.count("\n") == 1 and "no words to search for" in said.err
    assert "\x1b" not in said.err and "\u202e" not in said.err


def test_playlist_like(library: Path, earmark: Earmark) -> None:
    said = earmark("playlist", "--like", "artist 1 or artist 2, not rock", "--library", library)
    assert {one["artist"] for one in said.json["tracks"]} <= {"Artist 1", "Artist 2"} and "Understood" in said.err
    found = earmark("find", "artist 1 or artist 2, not rock", "--library", library).json["tracks"]
    assert {one["path"] for one in said.json["tracks"]} == {one["path"] for one in found}
    said = earmark("playlist", "--like", "blobfish", "--library", library)
    assert said.code == 1 and said.out == "" and "nothing is known of blobfish" in said.err
    assert earmark("playlist", "--like", "", "--library", library).code == 1


def test_real_songs(shared: Path, tmp_path: Path, earmark: Earmark) -> None:
    """Eight songs of each genre: what is asked for comes first, in three languages, and names are found."""
    root = shared / "data" / "emotify400"
    rows = (root / "tracks.tsv").read_text("utf-8").splitlines()
    of_genre = ([row for row in rows if f"/{genre}/" in row][::14] for genre in ("classical", "electronic", "rock"))
    music = [root / row.split("\t")[0] for several in of_genre for row in several]
    assert len(music) >= 15
    said = earmark("scan", *music, "--library", tmp_path / "a.db")
    assert said.code == 0, said.err
    for words, genre in (
        ("classical", "classical"),
        ("klassische Musik, nicht elektronisch", "classical"),
        ("musique électronique", "electronic"),
        ("rock, not classical, not electronic", "rock"),
    ):
        tracks = earmark("find", words, "-n", 3, "--library", tmp_path / "a.db").json["tracks"]
        right = sum(f"/{genre}/" in one["path"] for one in tracks)
        assert right >= 2, f"{words}: {tracks}"
        scores = [one["score"] for one in tracks]
        assert scores == sorted(scores, reverse=True)
    one = earmark("find", '"voices of music"', "--library", tmp_path / "a.db").json
    assert one["tracks"][0]["artist"] == "Voices of Music"
