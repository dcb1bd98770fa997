"""Types of values in requests that several routes share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

__all__ = ["MOST_ROWS", "RowId"]

RowId = Annotated[int, Field(ge=1, le=2**62)]
"""The id of a track or of a playlist: its row in the library."""

MOST_ROWS = 100_000
"""Tracks that one request may name."""
