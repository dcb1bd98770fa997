"""Writing leaves the sound alone and can be taken back bit for bit, in every kind of file, odd ones too."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import earmark.filetags.write as module
from commands import environment
from earmark.audio.identity import content_hash
from earmark.audio.track import load
from earmark.errors import MissingExtra, StorageError
from earmark.filetags.journal import Journal, read_run
from earmark.filetags.policy import NEEDS, Outcome, Refusal, WriteOptions
from earmark.filetags.tagged import MutagenSystem
from earmark.filetags.undo import undo
from earmark.filetags.write import write_tags
from made_tagged import KINDS, known, make_song, outcomes_of, sha256, written
from people import unprivileged

AWKWARD = (".aif", ".aiff", ".ape", ".dsf", ".flac", ".m4a", ".mp2", ".mp3", ".mp4", ".mpc", ".oga", ".ogg", ".opus")
AWKWARD += (".spx", ".wav", ".wma", ".wv")


def samples(song: Path) -> bytes:
    return load(song, 48000).tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(kind: str, tmp_path: Path) -> None:
    song = make_song(tmp_path / f"song.{kind}")
    song.chmod(0o640)
    os.utime(song, ns=(10**18, 10**18 + 1))
    before, sound = sha256(song), samples(song)
    journal, (outcome,) = written(tmp_path / "journal", [song])
    assert (outcome.status, set(outcome.changes)) == ("changed", {"genre", "mood", "scores"})
    assert sha256(song) != before and samples(song) == sound
    facts = song.stat()
    assert facts.st_mtime_ns > 10**18 + 10**17 and stat.S_IMODE(facts.st_mode) == 0o640
    assert journal.file.stat().st_size < 8000
    (back,) = outcomes_of(undo([read_run(tmp_path / "journal", journal.name)]))
    assert (back.status, sha256(song)) == ("restored", before)
    assert (song.stat().st_mtime_ns, stat.S_IMODE(song.stat().st_mode)) == (10**18 + 1, 0o640)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal", song.name]


def test_every_awkward_file(shared: Path, tmp_path: Path) -> None:
    """A third of the odd files of others' test suites, one policy on top of the other, and all back at once."""
    found = [p for p in sorted((shared / "data" / "awkward").rglob("*")) if p.suffix.lower() in AWKWARD]
    songs = [Path(shutil.copyfile(p, tmp_path / f"{i:03}{p.suffix}")) for i, p in enumerate(found[::3])]
    before = {song: sha256(song) for song in songs}
    changed: Counter[str] = Counter()
    for policy in ("empty", "overwrite"):
        _, outcomes = written(tmp_path / "journal", songs, WriteOptions(policy, fields=tuple(NEEDS)))
        for song, outcome in zip(songs, outcomes, strict=True):
            assert outcome.status in ("changed", "unchanged", "skipped")
            assert outcome.status != "skipped" or (outcome.kind in ("format", "audio") and sha256(song) == before[song])
            changed[song.suffix.lower()] += outcome.status == "changed"
    assert changed.total() > 60 and sum(count > 0 for count in changed.values()) >= 13, changed
    runs = [read_run(tmp_path / "journal", file.stem) for file in sorted((tmp_path / "journal").glob("*.jsonl"))]
    assert len(runs) == 2 and {outcome.status for outcome in outcomes_of(undo(runs))} == {"restored"}
    assert {song: sha256(song) for song in songs} == before


