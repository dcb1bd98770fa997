"""Scanning: only what is new or changed is heard, nothing is lost, and an unplugged drive changes nothing."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from commands import command, environment
from earmark.errors import EarmarkError, StorageError
from earmark.inference.tagger import load_model
from earmark.library import survey as surveys
from earmark.library.records import LibraryModel
from earmark.library.scan import Scan, Scanned, only_one
from earmark.library.store import Library, open_library
from earmark.library.survey import real_root

Run = Callable[..., Scanned]


def song(path: Path, number: int, seconds: float = 1.0) -> Path:
    """A sound of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(seconds * 22050)) / 22050
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * (200 + 37 * number) * t), 22050, format="WAV")
    return path


def retag(path: Path, title: str) -> None:
    """The same sound in a file of other bytes."""
    wave, rate = soundfile.read(path, dtype="int16")
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16", format="WAV") as file:
        file.title = title
        file.write(wave)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    for number in range(4):
        song(tmp_path / "music" / "ab"[number % 2] / f"{number}.wav", number)
    (tmp_path / "music" / "a" / "bad.mp3").write_text("no sound")
    return tmp_path / "music"


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with open_library(tmp_path / "library.db", make=True) as opened:
        yield opened


@pytest.fixture
def model(tiny_model: Path) -> LibraryModel:
    card = load_model(tiny_model).card
    return LibraryModel(0, card.id, "x", "", str(tiny_model), card.embedding, card.heads)


@pytest.fixture
def run(library: Library, model: LibraryModel) -> Run:
    def scanned(*folders: Path, rehear: bool = False, by: LibraryModel = model) -> Scanned:
        scan = Scan(library, [real_root(str(folder)) for folder in folders], by, rehear=rehear)
        for _ in scan.run(1):
            pass
        return scan.done

    return scanned


def heard(library: Library) -> dict[str, int | None]:
    return {Path(track.path).name: track.audio for track in library.tracks(vanished=False) if track.audio}


def test_only_what_is_new_or_changed_is_heard(library: Library, music: Path, run: Run) -> None:
    done = run(music)
    assert (done.heard, done.failed.total()) == (4, 1)
    failed = [track for track in library.tracks() if track.error]
    assert [(Path(one.path).name, one.error) for one in failed] == [("bad.mp3", "not-audio")]
    done = run(music)
    assert (done.heard, done.known, done.unchanged, done.failed.total()) == (0, 0, 5, 0)
    song(music / "a" / "new.wav", 9)
    song(music / "a" / "0.wav", 10, seconds=2)
    done = run(music)
    assert (done.heard, done.known, done.unchanged) == (2, 0, 4)
    assert len(library.tracks()) == 6


def test_other_tags_are_no_reason_to_hear_again(library: Library, music: Path, run: Run) -> None:
    run(music)
    before = heard(library)
    retag(music / "a" / "0.wav", "New title")
    done = run(music)
    assert (done.heard, done.known) == (0, 1)
    assert heard(library) == before
    track = library.track(str(music / "a" / "0.wav"))
    assert track is not None and track.title == "New title"


@pytest.mark.parametrize("how", ["renamed", "moved to another disk"])
def test_moved_files_keep_what_was_heard(library: Library, music: Path, run: Run, how: str) -> None:
    run(music)
    before = heard(library)["0.wav"]
    target = music / "c" / "other.wav"
    target.parent.mkdir()
    if how == "renamed":
        (music / "a" / "0.wav").rename(target)
    else:  # a copy has another number and, made so, another time
        shutil.copyfile(music / "a" / "0.wav", target)
        (music / "a" / "0.wav").unlink()
    done = run(music)
    assert (done.heard, done.known, done.moved, done.vanished) == (0, int(how != "renamed"), 1, 0)
    assert heard(library)["other.wav"] == before
    assert len(library.tracks()) == 5, "the row went with the file"


