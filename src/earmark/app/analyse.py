"""Analyse files: a record each, with the scores and labels of every head, or with the reason why there are none."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from earmark.app.parquet import open_output, record_columns
from earmark.app.selection import (
    EngineOptions,
    chosen_features,
    find_files,
    find_models,
    label_table,
    opened_engine,
    predict,
    settings_of,
)
from earmark.events import Notice, Progress, Record, Steps, use_case
from earmark.inference.options import HearingOptions

if TYPE_CHECKING:
    from earmark.engine import Engine

__all__ = ["AnalyseRequest", "Analysed", "Excerpt", "Form", "analyse", "kind_of"]

Excerpt = float | Literal["whole"] | None
"""Seconds of a track that are analysed; all of it; or as the model plans."""

Form = Callable[[Iterable[Mapping[str, Any]]], Iterator[bytes]]
"""Makes the text of a file out of records."""


@dataclass(frozen=True, kw_only=True)
class AnalyseRequest(EngineOptions):
    """What to analyse, and how.

    Attributes:
        paths: Files and folders.
        model: A model folder or name; several with commas between are an ensemble.
        excerpt: How much of a track is analysed.
        labels: A file with the user's own names of labels.
        taggram: Whether heads give scores over time too.
        why: Whether heads give the reason for what they name.
        features: Whether records carry tempo, key, loudness and further numbers.
        only_features: These of them alone, by name.
        exclude: Patterns of files that are left out.
        output: The file that gets the records, or a Parquet data set (a folder ``*.parquet``, or an address such as
            ``s3://BUCKET/FOLDER``); run again, the request goes on where it stopped.
    """

    paths: tuple[str, ...] = ()
    model: str = "default"
    excerpt: Excerpt = None
    labels: str | None = None
    taggram: bool = False
    why: bool = False
    features: bool = False
    only_features: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    output: str | None = None


@dataclass(frozen=True)
class Analysed:
    """What became of the files.

    Attributes:
        tracks: Those that were analysed.
        failed: Those that were not, by kind.
        others: Files that are no audio.
        kept: How many of the records an earlier run had made.
        seconds: That this run took.
    """

    tracks: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    others: int = 0
    kept: int = 0
    seconds: float = 0.0


@use_case
def analyse(request: AnalyseRequest, form: Form | None = None, engine: Engine | None = None) -> Steps[Analysed]:
    """Analyse files.

    Args:
        request: What to analyse.
        form: Makes the text of ``request.output`` out of its records; a record a line (JSON) where None.
        engine: That does the work; processes of its own where None.

    Yields:
        Each new record as it stands in ``tag -f json``, in the order of the files.

    Raises:
        EarmarkError: The model or a file of the request cannot be used, or no audio is named.
    """
    with opened_engine(engine, request) as workers:
        models = find_models(request.model)
        options = HearingOptions(
            excerpt=request.excerpt,
            taggram=request.taggram,
            why=request.why,
            features=chosen_features(request.features, request.only_features),
            labels=label_table(request.labels, models.card),
        )
        files = find_files(request.paths, request.exclude)
        part = None
        if request.output:
            columns = partial(record_columns, models.card, options.features)
            part = open_output(request.output, files.paths, settings_of(models, options), columns)
        start, tally = time.monotonic(), Counter[str]()
        kept = part.kept if part else 0
        with closing(part) if part else nullcontext():
            if part:
                if part.notice:
                    yield Notice(part.notice)
                tally.update(part.kinds())
            yield Progress(kept, len(files.entries))
            with closing(predict(workers, models, files.entries[kept:], options)) as results:
                for done, result in enumerate(results, kept + 1):
                    record = result.to_dict()
                    if part:
                        part.append(record)
                    tally[kind_of(record)] += 1
                    yield Record(record)
                    yield Progress(done, len(files.entries))
            yield from map(Notice, workers.notices)
            if part:
                part.finish(None if form is None else lambda file: file.writelines(form(part.records())))
    tracks = tally.pop("", 0)
    return Analysed(tracks, dict(sorted(tally.items())), files.others, kept, time.monotonic() - start)


def kind_of(record: Mapping[str, Any]) -> str:
    """Why a record has no heads; "" where it has."""
    return str(record["error"]["kind"]) if "error" in record else ""
