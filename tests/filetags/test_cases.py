"""Tags in other people's collections, by the generators in ``../shared/cases``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from cases import make_case
from conftest import program
from earmark.datasets import load_dataset
from earmark.filetags.policy import WriteOptions
from earmark.tags import id3
from earmark.tags.read import read_tags
from made_tagged import make_song, written


def test_04_version_2_2_stays_with_its_unknown_frame(shared: Path, tmp_path: Path) -> None:
    program("ffmpeg")
    (script,) = (shared / "cases").glob("04-*/make.py")
    song = tmp_path / "old.mp3"
    subprocess.run([sys.executable, script, make_song(tmp_path / "a.wav"), song], check=True)
    before = id3.parse(song.read_bytes())
    _, (outcome,) = written(tmp_path / "journal", [song])
    after = id3.parse(song.read_bytes())
    assert outcome.status == "changed" and before is not None and after is not None
    assert after.version == 2 and after.frames[: len(before.frames)] == before.frames


def test_12_players_and_backups_see_the_change(shared: Path, tmp_path: Path) -> None:
    folder = make_case(shared, "12", tmp_path / "music", songs=1)
    songs = sorted(folder.iterdir())
    for keep in (True, False):
        for song in songs:
            os.utime(song, ns=(10**18, 10**18))
        heads = ("mood",) if keep else ("genre",)
        written(tmp_path / "journal", songs, WriteOptions("overwrite", heads, keep_mtime=keep))
        assert [song.stat().st_mtime_ns == 10**18 for song in songs] == [keep] * len(songs)


def test_14_artists_are_read_and_stay_on_one_side(shared: Path, tmp_path: Path) -> None:
    folder = make_case(shared, "14", tmp_path / "genres" / "Rock", songs=1)
    songs = sorted(folder.iterdir())
    assert len(songs) == 7
    for song in songs:
        kind = song.suffix[1:]
        assert (read_tags(song)["artist"], read_tags(song)["title"]) == ((f"Artist {kind}",), (f"Title {kind}",))
    groups = {track.group for track in load_dataset(tmp_path / "genres").tracks}
    assert groups == {f"Artist {song.suffix[1:]}" for song in songs}
