"""Earmark hears music and tells its genre, mood and tags; learns people's own labels; offline, on a CPU.

import earmark
tagger = earmark.load_model()
tagger.predict("song.mp3").heads["genre"].label
for result in earmark.predict_all(tagger, paths): ...
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from earmark.engine import predict_all
    from earmark.errors import AudioError, EarmarkError, ModelError
    from earmark.inference.options import HearingOptions
    from earmark.inference.records import Failure, HeadPrediction, Prediction, Taggram
    from earmark.inference.tagger import Tagger, load_model
    from earmark.training.estimator import GenreClassifier, TrackClassifier

__version__ = "0.1.0"

_HOMES = {
    "AudioError": "earmark.errors",
    "EarmarkError": "earmark.errors",
    "Failure": "earmark.inference.records",
    "GenreClassifier": "earmark.training.estimator",
    "HeadPrediction": "earmark.inference.records",
    "HearingOptions": "earmark.inference.options",
    "ModelError": "earmark.errors",
    "Prediction": "earmark.inference.records",
    "Taggram": "earmark.inference.records",
    "TrackClassifier": "earmark.training.estimator",
    "Tagger": "earmark.inference.tagger",
    "load_model": "earmark.inference.tagger",
    "predict_all": "earmark.engine",
}

__all__ = [
    "AudioError",
    "EarmarkError",
    "Failure",
    "GenreClassifier",
    "HeadPrediction",
    "HearingOptions",
    "ModelError",
    "Prediction",
    "Tagger",
    "Taggram",
    "TrackClassifier",
    "__version__",
    "load_model",
    "predict_all",
]


def __dir__() -> list[str]:
    """Public names show before they are used."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    """Public names are imported when first used: ``import earmark`` costs nothing."""
    if name in _HOMES:
        try:
            return getattr(import_module(_HOMES[name]), name)
        except ModuleNotFoundError as error:
            if not _HOMES[name].startswith("earmark.training") or (error.name or "").startswith("earmark"):
                raise
            from earmark.errors import MissingExtra

            raise MissingExtra("train", name) from error
    raise AttributeError(f"module 'earmark' has no attribute {name!r}")
