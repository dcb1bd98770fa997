"""Records as ``tag`` writes them, made by hand."""

from __future__ import annotations

from typing import Any

from earmark.inference.records import Failure, HeadPrediction, Prediction


def heard(path: str = "a.mp3", **more: Any) -> dict[str, Any]:
    heads = {
        "genre": HeadPrediction("multiclass", "Rock", 0.83, scores={"Rock": 0.83, "Jazz": 0.17}),
        "tags": HeadPrediction("multilabel", labels=("piano", "a,b"), scores={"guitar": 0.1, "piano": 0.9, "a,b": 0.6}),
        "energy": HeadPrediction("regression", value=0.62),
    }
    return Prediction(path, 212.4, "m@1", heads | more).to_dict()


BAD = Failure("b.mp3", "not-audio", "not an audio file: no stream found").to_dict()
