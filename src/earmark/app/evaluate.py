"""Evaluate models on a data set: honest scores, a paired test, the leaky score beside them, a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.app.selection import EngineOptions, opened_engine
from earmark.errors import MissingExtra
from earmark.events import Notice, Steps, use_case

if TYPE_CHECKING:
    from earmark.datasets.core import Dataset
    from earmark.engine import Engine
    from earmark.evaluation.evaluate import Evaluation
    from earmark.inference.tagger import Tagger

__all__ = ["EvaluateRequest", "evaluate"]


@dataclass(frozen=True, kw_only=True)
class EvaluateRequest(EngineOptions):
    """What to evaluate, and on what.

    Attributes:
        model: A model folder or name; several with commas between are an ensemble.
        dataset: A folder of class folders, or one with ``dataset.toml``.
        heads: Only these; all that both have, where there are none.
        split: ``test``, ``valid``, ``train`` or ``all``.
        naive: Also train again on clips split at random, for the leaky score.
        against: Another model, for a paired test on the same tracks.
        allow_training_tracks: Score tracks that the model was trained on, too.
        unheard_artists: Leave out songs by artists that the model was trained on.
        exclude_files: Patterns of files of the data set that are left out.
        report: A folder for a page with pictures.
    """

    model: str
    dataset: str
    heads: tuple[str, ...] = ()
    split: str = "test"
    naive: bool = False
    against: str | None = None
    allow_training_tracks: bool = False
    unheard_artists: bool = False
    exclude_files: tuple[str, ...] = ()
    report: str | None = None


@use_case
def evaluate(request: EvaluateRequest, engine: Engine | None = None) -> Steps[Evaluation]:
    """Evaluate.

    Raises:
        EarmarkError: A model or the data set cannot be used, or they have nothing in common.
    """
    from earmark.datasets import load_dataset, without_files
    from earmark.evaluation.evaluate import Plan
    from earmark.evaluation.evaluate import evaluate as score

    models, against = _taggers(request.model), _taggers(request.against) if request.against else []
    dataset = without_files(load_dataset(request.dataset), request.exclude_files)
    plan = Plan(
        heads=request.heads,
        part=request.split,
        allow_training_tracks=request.allow_training_tracks,
        unheard_artists=request.unheard_artists,
        nodes=bool(request.report),
    )
    with opened_engine(engine, request) as workers:
        found = yield from score(models, dataset, plan, engine=workers, against=against)
        yield from map(Notice, workers.notices)
        if request.naive:
            # Its clips are files of this machine.
            with opened_engine(None if request.engine == "ray" else workers) as near:
                found = yield from _with_naive(found, models[0], dataset, near)
    yield from map(Notice, _notices(found))
    if request.report:
        from earmark.pages.report import write_report

        yield Notice(f"The report is {write_report(found, Path(request.report))}.")
    return found


def _taggers(text: str) -> list[Tagger]:
    from earmark.inference.tagger import load_model
    from earmark.models.registry import find_models

    # The networks run in the workers.
    return [load_model(folder, "cpu") for folder in find_models(text)]


def _notices(found: Evaluation) -> Iterator[str]:
    yield from found.notices
    if found.left_out:
        yield f"{found.left_out} tracks are left out: the model was trained on them."
    if found.failures:
        kinds = ", ".join(sorted({failure.kind for failure in found.failures}))
        yield f"{len(found.failures)} tracks could not be analysed: {kinds}."


def _with_naive(found: Evaluation, model: Tagger, dataset: Dataset, engine: Engine) -> Steps[Evaluation]:
    """The evaluation with the leaky score of the model's recipe beside it."""
    try:
        from earmark.training.naive import NaivePlan, naive_figures
    except ModuleNotFoundError as error:
        raise MissingExtra("train", "--naive trains again, and") from error
    yield Notice("Training again, on clips split at random.")
    heads: Sequence[str] = tuple(found.figures)
    return replace(found, naive=(yield from naive_figures(model, dataset, NaivePlan(tuple(heads)), engine)))
