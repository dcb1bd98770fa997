"""The last step of every way of training: a network with a model of its card becomes a whole model folder.

Heads are calibrated on validation tracks: temperature, thresholds of labels, and when to say nothing. Probabilities are
made by :mod:`earmark.inference.scores` alone, so that what is calibrated is what people see.

The folder remembers some of the training: see :mod:`earmark.models.exemplars`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from earmark.datasets.core import Dataset
from earmark.datasets.splits import Split, load_groups, load_split, named_groups, save_split
from earmark.evaluation.history import Epoch, write_curves, write_history
from earmark.evaluation.intervals import RESAMPLES
from earmark.evaluation.scores import ModelPredictions, answers_of, main_figure, score_head
from earmark.inference.answers import answers
from earmark.inference.records import Failure, Prediction
from earmark.inference.scores import track_probabilities
from earmark.models.card import Card, HeadCard
from earmark.models.exemplars import Exemplars, write_names
from earmark.models.network import HeadWeights, write_heads
from earmark.models.writer import seal

__all__ = [
    "LOWEST",
    "PER_CLASS",
    "Outputs",
    "TrainedModel",
    "calibrate",
    "choose_exemplars",
    "finish_model",
    "model_card_text",
    "score_line",
    "score_outputs",
    "split_rows",
    "track_scores",
]

_Float = NDArray[np.float64]

PRECISION = 0.6
"""An answer that is expected to be right less often is not given (S0 calls such a song "a hard one")."""

_TEMPERATURES = (0.5, 10.0)
_FEW = 4
"""Labels with fewer positive (or negative) validation tracks keep the threshold of all labels."""
LOWEST = 0.15
"""No label is named below this probability: F1 of a rare label is highest where it is named to nearly everyone."""
_TINY = 1e-6
_MOST = 2000
"""Tracks that a temperature is sought on: more do not change its first two digits."""


def track_scores(raw: Sequence[NDArray[np.floating]], head: HeadCard, pooling: str) -> _Float:
    """Calibrated scores of tracks, (tracks, labels), from the raw scores (clips, labels) of each."""
    rows = [track_probabilities(clips, head, pooling) for clips in raw]
    return np.stack(rows) if rows else np.zeros((0, len(head.labels) or 1))


def calibrate(
    head: HeadCard, raw: Sequence[NDArray[np.floating]], truth: NDArray[np.float32], pooling: str
) -> HeadCard:
    """The head with temperature and thresholds that fit validation tracks.

    Args:
        head: As yet uncalibrated.
        raw: (tracks) of (clips, labels) raw scores.
        truth: As :meth:`earmark.datasets.core.Dataset.targets` gives it: NaN where unlabelled.
        pooling: Of clips.

    Returns:
        The same head where it is a regression, or where fewer than two tracks are labelled.
    """
    known = np.flatnonzero(~np.isnan(truth if truth.ndim == 1 else truth[:, 0])) if truth.size else np.zeros(0, int)
    if head.task == "regression" or len(known) < 2:
        return head
    labelled, right = [raw[int(i)] for i in known], truth[known].astype(np.float64)
    head = replace(head, temperature=_temperature(head, labelled[:_MOST], right[:_MOST], pooling))
    scores = track_scores(labelled, head, pooling)
    if head.task == "multiclass":
        return replace(head, threshold=_abstain(scores.max(1), scores.argmax(1) == right, len(head.labels)))
    return replace(head, thresholds=_thresholds(head.labels, scores, right))


def _temperature(head: HeadCard, raw: Sequence[NDArray[np.floating]], truth: _Float, pooling: str) -> float:
    """The temperature of the least log-loss of the tracks (Guo et al. 2017), found on a logarithmic scale."""

    def loss(log: float) -> float:
        scores = np.clip(track_scores(raw, replace(head, temperature=float(np.exp(log))), pooling), _TINY, 1 - _TINY)
        if head.task == "multiclass":
            return float(-np.log(scores[np.arange(len(truth)), truth.astype(int)]).mean())
        return float(-(truth * np.log(scores) + (1 - truth) * np.log(1 - scores)).mean())

    bounds = tuple(np.log(_TEMPERATURES))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 0.01})
    return round(float(np.exp(found.x)), 3)


def _abstain(confidence: _Float, right: NDArray[np.bool_], labels: int) -> float:
    """The confidence at which an answer is right six times in ten.

    Fitted as a line from log-odds of confidence to log-odds of being right, held near the diagonal (where confidence
    is right as it stands) by as much as 20 tracks weigh: validation parts are small.
    """
    odds = np.log(np.clip(confidence, _TINY, 1 - _TINY) / np.clip(1 - confidence, _TINY, 1))

    def loss(line: _Float) -> float:
        signs = np.where(right, 1.0, -1.0) * (line[0] * odds + line[1])
        return float(np.logaddexp(0, -signs).sum() + 10 * ((line[0] - 1) ** 2 + line[1] ** 2) / 2)

    slope, offset = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
    if slope < 0.1:
        return 0.0
    edge = (np.log(PRECISION / (1 - PRECISION)) - offset) / slope
    threshold = float(1 / (1 + np.exp(-np.clip(edge, -20, 20))))
    return 0.0 if threshold <= 1 / labels else round(min(threshold, 0.9), 3)


def _thresholds(labels: Sequence[str], scores: _Float, truth: _Float) -> dict[str, float]:
    """By label, the probability from which naming it gives the highest F1 on validation tracks; at least LOWEST."""
    common = _best_f1(scores.ravel(), truth.ravel())
    found = {}
    for column, label in enumerate(labels):
        positives = int(truth[:, column].sum())
        enough = min(positives, len(truth) - positives) >= _FEW
        found[label] = _best_f1(scores[:, column], truth[:, column]) if enough else common
    return found


def _best_f1(scores: _Float, truth: _Float) -> float:
    """Half-way between the last score that should be named and the next one below."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    if not hits[-1]:
        return 0.5
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + hits[-1])
    f1[:-1][ranked[:-1] == ranked[1:]] = -1  # ties stand on one side
    best = int(f1.argmax())
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return round(float(np.clip((ranked[best] + below) / 2, LOWEST, 0.98)), 4)


