"""Strangers' names and paths as text that can be kept and shown: whatever a file says, it steers nothing."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from typing import Any

__all__ = [
    "LONGEST",
    "composed_path",
    "decode_path",
    "encode_path",
    "escaped",
    "fold",
    "fold_artist",
    "is_plain",
    "json_text",
    "plain_text",
]

LONGEST = 1_000
"""Characters of a title, artist or album; what is longer is cut."""

_UNDECODABLE = "surrogatepass" if os.name == "nt" else "surrogateescape"
_JOINERS = "\u200c\u200d"  # hold emoji and the letters of some scripts together


_STEERING = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff"
    "\U000e0000-\U000e007f]"
)
"""Control characters but tabs and line ends, direction marks, tag characters, and what is no character."""


def escaped(text: str) -> str:
    r"""Text in which what could steer a terminal or turn a line around is written as ``\xNN`` or ``\uNNNN``."""
    return _STEERING.sub(lambda mark: mark[0].encode("unicode_escape").decode("ascii"), text)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON in which nothing can steer a terminal or turn a line around: such characters are escaped, as JSON has it."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    return _STEERING.sub(lambda mark: json.dumps(mark[0])[1:-1], text)


def plain_text(text: str, longest: int = LONGEST) -> str:
    """Text in one line, without characters that move a cursor or turn the line around, and of bounded length."""
    text = text[: 4 * longest]  # whatever is longer need not be looked at
    if not text.isprintable():
        text = "".join(one if one.isprintable() or one in _JOINERS else _instead(one) for one in text)
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "\u2026"


def _instead(character: str) -> str:
    """A blank for what parts words; nothing for what only steers; a mark for what is no character."""
    kind = unicodedata.category(character)
    return " " if kind in ("Cc", "Zs", "Zl", "Zp") else "\ufffd" if kind == "Cs" else ""


def is_plain(text: str) -> bool:
    """Whether text can stand in a line as it is: no control, no direction override, no byte that is no text."""
    return text.isprintable() or all(
        one.isprintable() or one in _JOINERS or unicodedata.category(one) == "Zs" for one in text
    )


def fold(text: str) -> str:
    """A name without case, composition and needless blanks, to compare by."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def fold_artist(name: str) -> str:
    """The name of an artist without what spellings differ in: case, blanks, accents of Latin letters, and a "The"."""
    letters: list[str] = []
    for letter in unicodedata.normalize("NFKD", name):
        if not (unicodedata.combining(letter) and letters and letters[-1].isascii()):
            letters.append(letter)
    plain = fold("".join(letters))
    return plain.removesuffix(", the").removeprefix("the ") or plain


def encode_path(path: str) -> bytes:
    """A path as its bytes (UTF-8 but for undecodable names), to be bound as ``CAST(? AS TEXT)``."""
    return path.encode("utf-8", _UNDECODABLE)


def decode_path(raw: bytes) -> str:
    """The other way round."""
    return raw.decode("utf-8", _UNDECODABLE)


def composed_path(path: str) -> bytes | None:
    """The bytes of a path in Unicode's composed form (NFC); None where the path is in that form itself."""
    if path.isascii():
        return None
    composed = unicodedata.normalize("NFC", path)
    return None if composed == path else encode_path(composed)
