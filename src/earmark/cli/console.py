"""What people see: tables, bars and names that cannot break a terminal. Needs nothing but the standard library."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

from earmark.text import json_text

__all__ = [
    "Style",
    "bar",
    "cells",
    "columns",
    "fit",
    "plain",
    "print_json",
    "print_table",
    "style_of",
    "wants_json",
]

Style = Callable[[str, str], str]
"""Takes a text and the name of a style (``dim``, ``bold``, ``red``, ``yellow``, ``green``); gives it with codes."""

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_EIGHTHS = " ▏▎▍▌▋▊▉"
_JOINER = "\u200d"  # holds emoji together


def plain(text: str) -> str:
    r"""The text without anything that moves a cursor or turns the line around; ``\n`` and ``\xNN`` stand for it."""
    return text if text.isprintable() else "".join(map(_plain_character, text))


def _plain_character(character: str) -> str:
    if character.isprintable() or character == _JOINER or unicodedata.category(character) == "Zs":
        return character
    if "\udc80" <= character <= "\udcff":  # a byte of a name that is not valid UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_character_cells, text))


def _character_cells(character: str) -> int:
    if character == _JOINER or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fit(text: str, width: int, *, keep_end: bool = False) -> str:
    """The text in exactly ``width`` columns: padded, or cut with an ellipsis at its end (or its beginning)."""
    room = cells(text)
    if room > width:
        text = _cut(text[::-1], width)[::-1] if keep_end else _cut(text, width)
        room = cells(text)
    return text + " " * (width - room)


def _cut(text: str, width: int) -> str:
    kept, used = [], 1
    for character in text:
        used += _character_cells(character)
        if used > width:
            break
        kept.append(character)
    return "".join(kept) + "…" if width > 0 else ""


def bar(fraction: float, width: int, stream: TextIO | None = None) -> str:
    """A horizontal bar of ``width`` columns, in eighths where the stream can show them."""
    fraction = min(max(fraction, 0.0), 1.0) if fraction == fraction else 0.0
    if not _can_show(_EIGHTHS, stream):
        return ("#" * round(fraction * width)).ljust(width, ".")
    full, part = divmod(round(fraction * width * 8), 8)
    return ("█" * full + (_EIGHTHS[part] if part else "")).ljust(width)


def _can_show(text: str, stream: TextIO | None) -> bool:
    try:
        text.encode(getattr(stream or sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def columns(stream: TextIO | None = None) -> int:
    """Width of the terminal; 100 where the stream is none, so that a table in a file is the same everywhere."""
    stream = stream or sys.stdout
    return shutil.get_terminal_size((80, 24)).columns if stream.isatty() else 100


def style_of(stream: TextIO) -> Style:
    """Colours on a terminal, unless NO_COLOR is set (no-color.org) or the terminal is dumb."""
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not _colours_work():
        return lambda text, _: text
    return lambda text, name: f"\x1b[{_CODES[name]}m{text}\x1b[0m" if text else text


def _colours_work() -> bool:
    """Windows shows escape sequences only after it was asked to."""
    if sys.platform != "win32":
        return True
    try:
        import ctypes

        kernel = ctypes.windll.kernel32
        handle = kernel.GetStdHandle(-11)
        mode = ctypes.c_ulong()
        return bool(kernel.GetConsoleMode(handle, ctypes.byref(mode)) and kernel.SetConsoleMode(handle, mode.value | 4))
    except (ImportError, AttributeError, OSError):
        return False


def wants_json(args: argparse.Namespace) -> bool:
    """Whether the answer is for a machine: asked for, or going into a pipe."""
    return (args.format or ("table" if sys.stdout.isatty() else "json")) == "json"


def print_json(value: Any) -> None:
    """Print a value as JSON for machines and people."""
    print(json_text(value, indent=2))


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows below their header, as wide as the terminal at most; the last column takes the cut."""
    plain_rows = [[plain(cell) for cell in row] for row in rows]
    widths = [max([cells(header[i]), *(cells(row[i]) for row in plain_rows)]) for i in range(len(header))]
    style, room = style_of(sys.stdout), columns()
    widths[-1] = max(8, min(widths[-1], room - sum(widths[:-1]) - 2 * (len(widths) - 1)))
    if not sys.stdout.isatty():
        widths[-1] = max([cells(header[-1]), *(cells(row[-1]) for row in plain_rows)])
    print(style(_row(header, widths), "dim"))
    for row in plain_rows:
        print(_row(row, widths))


def _row(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(fit(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()