def test_written_again_nothing_changes(tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.mp3")
    for policy in ("overwrite", "overwrite", "merge", "empty"):
        journal, (outcome,) = written(tmp_path / "journal", [song], WriteOptions(policy))
    assert outcome.status == "unchanged" and not journal.begun
    assert len(list((tmp_path / "journal").iterdir())) == 1


def test_without_a_journal_nothing_is_touched(tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.flac")
    before = sha256(song), song.stat().st_mtime_ns, song.stat().st_ino
    (outcome,) = outcomes_of(write_tags(known([song]), WriteOptions(), None))
    assert outcome.changes["genre"] == ((), ("Röck",))
    assert (sha256(song), song.stat().st_mtime_ns, song.stat().st_ino) == before


def one(folder: Path, song: Path) -> Outcome:
    """Writing must skip the song and leave it, and its folder, as they are."""
    before, beside = sha256(song), sorted(song.parent.iterdir())
    _, (outcome,) = written(folder / "journal", [song])
    assert outcome.status == "skipped" and sha256(song) == before
    assert sorted(song.parent.iterdir()) in (beside, sorted([*beside, folder / "journal"]))
    return outcome


def test_read_only_is_told(tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.mp3")
    song.chmod(0o444)
    told = one(tmp_path, song)
    assert (told.kind, told.message) == ("permission", "the file is read-only")
    assert told.to_dict()["error"] == {"kind": "permission", "message": "the file is read-only"}


PROGRAM = """
import sys
from pathlib import Path
from made_tagged import written
for outcome in written(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])[1]:
    print(outcome.status, outcome.kind, outcome.message, sep="|")
"""


def as_somebody(folder: Path, *songs: Path) -> list[str]:
    """Write as a user to whom the system may say no."""
    where = environment()
    where["PYTHONPATH"] += os.pathsep + str(Path(__file__).parents[1])
    command = [*unprivileged(), sys.executable, "-c", PROGRAM, str(folder / "journal"), *map(str, songs)]
    done = subprocess.run(command, capture_output=True, text=True, env=where, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_what_permissions_forbid_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "shut"
    folder.mkdir()
    shut = make_song(folder / "a.mp3")
    unreadable, open_one = make_song(tmp_path / "b.mp3"), make_song(tmp_path / "c.mp3")
    before = {song: sha256(song) for song in (shut, unreadable)}
    folder.chmod(0o555)
    unreadable.chmod(0o200)
    try:
        told = as_somebody(tmp_path, shut, unreadable, open_one)
    finally:
        folder.chmod(0o755)
        unreadable.chmod(0o644)
    assert told[0] == "skipped|permission|its folder does not let it be replaced"
    assert told[1] == "skipped|permission|no permission to change it"
    assert told[2] == "changed||"
    assert {song: sha256(song) for song in before} == before and list(folder.iterdir()) == [shut]


@pytest.mark.skipif(os.name != "posix", reason="POSIX only")
@pytest.mark.parametrize("lock", ["flock", "lockf"])
def test_locked_is_told(tmp_path: Path, lock: str) -> None:
    song = make_song(tmp_path / "a.mp3")
    hold = f"import fcntl, sys; f = open({str(song)!r}, 'r+b'); fcntl.{lock}(f, fcntl.LOCK_EX); print(flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{hold}; sys.stdin.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        told = one(tmp_path, song)
        other.communicate(b"")
    assert (told.kind, told.message) == ("locked", "another program holds a lock on it")
    assert written(tmp_path / "journal", [song])[1][0].status == "changed"


def test_two_names_of_one_file_are_not_parted(tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.mp3")
    os.link(song, tmp_path / "b.mp3")
    told = one(tmp_path, song)
    assert told.kind == "links" and told.message.startswith("the file has 2 names (hard links)")


def test_a_link_stays_and_its_file_changes_once(tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.mp3")
    link = tmp_path / "link.mp3"
    link.symlink_to(song)
    before = sha256(song)
    journal, outcomes = written(tmp_path / "journal", [link, song])
    assert [outcome.status for outcome in outcomes] == ["changed", "unchanged"]
    assert link.is_symlink() and sha256(song) != before
    (back,) = outcomes_of(undo([read_run(tmp_path / "journal", journal.name)]))
    assert back.status == "restored"
    assert link.is_symlink() and sha256(song) == before


def test_what_is_not_there_or_no_file_is_told(tmp_path: Path) -> None:
    loop = tmp_path / "loop.mp3"
    loop.symlink_to(loop)
    _, outcomes = written(tmp_path / "journal", [tmp_path / "gone.mp3", loop, tmp_path])
    assert [(o.kind, o.message) for o in outcomes] == [
        *[("missing", "no such file")] * 2,
        ("format", "not a file"),
    ]


def test_changed_audio_is_told_changed_tags_are_not(tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.wav")
    heard = known([song], content=content_hash(song), size=1, modified=1)
    assert [o.status for o in outcomes_of(write_tags(heard, WriteOptions(), None))] == ["changed"]
    make_song(tmp_path / "b.wav").replace(song)
    (told,) = outcomes_of(write_tags(heard, WriteOptions(), None))
    assert (told.kind, told.message) == ("changed", "its audio was changed since it was scanned; scan it again")


def test_changed_while_at_work_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    song = make_song(tmp_path / "a.mp3")

    def meddle(real: Path, copy: Path, engine: object) -> None:
        os.utime(real, ns=(1, 1))

    monkeypatch.setattr(module, "must_sound_the_same", meddle)
    told = one(tmp_path, song)
    assert (told.kind, told.message) == ("changed", "the file was changed by another program just now")


def test_other_audio_is_never_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were mutagen to damage the sound, or lose a tag, the file would stay as it is."""
    song, real_write = make_song(tmp_path / "a.flac"), module.TaggedFile.write

    def damage(tagged: module.TaggedFile, values: dict[str, tuple[str, ...]], path: Path) -> None:
        real_write(tagged, values, path)
        raw = bytearray(path.read_bytes())
        raw[-2000] ^= 1
        path.write_bytes(raw)

    monkeypatch.setattr(module.TaggedFile, "write", damage)
    assert one(tmp_path, song).message == "its audio would not stay as it is"

    real_save = MutagenSystem.save

    def lose(system: MutagenSystem, path: Path) -> None:
        system.file.tags["ARTIST"] = "somebody"
        real_save(system, path)

    monkeypatch.setattr(module.TaggedFile, "write", real_write)
    monkeypatch.setattr(MutagenSystem, "save", lose)
    assert one(tmp_path, song).message == "its other tags would not stay as they are"


def test_a_full_disk_is_told_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    songs = [make_song(tmp_path / name) for name in ("a.mp3", "b.mp3")]
    real_copy, calls = module.copy_and_hash, []

    def full_once(*files: object) -> str:
        calls.append(files)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_copy(*files)

    monkeypatch.setattr(module, "copy_and_hash", full_once)
    _, outcomes = written(tmp_path / "journal", songs)
    assert [(o.status, o.message) for o in outcomes] == [("skipped", "the disk is full"), ("changed", "")]


def test_without_a_journal_on_disk_no_file_is_changed(tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.mp3")
    before = sha256(song)
    (tmp_path / "journal").write_text("a file in the way")
    with pytest.raises(StorageError, match="so no file is changed"):
        list(write_tags(known([song]), WriteOptions(), Journal(tmp_path / "journal", "20260101-000000")))
    assert sha256(song) == before and not list(tmp_path.glob(".earmark*"))


def test_without_the_extra_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'earmark\[tags\]'"):
        list(write_tags([], WriteOptions(), None))


def test_what_others_say_of_a_file_is_handed_through() -> None:
    told = Outcome.skipped("a", Refusal("not-in-library", "not\nthere"))
    assert outcomes_of(write_tags([told], WriteOptions(), None)) == [told] and told.message == "not there"


FULL = """
import resource, signal, sys
from pathlib import Path
from made_tagged import written
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
song, most = Path(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
for outcome in written(Path(sys.argv[1]), [song])[1]:
    print(outcome.status, outcome.kind, outcome.message, sep="|")
"""


@pytest.mark.skipif(os.name != "posix", reason="POSIX only")
@pytest.mark.parametrize("kind", ["mp3", "flac", "wav", "m4a", "wv"])
@pytest.mark.parametrize("more", [-10, 20])
def test_a_disk_that_is_really_full(kind: str, more: int, tmp_path: Path) -> None:
    """While the copy is made, and while its tags grow."""
    song = make_song(tmp_path / f"a.{kind}")
    before = sha256(song)
    where = environment()
    where["PYTHONPATH"] += os.pathsep + str(Path(__file__).parents[1])
    command = [sys.executable, "-c", FULL, str(tmp_path / "journal"), str(song), str(song.stat().st_size + more)]
    done = subprocess.run(command, capture_output=True, text=True, env=where, timeout=60)
    assert (done.stdout, sha256(song)) == ("skipped|io|the disk is full\n", before), done.stderr
    assert not list(tmp_path.glob(".earmark*"))
