"""Each kind of file gets its fields where players look for them (Picard's mapping)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mutagen
import pytest
from mutagen.id3 import COMM, ID3, TCON, TIT2, TMOO, TXXX

from earmark.filetags.fields import SCORES, differences
from earmark.filetags.policy import Refusal, WriteOptions
from earmark.filetags.tagged import open_tags
from earmark.tags.read import read_tags
from made_tagged import KINDS, make_song, written

ITUNES = "----:com.apple.iTunes:"
NAMES = {
    **dict.fromkeys(("flac", "ogg", "opus"), ("GENRE", "MOOD", SCORES)),
    **dict.fromkeys(("mp3", "wav", "aiff", "tta"), ("TCON", "TMOO", f"TXXX:{SCORES}")),
    "m4a": ("\xa9gen", f"{ITUNES}MOOD", ITUNES + SCORES),
    "wma": ("WM/Genre", "WM/Mood", SCORES),
    "wv": ("Genre", "Mood", SCORES),
}


def first(value: Any) -> str:
    one = value.text[0] if hasattr(value, "text") else value[0]
    return one.decode() if isinstance(one, bytes) else str(one)


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_the_fields(kind: str, tmp_path: Path) -> None:
    song = make_song(tmp_path / f"song.{kind}")
    _, (outcome,) = written(tmp_path / "journal", [song])
    assert outcome.status == "changed", outcome.message
    tags = mutagen.File(song).tags
    genre, mood, scores = (first(tags[name]) for name in NAMES[kind])
    assert (genre, mood) == ("Röck", "happy") and scores.startswith('{"model":"made@1","genre":{"Röck":0.83')
    assert open_tags(song).values == {"genre": ("Röck",), "mood": ("happy",), "scores": (scores,)}


@pytest.mark.parametrize("kind", KINDS)
def test_several_labels_are_several_values(kind: str, tmp_path: Path) -> None:
    song = make_song(tmp_path / f"song.{kind}")
    _, (outcome,) = written(tmp_path / "journal", [song], WriteOptions(heads=("genres", "mood")))
    assert outcome.status == "changed", outcome.message
    assert open_tags(song).values["genre"] == ("Rock", "Indie")


def test_another_reader_sees_them(tmp_path: Path) -> None:
    songs = [make_song(tmp_path / f"song.{kind}") for kind in KINDS if kind not in ("wv", "tta")]
    written(tmp_path / "journal", songs)
    assert {song.suffix: read_tags(song).get("genre") for song in songs} == {song.suffix: ("Röck",) for song in songs}


def tagged_23(path: Path, *frames: Any) -> Path:
    make_song(path)
    tags = ID3()
    for frame in frames:
        tags.add(frame)
    tags.save(path, v2_version=3, v1=0)
    return path


def test_an_older_id3_tag_keeps_its_version(tmp_path: Path) -> None:
    song = tagged_23(tmp_path / "a.mp3", TIT2(1, ["Wörter 字"]), TCON(1, ["Polka"]))
    written(tmp_path / "journal", [song], WriteOptions("merge", ("genre", "genres", "mood")))
    tags = ID3(song, translate=False)
    assert tags.version == (2, 3, 0) and tags["TIT2"].text == ["Wörter 字"]
    assert tags["TCON"].text == ["Polka/Röck/Rock/Indie"] and "TMOO" not in tags
    assert tags["TXXX:MOOD"].text == ["happy"]
    assert open_tags(song).values["genre"] == ("Polka", "Röck", "Rock", "Indie")
    _, (again,) = written(tmp_path / "journal", [song], WriteOptions("merge", ("genre", "genres", "mood")))
    assert again.status == "unchanged"


def test_moods_in_both_frames_stay_in_step(tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.mp3")
    tags = ID3()
    tags.add(TMOO(3, ["grim"]))
    tags.add(TXXX(3, "Mood", ["grim"]))
    tags.save(song)
    written(tmp_path / "journal", [song], WriteOptions("overwrite"))
    assert {str(ID3(song)["TMOO"]), str(ID3(song)["TXXX:Mood"])} == {"happy"}


def test_the_short_tag_at_the_end_of_an_mp3_stays(tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.mp3")
    end = (
        b"TAG"
        + b"Title".ljust(30, b"\0")
        + b"Artist".ljust(60, b" ")
        + b"1999"
        + b"a comment".ljust(30, b" ")
        + b"\x0c"
    )
    song.write_bytes(song.read_bytes() + end)
    tags = ID3()
    tags.add(COMM(3, "eng", "", ["longer"]))
    tags.save(song, v1=0)
    song.write_bytes(song.read_bytes() + end)
    _, (outcome,) = written(tmp_path / "journal", [song], WriteOptions("overwrite"))
    assert outcome.status == "changed", outcome.message
    assert song.read_bytes()[-128:] == end[:-1] + b"\xff"  # whose list of genres has no Röck


def test_a_number_for_a_genre_counts_as_one(tmp_path: Path) -> None:
    song = tagged_23(tmp_path / "a.mp3", TCON(0, ["(17)"]))
    assert open_tags(song).values["genre"] == ("Rock",)


def test_a_genre_elsewhere_in_the_file_counts(tmp_path: Path) -> None:
    """In a WAV, where most programs write: mutagen looks only into its ID3 tag."""
    song = make_song(tmp_path / "a.wav")
    raw = song.read_bytes()
    info = b"INFOIGNR" + (6).to_bytes(4, "little") + b"Polka\0"
    body = raw[8:] + b"LIST" + len(info).to_bytes(4, "little") + info
    song.write_bytes(b"RIFF" + len(body).to_bytes(4, "little") + body)
    _, (outcome,) = written(tmp_path / "journal", [song])
    assert outcome.status == "changed" and set(outcome.changes) == {"mood", "scores"}


def test_what_holds_no_tags_is_told(tmp_path: Path) -> None:
    text = tmp_path / "a.mp3"
    text.write_text("no music")
    empty = tmp_path / "b.flac"
    empty.touch()
    for path in (text, empty):
        with pytest.raises(Refusal, match="tags") as told:
            open_tags(path)
        assert told.value.kind == "format" and "\n" not in str(told.value)


def test_fields_differ_by_name() -> None:
    assert differences({"genre": ("a",)}, {"genre": ("a",), "mood": ("b",)}) == {"mood": ((), ("b",))}
