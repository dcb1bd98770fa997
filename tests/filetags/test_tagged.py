"""Several kinds of tags in one file: one rule for all, and nothing else of any of them changes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import mutagen
import pytest
from mutagen.id3 import COMM, ID3, TALB, TCON, TIT2

from earmark.filetags.journal import read_run
from earmark.filetags.policy import Outcome, Policy, WriteOptions
from earmark.filetags.tagged import open_tags
from earmark.filetags.undo import undo
from earmark.tags import id3
from earmark.tags.read import read_tags
from made_tagged import add_ape as ape
from made_tagged import add_front as front
from made_tagged import add_info as info
from made_tagged import add_v1 as v1
from made_tagged import add_vorbis as vorbis
from made_tagged import make_song, outcomes_of, sha256, written


def chunk(song: Path) -> None:
    tags = mutagen.File(song)
    tags.add_tags()
    tags.tags.add(TCON(3, ["Polka"]))
    tags.tags.add(COMM(3, "eng", "", ["old"]))
    tags.save()


Maker = Callable[[Path], None]
CASES: dict[str, tuple[str, tuple[Maker, ...]]] = {
    "id3 and v1": ("mp3", (v1, front)),
    "two id3": ("mp3", (front, front)),
    "ape alone": ("mp3", (ape,)),
    "ape and v1": ("mp3", (ape, v1)),
    "id3, ape and v1": ("mp3", (ape, v1, front)),
    "v1 alone": ("mp3", (v1,)),
    "flac": ("flac", (vorbis,)),
    "id3 before flac": ("flac", (vorbis, front)),
    "id3 before flac, v1 behind": ("flac", (vorbis, v1, front)),
    "info alone": ("wav", (info,)),
    "info and id3": ("wav", (info, chunk)),
    "id3 and info": ("wav", (chunk, info)),
    "aiff": ("aiff", (chunk,)),
    "tta with ape and v1": ("tta", (ape, v1)),
    "wavpack with v1": ("wv", (ape, v1)),
}


@pytest.fixture(params=CASES)
def song(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A song whose genre is Polka in one or several places."""
    ending, makers = CASES[request.param]
    made = make_song(tmp_path / f"song.{ending}", 2.0)  # FFmpeg takes a tag as large as the song for damage
    for maker in makers:
        maker(made)
    return made


def write(song: Path, policy: Policy, heads: tuple[str, ...] = ("genre", "mood")) -> Outcome:
    """Written, and back, and written again."""
    before = sha256(song)
    options = WriteOptions(policy, heads, comment=True)
    journal, (outcome,) = written(song.parent / "journal", [song], options)
    if outcome.status == "changed":
        (back,) = outcomes_of(undo([read_run(song.parent / "journal", journal.name)]))
        assert back.status == "restored" and sha256(song) == before
        _, (outcome,) = written(song.parent / "journal", [song], options)
    return outcome


def said(song: Path, name: str) -> set[str]:
    """All that any kind of tags says."""
    return {text for system in open_tags(song).systems for text in system.get(name)}


def test_empty_writes_where_no_kind_has_it(song: Path) -> None:
    outcome = write(song, "empty")
    assert set(outcome.changes) == {"mood", "scores"}, outcome.message
    assert (said(song, "genre"), said(song, "comment"), said(song, "mood")) == ({"Polka"}, {"old"}, {"happy"})
    assert read_tags(song)["genre"] == ("Polka",)


def test_overwrite_leaves_the_old_one_nowhere(song: Path) -> None:
    rest = [system.rest(("genre", "comment", "mood", "scores")) for system in open_tags(song).systems]
    outcome = write(song, "overwrite")
    assert outcome.status == "changed", outcome.message
    assert outcome.changes["genre"] == (("Polka",), ("Röck",))
    assert said(song, "genre") == {"Röck"} and b"Polka" not in song.read_bytes()
    assert all("Röck / happy / energy 5".startswith(text) for text in said(song, "comment"))
    assert read_tags(song)["genre"] == ("Röck",) and read_tags(song).get("artist") in (None, ("Artist",))
    assert [system.rest(("genre", "comment", "mood", "scores")) for system in open_tags(song).systems] == rest
    assert write(song, "overwrite").status == "unchanged"


def test_merge_adds_to_all(song: Path) -> None:
    assert write(song, "merge", ("genres",)).changes["genre"] == (("Polka",), ("Polka", "Rock", "Indie"))
    for system in open_tags(song).systems:
        assert set(system.get("genre")) & {"Polka", "Polka; Rock; Indie", "Rock", "Indie"} or not system.get("genre")
    assert read_tags(song)["genre"] in (("Polka", "Rock", "Indie"), ("Polka; Rock; Indie",))
    assert write(song, "merge", ("genres",)).status == "unchanged"


def test_a_new_id3_tag_takes_over_what_older_tags_say(tmp_path: Path) -> None:
    """Players that see it look no further."""
    for name, maker in (("a.mp3", v1), ("b.wav", info)):
        song = make_song(tmp_path / name, 0.3)
        maker(song)
        assert write(song, "empty").status == "changed"
        new = mutagen.File(song).tags
        assert [str(new[frame]) for frame in ("TIT2", "TPE1", "TCON", "TMOO")] == ["Title", "Artist", "Polka", "happy"]


