"""Names and paths as the library keeps and shows them: whatever a stranger's file says, a line of plain text."""

from __future__ import annotations

import os
import unicodedata

__all__ = ["LONGEST", "composed_path", "decode_path", "encode_path", "plain_text"]

LONGEST = 1_000
"""Characters of a title, artist or album; what is longer is cut."""

_UNDECODABLE = "surrogatepass" if os.name == "nt" else "surrogateescape"
_JOINERS = "\u200c\u200d"  # hold emoji and the letters of some scripts together


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
