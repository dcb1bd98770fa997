"""The bundled model gives the scores that it gave in format 1, when its heads were a part of the ONNX graph."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import earmark
from earmark.inference.scores import pool, probabilities, raw_scores
from earmark.models.registry import find_model

GOLDEN = Path(__file__).parent / "golden" / "default_scores.json"
"""Scores by the last code of format 1, of the spectrograms below."""


def spectrograms(piece: int) -> np.ndarray:
    """(10, 151, 96) dB: harmonics that come and go over noise, louder from piece to piece."""
    random = np.random.default_rng(piece)
    time, band = np.mgrid[0:1510, 0:96]
    harmonics = sum(np.exp(-((band - place) ** 2) / 4) for place in random.uniform(0, 96, 12))
    beat = 0.5 + 0.5 * np.sin(2 * np.pi * time / random.uniform(20, 80))
    decibels = -75 + 6 * piece + 45 * harmonics * beat + 3 * random.standard_normal((1510, 96))
    return np.maximum(decibels, -90).astype(np.float32).reshape(10, 151, 96)


def test_scores_are_those_of_format_1() -> None:
    tagger = earmark.load_model()
    for piece, golden in json.loads(GOLDEN.read_text("utf-8")).items():
        clips = spectrograms(int(piece))
        vectors = np.concatenate(
            [tagger.network.run(part, ["embedding"])["embedding"] for part in (clips[:8], clips[8:])]
        )
        raw = raw_scores(tagger.card.heads, tagger.heads, {"embedding": vectors})
        for head in tagger.card.heads:
            found = pool(probabilities(raw[head.name], head), tagger.card.clip.pooling, head.task)
            assert np.abs(found - golden[head.name]).max() <= 1e-4, (piece, head.name)


def test_no_file_of_the_bundled_model_is_large() -> None:
    assert all(file.stat().st_size < 8_000_000 for file in find_model("default").iterdir())
