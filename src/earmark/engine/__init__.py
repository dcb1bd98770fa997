"""The engine: a task over many items, in worker processes or in this one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from earmark.engine.local import predict_files
from earmark.inference.options import HearingOptions
from earmark.inference.records import Failure, Prediction

if TYPE_CHECKING:
    from earmark.inference.tagger import Tagger

__all__ = ["predict_all", "predict_files"]


def predict_all(
    tagger: Tagger,
    paths: Iterable[str | os.PathLike[str]],
    *,
    workers: int | None = None,
    options: HearingOptions | None = None,
) -> Iterator[Prediction | Failure]:
    """Hear many files on all cores.

    Args:
        tagger: From :func:`earmark.load_model`.
        paths: Files, not folders; may be a generator.
        workers: Processes; as many as cores where None.
        options: How to hear; the tagger's own where None.

    Yields:
        One :class:`Prediction` or :class:`Failure` a path, in their order; a bad file is a value, never an exception.
    """
    names = (os.fspath(path) for path in paths)
    yield from predict_files([tagger.folder], names, workers=workers, options=options or tagger.options)
