"""The table for people: as wide as the terminal, plain about what is not known, safe with any name."""

from __future__ import annotations

import io
import re

import pytest

from cli_records import BAD, heard
from commands import Terminal
from earmark.cli.console import cells
from earmark.cli.table import table_pieces
from earmark.inference.records import HeadPrediction


def lines(records: list[object], stream: io.TextIOBase) -> list[str]:
    return b"".join(table_pieces(records, stream)).decode().splitlines()  # type: ignore[arg-type]


MOOD = HeadPrediction("multiclass", "happy", 0.61, scores={"happy": 0.61, "sad": 0.39})


def test_a_row_has_the_label_its_bar_and_percentage() -> None:
    header, row, below = lines([heard(mood=MOOD)], io.StringIO())
    assert re.match(r"song +genre +mood", header)
    assert re.match(r"a\.mp3 +Rock +██████▋   83%  happy +████▉ +61%$", row)
    assert below == "    tags: piano, a,b · energy 0.62"
    assert header.index("genre") == row.index("Rock") and header.index("mood") == row.index("happy")


def test_not_sure_is_said_plainly() -> None:
    record = heard(genre=HeadPrediction("multiclass", None, 0.41, scores={"Rock": 0.41, "Jazz": 0.3}))
    assert re.search(r"not sure +███▎ +41%", lines([record], io.StringIO())[1])


def test_guesses_stand_where_the_model_is_not_sure() -> None:
    """As many as fit beside the song; those of a head below it are all there, and of many labels the first five."""
    unsure = HeadPrediction("multiclass", None, 0.44, scores={"Rock": 0.44, "Electronic": 0.204},
                            guesses=(("Rock", 0.44), ("Pop", 0.204), ("Electronic", 0.15)))  # fmt: skip
    row = lines([heard(genre=unsure, mood=MOOD)], io.StringIO())[1]
    assert re.match(r"a\.mp3 +Rock\? 44 %, Pop\? 20 % +happy", row)
    many = HeadPrediction("multilabel", labels=tuple("abcdefg"), scores=dict.fromkeys("abcdefg", 0.9))
    narrow = {name: unsure for name in ("genre", "mood", "quadrant", "valence", "style")}
    below = " ".join(line.strip() for line in lines([heard(tags=many, **narrow)], io.StringIO())[2:])
    assert "tags: a, b, c, d, e ·" in below + " ·"
    assert "style: Rock? 44 %, Pop? 20 %, Electronic? 15 %" in below


def test_what_is_no_music_has_only_its_reason() -> None:
    said = lines([heard() | {"warning": "cut off; speech"}, heard()], io.StringIO())
    assert said[1:3] == ["a.mp3", "    no labels, this is no music: cut off; speech"] and "Rock" in said[3]


def test_failures_and_warnings_stand_below_their_song() -> None:
    said = lines([BAD, heard() | {"warning": "truncated"}], io.StringIO())
    assert said[1:3] == ["b.mp3", "    not-audio: not an audio file: no stream found"]
    assert said[-1] == "    warning: truncated"


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_lines_fit_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    names = ["漢字" * 40, "x" * 300, "short.mp3", "line\nbreak\x1b[2J.mp3", "🎸"]
    said = lines([BAD, *(heard(name, mood=MOOD) for name in names)], Terminal())
    assert all(cells(line) <= max(width, 40) for line in said)
    assert "\x1b" not in "".join(said) and any("line\\nbreak\\x1b[2J.mp3" in line for line in said)
    assert any("happy" in line for line in said), "a head without room for a column goes below"


def test_colours_do_not_move_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = lines([heard(mood=MOOD)], Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert [re.sub(r"\x1b\[\d*m", "", line) for line in coloured] == lines([heard(mood=MOOD)], Terminal())
    assert any("\x1b[" in line for line in coloured)
