"""The last step of every way of training: a network with a model of its card becomes a whole model folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.core import Dataset
from earmark.datasets.splits import Split, save_split
from earmark.evaluation.history import Epoch, write_curves, write_history
from earmark.evaluation.metrics import RESAMPLES
from earmark.evaluation.scores import ModelPredictions, answers_of, main_figure, score_head
from earmark.inference.records import Failure, HeadPrediction, Prediction
from earmark.inference.scores import answer, pool, probabilities
from earmark.models.card import Card, HeadCard
from earmark.models.network import HeadWeights, write_heads
from earmark.models.writer import seal
from earmark.training.calibrate import calibrate
from earmark.training.exemplars import choose_exemplars

__all__ = ["Outputs", "TrainedModel", "finish_model", "model_card_text", "score_line", "score_outputs"]

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
    save_split(folder / "split.tsv", model.split, model.hashes)
    embeddings = [None if output is None else output.embedding for output in model.outputs]
    choose_exemplars(model.dataset, model.split, model.hashes, embeddings, model.seed).save(folder)
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
    heads: dict[str, HeadPrediction] = {}
    for head in card.heads:
        scores = pool(probabilities(output.raw[head.name], head), card.clip.pooling, head.task)
        heads[head.name] = answer(head, scores.tolist())
    return Prediction("", 0.0, card.id, heads, None)


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
    lines += ["", "## How good it is", "", "Scored by track; the interval is a bootstrap over groups (95 %).", ""]
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
    sure = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    part = _PARTS.get(str(scores.get("part")), "test part")
    line = f"{head.name}: {_NAMES[key]} {value:.3f}{sure} on {scores.get('tracks', 0)} tracks of the {part}"
    beside = [(part, scores.get(f"{part}_{key}")) for part in ("train", "valid")]
    named = {"train": "training", "valid": "validation"}
    return line + "".join(f"; {named[part]} {figure:.3f}" for part, figure in beside if figure is not None)


def _vocabulary(head: HeadCard) -> str:
    if head.task == "regression":
        return "a number"
    more = len(head.labels) - 30
    return ", ".join(head.labels[:30]) + (f" and {more} more" if more > 0 else "")
