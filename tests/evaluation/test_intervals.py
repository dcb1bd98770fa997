"""Intervals hold what they promise, tests of equal models are right as often as they say, and both are fast."""

import time

import numpy as np
import pytest

from earmark.evaluation import metrics


def grouped(rng, groups, size, spread=1.0):
    """Right and wrong answers whose chance is drawn once a group."""
    chance = 1 / (1 + np.exp(-rng.normal(0.5, spread, groups)))
    names = [f"artist {g}" for g in range(groups) for _ in range(size)]
    return (rng.random(groups * size) < np.repeat(chance, size)).astype(float), names


def accuracy_of(right):
    return lambda weights: metrics.accuracy(np.ones(len(right)), right, weights)


def compare(right, names):
    first, second = right
    return metrics.paired(
        lambda w: accuracy_of(first)(w) - accuracy_of(second)(w), (first - second) / len(first), names, 200
    )


def test_the_same_seed_gives_the_same_interval_in_any_block_size(monkeypatch):
    right, names = grouped(np.random.default_rng(0), 30, 4)
    whole = metrics.bootstrap(accuracy_of(right), names, 200, seed=3)
    assert np.array_equal(whole, metrics.bootstrap(accuracy_of(right), names, 200, seed=3))
    assert not np.array_equal(whole, metrics.bootstrap(accuracy_of(right), names, 200, seed=4))
    monkeypatch.setattr(metrics, "CELLS", 7 * len(names))
    assert np.array_equal(whole, metrics.bootstrap(accuracy_of(right), names, 200, seed=3))


def test_bootstrap_of_a_mean_has_the_width_that_theory_gives():
    rng = np.random.default_rng(1)
    right = (rng.random(400) < 0.7).astype(float)
    low, high = metrics.interval(metrics.bootstrap(accuracy_of(right), [str(i) for i in range(400)], 2000))
    expected = 2 * 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 400)
    assert high - low == pytest.approx(expected, rel=0.1)
    assert low < right.mean() < high


def test_intervals_over_groups_hold_the_truth_where_intervals_over_tracks_do_not():
    rng = np.random.default_rng(2)
    truth = (1 / (1 + np.exp(-rng.normal(0.5, 2.0, 100_000)))).mean()
    held = {"groups": 0, "tracks": 0}
    for _ in range(150):
        right, names = grouped(rng, 40, 8, spread=2.0)
        for kind, units in (("groups", names), ("tracks", [str(i) for i in range(len(names))])):
            low, high = metrics.interval(metrics.bootstrap(accuracy_of(right), units, 300))
            held[kind] += low <= truth <= high
    assert held["groups"] / 150 > 0.88
    assert held["tracks"] / 150 < 0.75


def test_equal_models_are_told_apart_five_times_in_a_hundred():
    rng = np.random.default_rng(3)
    small = 0
    for _ in range(200):
        chance = np.repeat(rng.random(30), 5)
        names = np.repeat(np.arange(30), 5).astype(str)
        right = [(rng.random(150) < chance).astype(float) for _ in range(2)]
        small += compare(right, names).p < 0.05
    assert 2 <= small <= 22


def test_a_clear_difference_is_found_with_the_sign_of_the_first_model():
    rng = np.random.default_rng(4)
    right = [(rng.random(300) < 0.9).astype(float), (rng.random(300) < 0.6).astype(float)]
    found = compare(right, [str(i // 3) for i in range(300)])
    assert found.difference == pytest.approx(right[0].mean() - right[1].mean())
    assert found.p < 0.001 and found.ci95[0] > 0


def test_areas_of_equal_models_are_told_apart_five_times_in_a_hundred():
    rng = np.random.default_rng(5)
    small, wide = 0, 0
    for _ in range(200):
        truth = (rng.random(120) < 0.3).astype(float)
        hint = truth + rng.normal(0, 1, 120)
        names = np.repeat(np.arange(40), 3).astype(str)
        for gain in (0.0, 2.0):
            a, b = hint + gain * truth + rng.normal(0, 1, 120), hint + rng.normal(0, 1, 120)
            shares = metrics.placements(truth, a) - metrics.placements(truth, b)
            found = metrics.paired(
                lambda w, a=a, b=b, y=truth: metrics.roc_auc(y, a, w) - metrics.roc_auc(y, b, w), shares, names, 20
            )
            small += gain == 0 and found.p < 0.05
            wide += gain > 0 and found.p < 0.05
    assert 2 <= small <= 22
    assert wide > 190


def test_placements_add_up_to_the_area_half_of_it_on_either_side():
    rng = np.random.default_rng(6)
    truth = np.r_[1.0, 0.0, (rng.random(60) < 0.4), np.nan]
    score = np.round(rng.random(63), 1)
    shares = metrics.placements(truth, score)
    assert shares[truth == 1].sum() == pytest.approx(metrics.roc_auc(truth, score) / 2)
    assert shares[truth == 0].sum() == pytest.approx(metrics.roc_auc(truth, score) / 2)
    assert shares[-1] == 0
    assert not metrics.placements([1, 1], [0.1, 0.2]).any()


def test_identical_models_differ_by_nothing():
    right = (np.random.default_rng(7).random(50) < 0.5).astype(float)
    found = compare([right, right], [str(i) for i in range(50)])
    assert found.difference == 0 and found.p == 1 and found.ci95 == (0, 0)


def test_a_calibrated_model_stays_below_the_limit_nineteen_times_of_twenty():
    rng = np.random.default_rng(8)
    above = 0
    for trial in range(100):
        confidence = rng.uniform(0.3, 1, 150)
        above += metrics.ece(rng.random(150) < confidence, confidence) > metrics.ece_limit(confidence, 300, trial)
    assert above <= 12
    confidence = np.full(400, 0.95)
    assert metrics.ece(rng.random(400) < 0.8, confidence) > metrics.ece_limit(confidence)
    assert np.isnan(metrics.ece_limit([]))


def test_an_interval_needs_figures_that_are_defined():
    assert metrics.interval(np.full(10, np.nan)) is None
    assert metrics.interval(np.r_[np.full(9, 0.5), np.nan]) == (0.5, 0.5)


def test_one_group_gives_an_interval_of_no_width():
    right = np.array([1.0, 0.0])
    assert metrics.interval(metrics.bootstrap(accuracy_of(right), ["one", "one"], 50)) == (0.5, 0.5)


def test_a_thousand_resamples_of_fifty_labels_take_seconds():
    rng = np.random.default_rng(9)
    truth, score = (rng.random((700, 50)) < 0.1).astype(float), rng.random((700, 50))
    names = [f"artist {i // 2}" for i in range(700)]

    def statistic(weights):
        columns = [metrics.roc_auc(truth[:, c], score[:, c], weights) for c in range(50)]
        return metrics.macro(np.stack(columns, -1))

    started = time.process_time()
    assert metrics.interval(metrics.bootstrap(statistic, names)) is not None
    assert time.process_time() - started < 10
