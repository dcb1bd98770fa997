"""A hundred kills and Ctrl-C at any moment of the long verbs: nothing lost, nothing twice, no traceback, nobody left.

``EARMARK_KILLS`` sets how many of each signal a verb gets (9), ``EARMARK_KILLS_SEED`` at which moments (0).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import lessons
from commands import environment, nobody_left
from earmark.models.card import read_card
from earmark.models.registry import check_files
from made import make_model
from made_tagged import KINDS, make_song

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are found in /proc"),
]

COUNT = int(os.environ.get("EARMARK_KILLS", "9"))
SEED = int(os.environ.get("EARMARK_KILLS_SEED", "0"))
ENDS = {signal.SIGKILL: (-signal.SIGKILL,), signal.SIGINT: (130, -signal.SIGINT)}
"""Exit codes; a process that met Ctrl-C while Python itself was ending died of it, which shells call 130 as well."""
IN_A_ROW = 3
"""Stops in a row before a run may go on to its end."""

PROGRAM = """import os, sys
from earmark.__main__ import main
if __name__ == "__main__":
    os.write(int(os.environ["STARTED"]), b"x")
    sys.exit(main())
"""
"""As the program ``earmark`` that is installed; says when its own code begins."""


@dataclass
class Place:
    """A folder with ten songs, models, and the command line as processes in it."""

    folder: Path
    seconds: float = 0.0
    old: dict[str, bytes] = field(default_factory=dict)

    @property
    def music(self) -> Path:
        return self.folder / "music"

    @property
    def library(self) -> tuple[object, ...]:
        return "--library", self.folder / "a.db"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def songs(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.music.iterdir()) if path.name[0] != "."}

    def whole(self, *arguments: object) -> str:
        """A run that nobody disturbs; its output."""
        ended = self.start(arguments, None, signal.SIGKILL)
        assert ended.code == 0, (arguments, ended.err)
        self.seconds = ended.seconds
        return ended.out

    def start(self, arguments: tuple[object, ...], moment: float | None, sent: signal.Signals) -> Ended:
        """A run to its end, or until the signal at a moment (seconds after its first line)."""
        program = self.folder / "program.py"
        program.write_text(PROGRAM)
        started, theirs = os.pipe()
        with (self.folder / "stdout").open("w+") as out, (self.folder / "stderr").open("w+") as err:
            process = subprocess.Popen(
                [sys.executable, str(program), *map(str, arguments)],
                env=environment(
                    STARTED=str(theirs), OMP_NUM_THREADS="1", EARMARK_CACHE=str(self.folder / "cache"), COLUMNS="200"
                ),
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True, pass_fds=[theirs],
            )  # fmt: skip
            os.close(theirs)
            assert os.read(started, 1) == b"x"
            os.close(started)
            begun = time.monotonic()
            try:
                code = process.wait(120 if moment is None else moment)
            except subprocess.TimeoutExpired:
                if sent == signal.SIGINT:
                    os.killpg(process.pid, sent)  # as a terminal does
                else:
                    process.send_signal(sent)
                code = process.wait(60)
            seconds = time.monotonic() - begun
            assert nobody_left(process.pid), (arguments, moment)
            out.seek(0)
            err.seek(0)
            return Ended(code, out.read(), err.read(), seconds)


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str
    seconds: float


class Tag:
    """``tag -o``: the records are those of an undisturbed run, each once."""

    def __init__(self, place: Place) -> None:
        self.place, self.file = place, place.folder / "records.jsonl"
        self.command = ("tag", place.music, "-m", place.folder / "tiny", "-f", "jsonl", "-j", 2, "-o", self.file)

    def fresh(self) -> None:
        self.file.unlink(missing_ok=True)
        Path(f"{self.file}.part").unlink(missing_ok=True)

    def check(self) -> None:
        """A file that stands is whole."""
        if self.file.exists():
            assert len(self.result()) == len(KINDS)

    def result(self) -> Any:
        return [json.loads(line) for line in self.file.read_text().splitlines()]


class Scan:
    """``scan``: the library opens, holds every track once, and knows of each what it should."""

    def __init__(self, place: Place) -> None:
        self.place, self.file = place, place.folder / "a.db"
        self.command = ("scan", place.music, "-m", place.folder / "tiny", "-j", 2, *place.library)

    def fresh(self) -> None:
        for file in self.place.folder.glob("a.db*"):
            file.unlink()

    def check(self) -> None:
        if not self.file.exists():
            return
        db = sqlite3.connect(self.file)
        try:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            if db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'tracks'").fetchone()[0]:
                paths = [path for (path,) in db.execute("SELECT path FROM tracks")]
                assert len(paths) == len(set(paths)) <= len(KINDS)
        finally:
            db.close()

    def result(self) -> Any:
        records = json.loads(self.place.whole("export", "-f", "json", *self.place.library))
        assert len({record.pop("audio") for record in records}) == len(KINDS)
        return sorted(records, key=lambda record: str(record["path"]))


class WriteTags:
    """``write-tags``: each file is the old one or the new one, and ``undo --all`` gives every old byte back."""

    def __init__(self, place: Place) -> None:
        self.place, self.new = place, {}
        place.whole("scan", place.music, "-m", place.folder / "tiny", *place.library)
        self.command = ("write-tags", "--heads", "genre", "--min-confidence", 0, *place.library)

    def fresh(self) -> None:
        self.place.whole("undo", "--all")
        assert self.place.songs() == self.place.old
        assert not list(self.place.music.glob(".earmark*"))

    def check(self) -> None:
        for name, data in self.place.songs().items():
            assert data == self.place.old[name] or not self.new or data == self.new[name], name
        assert set(self.place.songs()) == set(self.place.old)

    def result(self) -> Any:
        assert not list(self.place.music.glob(".earmark*"))
        self.new = self.place.songs()
        assert all(data != self.place.old[name] for name, data in self.new.items())
        return self.new


class Undo(WriteTags):
    """``undo``: each file is the new one or the old one, in the end the old one, byte for byte."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.write, self.command = self.command, ("undo",)
        self.fresh()

    def fresh(self) -> None:
        self.place.whole("undo", "--all")
        self.place.whole(*self.write)
        self.new = self.place.songs()

    def result(self) -> Any:
        assert not list(self.place.music.glob(".earmark*"))
        assert self.place.songs() == self.place.old
        return self.place.songs()


