"""The one softmax regression: scikit-learn's solution, sets of labels, scores that are there already."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from earmark.evaluation.regression import cross_entropy, fit_strengths


def test_it_is_the_solution_of_scikit_learn():
    rng = np.random.default_rng(0)
    inputs, truth = rng.normal(size=(200, 5)), rng.integers(0, 3, 200)
    inputs[:, 0] += truth
    (found,) = fit_strengths(inputs, np.eye(3)[truth], [0.01], multiclass=True)
    known = LogisticRegression(C=1 / (0.01 * 200), tol=1e-8, max_iter=1000).fit(inputs, truth)
    centred = found.weight - found.weight.mean(0)
    np.testing.assert_allclose(centred, known.coef_ - known.coef_.mean(0), atol=2e-3)


@pytest.mark.parametrize("multiclass", [True, False])
def test_the_slope_is_that_of_the_loss(multiclass: bool):
    rng = np.random.default_rng(1)
    raw, marks = rng.normal(size=(4, 3)), np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1.0]])
    if not multiclass:
        marks[1, 2] = np.nan
    value, slope = cross_entropy(raw, marks, multiclass)
    for row, label in np.ndindex(raw.shape):
        moved = raw.copy()
        moved[row, label] += 1e-6
        change = (cross_entropy(moved, marks, multiclass)[0] - value).sum() / 1e-6
        assert change == pytest.approx(slope[row, label], abs=1e-4)
    assert multiclass or slope[1, 2] == 0


def test_nothing_is_added_to_the_first_labels():
    rng = np.random.default_rng(2)
    inputs, there = rng.normal(size=(60, 4)), rng.normal(size=(60, 3))
    marks = np.eye(3)[rng.integers(0, 3, 60)]
    (found,) = fit_strengths(inputs, marks, [0.1], multiclass=True, addition=(there, 2))
    assert not found.weight[:2].any() and not found.bias[:2].any() and found.weight[2].any()


def _classes(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    truth = np.arange(count) % 3
    centres = np.array([[3.0, 0.0], [0.0, 3.0], [-3.0, -3.0]])
    return centres[truth] + np.random.default_rng(0).normal(size=(count, 2)) * 0.5, truth


def test_classes_of_a_set_are_told_apart_by_the_few_that_say_which():
    clips, truth = _classes()
    marks = np.eye(3, dtype=np.float32)[truth]
    vague = (truth < 2) & (np.arange(60) > 12)
    marks[vague, :2] = 1
    (linear,) = fit_strengths(clips, marks, [1e-3], multiclass=True)
    assert (linear(clips.astype(np.float32)).argmax(1) == truth).all()


def test_with_single_labels_it_is_logistic_regression():
    clips, truth = _classes()
    clips = (clips - clips.mean(0)) / clips.std(0)
    ours = fit_strengths(clips, np.eye(3)[truth], [1.0, 0.1], multiclass=True)[-1]
    theirs = LogisticRegression(C=1 / (0.1 * len(truth)), max_iter=1000, tol=1e-8).fit(clips, truth)
    np.testing.assert_allclose(ours.weight, theirs.coef_, atol=2e-3)


def test_unknown_marks_of_several_labels_change_nothing():
    clips, truth = _classes()
    marks = np.stack([truth == 0, truth == 1], 1).astype(np.float32)
    gaps = marks.copy()
    gaps[truth == 2, 1] = np.nan
    whole, holed = (fit_strengths(clips, m, [1e-2], multiclass=False)[0] for m in (marks, gaps))
    np.testing.assert_allclose(whole.weight[0], holed.weight[0], atol=1e-3)
    assert np.abs(whole.weight[1] - holed.weight[1]).max() > 1e-2
