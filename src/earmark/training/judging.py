"""A trained recipe judged: its figures on tracks of other artists, its leaking score, and what it costs."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from earmark.audio.track import starts
from earmark.datasets.core import Dataset
from earmark.engine.local import LocalEngine
from earmark.errors import AudioError
from earmark.evaluation.answers import Heard, answers_of
from earmark.evaluation.comparison import Row
from earmark.evaluation.nodes import Node, explain_nodes
from earmark.evaluation.scores import score_head
from earmark.events import Steps
from earmark.inference.options import HearingOptions
from earmark.inference.records import Failure, Prediction
from earmark.inference.tagger import Tagger, load_model
from earmark.models.folder import sha256
from earmark.training.flops import count_flops
from earmark.training.naive import NaivePlan, naive_figures

__all__ = ["judged_row", "naive_row", "parameters_of"]

_EXPLAINED = 64
"""Layers of at most so many nodes are explained."""


def judged_row(row: Row, models: Path, part: Dataset, unseen: Dataset) -> tuple[Row, Heard | None]:
    """The row with its figures on the judging part and what it costs; and what its model said, for paired tests.

    Args:
        row: Of a trained model.
        models: Folder of the model folders.
        part: To judge by.
        unseen: Tracks that the network did not learn from; they explain its nodes.
    """
    tagger = load_model(models / row.name)
    results = tuple(_hear_plainly(tagger, _paths(part)))
    said = [result for result in results if isinstance(result, Prediction)]
    if not said:
        return replace(row, error="not one track of the judging part could be heard"), None
    mine = Heard(tagger.card, results)
    figures = {name: score_head(answers_of([mine], part, name)) | known for name, known in row.heads.items()}
    judged = replace(
        row,
        heads=figures,
        gflop=_gflop(tagger, statistics.median(result.seconds for result in said)),
        nodes=_nodes(tagger, unseen),
    )
    return judged, mine


def naive_row(row: Row, models: Path, dataset: Dataset, wanted: NaivePlan) -> Steps[Row]:
    """The row with its leaking score, which is kept beside the model and found there the next time.

    Args:
        row: Of a trained model.
        models: Folder of the model folders.
        dataset: All of it.
        wanted: Of the leaking score.

    Raises:
        EarmarkError: As :func:`earmark.training.naive.naive_figures`.
    """
    file = models / f"{row.name}.naive.json"
    asked = json.loads(json.dumps(asdict(replace(wanted, device="auto"))))  # where it was trained makes no other score
    asked["model"] = sha256(models / row.name / "weights.safetensors")[:16]  # trained anew, on other songs: scored anew
    try:
        known = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        known = {}
    if known.get("plan") == asked:
        return replace(row, naive=known["heads"])
    with LocalEngine() as engine:
        found = yield from naive_figures(load_model(models / row.name), dataset, wanted, engine)
    file.write_text(json.dumps({"plan": asked, "heads": found}, allow_nan=False) + "\n", "utf-8")
    return replace(row, naive=found)


def _hear(tagger: Tagger, paths: Iterable[Path], options: HearingOptions) -> Iterator[Prediction | Failure]:
    """One track after the other in this process: what it takes is what one core takes."""
    for path in paths:
        try:
            yield tagger.predict(path, options=options)
        except AudioError as error:
            yield Failure.of(error)


def _hear_plainly(tagger: Tagger, paths: Sequence[Path]) -> Iterator[Prediction | Failure]:
    return _hear(tagger, paths, HearingOptions())


def _paths(dataset: Dataset) -> list[Path]:
    return [track.path for track in dataset.tracks]


def _gflop(tagger: Tagger, seconds: float) -> float:
    """For a song of that many seconds (of a picture: columns)."""
    frontend, clip = tagger.frontend, tagger.card.clip
    picture = frontend.kind == "image"
    frames = round(clip.seconds) if picture else frontend.frames(round(clip.seconds * frontend.sample_rate))
    clips = len(starts(seconds, clip.seconds, clip.count))
    return float(f"{clips * count_flops(tagger.folder / 'model.onnx', frames, frontend.bands) / 1e9:.4g}")


def _nodes(tagger: Tagger, unseen: Dataset) -> dict[str, tuple[Node, ...]]:
    """What the nodes of small layers stand for, by tracks that the network did not learn from."""
    found = {}
    for layer in tagger.network.layers:
        results = list(_hear(tagger, _paths(unseen)[:1], _layer(layer)))
        first = next((r.embedding for r in results if isinstance(r, Prediction)), None)
        if first is None or len(first) > _EXPLAINED:
            continue
        vectors = [_vector(result, len(first)) for result in _hear(tagger, _paths(unseen), _layer(layer))]
        found[layer] = explain_nodes(np.stack(vectors), unseen)
    return found


def _layer(name: str) -> HearingOptions:
    return HearingOptions(embedding=True, layer=name)


def _vector(result: Prediction | Failure, width: int) -> NDArray[np.float32]:
    if isinstance(result, Failure) or result.embedding is None:
        return np.full(width, np.nan, np.float32)
    return result.embedding


def parameters_of(folder: Path) -> int:
    """Numbers in a model folder's weights; the counters of batch norm are none."""
    total = 0
    with safe_open(str(folder / "weights.safetensors"), "np") as weights:
        for name in weights.keys():  # noqa: SIM118 - not a dictionary
            if not name.endswith("num_batches_tracked"):
                total += math.prod(weights.get_slice(name).get_shape())
    return total
