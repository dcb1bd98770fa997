"""Answers of models beside the truth: predictions and a data set's labels as aligned arrays, one a head.

Labels of model and data set match by name without case, or through the aliases of the model's card. Only labels known
to both (and to every model of an ensemble) are scored; what is left out is kept, for printing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.core import Dataset, HeadSpec
from earmark.errors import DatasetError, UnknownName
from earmark.evaluation import metrics
from earmark.evaluation.metrics import Float
from earmark.inference.records import Failure, HeadPrediction, Prediction
from earmark.models.card import Card, HeadCard
from earmark.recipe import Task

__all__ = ["HeadAnswers", "LabelMatch", "ModelPredictions", "answers_of", "match_labels", "shared_heads"]


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
    match: LabelMatch | None = None
    unknown: int = 0
    training: Mapping[str, float] = field(default_factory=dict)

    @property
    def guess(self) -> NDArray[np.intp]:
        """(tracks,) index of the best label of a multiclass head."""
        return self.scores.argmax(1) if self.scores.size else np.zeros(len(self.tracks), np.intp)


def match_labels(head: HeadCard, spec: HeadSpec) -> LabelMatch:
    """The labels that a model's head and a data set's head share.

    A label of the model stands for the data set's label of its name, else for the first of its aliases that the data
    set has; a multi-label one for all of them. Several labels of the model may stand for one of the data set.
    """
    names: dict[str, str] = {}
    for label in spec.labels:
        names.setdefault(label.casefold(), label)
    sources: dict[str, list[str]] = {label: [] for label in spec.labels}
    unmatched = []
    for label in head.labels:
        meant = [names[n.casefold()] for n in (label, *head.aliases.get(label, ())) if n.casefold() in names]
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


def shared_heads(cards: Sequence[Card], dataset: Dataset, names: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of the data set's heads that every model has too, with the same task.

    Args:
        cards: One or more models.
        dataset: What they are to be scored on.
        names: Only these; empty for all.

    Raises:
        UnknownName: A named head that the data set or a model has not.
        DatasetError: No head in common, or a named one of different tasks.
    """
    have = {spec.name: spec.task for spec in dataset.heads}
    for name in names:
        if name not in have:
            raise UnknownName(f"head of {dataset.name}", name, have)
        for card in cards:
            tasks = {head.name: head.task for head in card.heads}
            if name not in tasks:
                raise UnknownName(f"head of {card.id}", name, tasks)
            if tasks[name] != have[name]:
                raise DatasetError(
                    f"head {name}: {tasks[name]} in {card.id} but {have[name]} in {dataset.name}; "
                    f"set heads.{name}.task in dataset.toml"
                )
    models = [{(head.name, head.task) for head in card.heads} for card in cards]
    found = tuple(
        name
        for name, task in have.items()
        if all((name, task) in model for model in models) and (not names or name in names)
    )
    if not found:
        ours = "; ".join(f"{card.id} has {', '.join(head.name for head in card.heads)}" for card in cards)
        raise DatasetError(f"no head in common: {dataset.name} has {', '.join(have) or 'none'}; {ours}")
    return found


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
    matches = [match_labels(model.card.head(head), spec) for model in predictions]
    match = _common([*matches, *(match_labels(model.card.head(head), spec) for model in beside)])
    if spec.task != "regression" and not match.labels:
        raise DatasetError(
            f"head {head}: no label in common; {dataset.name} has {_some(match.dataset_only)}, "
            f"{predictions[0].card.id} knows {_some(match.model_only)}; add aliases to its card"
        )
    truth, known = _truth(dataset, spec, match)
    by_all = np.array([all(isinstance(r, Prediction) for r in row) for row in _rows([*predictions, *beside])], np.bool_)
    labelled_tracks = _labelled(dataset, head)
    rows = np.flatnonzero(known & by_all)
    scores = np.mean([_scores(model, m, match, rows, head) for model, m in zip(predictions, matches, strict=True)], 0)
    given = _given(predictions, matches, match, rows, scores, head)
    if spec.task == "multiclass" and scores.size:
        total = scores.sum(1, keepdims=True)
        scores = np.where(total > 0, scores / np.where(total > 0, total, 1), 1 / max(1, scores.shape[1]))
    return HeadAnswers(
        name=head,
        task=spec.task,
        labels=match.labels,
        tracks=tuple(dataset.tracks[i].name for i in rows),
        groups=tuple(dataset.tracks[i].group for i in rows),
        truth=truth[rows],
        scores=scores,
        given=given,
        match=match if spec.task != "regression" else None,
        unknown=int((labelled_tracks & ~known & by_all).sum()),
        training=_training(predictions[0].card, head) if len(predictions) == 1 else {},
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


def _scores(model: ModelPredictions, match: LabelMatch, shared: LabelMatch, rows: NDArray[np.intp], head: str) -> Float:
    """(tracks, shared labels) of one model: labels of one meaning add up, or the highest counts (multi-label)."""
    heads = _heads(model, rows, head)
    card = model.card.head(head)
    if card.task == "regression":
        return np.array([[np.nan if h.value is None else h.value] for h in heads], np.float64).reshape(len(heads), 1)
    sources = dict(zip(match.labels, match.sources, strict=True))
    join = max if card.task == "multilabel" else sum
    table = [[join(h.scores[name] for name in sources[label]) for label in shared.labels] for h in heads]
    return np.array(table, np.float64).reshape(len(heads), len(shared.labels))


def _given(
    predictions: Sequence[ModelPredictions],
    matches: Sequence[LabelMatch],
    shared: LabelMatch,
    rows: NDArray[np.intp],
    scores: Float,
    head: str,
) -> NDArray[np.bool_]:
    """Who was sure: one model by its own word, several where their mean is above the mean of their thresholds."""
    cards = [model.card.head(head) for model in predictions]
    if cards[0].task == "regression":
        return np.ones(len(rows), np.bool_)
    if cards[0].task == "multiclass":
        if len(predictions) == 1:
            return np.array([h.label is not None for h in _heads(predictions[0], rows, head)], np.bool_)
        return np.asarray(scores.max(1) >= np.mean([card.threshold for card in cards]))
    limits = np.array(
        [
            [
                min(card.thresholds.get(name, 0.5) for name in dict(zip(m.labels, m.sources, strict=True))[label])
                for label in shared.labels
            ]
            for card, m in zip(cards, matches, strict=True)
        ]
    )
    return np.asarray(scores >= limits.mean(0))


def _training(card: Card, head: str) -> dict[str, float]:
    kept = card.scores.get(head)
    if not isinstance(kept, Mapping):
        return {}
    return {k: float(v) for k, v in kept.items() if k.startswith("train_") and isinstance(v, (int, float))}


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels[:6]) + (", ..." if len(labels) > 6 else "") if labels else "none"
