"""Search: by sound, in words, and a walk from one track to another."""

from __future__ import annotations

from fastapi import APIRouter

__all__ = ["router"]

router = APIRouter()
