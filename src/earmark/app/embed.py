"""Embed files: what the network makes of each track before it names anything, as arrays in a file."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from earmark.app.analyse import Excerpt, kind_of
from earmark.app.parquet import ParquetPart, open_output, vector_columns
from earmark.app.part import Part
from earmark.app.selection import EngineOptions, find_files, one_model, opened_engine, predict, settings_of
from earmark.events import Notice, Progress, Steps, use_case
from earmark.inference.options import HearingOptions
from earmark.inference.records import Failure, path_fields

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from earmark.engine import Engine
    from earmark.inference.records import Prediction

__all__ = ["EmbedRequest", "Embedded", "embed"]


@dataclass(frozen=True, kw_only=True)
class EmbedRequest(EngineOptions):
    """What to embed, and how.

    Attributes:
        paths: Files and folders.
        output: The ``.npz`` file that gets the arrays, or a Parquet data set as of ``tag``; run again, the request
            goes on where it stopped.
        model: A model folder or name.
        excerpt: How much of a track is analysed.
        layer: This layer of the network instead of its last.
        exclude: Patterns of files that are left out.
    """

    paths: tuple[str, ...] = ()
    output: str
    model: str = "default"
    excerpt: Excerpt = None
    layer: str | None = None
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True)
class Embedded:
    """What became of the files.

    Attributes:
        tracks: Rows of the arrays; where there is none, no file is written.
        dimensions: Columns of the embedding.
        failures: Records of the files that could not be analysed.
        others: Files that are no audio.
        kept: How many of the records an earlier run had made.
        seconds: That this run took.
    """

    tracks: int
    dimensions: int
    failures: tuple[Mapping[str, Any], ...]
    others: int
    kept: int
    seconds: float


@use_case
def embed(request: EmbedRequest, engine: Engine | None = None) -> Steps[Embedded]:
    """Write the arrays ``path`` (unicode) and ``embedding`` (tracks, dimensions) float32, one row a readable track.

    Raises:
        EarmarkError: The model or a file of the request cannot be used, or no audio is named.
    """
    models = one_model(request.model)
    options = HearingOptions(excerpt=request.excerpt, embedding=True, layer=request.layer)
    files = find_files(request.paths, request.exclude)
    start = time.monotonic()
    settings = settings_of(models, options)
    with closing(open_output(request.output, files.paths, settings, lambda: vector_columns(_vector))) as part:
        if part.notice:
            yield Notice(part.notice)
        yield Progress(part.kept, len(files.entries))
        with (
            opened_engine(engine, request) as workers,
            closing(predict(workers, models, files.entries[part.kept :], options)) as results,
        ):
            for done, result in enumerate(results, part.kept + 1):
                part.append(_record(result))
                yield Progress(done, len(files.entries))
            yield from map(Notice, workers.notices)
        failures = tuple(record for record in part.records() if kind_of(record))
        tracks = len(files.entries) - len(failures)
        dimensions = _finish(part, tracks) if tracks else 0
    return Embedded(tracks, dimensions, failures, files.others, part.kept, time.monotonic() - start)


def _record(result: Prediction | Failure) -> Mapping[str, Any]:
    if isinstance(result, Failure):
        return result.to_dict()
    assert result.embedding is not None
    vector = result.embedding.astype("<f4").tobytes()
    return {**path_fields(result.path), "embedding": base64.b64encode(vector).decode("ascii")}


def _vector(record: Mapping[str, Any]) -> NDArray[np.float32]:
    import numpy as np

    return np.frombuffer(base64.b64decode(record["embedding"]), "<f4")


def _finish(part: Part | ParquetPart, tracks: int) -> int:
    """Write the arrays, and return the length of an embedding."""
    import numpy as np

    if isinstance(part, ParquetPart):
        part.finish()
        return part.width("embedding")

    analysed = (record for record in part.records() if not kind_of(record))
    paths: list[str] = []
    embedding = np.zeros((tracks, 0), np.float32)
    for row, record in enumerate(analysed):
        vector = _vector(record)
        if row == 0:
            embedding = np.zeros((tracks, len(vector)), np.float32)
        embedding[row] = vector
        paths.append(record["path"])
    arrays: dict[str, Any] = {"path": np.array(paths, dtype=np.str_), "embedding": embedding}

    def build(file: BinaryIO) -> None:
        np.savez(file, **arrays)

    part.finish(build)
    return int(embedding.shape[1])
