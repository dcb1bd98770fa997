"""Scanning: only what is new or changed is heard, nothing is lost, and an unplugged drive changes nothing."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from commands import command, environment
from earmark.audio.identity import content_hash, same_recording
from earmark.engine import InlineEngine
from earmark.errors import EarmarkError, StorageError
from earmark.events import Progress, Run
from earmark.inference.records import Failure, Prediction
from earmark.library.options import ScanOptions
from earmark.library.records import LibraryModel
from earmark.library.scan import PASSING, Scanned, only_one, real_root, scan_folders
from earmark.library.similar import find_seed
from earmark.library.store import Library, open_library

Scan = Callable[..., Scanned]


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
def run(library: Library, model: LibraryModel) -> Scan:
    def scanned(*folders: Path, by: LibraryModel = model, **options: Any) -> Scanned:
        roots = [real_root(str(folder)) for folder in folders]
        return Run(scan_folders(library, roots, by, InlineEngine(), ScanOptions(**options))).wait()

    return scanned


def heard(library: Library) -> dict[str, int | None]:
    return {Path(track.path).name: track.audio for track in library.tracks(vanished=False) if track.audio}


def test_only_what_is_new_or_changed_is_heard(library: Library, music: Path, run: Scan) -> None:
    done = run(music)
    assert (done.analysed, done.failed.total()) == (4, 1)
    failed = [track for track in library.tracks() if track.error]
    assert [(Path(one.path).name, one.error) for one in failed] == [("bad.mp3", "not-audio")]
    done = run(music)
    assert (done.analysed, done.known, done.unchanged, done.failed.total()) == (0, 0, 5, 0)
    song(music / "a" / "new.wav", 9)
    song(music / "a" / "0.wav", 10, seconds=2)
    done = run(music)
    assert (done.analysed, done.known, done.unchanged) == (2, 0, 4)
    assert len(library.tracks()) == 6


def test_other_tags_are_no_reason_to_hear_again(library: Library, music: Path, run: Scan) -> None:
    run(music)
    before = heard(library)
    retag(music / "a" / "0.wav", "New title")
    done = run(music)
    assert (done.analysed, done.known) == (0, 1)
    assert heard(library) == before
    track = library.track(str(music / "a" / "0.wav"))
    assert track is not None and track.title == "New title"


def test_a_retag_that_keeps_size_and_time_is_seen(library: Library, music: Path, run: Scan) -> None:
    """Taggers have an option for it; the time of change tells all the same."""
    path = music / "a" / "0.wav"
    retag(path, "Old")
    run(music)
    before, facts = heard(library), path.stat()
    retag(path, "New")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert path.stat().st_size == facts.st_size
    done = run(music)
    assert (done.analysed, done.known, done.unchanged) == (0, 1, 4) and heard(library) == before
    track = library.track(str(path))
    assert track is not None and track.title == "New"


def test_a_file_that_was_only_touched_counts_as_unchanged(library: Library, music: Path, run: Scan) -> None:
    run(music)
    (music / "a" / "0.wav").chmod(0o600)
    os.utime(music / "b" / "1.wav")
    done = run(music)
    assert (done.analysed, done.known, done.unchanged) == (0, 0, 5)


def test_a_moved_file_may_have_new_tags(library: Library, music: Path, run: Scan) -> None:
    path = music / "a" / "0.wav"
    retag(path, "Old")
    run(music)
    facts = path.stat()
    with path.open("r+b") as file:  # in place, as some taggers write
        file.write(path.read_bytes().replace(b"Old", b"New"))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    path.rename(music / "b" / "renamed.wav")
    done = run(music)
    assert (done.analysed, done.known, done.moved) == (0, 0, 1)
    track = library.track(str(music / "b" / "renamed.wav"))
    assert track is not None and track.title == "New"


@pytest.mark.parametrize("how", ["renamed", "moved to another disk"])
def test_moved_files_keep_what_was_heard(library: Library, music: Path, run: Scan, how: str) -> None:
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
    assert (done.analysed, done.known, done.moved, done.vanished) == (0, int(how != "renamed"), 1, 0)
    assert heard(library)["other.wav"] == before
    assert len(library.tracks()) == 5, "the row went with the file"


def test_two_files_of_one_sound_know_of_each_other(library: Library, music: Path, run: Scan) -> None:
    run(music)
    shutil.copyfile(music / "a" / "0.wav", music / "a" / "copy.wav")
    os.link(music / "a" / "0.wav", music / "a" / "link.wav")
    done = run(music)
    assert (done.analysed, done.known, done.moved) == (0, 1, 0)
    audio = heard(library)["0.wav"]
    assert audio is not None
    files = library.tracks_of([audio])[audio]
    assert [Path(one.path).name for one in files] == ["0.wav", "copy.wav", "link.wav"]


def test_vanished_files_are_marked_and_come_back(library: Library, music: Path, run: Scan) -> None:
    run(music)
    (music / "a" / "0.wav").rename(music.parent / "aside.wav")
    done = run(music)
    assert done.vanished == 1
    track = library.track(str(music / "a" / "0.wav"))
    assert track is not None and track.vanished is not None
    assert run(music).vanished == 0, "only once"
    (music.parent / "aside.wav").rename(music / "a" / "0.wav")
    done = run(music)
    assert (done.analysed, done.known) == (0, 0)
    track = library.track(str(music / "a" / "0.wav"))
    assert track is not None and track.vanished is None


def test_an_unplugged_drive_marks_nothing(library: Library, music: Path, run: Scan) -> None:
    run(music)
    music.rename(music.parent / "unplugged")
    with pytest.raises(EarmarkError, match="no such folder"):
        run(music)
    music.mkdir()
    assert run(music).vanished == 0, "an empty folder is what the drive leaves behind"
    assert all(track.vanished is None for track in library.tracks())


def test_an_unplugged_drive_inside_the_folder_marks_nothing(library: Library, music: Path, run: Scan) -> None:
    """What lay on another device than the folder that is left is not gone, but not to be seen."""
    run(music)
    with library.change():
        library.db.execute("UPDATE tracks SET device = '77' WHERE path LIKE '%/b/%'")
    shutil.rmtree(music / "b")
    done = run(music)
    assert (done.vanished, done.unplugged) == (0, 2)


def test_a_drive_that_got_another_number_still_loses_files(library: Library, music: Path, run: Scan) -> None:
    run(music)
    with library.change():
        library.db.execute("UPDATE tracks SET device = '77'")
    (music / "a" / "0.wav").unlink()
    assert run(music).vanished == 1


def test_a_drive_unplugged_half_way(library: Library, music: Path, run: Scan, model: LibraryModel) -> None:
    run(music)
    for number in range(4):
        song(music / "ab"[number % 2] / f"{number}.wav", 20 + number)

    class Unplugging(InlineEngine):
        def map(self, *arguments: Any, **options: Any) -> Any:
            shutil.rmtree(music, ignore_errors=True)
            return super().map(*arguments, **options)

    done = Run(scan_folders(library, [real_root(str(music))], model, Unplugging())).wait()
    assert (done.vanished, done.failed["vanished"]) == (0, 4)
    assert len(heard(library)) == 4, "what was heard before is kept"


def test_a_folder_that_cannot_be_read_hides_nothing(
    library: Library, music: Path, run: Scan, monkeypatch: pytest.MonkeyPatch
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


def test_folders_inside_folders(library: Library, music: Path, run: Scan) -> None:
    assert run(music / "a").analysed == 2
    assert library.roots() == [str(music / "a")]
    done = run(music)
    assert (done.analysed, done.unchanged) == (2, 3)
    assert library.roots() == [str(music)], "the outer folder stands for both"
    (music / "b" / "1.wav").unlink()
    assert run(music / "a").vanished == 0, "only what was looked for can be missing"
    assert library.roots() == [str(music)]
    assert run(music, music / "a").vanished == 1
    assert len(library.tracks()) == 5


def test_one_folder_has_one_name(library: Library, music: Path, run: Scan) -> None:
    (music.parent / "link").symlink_to(music)
    run(music)
    assert run(music.parent / "link").analysed == 0
    assert len(library.tracks()) == 5


def test_a_new_model_hears_old_songs_only_on_request(
    library: Library, music: Path, run: Scan, model: LibraryModel
) -> None:
    run(music)
    newer = replace(model, digest="y", backbone="another")
    song(music / "new.wav", 9)
    done = run(music, by=newer)
    assert (done.analysed, done.unchanged) == (1, 5)
    assert library.model().digest == model.digest, "searches stay with the model that heard most"
    done = run(music, by=newer, force=True)
    assert done.analysed == 5, "a song that it has heard is heard again too"
    assert library.model().digest == "y"


def test_new_heads_on_a_known_backbone_need_no_audio(
    library: Library, music: Path, run: Scan, model: LibraryModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored embeddings are enough: nothing is opened, and the scores are those of a scan of its own."""
    soundfile.write(music / "silence.wav", np.zeros(3 * 22050), 22050)
    run(music)
    old = {track.path: said for track, said in library.predictions(library.model()) if isinstance(said, Prediction)}

    def nothing_to_open(engine: InlineEngine, task: Any, items: Any, **options: Any) -> Any:
        assert list(items) == []
        yield from ()

    monkeypatch.setattr(InlineEngine, "map", nothing_to_open)
    done = run(music, by=replace(model, digest="new heads"))
    assert (done.scored, done.analysed, done.unchanged) == (5, 0, 6)
    newer = done.model
    for track, said in library.predictions(newer):
        if isinstance(said, Prediction):
            for name, head in said.heads.items():
                before = old[track.path].heads[name]
                assert head.label == before.label
                assert all(abs(score - before.scores[label]) < 0.002 for label, score in head.scores.items())
    assert len(library.embeddings(newer)[0]) == 4, "silence is no song for it either"


