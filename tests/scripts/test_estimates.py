"""What estimates learn from: facts of rendered pieces, and taggers' words with a prior that is corrected."""

from __future__ import annotations

import numpy as np
import pytest
from scripts.bundled.agreement import ESTIMATES, agreed
from scripts.bundled.estimates import acoustic, calibration, probability
from scripts.bundled.heads import track_means
from scripts.bundled.rendered import Note, Part, Score

NOTES = (Note(0, 1, 60),)


@pytest.mark.parametrize(
    ("programs", "kits", "expected"),
    [((0, 40), (), 1.0), ((0, 81), (), 0.0), ((40,), (25,), 0.0), ((0, 33), (8,), np.nan), ((27, 33), (), 0.0)],
)
def test_a_piece_is_acoustic_where_nothing_electric_plays(programs, kits, expected) -> None:
    parts = [Part(program, NOTES) for program in programs] + [Part(kit, NOTES, drums=True) for kit in kits]
    np.testing.assert_equal(acoustic(Score(120, 0, "major", tuple(parts))), expected)


def test_calibration_gives_the_share_however_sure_the_raw_scores_are() -> None:
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(400), 5)
    true = rng.normal(-2, 1.5, 400)
    shares = (rng.random(400) < probability(true)).astype(float)
    shares[::10] = np.nan
    raw = 7 * true[owner] + 30
    slope, offset = calibration(raw, owner, shares)
    means = track_means(probability(slope * raw + offset)[:, None], owner, 400)[:, 0]
    assert means.mean() == pytest.approx(np.nanmean(shares), abs=0.02)
    assert slope == pytest.approx(1 / 7, rel=0.35)


def test_two_views_agree_or_one_that_is_alone_decides() -> None:
    limits = {"a": (0.0, 1.0), "b": (0.0, 1.0)}
    a, b = np.float32([2, 2, -1, 0.5]), np.float32([2, -1, -1, -1])
    np.testing.assert_equal(agreed({"a": a, "b": b}, limits), np.float32([1, np.nan, 0, np.nan]))
    np.testing.assert_equal(agreed({"a": a}, limits), np.float32([1, 1, 0, np.nan]))


def test_each_feature_has_two_witnesses_at_least() -> None:
    assert all(tag.by_network or len(tag.tags) > 1 for tag in ESTIMATES.values())