def frame22(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(3, "big") + body


def test_version_2_2_stays_with_every_other_frame(tmp_path: Path) -> None:
    frames = [
        frame22(b"TT2", b"\0Title"), frame22(b"TYE", b"\x001999"), frame22(b"TCO", b"\0(75)"),
        frame22(b"TCP", b"\x001"), frame22(b"PIC", b"\0JPG\x03\0" + bytes(range(200))), frame22(b"COM", b"\0eng\0hi"),
        frame22(b"ZZZ", b"strange"),
    ]  # fmt: skip
    body = b"".join(frames)
    song = tmp_path / "a.mp3"
    head = b"ID3\2\0\0" + bytes((0, 0, len(body) >> 7, len(body) & 127))
    song.write_bytes(head + body + make_song(tmp_path / "b.mp3").read_bytes())
    assert write(song, "overwrite").status == "changed"
    tag = id3.parse(song.read_bytes())
    assert tag is not None and tag.version == 2 and not tag.damaged
    assert [frame.raw for frame in tag.frames if frame.name not in ("TCO", "COM", "TXX")] == [
        frame for frame in frames if frame[:3] not in (b"TCO", b"COM")
    ]
    assert read_tags(song) == {
        "title": ("Title",), "date": ("1999",), "year": ("1999",), "genre": ("Röck",), "mood": ("happy",),
        "comment": ("Röck / happy / energy 5",), "tcp": ("1",), "earmark_scores": read_tags(song)["earmark_scores"],
    }  # fmt: skip


@pytest.mark.parametrize("version", [3, 4])
def test_frames_that_nobody_knows_stay_byte_by_byte(version: int, tmp_path: Path) -> None:
    """mutagen would drop, merge or rewrite them."""

    def frame(name: bytes, body: bytes, flags: bytes = b"\0\0") -> bytes:
        return name + len(body).to_bytes(4, "big") + flags + body

    frames = [
        frame(b"TIT2", b"\0Title"), frame(b"ZZZZ", b"strange"), frame(b"PRIV", b"who\0" + bytes(40)),
        frame(b"TXXX", b"\0A\0one"), frame(b"TXXX", b"\0A\0two"),  # twice the same description
        frame(b"COMM", b"\0eng\0hi"), frame(b"COMM", b"\0eng\0there"), frame(b"TPE1", b"\x09broken"),
        frame(b"AENC", b"locked", b"\0\x04" if version == 4 else b"\0\x40"),
    ]  # fmt: skip
    body = b"".join(frames)
    song = tmp_path / "a.mp3"
    head = b"ID3" + bytes((version, 0, 0, 0, 0, len(body) >> 7, len(body) & 127))
    song.write_bytes(head + body + make_song(tmp_path / "b.mp3").read_bytes())
    _, (outcome,) = written(tmp_path / "journal", [song])
    assert outcome.status == "changed", outcome.message
    tag = id3.parse(song.read_bytes())
    assert tag is not None and tag.version == version
    assert [one.raw for one in tag.frames][: len(frames)] == frames


def test_damaged_tags_are_left_alone(tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.mp3")
    tags = ID3()
    tags.add(TIT2(3, ["x" * 50]))
    tags.add(TALB(3, ["y" * 50]))
    tags.save(song)
    raw = bytearray(song.read_bytes())
    raw[raw.index(b"TIT2") + 7] = 20  # a wrong length: what follows is no frame
    song.write_bytes(bytes(raw))
    _, (outcome,) = written(tmp_path / "journal", [song])
    assert (outcome.status, outcome.kind) == ("skipped", "format") and song.read_bytes() == bytes(raw)


def test_a_wav_that_is_not_as_long_as_it_says_is_refused_before_and_while_writing(tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.wav")
    raw = song.read_bytes()
    song.write_bytes(raw[:4] + (len(raw) * 9).to_bytes(4, "little") + raw[8:])
    from earmark.filetags.write import write_tags
    from made_tagged import known

    (dry,) = outcomes_of(write_tags(known([song]), WriteOptions(), None))
    _, (real,) = written(tmp_path / "journal", [song])
    assert dry == real and real.kind == "format" and "not as long as they say" in real.message


def test_ffmpeg_hears_the_same_and_sees_nothing_old(song: Path) -> None:
    def hash_of() -> bytes:
        command = ["ffmpeg", "-v", "error", "-i", str(song), "-map", "0:a", "-f", "md5", "-"]
        return subprocess.run(command, capture_output=True, check=True).stdout

    before = hash_of()
    assert write(song, "overwrite").status == "changed" and hash_of() == before
    probe = ["ffprobe", "-v", "quiet", "-show_entries", "format_tags:stream_tags", "-of", "default=nk=1", str(song)]
    shown = subprocess.run(probe, capture_output=True, check=True).stdout
    assert b"Polka" not in shown
