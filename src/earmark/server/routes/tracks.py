"""Tracks of the library: lists, facts, audio, peaks, scores over time."""

from __future__ import annotations

from fastapi import APIRouter

__all__ = ["router"]

router = APIRouter()
