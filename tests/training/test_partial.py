"""Heads from partial labels: sets teach what they can, gaps teach nothing."""

import numpy as np

from earmark.training.examples import Examples
from earmark.training.linear import fit_partial, partial_loss


def _examples(clips: np.ndarray, task: str, labels: int) -> Examples:
    tracks = np.arange(len(clips))
    return Examples(task, labels, clips.astype(np.float32), tracks, np.zeros(len(clips)), tracks)


def _classes(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    truth = np.arange(count) % 3
    centres = np.array([[3.0, 0.0], [0.0, 3.0], [-3.0, -3.0]])
    return centres[truth] + np.random.default_rng(0).normal(size=(count, 2)) * 0.5, truth


def test_classes_of_a_set_are_told_apart_by_the_few_that_say_which():
    clips, truth = _classes()
    marks = np.eye(3, dtype=np.float32)[truth]
    vague = (truth < 2) & (np.arange(60) > 12)
    marks[vague, :2] = 1
    linear = fit_partial(_examples(clips, "multiclass", 3), marks, (1e-3,))[0]
    assert (linear(clips.astype(np.float32)).argmax(1) == truth).all()


def test_with_single_labels_it_is_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    clips, truth = _classes()
    clips = (clips - clips.mean(0)) / clips.std(0)
    examples = _examples(clips, "multiclass", 3)
    ours = fit_partial(examples, np.eye(3, dtype=np.float32)[truth], (1.0, 0.1))[-1]
    theirs = LogisticRegression(C=1 / (0.1 * len(truth)), max_iter=1000, tol=1e-8).fit(clips, truth)
    np.testing.assert_allclose(ours.weight, theirs.coef_, atol=2e-3)


def test_unknown_marks_of_several_labels_change_nothing():
    clips, truth = _classes()
    marks = np.stack([truth == 0, truth == 1], 1).astype(np.float32)
    gaps = marks.copy()
    gaps[truth == 2, 1] = np.nan
    whole, holed = (fit_partial(_examples(clips, "multilabel", 2), m, (1e-2,))[0] for m in (marks, gaps))
    np.testing.assert_allclose(whole.weight[0], holed.weight[0], atol=1e-3)
    assert np.abs(whole.weight[1] - holed.weight[1]).max() > 1e-2


def test_the_loss_counts_tracks_and_not_clips():
    examples = Examples("multiclass", 2, np.zeros((3, 1), np.float32), np.array([0, 0, 1]), np.zeros(2), np.arange(2))
    raw = np.array([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]], np.float32)
    marks = np.array([[1, 0], [1, 0]], np.float32)
    expected = 0.5 * (np.log1p(np.exp(-2)) + np.log1p(np.exp(2)))
    assert abs(partial_loss(examples, marks, raw) - expected) < 1e-6
