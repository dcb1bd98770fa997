"""Records are valid UTF-8 and JSON whatever a file is called, in the shape that the documentation promises."""

from __future__ import annotations

import base64
import json
import os

import pytest

from earmark.errors import AudioError
from earmark.inference.records import Failure, HeadPrediction, Prediction, path_fields


def test_a_prediction() -> None:
    heads = {
        "genre": HeadPrediction("multiclass", "Rock", 0.83, scores={"Rock": 0.83, "Jazz": 0.17}),
        "tags": HeadPrediction("multilabel", labels=("guitar",), scores={"guitar": 0.71}),
        "energy": HeadPrediction("regression", value=0.62),
    }
    record = Prediction("a.mp3", 212.40004, "default@1", heads).to_dict()
    assert record == {
        "path": "a.mp3",
        "seconds": 212.4,
        "model": "default@1",
        "heads": {
            "genre": {
                "task": "multiclass",
                "label": "Rock",
                "confidence": 0.83,
                "scores": {"Rock": 0.83, "Jazz": 0.17},
            },
            "tags": {"task": "multilabel", "labels": ["guitar"], "scores": {"guitar": 0.71}},
            "energy": {"task": "regression", "value": 0.62},
        },
    }
    odd = Prediction("a.mp3", 1.0, "default@1", {}, warning="silence").to_dict()
    assert odd["warning"] == "silence"


def test_a_failure() -> None:
    failure = Failure.of(AudioError("b.mp3", "not-audio", "not an audio file:\n no stream found"))
    assert failure.to_dict() == {
        "path": "b.mp3",
        "error": {"kind": "not-audio", "message": "not an audio file: no stream found"},
    }


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_not_utf8() -> None:
    fields = path_fields(os.fsdecode(b"caf\xe9/\xf0\x9f\x8e\xb8.mp3"))
    assert fields["path"] == "caf\\xe9/\U0001f3b8.mp3"
    assert base64.b64decode(fields["path_bytes"]) == b"caf\xe9/\xf0\x9f\x8e\xb8.mp3"
    json.dumps(fields).encode("utf-8")


@pytest.mark.parametrize("name", ["plain.mp3", "ünï/日本.mp3", "line\nbreak.mp3", "\U0001f3b8.mp3"])
def test_a_name_that_is(name: str) -> None:
    assert path_fields(name) == {"path": name}
