"""Answers of models beside the truth, one head's figures with intervals, and the paired test of two models.

Predictions and a data set's labels are aligned arrays, one a head. Labels of model and data set match by name without
case, or through the aliases of the model's card. Only labels known to both (and to every model of an ensemble) are
scored; what is left out is kept, for printing. Figures are as they stand in ``evaluate -f json``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.datasets.core import Dataset, HeadSpec
from earmark.errors import DatasetError, UnknownName
from earmark.evaluation import intervals, metrics
from earmark.evaluation.intervals import RESAMPLES, Figure, Paired
from earmark.evaluation.metrics import Float
from earmark.inference.ensemble import combine, joint_card
from earmark.inference.records import Failure, HeadPrediction, Prediction
from earmark.models.card import Card, HeadCard
from earmark.recipe import Task

__all__ = [
    "HeadAnswers",
    "LabelMatch",
    "ModelPredictions",
    "answers_of",
    "compare_answers",
    "head_of",
    "main_figure",
    "match_labels",
    "rounded",
    "score_head",
    "score_in_short",
    "shared_heads",
]


@dataclass(frozen=True, slots=True)
class LabelMatch:
    """Which labels a model and a data set share.

    Attributes:
        labels: Names of the data set known to both, in its order.
        sources: By shared label, the model's labels that mean it.
        model_labels: How many labels the model knows.
        dataset_labels: How many labels the data set has.
        model_only: Labels of the model that the data set lacks.
        dataset_only: Labels of the data set that the model does not know; tracks of such a class are not scored.
    """

    labels: tuple[str, ...]
    sources: tuple[tuple[str, ...], ...]
    model_labels: int
    dataset_labels: int
    model_only: tuple[str, ...] = ()
    dataset_only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelPredictions:
    """One model and its prediction of each track of a data set, in the data set's order."""

    card: Card
    results: Sequence[Prediction | Failure]


@dataclass(frozen=True, slots=True, eq=False)
class HeadAnswers:
    """One head's answers and truths on the same tracks.

    Attributes:
        name: The head.
        task: ``multiclass``, ``multilabel`` or ``regression``.
        labels: Names of the columns; empty for a regression.
        tracks: (tracks,) names of the tracks that are labelled and were analysed.
        groups: (tracks,) what each track belongs to.
        truth: (tracks,) index of the label, or the number; multi-label (tracks, labels) 0 or 1.
        scores: (tracks, labels) probabilities, of a multiclass head adding up to 1; a regression (tracks, 1) values.
        given: Whether the model was sure enough: (tracks,) to answer at all, multi-label (tracks, labels) to name each.
        covers: Of a head with a tree, (tracks, labels) which truths the answer fits: those at or below what it names.
        stepped: And (tracks,) whether it names something above its best label.
        match: Which labels are scored and which are left out; None where nothing was matched.
        unknown: Labelled tracks whose every label is unknown to the model: not scored.
        training: The card's figures of its own training part (``train_accuracy``...).
    """

    name: str
    task: Task
    labels: tuple[str, ...]
    tracks: tuple[str, ...]
    groups: tuple[str, ...]
    truth: Float
    scores: Float
    given: NDArray[np.bool_]
    covers: NDArray[np.bool_] | None = None
    stepped: NDArray[np.bool_] | None = None
    match: LabelMatch | None = None
    unknown: int = 0
    training: Mapping[str, float] = field(default_factory=dict)

    @property
    def guess(self) -> NDArray[np.intp]:
        """(tracks,) index of the best label of a multiclass head."""
        return self.scores.argmax(1) if self.scores.size else np.zeros(len(self.tracks), np.intp)

    def subset(self, rows: Sequence[int] | NDArray[np.intp]) -> HeadAnswers:
        """The same answers on some of the tracks, in their order."""
        return replace(
            self,
            tracks=tuple(self.tracks[int(row)] for row in rows),
            groups=tuple(self.groups[int(row)] for row in rows),
            truth=self.truth[rows],
            scores=self.scores[rows],
            given=self.given[rows],
            covers=None if self.covers is None else self.covers[rows],
            stepped=None if self.stepped is None else self.stepped[rows],
        )