def test_hearing_again_goes_on_where_it_was_stopped(
    library: Library, music: Path, run: Scan, model: LibraryModel
) -> None:
    run(music)
    steps = iter(Run(scan_folders(library, [real_root(str(music))], model, InlineEngine(), ScanOptions(force=True))))
    while next(steps) != Progress(2, 5):
        pass
    steps.close()
    assert run(music, force=True).analysed == 2
    assert run(music, force=True).analysed == 4, "and then it begins anew"


def show(path: Path, *, other: bool) -> Path:
    """A minute and a second of sound; ``other`` differs between the stretches that a key is made of."""
    t = np.arange(61 * 8000) / 8000
    wave = 0.3 * np.sin(2 * np.pi * 300 * t)
    if other:
        wave[round(1.1 * 8000) : round(1.5 * 8000)] = 0
    soundfile.write(path, wave, 8000, "PCM_16")
    return path


def test_recordings_that_share_a_key_are_not_confused(library: Library, music: Path, run: Scan) -> None:
    """Two shows with one opening: each has its own labels, in one scan or in two; copies are still known as such."""
    one, two = show(music / "one.wav", other=False), show(music / "two.wav", other=True)
    assert content_hash(one) == content_hash(two) and not same_recording(one, two)
    run(music)
    audio = heard(library)
    assert audio["one.wav"] != audio["two.wav"]
    assert len({track.recording for track in library.tracks() if track.audio}) == 6, "an export can tell them apart"
    shutil.copy(two, music / "two again.wav")
    show(music / "third.wav", other=False)
    done = run(music)
    audio = heard(library)
    assert audio["two again.wav"] == audio["two.wav"] and audio["third.wav"] == audio["one.wav"]
    assert (done.analysed, done.known) == (0, 2), "what is known is not analysed again, but compared"
    one.unlink()
    two.rename(music / "a" / "two moved.wav")
    assert run(music).vanished == 1
    assert heard(library)["two moved.wav"] == audio["two.wav"] and heard(library)["third.wav"] == audio["one.wav"]
    done = run(music)
    assert (done.analysed, done.known, done.unchanged) == (0, 0, 8)


