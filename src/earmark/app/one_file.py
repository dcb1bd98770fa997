"""Analyse one file within bounds, as whoever sent it need not be trusted: its record, and its peaks to draw."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from earmark.app.selection import chosen_features, find_models
from earmark.errors import AudioError
from earmark.events import Progress, Steps, use_case
from earmark.inference.options import HearingOptions
from earmark.inference.records import Failure

if TYPE_CHECKING:
    from earmark.app.analyse import Excerpt
    from earmark.engine import Engine, Task
    from earmark.engine.peaks import Waveform
    from earmark.inference.records import Prediction

__all__ = ["Bounds", "FileRequest", "analyse_file", "draw_file"]

V = TypeVar("V")


@dataclass(frozen=True)
class Bounds:
    """What one file may cost: ``longest`` seconds of audio, and ``seconds`` of work."""

    longest: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class FileRequest:
    """What to analyse, and how.

    Attributes:
        path: The file.
        model: A model folder or name; several with commas between are an ensemble.
        excerpt: How much of it is analysed.
        taggram: Whether heads give scores over time too.
        why: Whether heads give the reason for what they name.
        peaks: Peaks of the waveform wanted; 0 for none.
        features: Whether the record carries tempo, key, loudness and further numbers.
    """

    path: str
    model: str = "default"
    excerpt: Excerpt = None
    taggram: bool = False
    why: bool = False
    peaks: int = 0
    features: bool = False


@use_case
def analyse_file(request: FileRequest, engine: Engine, bounds: Bounds) -> Steps[tuple[Prediction, Waveform | None]]:
    """What a model says of a file, and its waveform where that is wanted.

    Raises:
        AudioError: It cannot be analysed; its ``kind`` says why.
        EarmarkError: The model cannot be used.
    """
    from earmark.engine import Analyse

    options = HearingOptions(
        excerpt=request.excerpt,
        taggram=request.taggram,
        why=request.why,
        longest=bounds.longest,
        features=chosen_features(request.features, ()),
    )
    total = 2 if request.peaks else 1
    yield Progress(0, total, unit="steps")
    prediction = _one(engine, Analyse.of(find_models(request.model).folders, options), request.path, bounds)
    if not request.peaks:
        return prediction, None
    yield Progress(1, total, unit="steps")
    return prediction, (yield from _drawn(request.path, request.peaks, engine, bounds))


@use_case
def draw_file(path: str, count: int, engine: Engine, bounds: Bounds) -> Steps[Waveform]:
    """The peaks of a file, at most ``count``.

    Raises:
        AudioError: It cannot be decoded.
    """
    return (yield from _drawn(path, count, engine, bounds))


def _drawn(path: str, count: int, engine: Engine, bounds: Bounds) -> Steps[Waveform]:
    from earmark.engine import Peaks

    yield from ()
    return _one(engine, Peaks(count, bounds.longest), path, bounds)


def _one(engine: Engine, task: Task[str, V], path: str, bounds: Bounds) -> V:
    from earmark.engine import Limited

    with closing(engine.map(Limited(task, bounds.seconds), [path], deadline=bounds.seconds)) as results:
        result: Any = next(results)
    if isinstance(result, Failure):
        raise AudioError(path, result.kind, result.message)
    value: V = result.value
    return value