def match_labels(head: HeadCard, spec: HeadSpec) -> LabelMatch:
    """The labels that a model's head and a data set's head share.

    A label of the model stands for the data set's label of its name, else for the first of its aliases that the data
    set has; a multi-label one for all of them. Where there is none, it stands for what the next name above it in the
    model's tree stands for. Several labels of the model may stand for one of the data set.
    """
    names: dict[str, str] = {}
    for label in spec.labels:
        names.setdefault(label.casefold(), label)
    sources: dict[str, list[str]] = {label: [] for label in spec.labels}
    unmatched = []
    for label in head.labels:
        called = [(name, *head.aliases.get(name, ())) for name in head.above(label)]
        each = ([names[n.casefold()] for n in several if n.casefold() in names] for several in called)
        meant = next((found for found in each if found), [])
        for name in dict.fromkeys(meant if head.task == "multilabel" else meant[:1]):
            sources[name].append(label)
        if not meant:
            unmatched.append(label)
    shared = tuple(label for label in spec.labels if sources[label])
    return LabelMatch(
        labels=shared,
        sources=tuple(tuple(sources[label]) for label in shared),
        model_labels=len(head.labels),
        dataset_labels=len(spec.labels),
        model_only=tuple(unmatched),
        dataset_only=tuple(label for label in spec.labels if not sources[label]),
    )


def head_of(card: Card, spec: HeadSpec) -> HeadCard | None:
    """The head of a model that a data set's head means: one of its task that answers to its name.

    Of several it is the one with which it shares the most labels, be its name the same or a further one: a name alone
    does not say what labels are about.
    """
    heads = [head for head in card.heads if head.task == spec.task and spec.name in (head.name, *head.also)]
    return max(heads, key=lambda head: (len(match_labels(head, spec).labels), head.name == spec.name), default=None)


