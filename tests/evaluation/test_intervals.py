"""Intervals hold what they promise, tests of equal models are right as often as they say, and both are fast."""

import time
from statistics import NormalDist

import numpy as np
import pytest

from earmark.evaluation import intervals, metrics

NORMAL = NormalDist()


def grouped(rng, groups, size, spread=1.0):
    """Right and wrong answers whose chance is drawn once a group."""
    chance = 1 / (1 + np.exp(-rng.normal(0.5, spread, groups)))
    names = [f"artist {g}" for g in range(groups) for _ in range(size)]
    return (rng.random(groups * size) < np.repeat(chance, size)).astype(float), names


def accuracy_of(right):
    return lambda weights: metrics.accuracy(np.ones(len(right)), right, weights)


def compare(right, names):
    first, second = (intervals.rate(one, names, 200) for one in right)
    return intervals.paired(first, second, (right[0] - right[1]) / len(right[0]), names)


def test_the_same_seed_gives_the_same_interval_in_any_block_size(monkeypatch):
    right, names = grouped(np.random.default_rng(0), 30, 4)
    whole = intervals.bootstrap(accuracy_of(right), names, 200, seed=3)
    assert np.array_equal(whole, intervals.bootstrap(accuracy_of(right), names, 200, seed=3))
    assert not np.array_equal(whole, intervals.bootstrap(accuracy_of(right), names, 200, seed=4))
    monkeypatch.setattr(intervals, "CELLS", 7 * len(names))
    assert np.array_equal(whole, intervals.bootstrap(accuracy_of(right), names, 200, seed=3))


def test_bootstrap_of_a_mean_has_the_width_that_theory_gives():
    rng = np.random.default_rng(1)
    right = (rng.random(400) < 0.7).astype(float)
    drawn = intervals.bootstrap(accuracy_of(right), names := [str(i) for i in range(400)], 2000)
    low, high = intervals.widened(drawn, right.mean(), names)
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
            low, high = intervals.widened(intervals.bootstrap(accuracy_of(right), units, 300), right.mean(), units)
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
            p = intervals.sign_flip(float(metrics.roc_auc(truth, a) - metrics.roc_auc(truth, b)), shares, names)
            small += gain == 0 and p < 0.05
            wide += gain > 0 and p < 0.05
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


def test_identical_models_differ_by_nothing_but_fifty_songs_do_not_prove_that():
    right = (np.random.default_rng(7).random(50) < 0.5).astype(float)
    found = compare([right, right], [str(i) for i in range(50)])
    assert found.difference == 0 and found.p == 1
    assert -0.15 < found.ci95[0] < -0.02 and 0.02 < found.ci95[1] < 0.15


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


def test_an_interval_needs_figures_that_are_defined_and_differ():
    names = [str(i) for i in range(10)]
    assert intervals.widened(np.full(10, np.nan), 0.5, names) is None
    assert intervals.widened(np.r_[np.full(9, 0.5), np.nan], 0.5, names) is None
    low, high = intervals.widened(np.r_[0.4, 0.5, 0.6, np.nan], 0.5, names)
    assert low < 0.41 and high > 0.59


@pytest.mark.parametrize("right", [[1.0, 0.0], [1.0, 1.0]])
def test_one_group_gives_no_interval(right):
    assert intervals.rate(right, ["one", "one"], 50).bounds is None
    assert intervals.effective_size(right, ["one", "one"]) == 1


@pytest.mark.parametrize(("answers", "expected"), [
    ([1] * 9, (0.6637, 1.0)), ([0] * 9, (0.0, 0.3363)),
])  # fmt: skip
def test_at_the_edges_a_rate_has_the_interval_of_clopper_and_pearson(answers, expected):
    """As R's binom.test gives them for 9 of 9 and 0 of 9."""
    found = intervals.rate(answers, [str(i) for i in range(len(answers))])
    assert found.bounds == pytest.approx(expected, abs=1e-4)


def test_the_quantiles_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    for size in (2.5, 9, 30, 100, 5000):
        for rate in (0, 0.01, 0.3, 0.5, 0.98, 1):
            hits = rate * size
            low, high = intervals.share_interval(rate, size)
            assert low == pytest.approx(0 if not hits else stats.beta.ppf(0.025, hits, size - hits + 1), abs=1e-9)
            assert high == pytest.approx(1 if hits == size else stats.beta.ppf(0.975, hits + 1, size - hits), abs=1e-9)


