"""Words and numbers for the page: nothing that a file is called can break it."""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Sequence

from markupsafe import Markup

__all__ = ["breakable", "escaped", "interval", "number", "percent", "percent_interval", "readable"]


def readable(words: str) -> str:
    r"""The words with bytes that are no text, control and direction characters as ``\xNN`` or ``\uNNNN``."""
    return words if words.isascii() and words.isprintable() else "".join(map(_safe, words))


def _safe(character: str) -> str:
    if character.isprintable() or character == "\u200d" or unicodedata.category(character) == "Zs":
        return character
    if "\udc80" <= character <= "\udcff":  # a byte of a name that is not valid UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def escaped(words: str) -> Markup:
    """:func:`readable` words as HTML or SVG text."""
    return Markup(html.escape(readable(words), quote=True))


def breakable(words: str) -> Markup:
    """:func:`escaped` words, whose lines may break after the slashes and underscores of a path or a name too."""
    return Markup("<wbr>").join(escaped(part) for part in re.split(r"(?<=[/\\_@+])(?=.)", words))


def number(value: float | None, digits: int = 3) -> str:
    """The number, or a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def interval(bounds: Sequence[float] | None, digits: int = 3, without: str = "") -> str:
    """As in ``0.730 to 0.880``; ``without`` where there is none."""
    return without if bounds is None else f"{bounds[0]:.{digits}f} to {bounds[1]:.{digits}f}"


def percent(value: float | None) -> str:
    """The share in percent with one decimal, or a dash."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.1f} %"


def percent_interval(bounds: Sequence[float] | None) -> str:
    """As in ``73.0 to 88.0 %``."""
    return "" if bounds is None else f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f} %"
