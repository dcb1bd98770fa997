"""Our metrics are scikit-learn's, also with ties, weights and unlabelled tracks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from earmark.evaluation import metrics

NAN = float("nan")
seeds = st.integers(0, 2**32 - 1)


def cases(seed, classes=4):
    """Truth, guess, weights of random size, with some tracks unlabelled."""
    rng = np.random.default_rng(seed)
    tracks = int(rng.integers(5, 60))
    truth = rng.integers(0, classes, tracks).astype(float)
    guess = np.where(rng.random(tracks) < 0.5, truth, rng.integers(0, classes, tracks)).astype(int)
    truth[rng.random(tracks) < 0.2] = NAN
    truth[0] = 1
    return truth, guess, rng.integers(0, 4, tracks) + 0.0


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_accuracy_macro_f1_and_confusion_are_those_of_scikit_learn(seed):
    truth, guess, weights = cases(seed)
    known = ~np.isnan(truth)
    weights[0] += 1
    y, f, w = truth[known].astype(int), guess[known], weights[known]
    assert metrics.accuracy(truth, guess) == pytest.approx(sk.accuracy_score(y, f))
    assert metrics.accuracy(truth, guess, weights) == pytest.approx(sk.accuracy_score(y, f, sample_weight=w))
    assert metrics.macro_f1(truth, guess, 4) == pytest.approx(sk.f1_score(y, f, average="macro", zero_division=0))
    table = metrics.confusion(truth, guess, 4)
    np.testing.assert_array_equal(table, sk.confusion_matrix(y, f, labels=range(4)))
    ours = metrics.class_table(table)
    precision, recall, f1, tracks = sk.precision_recall_fscore_support(y, f, labels=range(4), zero_division=np.nan)
    np.testing.assert_allclose(ours.precision, precision)
    np.testing.assert_allclose(ours.recall, recall)
    np.testing.assert_array_equal(ours.tracks, tracks)
    seen = (tracks > 0) | (np.bincount(f, minlength=4) > 0)
    np.testing.assert_allclose(ours.f1[seen], f1[seen])
    assert np.isnan(ours.f1[~seen]).all()


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from([2, 5, 1000]))
def test_areas_are_those_of_scikit_learn_with_ties_and_weights(seed, steps):
    rng = np.random.default_rng(seed)
    tracks = int(rng.integers(4, 80))
    truth = (rng.random(tracks) < 0.3).astype(float)
    truth[:3] = 0, 1, NAN
    score = np.round(rng.random(tracks) * steps) / steps
    weights = rng.integers(0, 4, (3, tracks)) + 0.0
    weights[:, :2] = 1
    known = ~np.isnan(truth)
    assert metrics.roc_auc(truth, score) == pytest.approx(sk.roc_auc_score(truth[known], score[known]))
    assert metrics.average_precision(truth, score) == pytest.approx(
        sk.average_precision_score(truth[known], score[known])
    )
    rows = metrics.roc_auc(truth, score, weights), metrics.average_precision(truth, score, weights)
    for row, w in enumerate(weights):
        y, f, w = truth[known], score[known], w[known]
        assert rows[0][row] == pytest.approx(sk.roc_auc_score(y, f, sample_weight=w))
        assert rows[1][row] == pytest.approx(sk.average_precision_score(y, f, sample_weight=w))


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_regression_figures_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=30)
    guess = truth + rng.normal(size=30)
    weights = rng.integers(0, 3, 30) + 0.0
    weights[:2] = 1
    truth[2] = NAN
    guess[3] = 5
    known = ~np.isnan(truth)
    y, f, w = truth[known], guess[known], weights[known]
    assert metrics.r2(truth, guess) == pytest.approx(sk.r2_score(y, f))
    assert metrics.r2(truth, guess, weights) == pytest.approx(sk.r2_score(y, f, sample_weight=w))
    assert metrics.mae(truth, guess) == pytest.approx(sk.mean_absolute_error(y, f))
    assert metrics.mae(truth, guess, weights) == pytest.approx(sk.mean_absolute_error(y, f, sample_weight=w))


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_area_under_roc_does_not_change_with_a_rising_transform(seed):
    rng = np.random.default_rng(seed)
    truth = np.r_[1.0, 0.0, rng.integers(0, 2, 20)]
    score = rng.normal(size=22).round(1)
    area = metrics.roc_auc(truth, score)
    assert metrics.roc_auc(truth, np.exp(3 * score)) == pytest.approx(area)
    assert metrics.roc_auc(truth, -score) == pytest.approx(1 - area)


def test_a_label_without_positive_or_without_negative_has_no_area():
    for truth in ([1, 1, 1], [0, 0, 0], [NAN, NAN, NAN], []):
        score = np.linspace(0, 1, len(truth))
        assert np.isnan(metrics.roc_auc(truth, score))
        assert np.isnan(metrics.average_precision(truth, score))
    assert np.isnan(metrics.roc_auc([1, 0], [0.1, 0.2], [[1, 0]])).all()


def test_constant_scores_are_worth_nothing():
    assert metrics.roc_auc([0, 1, 1, 0], [0.5] * 4) == 0.5
    assert metrics.average_precision([0, 1, 0, 0], [0.5] * 4) == 0.25


def test_calibration_error_of_a_hand_made_case():
    # Two bins: (0.6, 0.7] promises 0.65 and keeps 0.5; (0.9, 1] promises 0.95 and keeps 1.
    right, confidence = [1, 0, 1, 1], [0.65, 0.65, 0.95, 0.95]
    assert metrics.ece(right, confidence) == pytest.approx(0.5 * 0.15 + 0.5 * 0.05)
    promised, kept, count = metrics.reliability(right, confidence)
    assert promised[6] == pytest.approx(0.65) and kept[6] == 0.5 and count[6] == 2
    assert np.isnan(kept[0]) and count[0] == 0
    assert metrics.ece([1, 1], [1.0, 1.0]) == 0
    assert metrics.ece([0], [0.0]) == 0


def test_bins_hold_their_upper_edge():
    counts = metrics.reliability(np.ones(11), np.linspace(0, 1, 11))[2]
    np.testing.assert_array_equal(counts, [2, 1, 1, 1, 1, 1, 1, 1, 1, 1])


def test_coverage_and_precision_are_those_of_the_answers_given():
    found = metrics.answered([True, True, False, False], [True, True, True, False])
    assert found.coverage == 0.75
    assert found.precision == pytest.approx(2 / 3)
    silent = metrics.answered([True, False], [False, False])
    assert silent.coverage == 0 and np.isnan(silent.precision)


def test_nothing_labelled_gives_no_figure_and_no_warning():
    truth = [NAN, NAN]
    assert np.isnan(metrics.accuracy(truth, [0, 1]))
    assert np.isnan(metrics.macro_f1(truth, [0, 1], 2))
    assert np.isnan(metrics.r2(truth, [0.0, 1.0]))
    assert np.isnan(metrics.mae(truth, [0.0, 1.0]))
    assert np.isnan(metrics.r2([2.0, 2.0], [1.0, 2.0]))


def test_macro_leaves_out_what_is_not_defined():
    assert metrics.macro(np.array([0.5, NAN, 1.0])) == 0.75
    assert np.isnan(metrics.macro(np.array([NAN])))
