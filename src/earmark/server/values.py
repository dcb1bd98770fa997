"""Types of values in requests and answers that several routes share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

if TYPE_CHECKING:
    from earmark.library.words import Query

__all__ = ["MOST_ROWS", "RowId", "UnknownWord", "unknown_words"]

RowId = Annotated[int, Field(ge=1, le=2**62)]
"""The id of a track or of a playlist: its row in the library."""

MOST_ROWS = 100_000
"""Tracks that one request may name."""


@dataclass(frozen=True)
class UnknownWord:
    """A word that means nothing here, and the nearest that do."""

    word: str
    nearest: list[str]


def unknown_words(query: Query) -> list[UnknownWord]:
    """The words of a search that mean nothing here."""
    return [UnknownWord(one.typed, list(one.nearest)) for one in query.unknown]
