"""``earmark review`` at a terminal: a key does what it says, no key of many characters is taken for one of them."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from commands import command, environment
from earmark.inference.records import HeadPrediction, Prediction
from earmark.library.records import LibraryModel
from earmark.library.store import Stamp, open_library
from earmark.models.card import HeadCard

pytestmark = pytest.mark.skipif(os.name != "posix", reason="terminals of POSIX")


class Session:
    """A ``review`` at a terminal of its own."""

    def __init__(self, library: Path, **more: str) -> None:
        import pty

        self.handle, terminal = pty.openpty()
        argv = command("review", "--library", library, "-f", "table", "--head", "genre")
        self.process = subprocess.Popen(
            argv, stdin=terminal, stdout=terminal, stderr=terminal, env=environment(TERM="xterm", **more)
        )
        os.close(terminal)
        self.text = ""

    def until(self, words: str) -> str:
        """Read until the terminal shows these words anew; gives what came."""
        came, deadline = "", time.monotonic() + 30
        while words not in came:
            ready = select.select([self.handle], [], [], max(0.0, deadline - time.monotonic()))[0]
            assert ready, f"{words!r} never came: {came}"
            try:
                came += os.read(self.handle, 4096).decode("utf-8", "replace")
            except OSError:
                raise AssertionError(f"ended without {words!r}: {came}") from None
        self.text += came
        return came

    def press(self, *keys: bytes) -> None:
        for key in keys:
            os.write(self.handle, key)
            time.sleep(0.1)  # as people press them: the rest of a key comes within some milliseconds

    def end(self) -> int:
        try:
            while select.select([self.handle], [], [], 30)[0] and (piece := os.read(self.handle, 4096)):
                self.text += piece.decode("utf-8", "replace")
        except OSError:
            pass
        try:
            return self.process.wait(5)
        finally:
            self.process.kill()
            os.close(self.handle)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Eight songs that the model is not sure of."""
    genre = HeadCard("genre", "multiclass", ("Rock", "Pop", "World", "Jazz", "Folk"), threshold=0.9)
    with open_library(tmp_path / "a.db", make=True) as library, library.change():
        model = library.add_model(LibraryModel(0, "tiny@1", "d", "", "", 2, (genre,)))
        for number in range(8):
            path = tmp_path / f"{number}.mp3"
            path.write_bytes(bytes([number]))
            scores = dict(zip(genre.labels, (0.3, 0.25, 0.2, 0.15, 0.1), strict=True))
            heads = {"genre": HeadPrediction("multiclass", scores=scores)}
            found = Prediction(
                str(path), 1.0, "tiny@1", heads, embedding=np.ones(2, np.float32), content_hash=f"{number:032x}"
            )
            library.put_track(None, str(path), Stamp.of(path.stat()), library.add_result(model, found), {})
    return tmp_path / "a.db"


def labels(library: Path) -> list[str]:
    with open_library(library) as opened:
        return [str(heads["genre"]) for _, heads in sorted(opened.labels().items())]


# Delete, Insert, Page Up, F5, F12, Ctrl-Delete, Shift-Up, Alt-1, F1 of three kinds of terminal, keypad 2, a mouse, Esc
LONG_KEYS = (
    *(b"\x1b[3~", b"\x1b[2~", b"\x1b[5~", b"\x1b[15~", b"\x1b[24~", b"\x1b[3;5~", b"\x1b[1;2A", b"\x1b1"),
    *(b"\x1bOP", b"\x1b[11~", b"\x1b[[A", b"\x1bOr", b"\x1b[<0;12;3M", b"\x1b"),
)


def test_long_keys_store_nothing(library: Path) -> None:
    session = Session(library)
    session.until("q quit")
    session.press(*LONG_KEYS, b"q")
    assert session.end() == 0
    assert labels(library) == [] and "0 labels kept" in session.text


def test_a_long_key_among_others(library: Path) -> None:
    """All at once, as a slow machine reads them."""
    session = Session(library)
    session.until("q quit")
    os.write(session.handle, b"2\x1b[3~\x1b[15~3\x1b[1;5D\r\xc3\xa9q")
    assert session.end() == 0
    assert labels(library) == ["Pop", "World", "Rock"]


def test_back_skip_and_ctrl_c(library: Path) -> None:
    session = Session(library)
    session.until("q quit")
    session.press(b"2", b"b", b"4", b"s", b"1")
    session.until("4 of 8")
    session.process.send_signal(signal.SIGINT)
    assert session.end() == 130
    assert "stopped; what is done is kept" in session.text and "Traceback" not in session.text
    assert labels(library) == ["Jazz", "Rock"]


def test_a_typed_label_is_confirmed(library: Path) -> None:
    session = Session(library)
    session.until("q quit")
    session.press(b"t")
    session.until("genre: ")
    session.press(b"Polka\n")
    assert "y keeps Polka" in session.until("goes back.")
    session.press(b"n")
    session.until("q quit")
    session.press(b"t")
    session.until("genre: ")
    session.press(b"rcok\n")
    assert "1 takes Rock" in session.until("goes back.")
    session.press(b"1")
    session.until("2 of 8")
    session.press(b"t")
    session.until("genre: ")
    session.press(b"Polka\n")
    session.until("goes back.")
    session.press(b"y", b"t")
    session.until("genre: ")
    session.press(b"JAZZ\n")  # known: nothing to confirm
    session.until("4 of 8")
    session.press(b"q")
    assert session.end() == 0
    assert labels(library) == ["Rock", "Polka", "Jazz"]


def test_the_systems_player_plays_the_song(library: Path, tmp_path: Path) -> None:
    bin_folder, asked = tmp_path / "bin", tmp_path / "asked"
    bin_folder.mkdir()
    for name in ("xdg-open", "open"):
        (bin_folder / name).write_text(f'#!/bin/sh\necho "$1" >> "{asked}"\n')
        (bin_folder / name).chmod(0o755)
    session = Session(library, PATH=f"{bin_folder}{os.pathsep}{os.environ['PATH']}")
    session.until("q quit")
    session.press(b"p")
    time.sleep(0.5)
    session.press(b"o", b"q")
    assert session.end() == 0 and labels(library) == []
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (not asked.exists() or asked.read_text().count("\n") < 2):
        time.sleep(0.05)
    assert asked.read_text().splitlines() == [str(tmp_path / "0.mp3"), str(tmp_path)]


def test_without_a_player_it_says_so(library: Path, tmp_path: Path) -> None:
    session = Session(library, PATH=str(tmp_path))
    session.until("q quit")
    session.press(b"p")
    session.until("The system cannot open it")
    session.press(b"q")
    assert session.end() == 0
