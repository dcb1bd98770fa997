"""One head's figures, with intervals, as they stand in ``evaluate -f json``; and the paired test of two models."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from earmark.evaluation import intervals, metrics
from earmark.evaluation.answers import HeadAnswers
from earmark.evaluation.intervals import Paired
from earmark.evaluation.metrics import Float

__all__ = ["compare_answers", "main_figure", "rounded", "score_head"]

_MAIN = {"multiclass": "accuracy", "multilabel": "roc_auc_macro", "regression": "r2"}


def main_figure(task: str) -> str:
    """The key of the figure that a head of this task is scored by, and compared by in the paired test."""
    return _MAIN[task]


def score_head(head: HeadAnswers, resamples: int = intervals.RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """All figures of one head.

    Args:
        head: Answers and truths.
        resamples: Of the bootstrap over groups; 0 leaves the intervals null.
        seed: Of the bootstrap.

    Returns:
        Plain values, ready for JSON; a figure that is not defined is None. Beside the design's keys: ``ece_limit`` (see
        :func:`earmark.evaluation.intervals.ece_limit`), ``per_label``, ``labels_left_out``, ``label_counts`` and
        ``unknown_tracks`` (their label is not known to both); multi-label: ``label_accuracy`` beside
        ``label_accuracy_of_no``, which is the score of answering no to everything.
    """
    figures = {"multiclass": _multiclass, "multilabel": _multilabel, "regression": _regression}[head.task]
    found = {"task": head.task, "tracks": len(head.tracks), **figures(head, resamples, seed)}
    if head.match is not None:
        found |= {
            "label_counts": {
                "model": head.match.model_labels,
                "dataset": head.match.dataset_labels,
                "scored": len(head.match.labels),
            },
            "labels_left_out": {"model": list(head.match.model_only), "dataset": list(head.match.dataset_only)},
            "unknown_tracks": head.unknown,
        }
    found |= {key: rounded(value) for key, value in head.training.items()}
    return found


def compare_answers(
    first: HeadAnswers, second: HeadAnswers, resamples: int = intervals.RESAMPLES, seed: int = 0
) -> Paired:
    """Paired test of two models' main figures on the same tracks and labels.

    Raises:
        ValueError: Other tracks or labels.
    """
    if first.tracks != second.tracks or first.labels != second.labels:
        raise ValueError("a paired test needs the same tracks and labels")
    if first.task == "multilabel":
        shares = _area_shares(first) - _area_shares(second)

        def difference(weights: Float) -> Float:
            return metrics.macro(_areas(first, weights)) - metrics.macro(_areas(second, weights))

    elif first.task == "multiclass":
        shares = _right(first) - _right(second)
        shares /= max(1, len(shares))

        def difference(weights: Float) -> Float:
            return metrics.accuracy(first.truth, first.guess, weights) - metrics.accuracy(
                second.truth, second.guess, weights
            )

    else:
        missed = [(head.truth - head.scores[:, 0]) ** 2 for head in (second, first)]
        spread = ((first.truth - first.truth.mean()) ** 2).sum() if len(first.truth) else 0.0
        shares = (missed[0] - missed[1]) / spread if spread > 0 else np.zeros(len(first.truth))

        def difference(weights: Float) -> Float:
            return metrics.r2(first.truth, first.scores[:, 0], weights) - metrics.r2(
                second.truth, second.scores[:, 0], weights
            )

    return intervals.paired(difference, shares, first.groups, resamples, seed)


def rounded(value: ArrayLike | None) -> Any:
    """Figures to four decimals, as plain Python values; NaN and None become None."""
    if value is None:
        return None
    if isinstance(value, (list, tuple)) or np.ndim(value):
        return [rounded(item) for item in np.asarray(value, np.float64)]
    number = float(value)  # type: ignore[arg-type]
    return None if math.isnan(number) else round(number, 4)


def _multiclass(head: HeadAnswers, resamples: int, seed: int) -> dict[str, Any]:
    truth, guess, classes = head.truth, head.guess, len(head.labels)
    right = _right(head)
    confidence = head.scores.max(1) if head.scores.size else np.zeros(0)
    answers = metrics.answered(right, head.given)
    table = metrics.confusion(truth, guess, classes)
    by_class = metrics.class_table(table)
    recall = _interval(head, resamples, seed, lambda w: _recall(truth, right, classes, w))
    return {
        "accuracy": rounded(metrics.accuracy(truth, guess)),
        "accuracy_ci95": _interval(head, resamples, seed, lambda w: metrics.accuracy(truth, guess, w)),
        "macro_f1": rounded(metrics.macro_f1(truth, guess, classes)),
        "macro_f1_ci95": _interval(head, resamples, seed, lambda w: metrics.macro_f1(truth, guess, classes, w)),
        "ece": rounded(metrics.ece(right, confidence)),
        "ece_limit": rounded(intervals.ece_limit(confidence, seed=seed)) if resamples else None,
        "coverage": rounded(answers.coverage),
        "precision": rounded(answers.precision),
        "train_accuracy": None,
        "labels": list(head.labels),
        "confusion": table.tolist(),
        "per_label": {
            label: {
                "precision": rounded(by_class.precision[i]),
                "recall": rounded(by_class.recall[i]),
                "recall_ci95": None if recall is None else recall[i],
                "f1": rounded(by_class.f1[i]),
                "tracks": int(by_class.tracks[i]),
            }
            for i, label in enumerate(head.labels)
        },
    }


def _multilabel(head: HeadAnswers, resamples: int, seed: int) -> dict[str, Any]:
    ones = np.ones((1, len(head.tracks)))
    roc, pr = _areas(head, ones)[0], _precisions(head, ones)[0]
    f1 = metrics.class_table_of_decisions(head.truth, head.given).f1
    roc_drawn = _resampled(head, resamples, seed, lambda w: _areas(head, w))
    pr_drawn = _resampled(head, resamples, seed, lambda w: _precisions(head, w))
    scored = ~np.isnan(roc)
    return {
        "roc_auc_macro": rounded(metrics.macro(roc)),
        "roc_auc_macro_ci95": _middle(None if roc_drawn is None else metrics.macro(roc_drawn[:, scored])),
        "pr_auc_macro": rounded(metrics.macro(pr)),
        "pr_auc_macro_ci95": _middle(None if pr_drawn is None else metrics.macro(pr_drawn[:, scored])),
        "macro_f1": rounded(metrics.macro(np.where(scored, f1, np.nan))),
        "ece": rounded(metrics.ece(head.truth.ravel(), head.scores.ravel())),
        "label_accuracy": rounded((head.given == (head.truth == 1)).mean()) if head.truth.size else None,
        "label_accuracy_of_no": rounded((head.truth == 0).mean()) if head.truth.size else None,
        "labels_not_scored": [label for label, ok in zip(head.labels, scored, strict=True) if not ok],
        "per_label": {
            label: {
                "roc_auc": rounded(roc[i]),
                "roc_auc_ci95": _middle(None if roc_drawn is None else roc_drawn[:, i]),
                "pr_auc": rounded(pr[i]),
                "f1": rounded(f1[i]),
                "tracks": int((head.truth[:, i] == 1).sum()),
            }
            for i, label in enumerate(head.labels)
        },
    }


def _regression(head: HeadAnswers, resamples: int, seed: int) -> dict[str, Any]:
    truth, guess = head.truth, head.scores[:, 0]
    return {
        "r2": rounded(metrics.r2(truth, guess)),
        "r2_ci95": _interval(head, resamples, seed, lambda w: metrics.r2(truth, guess, w)),
        "mae": rounded(metrics.mae(truth, guess)),
        "mae_ci95": _interval(head, resamples, seed, lambda w: metrics.mae(truth, guess, w)),
    }


def _right(head: HeadAnswers) -> Float:
    right: Float = (head.guess == head.truth).astype(np.float64)
    return right


def _recall(truth: Float, right: Float, classes: int, weights: Float) -> Float:
    """(resamples, classes)."""
    of_class = (truth[:, None] == np.arange(classes)).astype(np.float64)
    return metrics.ratio(weights @ (of_class * right[:, None]), weights @ of_class)


def _areas(head: HeadAnswers, weights: Float) -> Float:
    """(resamples, labels) areas under the ROC curves."""
    return _by_label(head, weights, metrics.roc_auc)


def _precisions(head: HeadAnswers, weights: Float) -> Float:
    """(resamples, labels) average precisions."""
    return _by_label(head, weights, metrics.average_precision)


def _by_label(head: HeadAnswers, weights: Float, metric: Any) -> Float:
    columns = [metric(head.truth[:, i], head.scores[:, i], weights) for i in range(len(head.labels))]
    return np.stack(columns, -1) if columns else np.zeros((len(weights), 0))


def _area_shares(head: HeadAnswers) -> Float:
    """(tracks,) what each track contributes to the macro area."""
    shares = [intervals.placements(head.truth[:, i], head.scores[:, i]) for i in range(len(head.labels))]
    scored = ~np.isnan(_areas(head, np.ones((1, len(head.tracks))))[0])
    return np.asarray(np.sum(shares, 0) / max(1, int(scored.sum())))


def _resampled(head: HeadAnswers, resamples: int, seed: int, statistic: intervals.Statistic) -> Float | None:
    return intervals.bootstrap(statistic, head.groups, resamples, seed) if resamples and head.tracks else None


def _interval(head: HeadAnswers, resamples: int, seed: int, statistic: intervals.Statistic) -> Any:
    """[low, high], or a list of them where the statistic has one figure a label."""
    drawn = _resampled(head, resamples, seed, statistic)
    if drawn is None or drawn.ndim == 1:
        return _middle(drawn)
    return [_middle(column) for column in drawn.T]


def _middle(drawn: Float | None) -> list[float] | None:
    return None if drawn is None else rounded(intervals.interval(drawn))
