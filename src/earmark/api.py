"""What programs call: the use cases as plain functions, with the defaults of the command line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from earmark.errors import UnknownName

if TYPE_CHECKING:
    from earmark.evaluation.evaluate import Evaluation
    from earmark.inference.options import HearingOptions
    from earmark.inference.records import Failure, Prediction
    from earmark.inference.tagger import Tagger

__all__ = ["evaluate", "predict_all", "train"]

Path = str | os.PathLike[str]


def predict_all(
    tagger: Tagger, paths: Iterable[Path], *, workers: int | None = None, options: HearingOptions | None = None
) -> Iterator[Prediction | Failure]:
    """Analyse many files on all cores.

    Args:
        tagger: From :func:`earmark.load_model`.
        paths: Files, not folders; may be a generator.
        workers: Processes; as many as cores where None.
        options: What to analyse; the tagger's own where None.

    Yields:
        One :class:`Prediction` or :class:`Failure` a path, in their order; a bad file is a value, never an exception.

    Raises:
        TypeError: One path instead of several, or the name of a model instead of a tagger.
        ValueError: Fewer than one worker.
    """
    from earmark.engine.predict import predict_all as run
    from earmark.inference.tagger import Tagger

    if not isinstance(tagger, Tagger):
        remedy = (
            f"predict_all(load_model({tagger!r}), ...)" if isinstance(tagger, (str, os.PathLike)) else "load_model()"
        )
        raise TypeError(f"tagger: expected a Tagger, not {type(tagger).__name__}; write {remedy}")
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise TypeError(f"paths: expected several files, not the one {paths!r}; write predict_all(tagger, [{paths!r}])")
    if workers is not None and workers < 1:
        raise ValueError(f"workers = {workers}: at least one is needed; None takes as many as there are cores")
    return run(tagger, paths, workers=workers, options=options)


def train(dataset: Path, output: Path, **options: Any) -> Tagger:
    """Train a model on a data set; an interrupted training goes on when the same call is made again.

    Args:
        dataset: A folder of class folders, or one with ``dataset.toml``.
        output: The model folder to be.
        options: Fields of :class:`earmark.app.train.TrainRequest`: ``recipe``, ``heads``, ``epochs``, ``seed``, ...

    Returns:
        The trained model; its card holds the honest scores (``tagger.card.scores``).

    Raises:
        MissingExtra: The extra ``train`` is not installed.
        UnknownName: There is no such option.
        EarmarkError: The data set, the recipe or the folder cannot be used.
    """
    from earmark.app.train import TrainRequest
    from earmark.app.train import train as run
    from earmark.inference.tagger import load_model

    _check(TrainRequest, options)
    run(TrainRequest(dataset=os.fspath(dataset), output=os.fspath(output), **options)).wait()
    return load_model(output)


def evaluate(model: Tagger | Path, dataset: Path, **options: Any) -> Evaluation:
    """Score a model on a data set: honest figures by head, with intervals.

    Args:
        model: A tagger, a model folder or a name; names with commas between are an ensemble.
        dataset: A folder of class folders, or one with ``dataset.toml``.
        options: Fields of :class:`earmark.app.evaluate.EvaluateRequest`: ``split``, ``naive``, ``against``, ...

    Returns:
        What ``earmark evaluate`` prints: ``figures`` by head, ``notices``, ``failures``, ``to_dict()``.

    Raises:
        UnknownName: There is no such option, or no such model.
        EarmarkError: The data set cannot be used, or has no head in common with the model.
    """
    from earmark.app.evaluate import EvaluateRequest
    from earmark.app.evaluate import evaluate as run
    from earmark.inference.tagger import Tagger

    _check(EvaluateRequest, options)
    name = os.fspath(model.folder) if isinstance(model, Tagger) else os.fspath(model)
    return run(EvaluateRequest(model=name, dataset=os.fspath(dataset), **options)).wait()


def _check(request: type[Any], options: dict[str, Any]) -> None:
    known = [field.name for field in fields(request) if field.name not in ("dataset", "output", "model")]
    for option in options:
        if option not in known:
            raise UnknownName("option", option, known)
