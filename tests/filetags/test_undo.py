"""Undo: whatever happens at whatever moment, a file is the old one or the new one, and the journal leads back."""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

import earmark.filetags.undo as undoing
import earmark.filetags.write as writing
from commands import environment
from earmark.errors import StorageError, UnknownName
from earmark.filetags.journal import Journal, Run, locked, read_run, run_names
from earmark.filetags.policy import Outcome, WriteOptions
from earmark.filetags.undo import undo
from made_tagged import make_song, outcomes_of, sha256, written


def runs_of(folder: Path) -> list[Run]:
    return [read_run(folder, name) for name in run_names(folder)]


def undone(folder: Path) -> list[Outcome]:
    return outcomes_of(undo(runs_of(folder)))


@pytest.fixture
def songs(tmp_path: Path) -> list[Path]:
    (tmp_path / "music").mkdir()
    return [make_song(tmp_path / "music" / name, 0.3) for name in ("a.mp3", "b.flac", "c.wav")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def test_two_runs_back_in_reverse(songs: list[Path], folder: Path) -> None:
    states = [[sha256(song) for song in songs]]
    for options in (WriteOptions(), WriteOptions("merge", ("genres",))):
        _, outcomes = written(folder, songs, options)
        assert {outcome.status for outcome in outcomes} == {"changed"}
        states.append([sha256(song) for song in songs])
    first, second = run_names(folder)
    assert first < second  # also within one second
    early = outcomes_of(undo([read_run(folder, first)], [read_run(folder, second)]))
    assert {(o.kind, o.message) for o in early} == {
        ("changed", f"the file was changed by the later run {second}; undo that first")
    }
    assert [sha256(song) for song in songs] == states[2]
    assert {o.status for o in outcomes_of(undo([read_run(folder, second)]))} == {"restored"}
    assert [sha256(song) for song in songs] == states[1]
    assert {o.status for o in undone(folder)} == {"restored"}
    assert [sha256(song) for song in songs] == states[0]
    assert undone(folder) == []


def test_all_at_once(songs: list[Path], folder: Path) -> None:
    before = [sha256(song) for song in songs]
    written(folder, songs)
    written(folder, songs, WriteOptions("merge", ("genres",)))
    assert [o.path for o in undone(folder)] == [str(song) for song in songs[::-1]] * 2
    assert [sha256(song) for song in songs] == before


def test_changed_since_gone_and_read_only_are_told(songs: list[Path], folder: Path) -> None:
    written(folder, songs)
    songs[0].write_bytes(songs[0].read_bytes() + b"more")
    songs[1].unlink()
    songs[2].chmod(0o444)
    told = {Path(o.path).name: (o.status, o.kind, o.message) for o in undone(folder)}
    assert told == {
        "a.mp3": ("skipped", "changed", "the file was changed since, by another program"),
        "b.flac": ("skipped", "missing", "no such file"),
        "c.wav": ("skipped", "permission", "the file is read-only"),
    }
    songs[2].chmod(0o644)
    assert [o.status for o in undone(folder)] == ["restored", "skipped", "skipped"]


def test_names_that_are_no_text(folder: Path, tmp_path: Path) -> None:
    song = Path(os.fsdecode(bytes(tmp_path) + b'/\xff\n#".mp3'))
    shutil.copyfile(make_song(tmp_path / "a.mp3"), song)
    before = sha256(song)
    _, (outcome,) = written(folder, [song])
    assert outcome.status == "changed" and outcome.to_dict()["path_bytes"]
    assert [o.status for o in undone(folder)] == ["restored"] and sha256(song) == before


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.99])
def test_a_journal_that_was_cut_off(songs: list[Path], folder: Path, share: float) -> None:
    before = {str(song): sha256(song) for song in songs}
    journal, _ = written(folder, songs)
    whole = journal.file.read_bytes()
    journal.file.write_bytes(whole[: int(len(whole) * share)])
    told = undone(folder)
    for path, digest in before.items():
        restored = any(o.path == path and o.status == "restored" for o in told)
        assert (sha256(Path(path)) == digest) == restored
    if not whole[: int(len(whole) * share)].endswith(b"\n"):
        (lost,) = [o for o in told if o.status == "skipped"]
        assert (lost.kind, lost.path) == ("journal", str(journal.file)) and "is cut off" in lost.message
    assert undone(folder) == []  # it is told once
    written(folder, songs)
    assert all(o.status == "restored" for o in undone(folder))


def test_a_damaged_line_costs_its_file_only(songs: list[Path], folder: Path) -> None:
    before = {song: sha256(song) for song in songs}
    journal, _ = written(folder, songs)
    lines = journal.file.read_bytes().splitlines(keepends=True)
    assert json.loads(lines[4])["path"] == str(songs[1]) and json.loads(lines[4])["event"] == "change"
    lines[4] = lines[4][:200] + b"\xff\x00" + lines[4][202:]
    lines[6] = lines[6].replace(b'"back": [', b'"back": ["AAAA", ')
    journal.file.write_bytes(b"".join(lines))
    told = undone(folder)
    assert [(o.status, o.message) for o in told] == [
        ("skipped", f"line 5 is damaged: if {songs[1]} was changed there, it keeps its new tags"),
        ("skipped", "the journal's record is damaged: it does not give the old file"),
        ("restored", ""),
    ]
    assert {song: sha256(song) == digest for song, digest in before.items()} == dict(
        zip(songs, [True, False, False], strict=True)
    )
    assert not list(songs[0].parent.glob(".earmark*"))


