"""The last step of every way of training: a network with a draft of its card becomes a whole model folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.core import Dataset
from earmark.datasets.splits import Split, save_split
from earmark.evaluation.answers import Heard, answers_of
from earmark.evaluation.history import Epoch, write_history
from earmark.evaluation.intervals import RESAMPLES
from earmark.evaluation.scores import main_figure, score_head
from earmark.inference.records import Failure, HeadPrediction, Prediction
from earmark.inference.scores import answer, pool, probabilities
from earmark.models.card import Card, HeadCard
from earmark.models.heads import HeadWeights, write_heads
from earmark.models.writer import seal
from earmark.training.calibrate import calibrate
from earmark.training.curves import write_curves
from earmark.training.exemplars import choose_exemplars
from earmark.training.outputs import Outputs
from earmark.training.readme import model_card_text

__all__ = ["Draft", "finish_model", "score_outputs"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Draft:
    """A trained model before it is calibrated, scored and described.

    Attributes:
        card: With heads as yet uncalibrated; ``data``, ``scores`` and ``files`` are filled in here.
        dataset: What it was trained on; its heads are the card's, in the same order.
        split: Which tracks taught, chose and judge.
        hashes: (tracks,) content hashes.
        outputs: (tracks,) what the network says of each; None where it was not asked or could not hear.
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


def finish_model(folder: Path, draft: Draft) -> Card:
    """Calibrate, score, and write what is still missing in a model folder.

    Args:
        folder: Holds ``model.onnx`` and ``weights.safetensors``.
        draft: The rest.

    Returns:
        The card as it was written; ``scores`` are those of the test part (of the validation part where there is no test
        part: their key ``part`` says which), with ``train_...`` and ``valid_...`` figures beside, dropout off.
    """
    heads = tuple(draft.heads[head.name].described(_calibrated(head, draft)) for head in draft.card.heads)
    write_heads(draft.heads, folder)
    card = replace(draft.card, heads=heads, data=draft.card.data or (_data_line(draft),))
    card = replace(card, scores=_scores(card, draft))
    save_split(folder / "split.tsv", draft.split, draft.hashes)
    embeddings = [None if output is None else output.embedding for output in draft.outputs]
    choose_exemplars(draft.dataset, draft.split, draft.hashes, embeddings, draft.seed).save(folder)
    if draft.history:
        write_history(folder / "history.csv", draft.history)
        write_curves(folder / "curves.svg", draft.history, draft.kept)
    (folder / "README.md").write_text(model_card_text(card, bool(draft.history)), "utf-8", newline="\n")
    return seal(folder, card)


def score_outputs(
    card: Card, dataset: Dataset, outputs: Sequence[Outputs | None], resamples: int = RESAMPLES
) -> dict[str, dict[str, Any]]:
    """Figures by head, as :func:`earmark.evaluation.scores.score_head` gives them, of what is said of tracks."""
    results = [_said(card, output) for output in outputs]
    return {
        head.name: score_head(answers_of([Heard(card, results)], dataset, head.name), resamples) for head in card.heads
    }


def _calibrated(head: HeadCard, draft: Draft) -> HeadCard:
    rows = [int(row) for row in draft.split.valid if draft.outputs[int(row)] is not None]
    raw = [output.raw[head.name] for row in rows if (output := draft.outputs[row]) is not None]
    truth = draft.dataset.targets(head.name)[rows]
    return calibrate(head, raw, truth, draft.card.clip.pooling)


def _said(card: Card, output: Outputs | None) -> Prediction | Failure:
    if output is None:
        return Failure("", "decode", "not heard")
    heads: dict[str, HeadPrediction] = {}
    for head in card.heads:
        scores = pool(probabilities(output.raw[head.name], head), card.clip.pooling, head.task)
        heads[head.name] = answer(head, scores.tolist())
    return Prediction("", 0.0, card.id, heads, None)


def _scores(card: Card, draft: Draft) -> Mapping[str, Any]:
    parts = {"train": draft.split.train, "valid": draft.split.valid, "test": draft.split.test}
    judged = "test" if len(parts["test"]) else "valid" if len(parts["valid"]) else "train"
    found: dict[str, Any] = {}
    figures = {part: _part_scores(card, draft, rows) for part, rows in parts.items()}
    for head in card.heads:
        known = {"part": judged, "group": draft.split.group_by, **figures[judged].get(head.name, {})}
        key = main_figure(head.task)
        for part in ("train", "valid"):
            for figure in (key, f"{key}_ci95"):
                known[f"{part}_{figure}"] = figures[part].get(head.name, {}).get(figure)
        found[head.name] = known
    return found


def _part_scores(card: Card, draft: Draft, rows: NDArray[np.intp]) -> dict[str, dict[str, Any]]:
    heard = [row for row in map(int, rows) if draft.outputs[row] is not None]
    if not heard:
        return {}
    outputs = [draft.outputs[row] for row in heard]
    return score_outputs(card, draft.dataset.subset(heard), outputs)


def _data_line(draft: Draft) -> str:
    split, dataset = draft.split, draft.dataset
    counts = f"{len(split.train)} to learn from, {len(split.valid)} to choose by, {len(split.test)} to judge by"
    return f"{dataset.name}: {counts}; no {split.group_by} on two sides"
