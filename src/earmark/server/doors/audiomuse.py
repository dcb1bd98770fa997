"""The door that speaks as AudioMuse-AI does, below /api."""

from __future__ import annotations

from fastapi import APIRouter

__all__ = ["router"]

router = APIRouter()