def test_copies_in_one_scan_become_one_recording(library: Library, music: Path, run: Scan) -> None:
    for name in ("x.wav", "y.wav", "z.wav"):
        song(music / name, 77, seconds=2)
    run(music)
    audio = heard(library)
    assert audio["x.wav"] == audio["y.wav"] == audio["z.wav"]
    assert library.facts().copies == 2 and len(library.embeddings(library.model())[0]) == 5


def test_two_files_that_change_to_share_what_one_had(library: Library, music: Path, run: Scan) -> None:
    """Nothing is left to compare with, so that the two are compared with each other."""
    one = show(music / "one.wav", other=False)
    run(music)
    one.rename(music / "moved.wav")
    show(music / "new.wav", other=True)
    os.utime(music / "moved.wav")
    run(music)
    audio = heard(library)
    assert audio["moved.wav"] != audio["new.wav"]
    assert run(music).unchanged == 7


def test_silence_is_counted_and_no_song(library: Library, music: Path, run: Scan) -> None:
    soundfile.write(music / "silence.wav", np.zeros(3 * 22050), 22050)
    done = run(music)
    assert (done.analysed, done.silent, library.facts().silent) == (5, 1, 1)
    model = library.model()
    assert len(library.embeddings(model)[0]) == 4
    track = library.track(str(music / "silence.wav"))
    assert track is not None and not track.song
    said = library.prediction(model, track)
    assert said is not None and {head.label for head in said.heads.values()} == {None}
    with pytest.raises(EarmarkError, match="is no music"):
        find_seed(library, model, track.path)
    shutil.copy(music / "silence.wav", music.parent / "elsewhere.wav")
    with pytest.raises(EarmarkError, match="is no music"):
        find_seed(library, model, str(music.parent / "elsewhere.wav"))
    assert run(music).silent == 0 and library.facts().silent == 1


