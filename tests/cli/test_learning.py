"""How far a training is: a line on a terminal, and what stays of an epoch everywhere."""

from __future__ import annotations

import io

import pytest

from commands import Terminal
from earmark.cli.drawing import Drawing
from earmark.events import Progress

EPOCH = Progress(3, 6, "training", "steps",
                 {"epoch": 2, "epochs": 9, "loss": 0.5, "clips_per_second": 12.0, "seconds_left": 65.0})  # fmt: skip
OVER = Progress(2, 9, "epochs", "epochs",
                {"loss": 0.5, "clips_per_second": 12.0, "valid_loss": 0.7, "valid_score": 0.25})  # fmt: skip


def shown(stream: Terminal) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "200")
    return Terminal()


def test_an_epoch_is_drawn_over_and_leaves_its_line(terminal: Terminal):
    line = Drawing(stream=terminal)
    line.show(EPOCH)
    assert "epoch 2 of 9, loss 0.500, 12 clips/s, 1 min 5 s left" in shown(terminal) and "\n" not in shown(terminal)
    line.show(OVER)
    assert shown(terminal).endswith("\repoch 2 of 9: loss 0.500, validation loss 0.700, score 0.250; 12 clips/s\n")


def test_what_is_not_known_yet_is_not_said(terminal: Terminal):
    """The first report of an epoch knows no time left."""
    line = Drawing(stream=terminal)
    line.show(
        Progress(
            0, 6, "training", "steps", {"chunk": 2, "epoch": 1, "epochs": 9, "loss": 0.5, "clips_per_second": 12.0}
        )
    )
    assert "chunk 2, epoch 1 of 9, loss 0.500, 12 clips/s " in shown(terminal) and "nan" not in shown(terminal)
    line.show(Progress(1, 3, "training heads", "heads"))
    assert "training heads: 1 of 3" in shown(terminal)


def test_of_one_training_among_many_no_epoch_stays(terminal: Terminal):
    line = Drawing(epochs_stay=False, stream=terminal)
    line.show(EPOCH)
    line.show(OVER)
    line.clear()
    assert shown(terminal).endswith(" \r") and "\n" not in shown(terminal)


def test_without_a_terminal_only_the_epochs_are_said(capsys: pytest.CaptureFixture[str]):
    line = Drawing()
    line.show(EPOCH)
    line.show(OVER)
    line.clear()
    assert capsys.readouterr().err.splitlines() == [
        "epoch 2 of 9: loss 0.500, validation loss 0.700, score 0.250; 12 clips/s"
    ]
