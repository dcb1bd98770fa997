"""Words and numbers for the page: nothing that a file is called can break it."""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Iterable, Sequence

__all__ = ["number", "percent", "percent_interval", "shown", "table"]


def shown(words: str) -> str:
    r"""The words as HTML text: escaped; bytes that are no text and control characters as ``\xNN``."""
    return html.escape("".join(map(_safe, words)), quote=True)


def _safe(character: str) -> str:
    if character.isprintable() or character == "\u200d" or unicodedata.category(character) == "Zs":
        return character
    if "\udc80" <= character <= "\udcff":  # a byte of a name that is not valid UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def number(value: float | None, digits: int = 3) -> str:
    """The number, or a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """The share in percent with one decimal, or a dash."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.1f} %"


def percent_interval(interval: Sequence[float] | None) -> str:
    """As in ``73.0 to 88.0 %``."""
    return "" if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f} %"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """An HTML table of plain words; columns named in ``numbers`` are set to the right."""

    def cell(kind: str, column: int, words: str) -> str:
        style = ' class="n"' if column in numbers else ""
        return f"<{kind}{style}><bdi>{shown(words)}</bdi></{kind}>"

    head = "".join(cell("th", i, words) for i, words in enumerate(header))
    body = "".join("<tr>" + "".join(cell("td", i, words) for i, words in enumerate(row)) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
