"""Raw scores to calibrated ones: known values, order, thresholds, rounding."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from earmark.inference.scores import answer, pool, probabilities, taggram
from earmark.models.card import HeadCard

GENRE = HeadCard("genre", "multiclass", ("Rock", "Jazz"), temperature=2.0, threshold=0.6)
TAGS = HeadCard("tags", "multilabel", ("guitar", "piano", "voice"), thresholds={"guitar": 0.2})
ENERGY = HeadCard("energy", "regression")


def test_probabilities() -> None:
    """Softmax and sigmoid of logits over temperature; numbers pass through; nothing overflows."""
    assert_allclose(probabilities(np.float32([[2 * np.log(3), 0]]), GENRE), [[0.75, 0.25]], atol=1e-7)
    assert_allclose(probabilities(np.float32([[0, np.log(3), -np.log(3)]]), TAGS), [[0.5, 0.75, 0.25]], atol=1e-7)
    assert_allclose(probabilities(np.float32([[0.3]]), ENERGY), [[0.3]], atol=1e-7)
    for head in (GENRE, TAGS):
        extreme = np.full((1, len(head.labels)), -1e4, np.float32)
        extreme[0, 0] = 1e4
        assert_allclose(probabilities(extreme, head), [[1, *[0] * (len(head.labels) - 1)]])


def test_pooling() -> None:
    clips = np.array([[0.9, 0.1], [0.5, 0.5]])
    assert_allclose(pool(clips, "mean", "multiclass"), [0.7, 0.3])
    geometric = np.sqrt([0.45, 0.05])
    assert_allclose(pool(clips, "mean-log", "multiclass"), geometric / geometric.sum())
    assert_allclose(pool(clips, "mean-log", "multilabel"), geometric)
    assert_allclose(pool(np.array([[-1.0], [3.0]]), "mean-log", "regression"), [1])
    assert np.isfinite(pool(np.array([[1.0, 0.0]]), "mean-log", "multiclass")).all()


def test_answers() -> None:
    sure, unsure = answer(GENRE, [0.3, 0.7]), answer(GENRE, [0.45, 0.55])
    assert (sure.label, sure.confidence) == ("Jazz", 0.7)
    assert (unsure.label, unsure.confidence, unsure.best) == (None, 0.55, "Jazz")
    assert answer(GENRE, [0.6, 0.6]).label == "Rock", "ties go to the label that stands first"
    assert answer(TAGS, [0.2, 0.4, 0.5]).labels == ("voice", "guitar")
    assert answer(ENERGY, [0.123456]).value == 0.1235
    assert answer(TAGS, [0.123456, 0, 1]).scores["guitar"] == 0.1235


def test_the_threshold_holds_for_what_is_shown() -> None:
    """A confidence that is shown as 0.6 is not below a threshold of 0.6."""
    assert answer(GENRE, [0.59996, 0.40004]).label == "Rock"


def test_taggrams() -> None:
    over_time = taggram(GENRE, [(0, 3), (3, 6.00049)], np.array([[0.7, 0.3], [0.2, 0.8]]))
    assert over_time.to_dict() == {
        "start": [0, 3],
        "end": [3, 6.0],
        "scores": {"Rock": [0.7, 0.2], "Jazz": [0.3, 0.8]},
    }
    assert list(taggram(ENERGY, [(0, 3)], np.array([[0.5]])).scores) == ["energy"]


def test_labels_must_fit() -> None:
    with pytest.raises(ValueError, match="zip"):
        answer(GENRE, [1.0])
