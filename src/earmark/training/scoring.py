"""A trained recipe scored: its figures on tracks of other artists, what it costs, what its nodes stand for."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.core import Dataset
from earmark.errors import AudioError
from earmark.evaluation.answers import Heard, answers_of
from earmark.evaluation.comparison import Row
from earmark.evaluation.nodes import Node, explain_nodes
from earmark.evaluation.scores import score_head
from earmark.inference.options import HearingOptions
from earmark.inference.records import Failure, Prediction
from earmark.inference.tagger import Tagger, load_model
from earmark.training.costs import gflop_of

__all__ = ["scored_row"]

_EXPLAINED = 64
"""Layers of at most so many nodes are explained."""


def scored_row(row: Row, models: Path, part: Dataset, unseen: Dataset) -> tuple[Row, Heard | None]:
    """The row with its figures on the part that scores and what it costs; and its predictions, for paired tests.

    Args:
        row: Of a trained model.
        models: Folder of the model folders.
        part: To score on.
        unseen: Tracks that the network did not learn from; they explain its nodes.
    """
    tagger = load_model(models / row.name)
    results = tuple(_predict(tagger, _paths(part)))
    predictions = [result for result in results if isinstance(result, Prediction)]
    if not predictions:
        return replace(row, error="not one track of the part that scores could be analysed"), None
    mine = Heard(tagger.card, results)
    figures = {name: score_head(answers_of([mine], part, name)) | known for name, known in row.heads.items()}
    scored = replace(
        row,
        heads=figures,
        gflop=gflop_of(tagger.folder, tagger.card, statistics.median(result.seconds for result in predictions)),
        nodes=_nodes(tagger, unseen),
    )
    return scored, mine


def _predict(
    tagger: Tagger, paths: Iterable[Path], options: HearingOptions | None = None
) -> Iterator[Prediction | Failure]:
    """One track after the other in this process: what it takes is what one core takes."""
    for path in paths:
        try:
            yield tagger.predict(path, options=options or HearingOptions())
        except AudioError as error:
            yield Failure.of(error)


def _paths(dataset: Dataset) -> list[Path]:
    return [track.path for track in dataset.tracks]


def _nodes(tagger: Tagger, unseen: Dataset) -> dict[str, tuple[Node, ...]]:
    """What the nodes of small layers stand for, by tracks that the network did not learn from."""
    found = {}
    for layer in tagger.layers:
        results = list(_predict(tagger, _paths(unseen)[:1], _layer(layer)))
        first = next((r.embedding for r in results if isinstance(r, Prediction)), None)
        if first is None or len(first) > _EXPLAINED:
            continue
        vectors = [_vector(result, len(first)) for result in _predict(tagger, _paths(unseen), _layer(layer))]
        found[layer] = explain_nodes(np.stack(vectors), unseen)
    return found


def _layer(name: str) -> HearingOptions:
    return HearingOptions(embedding=True, layer=name)


def _vector(result: Prediction | Failure, width: int) -> NDArray[np.float32]:
    if isinstance(result, Failure) or result.embedding is None:
        return np.full(width, np.nan, np.float32)
    return result.embedding
