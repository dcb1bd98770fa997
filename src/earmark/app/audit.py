"""Audit a data set before anybody learns from it: duplicates, leaks, label issues, bad files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from earmark.app.selection import EngineOptions, opened_engine
from earmark.errors import UnknownName
from earmark.events import Notice, Steps, use_case

if TYPE_CHECKING:
    from earmark.engine import Engine
    from earmark.evaluation.audit import Audit

__all__ = ["AuditRequest", "audit"]


@dataclass(frozen=True, kw_only=True)
class AuditRequest:
    """What to audit.

    Attributes:
        dataset: A folder of class folders, or one with ``dataset.toml``.
        model: Whose embeddings the quick model learns from.
        exclude_files: Patterns of files of the data set that are left out.
        jobs: Files at a time; as many as cores where None.
    """

    dataset: str
    model: str = "default"
    exclude_files: tuple[str, ...] = ()
    jobs: int | None = None


@use_case
def audit(request: AuditRequest, engine: Engine | None = None) -> Steps[Audit]:
    """Look a data set over.

    Raises:
        EarmarkError: The data set or the model cannot be used.
    """
    from earmark.datasets import load_dataset, without_files
    from earmark.evaluation.audit import audit as look_over
    from earmark.inference.tagger import load_model

    dataset, tagger = without_files(load_dataset(request.dataset), request.exclude_files), None
    if dataset.kind != "images":
        try:
            tagger = load_model(request.model)
        except UnknownName:
            if request.model != AuditRequest.model:
                raise
            yield Notice("There is no bundled model: labels are compared with cepstral statistics.")
    with opened_engine(engine, EngineOptions(jobs=request.jobs)) as workers:
        found = yield from look_over(dataset, tagger, workers)
    yield from map(Notice, found.notices)
    return found
