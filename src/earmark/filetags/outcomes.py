"""What became of one file, and the one way in which a file is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from earmark.errors import EarmarkError
from earmark.inference.records import path_fields

__all__ = ["Outcome", "Refusal", "RefusalKind", "Status"]

Status = Literal["changed", "unchanged", "restored", "untouched", "skipped"]
RefusalKind = Literal[
    "missing", "permission", "locked", "changed", "links", "format", "audio", "journal", "not-in-library", "io"
]


class Refusal(EarmarkError):
    """A file that is left as it is: what stands in the way, in one word and in one line without the path."""

    def __init__(self, kind: RefusalKind, message: str) -> None:
        super().__init__(" ".join(message.split()))
        self.kind: RefusalKind = kind


@dataclass(frozen=True, slots=True)
class Outcome:
    """One file after a run.

    Attributes:
        path: The file, as given.
        status: ``changed`` and ``unchanged`` by writing, ``restored`` and ``untouched`` (nothing was left to restore)
            by an undo, ``skipped`` by either.
        changes: Before and after, by field.
        run: The run that made the change, where it was taken back.
        kind: Why it was skipped, in a word.
        message: And in a line.
    """

    path: str
    status: Status
    changes: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    run: str = ""
    kind: str = ""
    message: str = ""

    @classmethod
    def skipped(cls, path: str, refusal: Refusal, run: str = "") -> Outcome:
        """The value of a refusal."""
        return cls(path, "skipped", run=run, kind=refusal.kind, message=str(refusal))

    def to_dict(self) -> dict[str, Any]:
        """The record for machines; a skipped file has an ``error`` as everywhere."""
        record: dict[str, Any] = {**path_fields(self.path), "status": self.status}
        if self.run:
            record["run"] = self.run
        if self.changes:
            record["changes"] = {
                name: {"before": list(before), "after": list(after)} for name, (before, after) in self.changes.items()
            }
        if self.status == "skipped":
            record["error"] = {"kind": self.kind, "message": self.message}
        return record
