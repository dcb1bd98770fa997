"""Progress: on a terminal alone, and the time left is of this run."""

from __future__ import annotations

import io

import pytest

from commands import Terminal
from earmark.cli.progress import Progress, duration, rate


def shown(terminal: Terminal) -> str:
    terminal.flush()
    assert isinstance(terminal.buffer, io.BytesIO)
    return terminal.buffer.getvalue().decode()


def test_a_line_that_is_drawn_over_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    now = [0.0]
    terminal = Terminal()
    progress = Progress(100, 40, terminal, lambda: now[0])
    for _ in range(30):
        now[0] += 1.0
        progress.step()
    text = shown(terminal)
    assert "70 of 100, 60 songs/min, 30 s left" in text
    assert "\n" not in text and all(len(part) < 80 for part in text.split("\r"))
    assert (progress.heard, progress.seconds) == (30, 30.0)
    progress.clear()
    assert shown(terminal).endswith(" \r")


def test_it_is_not_drawn_more_often_than_an_eye_can_follow() -> None:
    terminal = Terminal()
    progress = Progress(1000, 0, terminal, lambda: 0.0)
    for _ in range(500):
        progress.step()
    assert shown(terminal).count("\r") == 1


def test_silent_where_standard_error_is_no_terminal() -> None:
    stream = io.StringIO()
    progress = Progress(2, 0, stream)
    progress.step()
    progress.clear()
    assert stream.getvalue() == ""


def test_words() -> None:
    assert [duration(s) for s in (0.21, 9.9, 59.4, 190, 7500, 3600)] == [
        "0.2 s",
        "9.9 s",
        "59 s",
        "3 min 10 s",
        "2 h 5 min",
        "1 h",
    ]
    assert rate(300, 60) == "300 songs/min" and rate(1, 60) == "1.0 songs/min" and rate(1, 0)
