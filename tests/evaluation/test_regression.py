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