def test_what_is_left_out_leaves_the_library_and_comes_back(library: Library, music: Path, run: Scan) -> None:
    run(music)
    done = run(music, exclude=["b"])
    assert (done.vanished, done.unplugged, len(heard(library))) == (2, 0, 2)
    done = run(music)
    assert (done.analysed, done.known, len(heard(library))) == (0, 0, 4)


class Failing(InlineEngine):
    """Fails as a machine does, at the files that are named."""

    def __init__(self, kind: str, *names: str) -> None:
        super().__init__()
        self.kind, self.names = kind, names

    def map(self, task: Any, items: Any, **options: Any) -> Any:
        items = list(items)
        for result in super().map(task, items, **options):
            path = items[result.index].path
            failed = Path(path).name in self.names
            yield Failure(path, self.kind, "too little memory", result.index) if failed else result  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["crash", "timeout", "io"])
def test_failures_of_the_machine_pass(library: Library, music: Path, run: Scan, model: LibraryModel, kind: str) -> None:
    """They are tried again at the next scan; until then they are counted, and what was known of the file stands."""
    roots = [real_root(str(music))]
    done = Run(scan_folders(library, roots, model, Failing(kind, "0.wav"))).wait()
    assert done.failed == {kind: 1, "not-audio": 1} and library.facts().failures == 2
    assert run(music).analysed == 1 and library.facts().failures == 1
    before = heard(library)
    song(music / "a" / "0.wav", 50)
    Run(scan_folders(library, roots, model, Failing(kind, "0.wav"))).wait()
    assert heard(library) == before and library.facts().failures == 2 and library.facts().tracks == 4
    assert [Path(one.path).name for one in library.failures()] == ["0.wav", "bad.mp3"]
    assert run(music).analysed == 1 and library.facts().failures == 1
    Run(scan_folders(library, roots, model, Failing(kind, "1.wav"), ScanOptions(force=True))).wait()
    assert library.facts().tracks == 4 and run(music).analysed == 1, "tried again though the file is unchanged"


def test_a_file_that_changed_and_went_bad(library: Library, music: Path, run: Scan) -> None:
    run(music)
    (music / "a" / "0.wav").write_text("now it is no sound")
    assert run(music).failed == {"not-audio": 1}
    track = library.track(str(music / "a" / "0.wav"))
    assert track is not None and (track.error, track.audio) == ("not-audio", None)
    assert run(music).failed.total() == 0, "and it is not tried again until it changes"


def test_failures_of_the_moment_are_tried_again(library: Library, music: Path, run: Scan) -> None:
    run(music)
    with library.change():
        library.db.execute("UPDATE tracks SET error = 'io' WHERE path LIKE '%bad.mp3'")
    assert run(music).failed == {"not-audio": 1}
    assert set(PASSING) == {"missing", "permission", "vanished", "io", "crash", "timeout"}


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
