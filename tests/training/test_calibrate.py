"""Protects: calibration mends over-confident scores, thresholds follow F1, and a doubtful answer is not given."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.models.card import HeadCard
from earmark.training.finish import calibrate, track_scores

RANDOM = np.random.default_rng(0)


def multiclass(tracks: int, sharp: float) -> tuple[list[np.ndarray], np.ndarray]:
    logits = RANDOM.normal(size=(tracks, 3))
    chance = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = np.array([RANDOM.choice(3, p=row) for row in chance])
    return [(sharp * row[None]).astype(np.float32) for row in logits], truth.astype(np.float32)


def test_temperature_undoes_over_confidence() -> None:
    raw, truth = multiclass(3000, sharp=4.0)
    head = calibrate(HeadCard("genre", "multiclass", ("a", "b", "c")), raw, truth, "mean")
    assert head.temperature == pytest.approx(4.0, rel=0.15)
    assert head.threshold == pytest.approx(0.6, abs=0.08)
    scores = track_scores(raw, head, "mean")
    given = scores.max(1) >= head.threshold
    assert (scores.argmax(1) == truth)[given].mean() > 0.6


def test_a_sure_head_answers_always() -> None:
    truth = np.tile([0.0, 1.0], 50).astype(np.float32)
    raw = [np.array([[6.0, 0.0]] if t == 0 else [[0.0, 6.0]], np.float32) for t in truth]
    head = calibrate(HeadCard("genre", "multiclass", ("a", "b")), raw, truth, "mean")
    assert head.threshold < 0.8


def test_labels_are_named_from_where_f1_is_best() -> None:
    truth = np.zeros((200, 2), np.float32)
    truth[:40, 0] = 1
    truth[:2, 1] = 1
    raw = [np.where(row == 1, -0.5, -2.0)[None].astype(np.float32) for row in truth]
    head = calibrate(HeadCard("tags", "multilabel", ("often", "seldom")), raw, truth, "mean")
    scores = track_scores(raw, head, "mean")
    assert ((scores[:, 0] >= head.thresholds["often"]) == truth[:, 0]).all()
    assert 0.02 <= head.thresholds["seldom"] <= 0.98


def test_unlabelled_and_numbers_are_left_alone() -> None:
    head = HeadCard("genre", "multiclass", ("a", "b"))
    nothing = np.full(3, np.nan, np.float32)
    assert calibrate(head, [np.zeros((1, 2), np.float32)] * 3, nothing, "mean") == head
    number = HeadCard("energy", "regression")
    assert calibrate(number, [np.zeros((1, 1), np.float32)] * 3, np.zeros(3, np.float32), "mean") == number
