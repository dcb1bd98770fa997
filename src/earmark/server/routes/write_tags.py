"""Runs that wrote tags; jobs of the kinds `write-tags` and `undo` make and take back such runs."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request

from earmark.app.write_tags import list_runs
from earmark.server.service import service_of

__all__ = ["router"]

router = APIRouter(prefix="/v1/write-tags", tags=["write tags"])


@dataclass(frozen=True)
class TagRun:
    """A run that wrote tags.

    Attributes:
        run: Its name: the time, in UTC.
        changes: Files that it changed.
        undone: How many of them are as they were again.
        policy: ``empty``, ``merge`` or ``overwrite``.
        heads: Whose labels were written.
        fields: What was written: ``genre``, ``mood``, ``bpm``, ``key``, ``replaygain``, ``energy``.
        damage: What cannot be read of its journal.
    """

    run: str
    changes: int
    undone: int
    policy: str
    heads: list[str]
    fields: list[str]
    damage: list[str]


@dataclass(frozen=True)
class TagRuns:
    """All runs from this library, the newest first."""

    runs: list[TagRun]


@router.get("/runs")
def runs(request: Request) -> TagRuns:
    """The runs that wrote tags from this library."""
    found = list_runs(str(service_of(request).session.file)).wait()
    return TagRuns(
        [
            TagRun(
                one.name,
                one.changes,
                one.undone,
                str(one.facts.get("policy", "")),
                [str(head) for head in one.facts.get("heads", ())],
                [str(field) for field in one.facts.get("fields", ("genre", "mood"))],
                list(one.damage),
            )
            for one in reversed(found)
        ]
    )
