"""Linear heads and folds: against scikit-learn, with missing labels, and with whole artists set aside."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from earmark.datasets.core import HeadSpec
from earmark.training.examples import examples_of, group_folds, log_loss
from earmark.training.linear import Scaling, _solve, fit_linear, fit_prototypes


def _made(task="multiclass", tracks=60, seed=0):
    random = np.random.default_rng(seed)
    y = random.integers(0, 3, tracks).astype(np.float32)
    clips = [random.standard_normal((2, 8)).astype(np.float32) + 2 * np.eye(3, 8)[int(k)] for k in y]
    truth = {"multiclass": y, "multilabel": np.eye(3)[y.astype(int)].astype(np.float32), "regression": y}[task]
    spec = HeadSpec("h", task, ("a", "b", "c") if task != "regression" else ())
    return spec, [c.astype(np.float32) for c in clips], truth, random.integers(0, 20, tracks)


def test_the_minimum_is_scikit_learns():
    spec, clips, truth, group = _made()
    examples = examples_of(spec, clips, truth, group)
    ours = _solve(examples, [1.0, 0.1], 0)[-1]
    theirs = LogisticRegression(C=1 / (0.1 * len(examples.clips)), tol=1e-8, max_iter=1000)
    theirs.fit(examples.clips, examples.clip_truth)
    assert np.allclose(ours.weight, theirs.coef_ - theirs.coef_.mean(0), atol=2e-3)


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "regression"])
def test_every_task_is_learnt_with_labels_missing(task):
    spec, clips, truth, group = _made(task)
    truth = truth.copy()
    truth[:5] = np.nan
    if task == "multilabel":
        truth[5:9, 1] = np.nan
    examples = examples_of(spec, clips, truth, group)
    assert len(examples.truth) == 55
    linear = fit_linear(examples, 0)
    assert log_loss(examples, linear(examples.clips)) < 0.5 * log_loss(examples, 0 * linear(examples.clips))


def test_prototypes_tell_classes_apart():
    spec, clips, truth, group = _made()
    examples = examples_of(spec, clips, truth, group)
    scaling, means, sharpness, bias = fit_prototypes(examples, 0)
    assert isinstance(scaling, Scaling)
    raw = scaling.apply(examples.clips) @ (2 * sharpness * means).T + bias - sharpness * (means**2).sum(1)
    assert (raw.argmax(1) == examples.clip_truth).mean() > 0.8


def test_folds_keep_artists_together_and_cover_everything_once():
    spec, clips, truth, group = _made(tracks=200)
    examples = examples_of(spec, clips, truth, group)
    folds = group_folds(examples, 5, 0)
    assert np.array_equal(np.sum(folds, 0), np.ones(200))
    for held in folds:
        assert not set(examples.group[held]) & set(examples.group[~held])
    one = group_folds(examples_of(spec, clips, truth, np.zeros(200, int)), 5, 0)
    assert len(one) == 5


def test_balance_makes_classes_weigh_the_same():
    spec, clips, _, group = _made()
    truth = np.array([0.0] * 40 + [1.0] * 15 + [2.0] * 5, np.float32)
    weights = examples_of(spec, clips, truth, group, balance="loss").loss_weights()
    by_class = np.bincount(np.repeat(truth, 2).astype(int), weights)
    assert np.allclose(by_class, 1 / 3)
