"""Twice three hundred odd and damaged files: written, taken back byte for byte; another decoder finds no difference.

The second three hundred go the whole way of the command line: scan, write-tags, undo.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from commands import Earmark
from damage import damaged, sounds_of_all_formats
from earmark.filetags.journal import read_run, run_names
from earmark.filetags.policy import NEEDS, WriteOptions
from earmark.filetags.undo import undo
from made_tagged import KINDS, add_ape, add_front, add_v1, make_song, outcomes_of, sha256, written

FILES = 300


def mutated(folder: Path, count: int) -> list[Path]:
    """Songs of every kind, some with more tags before and behind; a few bytes changed, or the end cut off."""
    random = np.random.default_rng(3)
    songs = []
    for number in range(count):
        song = make_song(folder / f"m{number:03}.{KINDS[number % len(KINDS)]}", 2.0)
        if song.suffix in (".mp3", ".flac", ".tta", ".wv"):
            for maker in (add_ape, add_v1, add_front):
                if random.random() < 0.4:
                    maker(song)
        raw = bytearray(song.read_bytes())
        reach = len(raw) if random.random() < 0.5 else min(len(raw), 2000)
        for at in random.integers(0, reach, random.integers(0, 9)):
            raw[at] = random.integers(256)
        if random.random() < 0.2:
            del raw[random.integers(100, len(raw)) :]
        song.write_bytes(bytes(raw))
        songs.append(song)
    return songs


def decoded(song: Path) -> bytes:
    command = ["ffmpeg", "-nostdin", "-v", "quiet", "-i", str(song), "-map", "0:a", "-f", "md5", "-"]
    return subprocess.run(command, capture_output=True).stdout


@pytest.mark.slow
def test_every_byte_comes_back_and_nothing_sounds_different(shared: Path, tmp_path: Path) -> None:
    awkward = [p for p in sorted((shared / "data" / "awkward").rglob("*")) if p.is_file() and p.suffix != ".tsv"][::2]
    songs = [Path(shutil.copyfile(p, tmp_path / f"a{i:03}{p.suffix}")) for i, p in enumerate(awkward)]
    songs += mutated(tmp_path, FILES - len(songs))
    before = {song: (sha256(song), song.stat().st_mtime_ns, decoded(song)) for song in songs}
    counts: Counter[str] = Counter()
    for policy in ("empty", "overwrite"):
        _, outcomes = written(tmp_path / "journal", songs, WriteOptions(policy, fields=tuple(NEEDS), comment=True))
        for song, outcome in zip(songs, outcomes, strict=True):
            counts[outcome.status] += 1
            if outcome.status == "changed":
                assert decoded(song) == before[song][2], song.name
            else:
                assert outcome.status == "unchanged" or (outcome.kind in ("format", "audio") and outcome.message)
    assert counts["changed"] > FILES * 0.9, counts
    for name in reversed(run_names(tmp_path / "journal")):
        assert {o.status for o in outcomes_of(undo([read_run(tmp_path / "journal", name)]))} == {"restored"}
    assert {song: (sha256(song), song.stat().st_mtime_ns) for song in songs} == {
        song: facts[:2] for song, facts in before.items()
    }
    assert not list(tmp_path.glob(".earmark*"))


@pytest.mark.slow
def test_scan_write_tags_and_undo(tmp_path: Path, tiny_model: Path, earmark: Earmark) -> None:
    """Of twenty-one formats, half of them over a minute long."""
    (tmp_path / "sound").mkdir()
    (tmp_path / "music").mkdir()
    sounds, chance, songs = sounds_of_all_formats(tmp_path / "sound"), random.Random(4), []
    for number in range(FILES):
        name, data = sounds[number % len(sounds)]
        way, bytes_ = damaged(data, chance.choice(sounds)[1], chance)
        songs.append(tmp_path / "music" / f"{number:03d}-{way}.{name}")
        songs[-1].write_bytes(bytes_)
    before = {song: (sha256(song), song.stat().st_mtime_ns, decoded(song)) for song in songs}
    library = ("--library", tmp_path / "a.db")
    found = earmark("scan", tmp_path / "music", "-m", tiny_model, "-j", 2, "--features", *library).json
    assert found["tracks"] + sum(found["failed"].values()) == FILES
    assert found["tracks"] > 0.7 * FILES and not {"crash", "timeout"} & set(found["failed"])
    assert {path.name: facts[:2] for path, facts in before.items()} == now_of(songs)
    counts: Counter[str] = Counter()
    for policy in ("empty", "overwrite"):
        said = earmark(
            *("write-tags", "--policy", policy, "--min-confidence", 0, "--comment", "--heads", "genre"),
            *("--fields", "genre,bpm,key,replaygain,energy"),
            *library,
        )
        assert said.code in (0, 3), said.err
        for outcome in said.json["files"]:
            song = Path(outcome["path"])
            counts[outcome["status"]] += 1
            if outcome["status"] == "changed":
                assert decoded(song) == before[song][2], song.name
            else:
                assert sha256(song) == before[song][0] or policy == "overwrite", song.name
    assert counts["changed"] > 0.4 * FILES, counts
    said = earmark("undo", "--all")
    assert (said.code, said.json["restored"]) == (0, counts["changed"])
    assert {path.name: facts[:2] for path, facts in before.items()} == now_of(songs)


def now_of(songs: list[Path]) -> dict[str, tuple[str, int]]:
    assert not list(songs[0].parent.glob(".earmark*"))
    return {song.name: (sha256(song), song.stat().st_mtime_ns) for song in songs}