def shared_heads(cards: Sequence[Card], dataset: Dataset, names: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of the data set's heads that every model has too, with the same task.

    Args:
        cards: One or more models.
        dataset: What they are to be scored on.
        names: Only these, by the data set's name or the (first) model's; empty for all.

    Raises:
        UnknownName: A named head that the data set or a model has not.
        DatasetError: No head in common, or a named one of different tasks.
    """
    have = {spec.name: spec for spec in dataset.heads}
    asked = tuple(_dataset_name(name, cards[0], have) for name in names)
    for name in asked:
        if name not in have:
            raise UnknownName(f"head of {dataset.name}", name, have)
        for card in cards:
            tasks = {called: head.task for head in card.heads for called in (head.name, *head.also)}
            if name not in tasks:
                raise UnknownName(f"head of {card.id}", name, tasks)
            if head_of(card, have[name]) is None:
                raise DatasetError(
                    f"head {name}: {tasks[name]} in {card.id} but {have[name].task} in {dataset.name}; "
                    f"set heads.{name}.task in dataset.toml"
                )
    found = tuple(
        name
        for name, spec in have.items()
        if all(head_of(card, spec) for card in cards) and (not asked or name in asked)
    )
    if not found:
        ours = "; ".join(f"{card.id} has {', '.join(head.name for head in card.heads)}" for card in cards)
        raise DatasetError(f"no head in common: {dataset.name} has {', '.join(have) or 'none'}; {ours}")
    return found


def _dataset_name(name: str, card: Card, have: Mapping[str, HeadSpec]) -> str:
    """The data set's name of a head; where it is the model's, of the one that means it."""
    if name in have:
        return name
    return next((own for own, spec in have.items() if (head := head_of(card, spec)) and head.name == name), name)


def _known(card: Card, spec: HeadSpec) -> HeadCard:
    head = head_of(card, spec)
    if head is None:
        raise KeyError(spec.name)
    return head


def answers_of(
    predictions: Sequence[ModelPredictions], dataset: Dataset, head: str, beside: Sequence[ModelPredictions] = ()
) -> HeadAnswers:
    """One head's answers on all tracks that are labelled and were analysed; several models answer by their mean.

    Probabilities of a multiclass head are those among the labels known to both: they add up to 1 again.

    Args:
        predictions: One or more models.
        dataset: What they predict.
        head: Which head.
        beside: Other models, for a comparison: only labels that they know too, and tracks that they have analysed too.

    Raises:
        DatasetError: No label in common.
    """
    spec = dataset.head(head)
    cards = [_known(model.card, spec) for model in predictions]
    matches = [match_labels(card, spec) for card in cards]
    match = _common([*matches, *(match_labels(_known(model.card, spec), spec) for model in beside)])
    if spec.task != "regression" and not match.labels:
        raise DatasetError(
            f"head {head}: no label in common; {dataset.name} has {_some(match.dataset_only)}, "
            f"{predictions[0].card.id} knows {_some(match.model_only)}; add aliases to its card"
        )
    truth, known = _truth(dataset, spec, match)
    by_all = np.array([all(isinstance(r, Prediction) for r in row) for row in _rows([*predictions, *beside])], np.bool_)
    labelled_tracks = _labelled(dataset, head)
    rows = np.flatnonzero(known & by_all)
    every = [_heads(model, rows, card.name) for model, card in zip(predictions, cards, strict=True)]
    scores = np.mean([_scores(*one, match) for one in zip(cards, every, matches, strict=True)], 0)
    named = (cards[0], every[0]) if len(cards) == 1 else _as_one(predictions, cards, rows)
    given = _given(cards, named, matches, match, scores)
    if spec.task == "multiclass" and scores.size:
        total = scores.sum(1, keepdims=True)
        scores = np.where(total > 0, scores / np.where(total > 0, total, 1), 1 / max(1, scores.shape[1]))
    covers, stepped = None, None
    if named is not None and named[0].parents and spec.task == "multiclass":
        covers, stepped = _covered(*named, match, scores)
    return HeadAnswers(
        name=head,
        task=spec.task,
        labels=match.labels,
        tracks=tuple(dataset.tracks[i].name for i in rows),
        groups=tuple(dataset.tracks[i].group for i in rows),
        truth=truth[rows],
        scores=scores,
        given=given,
        covers=covers,
        stepped=stepped,
        match=match if spec.task != "regression" else None,
        unknown=int((labelled_tracks & ~known & by_all).sum()),
        training=_training(predictions[0].card, cards[0].name) if len(predictions) == 1 else {},
    )


def _rows(predictions: Sequence[ModelPredictions]) -> list[tuple[Prediction | Failure, ...]]:
    return list(zip(*(model.results for model in predictions), strict=True))


def _labelled(dataset: Dataset, head: str) -> NDArray[np.bool_]:
    return np.array([track.labels.get(head) is not None for track in dataset.tracks], np.bool_)


def _common(matches: Sequence[LabelMatch]) -> LabelMatch:
    """The labels that every model of an ensemble shares with the data set."""
    first = matches[0]
    shared = tuple(label for label in first.labels if all(label in other.labels for other in matches[1:]))
    sources = dict(zip(first.labels, first.sources, strict=True))
    lost = tuple(label for label in first.labels if label not in shared)
    return LabelMatch(
        labels=shared,
        sources=tuple(sources[label] for label in shared),
        model_labels=first.model_labels,
        dataset_labels=first.dataset_labels,
        model_only=first.model_only,
        dataset_only=first.dataset_only + lost,
    )


def _truth(dataset: Dataset, spec: HeadSpec, match: LabelMatch) -> tuple[Float, NDArray[np.bool_]]:
    """Truth over the shared labels, and which tracks have one."""
    targets = dataset.targets(spec.name).astype(np.float64)
    if spec.task == "regression":
        return targets, metrics.labelled(targets)
    columns = [spec.labels.index(label) for label in match.labels]
    if spec.task == "multilabel":
        return targets[:, columns], metrics.labelled(targets)
    place = np.full(len(spec.labels) + 1, np.nan)
    place[columns] = np.arange(len(columns))
    truth = place[np.where(np.isnan(targets), len(spec.labels), targets).astype(np.intp)]
    return truth, metrics.labelled(truth)


def _heads(model: ModelPredictions, rows: NDArray[np.intp], head: str) -> list[HeadPrediction]:
    return [result.heads[head] for i in rows if isinstance(result := model.results[int(i)], Prediction)]


def _scores(card: HeadCard, heads: Sequence[HeadPrediction], match: LabelMatch, shared: LabelMatch) -> Float:
    """(tracks, shared labels) of one model: labels of one meaning add up, or the highest counts (multi-label)."""
    if card.task == "regression":
        return np.array([[np.nan if h.value is None else h.value] for h in heads], np.float64).reshape(len(heads), 1)
    sources = dict(zip(match.labels, match.sources, strict=True))
    join = max if card.task == "multilabel" else sum
    table = [[join(h.scores[name] for name in sources[label]) for label in shared.labels] for h in heads]
    return np.array(table, np.float64).reshape(len(heads), len(shared.labels))


_Named = tuple[HeadCard, Sequence[HeadPrediction]]
"""A head, and what it says of each track."""


def _as_one(
    predictions: Sequence[ModelPredictions], cards: Sequence[HeadCard], rows: NDArray[np.intp]
) -> _Named | None:
    """The joint head of an ensemble, as ``tag`` has it; None where the models' heads differ in name or labels."""
    first = cards[0]
    if any((card.name, set(card.labels)) != (first.name, set(first.labels)) for card in cards):
        return None
    joint = joint_card([model.card for model in predictions])
    asked = replace(joint, heads=tuple(head for head in joint.heads if head.name in (first.name, first.includes)))
    every = [[result for i in rows if isinstance(result := model.results[int(i)], Prediction)] for model in predictions]
    return joint.head(first.name), [combine(each, asked).heads[first.name] for each in zip(*every, strict=True)]


def _given(
    cards: Sequence[HeadCard],
    named: _Named | None,
    matches: Sequence[LabelMatch],
    shared: LabelMatch,
    scores: Float,
) -> NDArray[np.bool_]:
    """Who was sure: by what is named, or where no one head names labels by the mean of the models' thresholds."""
    task, sources = cards[0].task, [dict(zip(match.labels, match.sources, strict=True)) for match in matches]
    if task == "regression":
        return np.ones(len(scores), np.bool_)
    if named is not None and task == "multiclass":
        return np.array([head.label is not None for head in named[1]], np.bool_)
    if named is not None:
        table = [[not set(sources[0][label]).isdisjoint(h.labels) for label in shared.labels] for h in named[1]]
        return np.array(table, np.bool_).reshape(scores.shape)
    limits = np.mean(
        [
            [min(map(card.threshold_of, meaning[label])) for label in shared.labels]
            for card, meaning in zip(cards, sources, strict=True)
        ],
        axis=0,
    )
    if task == "multiclass":
        return np.asarray(scores.max(1) >= limits[scores.argmax(1)])
    return np.asarray(scores >= limits)


def _covered(
    card: HeadCard, heads: Sequence[HeadPrediction], match: LabelMatch, scores: Float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of a head with a tree, which truths each answer fits (tracks, labels), and where it stepped up (tracks,)."""
    covers = scores.argmax(1)[:, None] == np.arange(scores.shape[1]) if scores.size else np.zeros(scores.shape, bool)
    for row, head in enumerate(heads):
        below = set(card.below(head.label)) if head.label is not None else set()
        if len(below) > 1 or head.label not in head.scores:
            covers[row] = [not below.isdisjoint(names) for names in match.sources]
    stepped = np.array([head.label is not None and head.label != head.best for head in heads], np.bool_)
    return covers, stepped


def _training(card: Card, head: str) -> dict[str, float]:
    kept = card.scores.get(head)
    if not isinstance(kept, Mapping):
        return {}
    return {k: float(v) for k, v in kept.items() if k.startswith("train_") and isinstance(v, (int, float))}


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels[:6]) + (", ..." if len(labels) > 6 else "") if labels else "none"


_MAIN = {"multiclass": "accuracy", "multilabel": "roc_auc_macro", "regression": "r2"}


def main_figure(task: str) -> str:
    """The key of the figure that a head of this task is scored by, and compared by in the paired test."""
    return _MAIN[task]


def score_head(head: HeadAnswers, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """All figures of one head.

    Args:
        head: Answers and truths.
        resamples: Of the bootstrap over groups; 0 leaves the intervals null.
        seed: Of the bootstrap.

    Returns:
        Plain values, ready for JSON; a figure that is not defined is None. Beside the design's keys: ``ece_limit`` (see
        :func:`earmark.evaluation.metrics.ece_limit`), ``per_label``, ``labels_left_out``, ``label_counts`` and
        ``unknown_tracks`` (their label is not known to both), ``groups`` (artists; of one alone there is no interval);
        multi-label: ``label_accuracy`` beside
        ``label_accuracy_of_no``, which is the score of answering no to everything, and ``coverage`` and ``precision``,
        the shares of tracks with a label and of labels that are right; a head with a tree: ``without_step_ups``.
    """
    figures = {"multiclass": _multiclass, "multilabel": _multilabel, "regression": _regression}[head.task]
    found = {"task": head.task, "tracks": len(head.tracks), **figures(head, resamples, seed)}
    found["groups"] = len(set(head.groups))
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


def score_in_short(head: HeadAnswers, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """How many tracks there are, and the figure that the head is compared by, with its interval."""
    found, key = _main(head, resamples, seed), main_figure(head.task)
    return {"tracks": len(head.tracks), key: rounded(found.value), f"{key}_ci95": rounded(found.bounds)}


def compare_answers(first: HeadAnswers, second: HeadAnswers, resamples: int = RESAMPLES, seed: int = 0) -> Paired:
    """Paired test of two models' main figures on the same tracks and labels.

    Raises:
        ValueError: Other tracks or labels.
    """
    if first.tracks != second.tracks or first.labels != second.labels:
        raise ValueError("a paired test needs the same tracks and labels")
    ours, theirs = _main(first, resamples, seed), _main(second, resamples, seed)
    return intervals.paired(ours, theirs, _shares(first) - _shares(second), first.groups, seed)


def rounded(value: ArrayLike | None) -> Any:
    """Figures to four decimals, as plain Python values; NaN and None become None."""
    if value is None:
        return None
    if isinstance(value, (list, tuple)) or np.ndim(value):
        return [rounded(item) for item in np.asarray(value, np.float64)]
    number = float(value)  # type: ignore[arg-type]
    return None if math.isnan(number) else round(number, 4)


def _main(head: HeadAnswers, resamples: int, seed: int) -> Figure:
    """The figure that a head is compared by."""
    if head.task == "multiclass":
        return intervals.rate(_right(head), head.groups, resamples, seed)
    if head.task == "multilabel":
        return _macro(_by_label(head, metrics.roc_auc, resamples, seed), head, resamples)
    return _r2(head, resamples, seed)


def _multiclass(head: HeadAnswers, resamples: int, seed: int) -> dict[str, Any]:
    truth, guess, classes = head.truth, head.guess, len(head.labels)
    right = _right(head)
    confidence = head.scores.max(1) if head.scores.size else np.zeros(0)
    fits = right if head.covers is None else head.covers[np.arange(len(truth)), truth.astype(np.intp)]
    answers = metrics.answered(fits, head.given)
    table = metrics.confusion(truth, guess, classes)
    by_class = metrics.class_table(table)
    figures = _main(head, resamples, seed), _macro_f1(head, resamples, seed)
    return {
        "accuracy": rounded(figures[0].value),
        "accuracy_ci95": rounded(figures[0].bounds),
        "macro_f1": rounded(figures[1].value),
        "macro_f1_ci95": rounded(figures[1].bounds),
        "ece": rounded(metrics.ece(right, confidence)),
        "ece_limit": rounded(metrics.ece_limit(confidence, seed=seed)) if resamples else None,
        "coverage": rounded(answers.coverage),
        "precision": rounded(answers.precision),
        **_without_steps(head, fits),
        "train_accuracy": None,
        "labels": list(head.labels),
        "confusion": table.tolist(),
        "per_label": {
            label: {
                "precision": rounded(by_class.precision[i]),
                "recall": rounded(by_class.recall[i]),
                "recall_ci95": rounded(_recall(head, i, resamples, seed).bounds),
                "f1": rounded(by_class.f1[i]),
                "tracks": int(by_class.tracks[i]),
            }
            for i, label in enumerate(head.labels)
        },
    }


def _without_steps(head: HeadAnswers, fits: NDArray[Any]) -> dict[str, Any]:
    """Of a head with a tree: coverage and precision of the answers that name the best label, and nothing above it."""
    if head.stepped is None:
        return {}
    answers = metrics.answered(fits, head.given & ~head.stepped)
    return {"without_step_ups": {"coverage": rounded(answers.coverage), "precision": rounded(answers.precision)}}


def _multilabel(head: HeadAnswers, resamples: int, seed: int) -> dict[str, Any]:
    roc, pr = (_by_label(head, metric, resamples, seed) for metric in (metrics.roc_auc, metrics.average_precision))
    macros = _macro(roc, head, resamples), _macro(pr, head, resamples)
    f1 = metrics.class_table_of_decisions(head.truth, head.given).f1
    scored = [not math.isnan(figure.value) for figure in roc]
    return {
        "roc_auc_macro": rounded(macros[0].value),
        "roc_auc_macro_ci95": rounded(macros[0].bounds),
        "pr_auc_macro": rounded(macros[1].value),
        "pr_auc_macro_ci95": rounded(macros[1].bounds),
        "macro_f1": rounded(metrics.macro(np.where(scored, f1, np.nan))),
        "ece": rounded(metrics.ece(head.truth.ravel(), head.scores.ravel())),
        "coverage": rounded(head.given.any(1).mean()) if head.given.size else None,
        "precision": rounded(metrics.answered(head.truth.ravel() == 1, head.given.ravel()).precision),
        "label_accuracy": rounded((head.given == (head.truth == 1)).mean()) if head.truth.size else None,
        "label_accuracy_of_no": rounded((head.truth == 0).mean()) if head.truth.size else None,
        "labels_not_scored": [label for label, ok in zip(head.labels, scored, strict=True) if not ok],
        "per_label": {
            label: {
                "roc_auc": rounded(roc[i].value),
                "roc_auc_ci95": rounded(roc[i].bounds),
                "pr_auc": rounded(pr[i].value),
                "f1": rounded(f1[i]),
                "tracks": int((head.truth[:, i] == 1).sum()),
            }
            for i, label in enumerate(head.labels)
        },
    }


def _regression(head: HeadAnswers, resamples: int, seed: int) -> dict[str, Any]:
    found, guess = _r2(head, resamples, seed), head.scores[:, 0]
    missed = intervals.positive(lambda w: metrics.mae(head.truth, guess, w), head.groups, resamples, seed)
    return {
        "r2": rounded(found.value),
        "r2_ci95": rounded(found.bounds),
        "mae": rounded(missed.value),
        "mae_ci95": rounded(missed.bounds),
    }


def _right(head: HeadAnswers) -> Float:
    right: Float = (head.guess == head.truth).astype(np.float64)
    return right


def _recall(head: HeadAnswers, label: int, resamples: int, seed: int) -> Figure:
    rows = np.flatnonzero(head.truth == label)
    return intervals.rate(_right(head)[rows], [head.groups[row] for row in rows], resamples, seed)


def _macro_f1(head: HeadAnswers, resamples: int, seed: int) -> Figure:
    def statistic(weights: Float) -> Float:
        return metrics.macro_f1(head.truth, head.guess, len(head.labels), weights)

    drawn = intervals.bootstrap(statistic, head.groups, resamples, seed)
    value = float(metrics.macro_f1(head.truth, head.guess, len(head.labels)))
    size = intervals.effective_size(_right(head), head.groups)
    return intervals.part_of_one(value, intervals.share_interval(value, size), drawn, head.groups)


def _r2(head: HeadAnswers, resamples: int, seed: int) -> Figure:
    """By what is left unexplained, which is a positive number."""
    found = intervals.positive(lambda w: 1 - metrics.r2(head.truth, head.scores[:, 0], w), head.groups, resamples, seed)
    bounds = None if found.bounds is None else (1 - found.bounds[1], 1 - found.bounds[0])
    return Figure(1 - found.value, bounds, 1 - found.drawn)


def _by_label(head: HeadAnswers, metric: Any, resamples: int, seed: int) -> list[Figure]:
    """Area under the ROC curve, or average precision, of each label."""
    columns = range(len(head.labels))

    def statistic(weights: Float) -> Float:
        return np.stack([metric(head.truth[:, i], head.scores[:, i], weights) for i in columns], -1)

    if not columns:
        return []
    drawn = intervals.bootstrap(statistic, head.groups, resamples, seed)
    values = statistic(np.ones((1, len(head.tracks))))[0]
    each = [drawn[..., i] if drawn.size else drawn for i in columns]  # of no resamples there is nothing
    return [_label(head, i, metric is metrics.roc_auc, float(values[i]), each[i]) for i in columns]


def _label(head: HeadAnswers, column: int, area: bool, value: float, drawn: Float) -> Figure:
    truth = head.truth[:, column]
    if math.isnan(value) or not len(drawn):
        return Figure(value, None, drawn)
    shares, sizes = metrics.placements(truth, head.scores[:, column]), list[float]()
    half = float(shares.sum()) / 2
    for side in (1, 0):
        rows = np.flatnonzero(truth == side)
        beaten = np.clip(shares[rows] * len(rows) + half, 0, 1)
        sizes.append(intervals.effective_size(beaten, [head.groups[row] for row in rows]))
    edge = intervals.area_interval(value, *sizes) if area else intervals.share_interval(value, sizes[0])
    return intervals.part_of_one(value, edge, drawn, head.groups)


def _macro(labels: Sequence[Figure], head: HeadAnswers, resamples: int) -> Figure:
    """The mean over labels that have a figure."""
    known = [label for label in labels if not math.isnan(label.value)]
    value = math.fsum(label.value for label in known) / len(known) if known else math.nan
    bounds = [label.bounds for label in known if label.bounds is not None]
    if len(bounds) < max(1, len(known)):
        return Figure(value, None, np.full(resamples, np.nan))
    drawn = metrics.macro(np.stack([label.drawn for label in known], -1))
    edge = intervals.mean_interval([label.value for label in known], bounds)
    return intervals.part_of_one(value, edge, drawn, head.groups)


def _shares(head: HeadAnswers) -> Float:
    """(tracks,) what each track contributes to the figure that a head is compared by, but for what is common to all."""
    if head.task == "multiclass":
        return _right(head) / max(1, len(head.tracks))
    if head.task == "regression":
        spread = ((head.truth - head.truth.mean()) ** 2).sum() if len(head.truth) else 0.0
        missed = (head.truth - head.scores[:, 0]) ** 2
        return -missed / spread if spread > 0 else np.zeros(len(head.truth))
    shares = [metrics.placements(head.truth[:, i], head.scores[:, i]) for i in range(len(head.labels))]
    scored = sum(0 < int(column.sum()) < len(column) for column in head.truth.T)
    return np.asarray(np.sum(shares, 0) / max(1, scored))