PER_CLASS = 50
"""Training tracks kept a class."""

_QUANTILES = 5


def split_rows(
    file: Path, exemplars: Exemplars, valid: Mapping[str, bool], artists: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    """The rows of ``split.tsv`` of a model that learnt more songs: so ``evaluate`` knows what it was trained on.

    What was learnt from now counts as such, whatever it was before.

    Args:
        file: The old model's, which may be missing.
        exemplars: Of the old model.
        valid: By content hash, the new songs, and whether they were set aside.
        artists: By content hash, the hashes of their artists.
    """
    remembered = zip(exemplars.hash, exemplars.valid, strict=True)
    known: dict[str, str] = {str(digest): "valid" if aside else "train" for digest, aside in remembered}
    known |= load_split(file) if file.is_file() else {}
    groups = load_groups(file) if file.is_file() else {}
    for digest, aside in valid.items():
        known[digest] = known.get(digest, "valid") if aside else "train"
        groups[digest] = artists[digest] or groups.get(digest, "")
    return [(digest, part, groups.get(digest, "")) for digest, part in known.items()]


def choose_exemplars(
    dataset: Dataset, split: Split, hashes: Sequence[str], embeddings: Sequence[NDArray[np.float32] | None], seed: int
) -> Exemplars:
    """Keep up to 50 training tracks a class of every head, and all validation tracks.

    Args:
        dataset: What was learned from.
        split: Its parts.
        hashes: (tracks,) content hashes.
        embeddings: (tracks,) of (clips, dimensions); None for a track that could not be analysed.
        seed: Which tracks of a large class are kept.
    """
    known = {row for row, embedding in enumerate(embeddings) if embedding is not None}
    train = np.array([row for row in split.train if int(row) in known], np.intp)
    order = np.random.default_rng([seed, 5]).permutation(train)
    kept: set[int] = set()
    for spec in dataset.heads:
        for members in _classes(dataset.targets(spec.name)):
            rows = [int(row) for row in order if members[row]]
            already = sum(row in kept for row in rows)
            kept.update([row for row in rows if row not in kept][: max(0, PER_CLASS - already)])
    chosen = [*sorted(kept), *(int(row) for row in split.valid if int(row) in known)]
    arrays = [_of(embeddings[row]) for row in chosen]
    names = {group: number for number, group in enumerate(dict.fromkeys(dataset.tracks[row].group for row in chosen))}
    return Exemplars(
        embedding=np.concatenate(arrays).astype(np.float16) if arrays else np.zeros((0, 0), np.float16),
        track=np.repeat(np.arange(len(chosen), dtype=np.int32), [len(array) for array in arrays]),
        valid=np.arange(len(chosen)) >= len(kept),
        group=np.array([names[dataset.tracks[row].group] for row in chosen], np.int32),
        hash=np.array([hashes[row] for row in chosen], np.str_),
        targets={spec.name: dataset.targets(spec.name)[chosen] for spec in dataset.heads},
    )


def _classes(targets: NDArray[np.float32]) -> list[NDArray[np.bool_]]:
    """(tracks,) membership a class; a number's classes are its quintiles."""
    if targets.ndim == 2:
        return [column == 1 for column in targets.T]
    known = targets[~np.isnan(targets)]
    values = np.unique(known)
    if len(values) > _QUANTILES and np.any(values % 1):
        edges = np.quantile(known, np.arange(1, _QUANTILES) / _QUANTILES)
        place = np.where(np.isnan(targets), -1, np.searchsorted(edges, targets, "right"))
        return [place == i for i in range(_QUANTILES)]
    return [targets == value for value in values]


def _of(embedding: NDArray[np.float32] | None) -> NDArray[np.float32]:
    assert embedding is not None
    return embedding


_NAMES = {"accuracy": "accuracy", "roc_auc_macro": "ROC-AUC (macro)", "r2": "R²"}
_PARTS = {
    "test": "test part",
    "valid": "validation part (there was no test part)",
    "train": "training part: not honest",
}


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """One track, analysed as inference does it.

    Attributes:
        embedding: (clips, dimensions) float32.
        raw: By head: (clips, labels) scores before calibration, or (clips, 1) values.
    """

    embedding: NDArray[np.float32]
    raw: Mapping[str, NDArray[np.floating]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrainedModel:
    """A trained model before it is calibrated, scored and described.

    Attributes:
        card: With heads as yet uncalibrated; ``data``, ``scores`` and ``files`` are filled in here.
        dataset: What it was trained on; its heads are the card's, in the same order.
        split: The parts of the tracks.
        hashes: (tracks,) content hashes.
        outputs: (tracks,) what the network gives of each; None where it was not asked, or could not read it.
        heads: By name, the arrays of the card's heads.
        history: Learning curves; empty where there are none.
        kept: The epoch whose weights were kept; 0 where that says nothing.
        seed: Of the run.
    """

    card: Card
    dataset: Dataset
    split: Split
    hashes: Sequence[str]
    outputs: Sequence[Outputs | None]
    heads: Mapping[str, HeadWeights]
    history: tuple[Epoch, ...] = ()
    kept: int = 0
    seed: int = 0


def finish_model(folder: Path, model: TrainedModel) -> Card:
    """Calibrate, score, and write what is still missing in a model folder.

    Args:
        folder: Holds ``model.onnx`` and ``weights.safetensors``.
        model: The rest.

    Returns:
        The card as it was written; ``scores`` are those of the test part (of the validation part where there is no test
        part: their key ``part`` says which), with ``train_...`` and ``valid_...`` figures beside, dropout off.
    """
    heads = tuple(model.heads[head.name].described(_calibrated(head, model)) for head in model.card.heads)
    write_heads(model.heads, folder)
    card = replace(model.card, heads=heads, data=model.card.data or (_data_line(model),))
    card = replace(card, scores=_scores(card, model))
    salt = save_split(folder / "split.tsv", model.split, model.hashes, named_groups(model.dataset))
    card = replace(card, group_salt=salt)
    embeddings = [None if output is None else output.embedding for output in model.outputs]
    exemplars = choose_exemplars(model.dataset, model.split, model.hashes, embeddings, model.seed)
    exemplars.save(folder)
    names = dict(zip(model.hashes, (track.name for track in model.dataset.tracks), strict=True))
    write_names(folder, {str(one): names[str(one)] for one in exemplars.hash})
    if model.history:
        write_history(folder / "history.csv", model.history)
        write_curves(folder / "curves.svg", model.history, model.kept)
    (folder / "README.md").write_text(model_card_text(card, bool(model.history)), "utf-8", newline="\n")
    return seal(folder, card)


def score_outputs(
    card: Card, dataset: Dataset, outputs: Sequence[Outputs | None], resamples: int = RESAMPLES
) -> dict[str, dict[str, Any]]:
    """Figures by head, as :func:`earmark.evaluation.scores.score_head` gives them, of predictions of tracks."""
    results = [_prediction(card, output) for output in outputs]
    return {
        head.name: score_head(answers_of([ModelPredictions(card, results)], dataset, head.name), resamples)
        for head in card.heads
    }


def _calibrated(head: HeadCard, model: TrainedModel) -> HeadCard:
    rows = [int(row) for row in model.split.valid if model.outputs[int(row)] is not None]
    raw = [output.raw[head.name] for row in rows if (output := model.outputs[row]) is not None]
    truth = model.dataset.targets(head.name)[rows]
    return calibrate(head, raw, truth, model.card.clip.pooling)


def _prediction(card: Card, output: Outputs | None) -> Prediction | Failure:
    if output is None:
        return Failure("", "decode", "not analysed")
    scores = {
        head.name: track_probabilities(output.raw[head.name], head, card.clip.pooling).tolist() for head in card.heads
    }
    return Prediction("", 0.0, card.id, answers(card.heads, scores), None)


def _scores(card: Card, model: TrainedModel) -> Mapping[str, Any]:
    parts = {"train": model.split.train, "valid": model.split.valid, "test": model.split.test}
    scored = "test" if len(parts["test"]) else "valid" if len(parts["valid"]) else "train"
    found: dict[str, Any] = {}
    figures = {part: _part_scores(card, model, rows) for part, rows in parts.items()}
    for head in card.heads:
        facts = {"part": scored, "group": model.split.group_by, **figures[scored].get(head.name, {})}
        key = main_figure(head.task)
        for part in ("train", "valid"):
            for figure in (key, f"{key}_ci95"):
                facts[f"{part}_{figure}"] = figures[part].get(head.name, {}).get(figure)
        found[head.name] = facts
    return found


def _part_scores(card: Card, model: TrainedModel, rows: NDArray[np.intp]) -> dict[str, dict[str, Any]]:
    known = [row for row in map(int, rows) if model.outputs[row] is not None]
    if not known:
        return {}
    outputs = [model.outputs[row] for row in known]
    return score_outputs(card, model.dataset.subset(known), outputs)


def _data_line(model: TrainedModel) -> str:
    split, dataset = model.split, model.dataset
    counts = f"{len(split.train)} for training, {len(split.valid)} for validation, {len(split.test)} for testing"
    return f"{dataset.name}: {counts}; no {split.group_by} in two parts"


def model_card_text(card: Card, curves: bool) -> str:
    """The README.md of a model folder; ``curves`` says whether there is a picture of the learning curves."""
    lines = [f"# {card.name}", ""]
    about = card.recipe.get("about")
    lines += [f"Recipe `{card.recipe.get('name', '?')}`: {about}", ""] if about else []
    if card.recipe.get("source"):
        lines += [f"After: {card.recipe['source']}", ""]
    lines += ["## What it says", ""]
    lines += [f"- **{head.name}** ({head.task}): {_vocabulary(head)}" for head in card.heads]
    lines += ["", "## What it was trained on", "", *(f"- {line}" for line in card.data)]
    lines += [
        "",
        "## How good it is",
        "",
        "Scored by track; the interval (95 %) allows for songs of one artist being alike.",
        "",
    ]
    lines += [f"- {score_line(head, card.scores.get(head.name, {}))}" for head in card.heads]
    lines += ["", "Scores on training tracks (dropout off) stand beside so that over- and underfitting can be seen."]
    if curves:
        lines += ["", "## Learning curves", "", "![learning curves](curves.svg)", "", "As numbers: `history.csv`."]
    lines += ["", "## Licence", "", card.licence or "Not stated. The licence of the training data may limit its use."]
    if card.notes:
        lines += ["", "## Notes", "", *(f"- {note}" for note in card.notes)]
    return "\n".join(lines) + "\n"


def score_line(head: HeadCard, scores: Mapping[str, Any]) -> str:
    """One head's figures in one line, as ``genre: accuracy 0.81 (0.73 to 0.88) on 100 tracks of the test part...``."""
    key = main_figure(head.task)
    value, interval = scores.get(key), scores.get(f"{key}_ci95")
    if value is None:
        return f"{head.name}: not scored"
    alone = " (no interval: all by one artist)" if scores.get("groups") == 1 else ""
    sure = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else alone
    part = _PARTS.get(str(scores.get("part")), "test part")
    line = f"{head.name}: {_NAMES[key]} {value:.3f}{sure} on {scores.get('tracks', 0)} tracks of the {part}"
    beside = [(part, scores.get(f"{part}_{key}")) for part in ("train", "valid")]
    named = {"train": "training", "valid": "validation"}
    return line + "".join(f"; {named[part]} {figure:.3f}" for part, figure in beside if figure is not None)


def _vocabulary(head: HeadCard) -> str:
    if head.task == "regression":
        return "a number"
    more = len(head.labels) - 30
    text = ", ".join(head.labels[:30]) + (f" and {more} more" if more > 0 else "")
    below: dict[str, list[str]] = {}
    for label, above in head.parents.items():
        below.setdefault(above, []).append(label)
    tree = "; ".join(f"{', '.join(labels)} below {above}" for above, labels in below.items())
    text += f" ({tree}: the answer is the name above where it cannot decide)" if tree else ""
    unverified = ". Not verified: other models agree on these labels, no listener checked them"
    return text + (unverified if head.unverified else "")