def test_a_newer_journal_and_an_unknown_run(folder: Path) -> None:
    folder.mkdir()
    (folder / "20260101-000000.jsonl").write_text('{"event": "run", "format": 9}\n')
    with pytest.raises(StorageError, match="a newer Earmark wrote this journal; update Earmark"):
        read_run(folder, "20260101-000000")
    with pytest.raises(UnknownName, match="did you mean '20260101-000000'"):
        read_run(folder, "20260101-000001")


def test_a_clock_that_was_turned_back(songs: list[Path], folder: Path) -> None:
    folder.mkdir()
    (folder / "29991231-235959.jsonl").touch()
    assert Journal.new(folder).name == "30000101-000000"


def test_one_at_a_time(folder: Path) -> None:
    with locked(folder), pytest.raises(StorageError, match="another `write-tags` or `undo` is at work"), locked(folder):
        pass
    with locked(folder):
        pass


def killed_in(action: Callable[[], object]) -> None:
    """Do it in a process of its own, which is expected to be killed."""
    gc.collect()  # a decoder with threads that is freed in the child waits there for threads that it does not have
    child = os.fork()
    if child == 0:
        gc.disable()
        try:
            action()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def kill_at(monkeypatch: pytest.MonkeyPatch, where: object, name: str, *, after: bool) -> None:
    real = getattr(where, name)

    def deadly(*args: object, **kwargs: object) -> None:
        if after:
            real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(where, name, deadly)


STEPS = [
    (Journal, "_begin"),
    (Journal, "copying"),
    (writing, "copy_and_hash"),
    (writing.TaggedFile, "write"),
    (writing, "way_back"),
    (Journal, "changing"),
    (os, "utime"),
    (Path, "replace"),
    (writing, "put_in_place"),
]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only")
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("where", "name"), STEPS, ids=[name for _, name in STEPS])
def test_killed_while_writing(tmp_path: Path, folder: Path, where: object, name: str, after: bool) -> None:
    song = make_song(tmp_path / "a.mp3", 0.3)
    before = sha256(song)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, where, name, after=after)
        killed_in(lambda: written(folder, [song]))
    changed = (where in (Path, writing) and name in ("replace", "put_in_place")) and after
    assert (sha256(song) != before) == changed
    told = undone(folder)
    assert all(o.status in ("restored", "untouched") for o in told) and sha256(song) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["a.mp3", *(["journal"] if folder.exists() else [])]
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only")
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("where", "name"), [(undoing, "rebuild"), (undoing, "put_in_place"), (Path, "replace"), (Journal, "undone")]
)
def test_killed_while_undoing(tmp_path: Path, folder: Path, where: object, name: str, after: bool) -> None:
    song = make_song(tmp_path / "a.mp3", 0.3)
    before = sha256(song)
    written(folder, [song])
    new = sha256(song)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, where, name, after=after)
        killed_in(lambda: undone(folder))
    assert sha256(song) in (before, new)
    assert all(o.status in ("restored", "untouched") for o in undone(folder)) and sha256(song) == before
    assert not list(tmp_path.glob(".earmark*"))


PROGRAM = """
import sys
from pathlib import Path
from earmark.filetags.policy import WriteOptions
from made_tagged import written
print("ready", flush=True)
for heads in [("genre",), ("genres",), ("genre", "mood"), ("mood", "genres")] * 50:
    written(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]], WriteOptions("overwrite", heads))
    print("written", flush=True)
"""


def test_killed_at_random_again_and_again(songs: list[Path], folder: Path) -> None:
    before = [sha256(song) for song in songs]
    where = environment()
    where["PYTHONPATH"] += os.pathsep + str(Path(__file__).parents[1])
    moments = random.Random(7)
    for _ in range(4):
        command = [sys.executable, "-c", PROGRAM, str(folder), *map(str, songs)]
        with subprocess.Popen(command, env=where, stdout=subprocess.PIPE) as writer:
            for _ in range(moments.randint(2, 6)):
                writer.stdout.readline()
            time.sleep(moments.uniform(0.0, 0.2))
            writer.kill()
    runs = runs_of(folder)
    assert sum(len(run.places) for run in runs) > 10
    told = outcomes_of(undo(runs))
    assert {o.status for o in told if o.kind != "journal"} <= {"restored", "untouched"}
    assert [sha256(song) for song in songs] == before
    assert sorted(songs[0].parent.iterdir()) == songs


def test_fifty_thousand_changes_in_little_memory(folder: Path) -> None:
    """Only where each line stands is kept; even where every line carries a cover."""
    folder.mkdir()
    change = {"event": "change", "path": "/music/none.mp3", "before": {"sha256": "0" * 64, "size": 1, "modified": 1}}
    line = json.dumps({**change, "after": {"sha256": "1" * 64, "size": 2}, "back": [[0, 1], "x" * 400]}) + "\n"
    with (folder / "20260101-000000.jsonl").open("w") as file:
        file.write('{"event": "run", "format": 2}\n')
        file.writelines(line for _ in range(50_000))
    tracemalloc.start()
    run = read_run(folder, "20260101-000000")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert run.left == 50_000 and peak < 12e6
    steps = undo([run])
    assert next(steps).value.message == "no such file"  # type: ignore[union-attr]
    steps.close()
