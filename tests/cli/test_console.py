"""A terminal shows what is meant: names cannot move its cursor, and columns stay columns."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import Terminal
from earmark.cli import console


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ä 漢字 🎸.mp3", "plain ä 漢字 🎸.mp3"),
        ("new\nline\r\t\x1b[2J\x07", "new\\nline\\r\\t\\x1b[2J\\x07"),
        ("\u202egpj.3pm", "\\u202egpj.3pm"),
        ("bad\udce9byte", "bad\\xe9byte"),
        ("family \N{MAN}\u200d\N{WOMAN}", "family \N{MAN}\u200d\N{WOMAN}"),
        ("no\u00a0break\u3000wide", "no\u00a0break\u3000wide"),
        ("c1 \x9b31m", "c1 \\x9b31m"),
    ],
)
def test_plain(text: str, shown: str) -> None:
    assert console.plain(text) == shown


@given(st.text(st.characters(codec=None)))
def test_nothing_that_controls_a_terminal_gets_through(text: str) -> None:
    shown = console.plain(text)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in shown)
    shown.encode("utf-8")


@given(st.text(), st.integers(1, 30), st.booleans())
def test_fit_takes_exactly_its_columns(text: str, width: int, keep_end: bool) -> None:
    fitted = console.fit(console.plain(text), width, keep_end=keep_end)
    assert console.cells(fitted) == width


def test_fit_cuts_where_asked() -> None:
    assert console.fit("abcdef", 4) == "abc…"
    assert console.fit("abcdef", 4, keep_end=True) == "…def"
    assert console.fit("漢字漢字", 4) == "漢… "
    assert console.cells("漢e\u0301🎸") == 5


def test_bars() -> None:
    assert console.bar(0.5, 4) == "██  "
    assert console.bar(1 / 16, 2) == "▏ "
    assert console.bar(7, 3) == "███" and console.bar(float("nan"), 3) == "   "
    assert console.bar(0.5, 4, Terminal("ascii")) == "##.."


def test_colours_only_where_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert console.style_of(Terminal())("x", "red") == "\x1b[31mx\x1b[0m"
    assert console.style_of(io.StringIO())("x", "red") == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert console.style_of(Terminal())("x", "red") == "x"


def test_tables_line_up(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table(("name", "x"), [("漢字", "1"), ("a\nb", "2")])
    assert capsys.readouterr().out == "name  x\n漢字  1\na\\nb  2\n"
