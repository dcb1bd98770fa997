"""A trained recipe scored: its figures on tracks of other artists, what it costs, what its nodes stand for."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.core import Dataset
from earmark.engine.base import Engine
from earmark.evaluation.comparison import Node, Row, explain_nodes
from earmark.evaluation.evaluate import analyse_dataset
from earmark.evaluation.scores import ModelPredictions, answers_of, score_head
from earmark.events import Steps
from earmark.inference.options import HearingOptions
from earmark.inference.records import Failure, Prediction
from earmark.inference.tagger import Tagger, load_model
from earmark.training.costs import gflop_of

__all__ = ["scored_row"]

_EXPLAINED = 64
"""Layers of at most so many nodes are explained."""


def scored_row(
    row: Row, models: Path, part: Dataset, unseen: Dataset, engine: Engine
) -> Steps[tuple[Row, ModelPredictions | None]]:
    """The row with its figures on the part that scores and what it costs; and its predictions, for paired tests.

    Args:
        row: Of a trained model.
        models: Folder of the model folders.
        part: To score on.
        unseen: Tracks that the network did not learn from; they explain its nodes.
        engine: That analyses the tracks.
    """
    tagger = load_model(models / row.name)
    mine = yield from analyse_dataset(tagger, part, engine)
    predictions = [result for result in mine.results if isinstance(result, Prediction)]
    if not predictions:
        return replace(row, error="not one track of the part that scores could be analysed"), None
    figures = {name: score_head(answers_of([mine], part, name)) | known for name, known in row.heads.items()}
    scored = replace(
        row,
        heads=figures,
        gflop=gflop_of(tagger.folder, tagger.card, statistics.median(result.seconds for result in predictions)),
        nodes=(yield from _nodes(tagger, unseen, engine)),
    )
    return scored, mine


def _nodes(tagger: Tagger, unseen: Dataset, engine: Engine) -> Steps[dict[str, tuple[Node, ...]]]:
    """What the nodes of small layers stand for, by tracks that the network did not learn from."""
    found = {}
    for layer in tagger.layers:
        options = HearingOptions(embedding=True, layer=layer)
        some = yield from analyse_dataset(tagger, unseen.subset([0]), engine, options)
        first = next((r.embedding for r in some.results if isinstance(r, Prediction)), None)
        if first is None or len(first) > _EXPLAINED:
            continue
        every = yield from analyse_dataset(tagger, unseen, engine, options)
        found[layer] = explain_nodes(np.stack([_vector(result, len(first)) for result in every.results]), unseen)
    return found


def _vector(result: Prediction | Failure, width: int) -> NDArray[np.float32]:
    if isinstance(result, Failure) or result.embedding is None:
        return np.full(width, np.nan, np.float32)
    return result.embedding
