"""The bundled model gives the scores that it gave when it was made, and its files stay small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import earmark
from earmark.inference.scores import raw_scores, track_probabilities
from earmark.models.registry import find_model

GOLDEN = Path(__file__).parent / "golden" / "default_scores.json"
"""Scores of the spectrograms below, as the model was made; ``python tests/models/test_bundled.py`` writes them anew."""


def spectrograms(piece: int) -> np.ndarray:
    """(10, 151, 96) dB: harmonics that come and go over noise, louder from piece to piece."""
    random = np.random.default_rng(piece)
    time, band = np.mgrid[0:1510, 0:96]
    harmonics = sum(np.exp(-((band - place) ** 2) / 4) for place in random.uniform(0, 96, 12))
    beat = 0.5 + 0.5 * np.sin(2 * np.pi * time / random.uniform(20, 80))
    decibels = -75 + 6 * piece + 45 * harmonics * beat + 3 * random.standard_normal((1510, 96))
    return np.maximum(decibels, -90).astype(np.float32).reshape(10, 151, 96)


def scores(piece: int) -> dict[str, list[float]]:
    """By head, the scores of one piece."""
    tagger = earmark.load_model()
    clips = spectrograms(piece)
    vectors = np.concatenate([tagger.network.run(part, ["embedding"])["embedding"] for part in (clips[:8], clips[8:])])
    raw = raw_scores(tagger.card.heads, tagger.heads, {"embedding": vectors})
    pooling = tagger.card.clip.pooling
    return {head.name: track_probabilities(raw[head.name], head, pooling).tolist() for head in tagger.card.heads}


def test_scores_are_those_that_the_model_was_made_with() -> None:
    for piece, golden in json.loads(GOLDEN.read_text("utf-8")).items():
        found = scores(int(piece))
        assert set(found) == set(golden)
        for head, then in golden.items():
            assert np.abs(np.subtract(found[head], then)).max() <= 1e-4, (piece, head)


def test_no_file_of_the_bundled_model_is_large() -> None:
    assert all(file.stat().st_size < 8_000_000 for file in find_model("default").iterdir())


if __name__ == "__main__":
    recorded = {str(n): {head: np.round(own, 7).tolist() for head, own in scores(n).items()} for n in range(5)}
    GOLDEN.write_text(json.dumps(recorded) + "\n", "utf-8")