class Train:
    """``train``: the model folder is whole or not there, and the model is that of an undisturbed run."""

    def __init__(self, place: Place) -> None:
        self.place = place
        songs = lessons.make_songs(place.folder / "classes", 8)
        self.command = ("train", songs, "--init", place.folder / "tiny", "-o", place.out, "--set", "training.epochs=20")

    def fresh(self) -> None:
        for folder in (self.place.out, self.place.folder / "out.part", self.place.folder / "cache"):
            shutil.rmtree(folder, ignore_errors=True)

    def check(self) -> None:
        if self.place.out.exists():
            check_files(self.place.out, *read_card(self.place.out).files)
        part = self.place.folder / "out.part"
        assert not part.exists() or (part / "run.json").is_file() or not list(part.iterdir())

    def result(self) -> Any:
        self.check()
        return {file.name: file.read_bytes() for file in sorted(self.place.out.iterdir())}


class Extend(Train):
    """``extend``: the same, and the old model stays as it is."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        place.whole(*self.command)
        self.base = place.out.rename(place.folder / "base")
        self.before = {file.name: file.read_bytes() for file in self.base.iterdir()}
        more = lessons.make_songs(place.folder / "more", 10, classes=("a", "b", "c"))
        self.command = ("extend", self.base, more / "c", "--label", "c", "-o", place.out)

    def check(self) -> None:
        super().check()
        assert {file.name: file.read_bytes() for file in self.base.iterdir()} == self.before


VERBS: dict[str, Callable[[Place], Tag | Scan | WriteTags | Train]] = {
    "tag": Tag, "scan": Scan, "write-tags": WriteTags, "undo": Undo, "train": Train, "extend": Extend,
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.music.mkdir()
    for number, kind in enumerate(KINDS):
        make_song(place.music / f"{number}.{kind}", 2.0)
    make_model(tmp_path / "tiny")
    place.old = place.songs()
    return place


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_at_any_moment(verb: str, sent: signal.Signals, place: Place) -> None:
    chance = random.Random(f"{verb} {sent} {SEED}")
    trial = VERBS[verb](place)
    place.whole(*trial.command)
    usual, expected = place.seconds, trial.result()
    trial.fresh()
    hits, tries = 0, 0
    while hits < COUNT:
        tries += 1
        assert tries < 6 * COUNT, "hardly a signal met a run"
        ended = place.start(trial.command, usual * (hits + chance.random()) / COUNT, sent)
        trial.check()
        assert "Traceback" not in ended.err and "Error" not in ended.err, ended.err
        if ended.code == 0:  # it was quicker than usual
            assert trial.result() == expected
            trial.fresh()
            usual *= 0.9
            continue
        assert ended.code in ENDS[sent], (ended.code, ended.err)
        hits += 1
        done = verb == "extend" and place.out.exists()  # the signal came just after the model was in its place
        if done or hits % IN_A_ROW == 0:
            if not done:
                place.whole(*trial.command)
            assert trial.result() == expected
            trial.fresh()
