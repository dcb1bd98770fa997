"""Linear heads and folds: against scikit-learn, with missing labels, and with whole artists set aside."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from earmark.datasets.core import HeadSpec
from earmark.evaluation.regression import cross_entropy
from earmark.training.fitting import (
    Examples,
    Scaling,
    _solve,
    condensed,
    examples_of,
    fit_linear,
    fit_prototypes,
    group_folds,
    log_loss,
)


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


def test_many_clips_become_the_means_of_runs_track_by_track():
    spec, _, _, _ = _made()
    clips = [np.full((n, 8), t, np.float32) + np.arange(n, dtype=np.float32)[:, None] for t, n in enumerate((4, 1, 5))]
    examples = examples_of(spec, clips, np.float32([0, 1, 2]), ["a", "b", "c"])
    assert condensed(examples, 10) is examples
    few = condensed(examples, 6)
    assert few.owner.tolist() == [0, 0, 1, 2, 2]
    assert few.clips[:, 0].tolist() == [0.5, 2.5, 1.0, 3.0, 5.5]
    one = condensed(examples, 2)
    assert one.owner.tolist() == [0, 1, 2] and one.clips[:, 0].tolist() == [1.5, 1.0, 4.0]
    assert np.isclose(one.clip_weights.sum(), few.clip_weights.sum())


def test_much_data_is_learnt_from_as_well_by_a_part_of_it(monkeypatch):
    """The strength of a part stands for as much of the norm as the whole needs."""
    spec, clips, truth, group = _made(tracks=900)
    examples = examples_of(spec, clips, truth, group)
    whole = fit_linear(examples, 0)
    monkeypatch.setattr("earmark.training.fitting._MOST", 1000)
    monkeypatch.setattr("earmark.training.fitting._CHOICE", 400)
    part = fit_linear(examples, 0)
    assert not np.array_equal(part.weight, whole.weight)
    fresh = examples_of(*_made(tracks=400, seed=1))
    losses = [log_loss(fresh, linear(fresh.clips)) for linear in (whole, part)]
    assert losses[1] < 1.15 * losses[0]


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


def test_the_loss_counts_tracks_and_not_clips():
    examples = Examples("multiclass", 2, np.zeros((3, 1), np.float32), np.array([0, 0, 1]), np.zeros(2), np.arange(2))
    raw = np.array([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]], np.float32)
    marks = np.array([[1, 0], [1, 0]], np.float32)
    expected = 0.5 * (np.log1p(np.exp(-2)) + np.log1p(np.exp(2)))
    losses, _ = cross_entropy(raw, marks[examples.owner], True)
    assert abs(examples.clip_weights @ losses / examples.clip_weights.sum() - expected) < 1e-6