def test_two_files_of_one_sound_know_of_each_other(library: Library, music: Path, run: Run) -> None:
    run(music)
    shutil.copyfile(music / "a" / "0.wav", music / "a" / "copy.wav")
    os.link(music / "a" / "0.wav", music / "a" / "link.wav")
    done = run(music)
    assert (done.heard, done.known, done.moved) == (0, 1, 0)
    audio = heard(library)["0.wav"]
    assert audio is not None
    files = library.tracks_of([audio])[audio]
    assert [Path(one.path).name for one in files] == ["0.wav", "copy.wav", "link.wav"]


def test_vanished_files_are_marked_and_come_back(library: Library, music: Path, run: Run) -> None:
    run(music)
    (music / "a" / "0.wav").rename(music.parent / "aside.wav")
    done = run(music)
    assert done.vanished == 1
    track = library.track(str(music / "a" / "0.wav"))
    assert track is not None and track.vanished is not None
    assert run(music).vanished == 0, "only once"
    (music.parent / "aside.wav").rename(music / "a" / "0.wav")
    done = run(music)
    assert (done.heard, done.known) == (0, 0)
    track = library.track(str(music / "a" / "0.wav"))
    assert track is not None and track.vanished is None


def test_an_unplugged_drive_marks_nothing(library: Library, music: Path, run: Run) -> None:
    run(music)
    music.rename(music.parent / "unplugged")
    with pytest.raises(EarmarkError, match="no such folder"):
        run(music)
    music.mkdir()
    assert run(music).vanished == 0, "an empty folder is what the drive leaves behind"
    assert all(track.vanished is None for track in library.tracks())


def test_an_unplugged_drive_inside_the_folder_marks_nothing(library: Library, music: Path, run: Run) -> None:
    """What lay on another device than the folder that is left is not gone, but not to be seen."""
    run(music)
    with library.change():
        library.db.execute("UPDATE tracks SET device = '77' WHERE path LIKE '%/b/%'")
    shutil.rmtree(music / "b")
    done = run(music)
    assert (done.vanished, done.unplugged) == (0, 2)


def test_a_drive_that_got_another_number_still_loses_files(library: Library, music: Path, run: Run) -> None:
    run(music)
    with library.change():
        library.db.execute("UPDATE tracks SET device = '77'")
    (music / "a" / "0.wav").unlink()
    assert run(music).vanished == 1


def test_a_drive_unplugged_half_way(library: Library, music: Path, run: Run, model: LibraryModel) -> None:
    run(music)
    for number in range(4):
        song(music / "ab"[number % 2] / f"{number}.wav", 20 + number)
    scan = Scan(library, [real_root(str(music))], model)
    shutil.rmtree(music)
    for _ in scan.run(1):
        pass
    assert (scan.done.vanished, scan.done.failed["vanished"]) == (0, 4)
    assert len(heard(library)) == 4, "what was heard before is kept"


