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
    from earmark.analyses.facts import Key, Loudness, Score, Tempo
    from earmark.api import evaluate, predict_all, train
    from earmark.datasets import load_dataset
    from earmark.errors import (
        AudioError,
        Cancelled,
        DatasetError,
        EarmarkError,
        Locked,
        MissingExtra,
        ModelError,
        NoLibrary,
        RecipeError,
        StorageError,
        UnknownName,
    )
    from earmark.inference.options import HearingOptions
    from earmark.inference.records import Failure, HeadPrediction, Prediction, Taggram
    from earmark.inference.tagger import Tagger, load_model
    from earmark.library.store import Library, open_library
    from earmark.training.estimator import GenreClassifier, TrackClassifier

__version__ = "0.1.0"

_HOMES = {
    "AudioError": "earmark.errors",
    "Cancelled": "earmark.errors",
    "DatasetError": "earmark.errors",
    "EarmarkError": "earmark.errors",
    "Failure": "earmark.inference.records",
    "GenreClassifier": "earmark.training.estimator",
    "HeadPrediction": "earmark.inference.records",
    "HearingOptions": "earmark.inference.options",
    "Key": "earmark.analyses.facts",
    "Library": "earmark.library.store",
    "Locked": "earmark.errors",
    "Loudness": "earmark.analyses.facts",
    "MissingExtra": "earmark.errors",
    "ModelError": "earmark.errors",
    "NoLibrary": "earmark.errors",
    "Prediction": "earmark.inference.records",
    "RecipeError": "earmark.errors",
    "Score": "earmark.analyses.facts",
    "StorageError": "earmark.errors",
    "Tagger": "earmark.inference.tagger",
    "Taggram": "earmark.inference.records",
    "Tempo": "earmark.analyses.facts",
    "TrackClassifier": "earmark.training.estimator",
    "UnknownName": "earmark.errors",
    "evaluate": "earmark.api",
    "load_dataset": "earmark.datasets",
    "load_model": "earmark.inference.tagger",
    "open_library": "earmark.library.store",
    "predict_all": "earmark.api",
    "train": "earmark.api",
}

__all__ = [
    "AudioError",
    "Cancelled",
    "DatasetError",
    "EarmarkError",
    "Failure",
    "GenreClassifier",
    "HeadPrediction",
    "HearingOptions",
    "Key",
    "Library",
    "Locked",
    "Loudness",
    "MissingExtra",
    "ModelError",
    "NoLibrary",
    "Prediction",
    "RecipeError",
    "Score",
    "StorageError",
    "Tagger",
    "Taggram",
    "Tempo",
    "TrackClassifier",
    "UnknownName",
    "__version__",
    "evaluate",
    "load_dataset",
    "load_model",
    "open_library",
    "predict_all",
    "train",
]


def __dir__() -> list[str]:
    """Public names show before they are used."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    """Public names are imported when first used: ``import earmark`` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'earmark' has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if not _HOMES[name].startswith("earmark.training") or (error.name or "").startswith("earmark"):
            raise
        from earmark.errors import MissingExtra

        raise MissingExtra("train", name) from error
