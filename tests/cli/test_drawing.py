"""A run on a terminal: progress there alone, the time left is of this run, and Ctrl-C tells what is kept."""

from __future__ import annotations

import io

import pytest

from commands import Terminal
from earmark.cli.drawing import Drawing, Stopped, duration, follow, rate, records
from earmark.events import Notice, Progress, Record, use_case


def shown(terminal: Terminal) -> str:
    terminal.flush()
    assert isinstance(terminal.buffer, io.BytesIO)
    return terminal.buffer.getvalue().decode()


def test_a_line_that_is_drawn_over_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    now = [0.0]
    terminal = Terminal()
    drawing = Drawing(terminal, lambda: now[0])
    drawing.show(Progress(40, 100))
    for done in range(41, 71):
        now[0] += 1.0
        drawing.show(Progress(done, 100))
    text = shown(terminal)
    assert "70 of 100, 60 songs/min, 30 s left" in text, "what an earlier run did is not this one's speed"
    assert "\n" not in text and all(len(part) < 80 for part in text.split("\r"))
    assert drawing.begun
    drawing.clear()
    assert shown(terminal).endswith(" \r")


def test_stages_units_and_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    now, terminal = [0.0], Terminal()
    drawing = Drawing(terminal, lambda: now[0])
    drawing.show(Progress(0, 9, "training", "epochs"))
    now[0] = 4.0
    drawing.show(Progress(2, 9, "training", "epochs", {"loss": 0.5, "score": float("nan")}))
    assert "training: 2 of 9 epochs, loss 0.500, 14 s left" in shown(terminal) and "nan" not in shown(terminal)
    drawing.show(Progress(7, stage="reading", unit="files"))
    assert "reading: 7 files" in shown(terminal)
    drawing.show(Progress(0, stage="writing the model"))
    assert "writing the model ..." in shown(terminal)


def test_it_is_not_drawn_more_often_than_an_eye_can_follow() -> None:
    terminal = Terminal()
    drawing = Drawing(terminal, lambda: 0.0)
    for done in range(500):
        drawing.show(Progress(done, 1000))
    assert shown(terminal).count("\r") == 1


def test_where_standard_error_is_no_terminal_there_are_notices_alone() -> None:
    stream = io.StringIO()
    drawing = Drawing(stream)
    drawing.show(Progress(1, 2))
    drawing.show(Notice("Two\nlines."))
    drawing.clear()
    assert stream.getvalue() == "Two\\nlines.\n"


@use_case
def interrupted(after):
    yield Progress(0, 5)
    for done in range(1, after + 1):
        yield Record(done)
        yield Progress(done, 5)
    raise KeyboardInterrupt


def test_only_work_that_is_done_and_kept_is_said_to_be_kept() -> None:
    assert Stopped is not KeyboardInterrupt
    for after, keeps, kind in ((2, True, Stopped), (0, True, KeyboardInterrupt), (2, False, KeyboardInterrupt)):
        with pytest.raises(KeyboardInterrupt) as stop:
            follow(interrupted(after), keeps=keeps)
        assert stop.type is kind


def test_records_come_one_by_one_and_a_closed_run_ends() -> None:
    found = records(interrupted(3))
    assert [next(found), next(found)] == [1, 2]
    found.close()


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