def test_songs_of_an_artist_count_as_many_as_they_differ():
    names = [str(i // 10) for i in range(100)]
    alike = np.repeat([1.0, 0.0], 50)
    mixed = (np.random.default_rng(0).random(100) < 0.5).astype(float)
    assert intervals.effective_size(alike, names) == pytest.approx(10, abs=0.5)
    assert intervals.effective_size(mixed, names) > 30
    assert intervals.effective_size(np.ones(100), names) == pytest.approx(10)  # all right: nothing is known
    assert intervals.effective_size(mixed, [str(i) for i in range(100)]) == 100


def answers_of_artists(rng, rate, alike, songs, each):
    """(songs,) right or wrong; the rate of an artist is beta distributed, ``alike`` their correlation."""
    names = np.arange(songs) // each
    artists = names.max() + 1
    if alike in (0, 1):
        of_artist = np.full(artists, rate) if not alike else (rng.random(artists) < rate).astype(float)
    else:
        of_artist = rng.beta(rate * (1 / alike - 1), (1 - rate) * (1 / alike - 1), artists)
    return (rng.random(songs) < of_artist[names]).astype(float), names.astype(str)


def coverage_and_width(songs, each, alike, rate, trials=300):
    """How many of the intervals hold the true rate, and their width beside Clopper and Pearson's on all groups."""
    rng = np.random.default_rng([songs, each, round(100 * rate)])
    sizes = np.bincount(np.arange(songs) // each)
    groups, known, held, width, plain = songs**2 / (sizes**2).sum(), {}, 0, 0.0, 0.0
    for _ in range(trials):
        right, names = answers_of_artists(rng, rate, alike, songs, each)
        key = tuple(np.bincount(names.astype(int), right))
        if key not in known:
            beside = intervals.share_interval(right.mean(), groups)
            known[key] = (*intervals.rate(right, names.tolist(), 100).bounds, beside[1] - beside[0])
        low, high, other = known[key]
        held, width, plain = held + (low <= rate <= high), width + high - low, plain + other
    return held, width / plain


@pytest.mark.parametrize(("songs", "each", "alike", "rate"), [
    (9, 1, 0, 0.5), (9, 1, 0, 0.98), (9, 3, 1, 0.7), (9, 5, 0.3, 0.9), (30, 1, 0, 0.8), (30, 5, 1, 0.5),
    (30, 10, 0.6, 0.98), (100, 1, 0, 0.98), (100, 5, 1, 0.9), (100, 10, 0.1, 0.6),
])  # fmt: skip
def test_intervals_keep_their_promise_at_any_rate_and_are_no_wider_than_they_must_be(songs, each, alike, rate):
    """Never below 93 %, and at most 1.15 times Clopper and Pearson's on the effective number of groups."""
    held, width = coverage_and_width(songs, each, alike, rate)
    assert held >= 274  # of 300 trials at 95 %, fewer would be seen once in 1000 cases
    assert width <= 1.15


@pytest.mark.slow
@pytest.mark.parametrize("songs", [9, 30, 100])
@pytest.mark.parametrize("each", [1, 2, 3, 5, 10])
def test_intervals_keep_their_promise_all_over(songs, each):
    for alike in (0, 0.1, 0.3, 0.6, 1) if each > 1 else (0,):
        for rate in (0.5, 0.7, 0.9, 0.98):
            if songs > each:
                held, width = coverage_and_width(songs, each, alike, rate, 1000)
                assert held >= 915 and width <= 1.15, (alike, rate, held, width)  # 930 less two deviations of chance


def test_differences_keep_their_promise_and_a_worse_model_is_rarely_called_as_good():
    rng, margin = np.random.default_rng(11), 0.05
    for songs, each, rates in ((9, 1, (0.9, 0.7)), (30, 3, (0.8, 0.75)), (100, 2, (0.98, 0.93)), (100, 5, (0.8, 0.8))):
        held, as_good = 0, 0
        names = [str(i // each) for i in range(songs)]
        for _ in range(150):
            level = 0.6 * rng.normal(size=songs // each + 1)[np.arange(songs) // each] + 0.5 * rng.normal(size=songs)
            right = [
                (level + 0.6 * rng.normal(size=songs) < 0.985 * z).astype(float) for z in map(NORMAL.inv_cdf, rates)
            ]
            found = compare(right, names)
            held += found.ci95[0] <= rates[0] - rates[1] <= found.ci95[1]
            as_good += found.ci95[1] < margin
            assert found.ci95[0] < found.ci95[1]
        assert held >= 135
        assert as_good <= 12 or rates[0] - rates[1] < margin


def test_areas_and_errors_have_intervals_of_some_width_at_their_edges():
    assert intervals.area_interval(1.0, 5, 5)[0] == pytest.approx(0.643, abs=0.001)
    low, high = intervals.area_interval(0.9, 12, 80)
    assert 0.7 < low < 0.8 and 0.94 < high < 0.98
    names = [str(i) for i in range(12)]
    truth = np.arange(12.0)
    found = intervals.positive(lambda w: metrics.mae(truth, truth + 0.1 + 0.01 * truth, w), names, 100)
    assert 0 < found.bounds[0] < found.value < found.bounds[1]
    assert intervals.positive(lambda w: metrics.mae(truth, truth, w), names, 100).bounds is None


def test_a_thousand_resamples_of_fifty_labels_take_seconds():
    rng = np.random.default_rng(9)
    truth, score = (rng.random((700, 50)) < 0.1).astype(float), rng.random((700, 50))
    names = [f"artist {i // 2}" for i in range(700)]

    def statistic(weights):
        columns = [metrics.roc_auc(truth[:, c], score[:, c], weights) for c in range(50)]
        return metrics.macro(np.stack(columns, -1))

    started = time.process_time()
    assert len(intervals.bootstrap(statistic, names)) == 1000
    assert time.process_time() - started < 10


def test_the_beta_distribution_between_its_halves():
    """Where both halves seem the larger one, by rounding, it is computed all the same."""
    x, a, b = 0.2674423846707011, 8.361014215173618, 24.640970330767875
    assert x > (a + 1) / (a + b + 2) and 1 - x > (b + 1) / (b + a + 2)
    assert intervals._beta_below(x, a, b) == pytest.approx(1 - intervals._beta_below(1 - x, b, a), abs=1e-12)