def test_a_folder_that_cannot_be_read_hides_nothing(
    library: Library, music: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(music)
    real = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("b"):
            raise PermissionError(13, "no")
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    done = run(music)
    assert (done.vanished, done.unplugged, done.failed["permission"]) == (0, 2, 1)


def test_folders_inside_folders(library: Library, music: Path, run: Run) -> None:
    assert run(music / "a").heard == 2
    assert library.roots() == [str(music / "a")]
    done = run(music)
    assert (done.heard, done.unchanged) == (2, 3)
    assert library.roots() == [str(music)], "the outer folder stands for both"
    (music / "b" / "1.wav").unlink()
    assert run(music / "a").vanished == 0, "only what was looked for can be missing"
    assert library.roots() == [str(music)]
    assert run(music, music / "a").vanished == 1
    assert len(library.tracks()) == 5


def test_one_folder_has_one_name(library: Library, music: Path, run: Run) -> None:
    (music.parent / "link").symlink_to(music)
    run(music)
    assert run(music.parent / "link").heard == 0
    assert len(library.tracks()) == 5


def test_a_new_model_hears_old_songs_only_on_request(
    library: Library, music: Path, run: Run, model: LibraryModel
) -> None:
    run(music)
    newer = replace(model, digest="y")
    song(music / "new.wav", 9)
    done = run(music, by=newer)
    assert (done.heard, done.unchanged) == (1, 5)
    assert library.model().digest == "x", "searches stay with the model that heard most"
    done = run(music, by=newer, rehear=True)
    assert done.heard == 5, "a song that it has heard is heard again too"
    assert library.model().digest == "y"


def test_hearing_again_goes_on_where_it_was_stopped(
    library: Library, music: Path, run: Run, model: LibraryModel
) -> None:
    run(music)
    scan = Scan(library, [real_root(str(music))], model, rehear=True)
    steps = scan.run(1)
    next(steps)
    next(steps)
    steps.close()
    assert run(music, rehear=True).heard == 2
    assert run(music, rehear=True).heard == 4, "and then it begins anew"


def test_a_file_that_changed_and_went_bad(library: Library, music: Path, run: Run) -> None:
    run(music)
    (music / "a" / "0.wav").write_text("now it is no sound")
    assert run(music).failed == {"not-audio": 1}
    track = library.track(str(music / "a" / "0.wav"))
    assert track is not None and (track.error, track.audio) == ("not-audio", None)
    assert run(music).failed.total() == 0, "and it is not tried again until it changes"


def test_failures_of_the_moment_are_tried_again(library: Library, music: Path, run: Run) -> None:
    run(music)
    with library.change():
        library.db.execute("UPDATE tracks SET error = 'io' WHERE path LIKE '%bad.mp3'")
    assert run(music).failed == {"not-audio": 1}
    assert set(surveys.PASSING) == {"missing", "permission", "vanished", "io"}


def test_one_scan_at_a_time(tmp_path: Path) -> None:
    with (
        only_one(tmp_path / "a.db"),
        pytest.raises(StorageError, match=f"another scan is at work.*{os.getpid()}"),
        only_one(tmp_path / "a.db"),
    ):
        pass
    with only_one(tmp_path / "a.db"):
        pass


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_killed_again_and_again(tmp_path: Path, tiny_model: Path) -> None:
    """kill -9 at any moment loses songs in flight at most; workers end; nothing locks the next scan out."""
    for number in range(40):
        song(tmp_path / "music" / f"{number:02d}.wav", number, seconds=2)
    file = tmp_path / "library.db"
    arguments = command("scan", tmp_path / "music", "--library", file, "-m", tiny_model, "-j", 2)
    chance, before, mark = random.Random(7), 0, f"EARMARK_TEST={tmp_path}"
    for _ in range(3):
        with subprocess.Popen(
            arguments, env=environment(EARMARK_TEST=str(tmp_path)), stderr=subprocess.DEVNULL
        ) as scan:
            _wait_for(_more_than(file, before))
            time.sleep(chance.random() * 0.05)
            scan.send_signal(signal.SIGKILL)
        with open_library(file) as library:
            assert library.db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            assert len(heard(library)) >= before
            before = len(heard(library))
    _wait_for(lambda: not _processes(mark))
    assert subprocess.run(arguments, env=environment(), capture_output=True).returncode == 0
    with open_library(file) as library:
        assert len(library.tracks()) == len(heard(library)) == 40
        assert library.db.execute("SELECT COUNT(*) FROM audio").fetchone()[0] == 40, "each song once"


def _more_than(file: Path, before: int) -> Callable[[], bool]:
    def done() -> bool:
        if not file.exists():
            return False
        try:
            with open_library(file) as library:
                return len(heard(library)) > before
        except StorageError:
            return False

    return done


def _wait_for(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def _processes(mark: str) -> list[str]:
    """Processes with that in their environment."""
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in file.read_text("utf-8", "replace").split("\0"):
                found.append(file.parent.name)
    return found
