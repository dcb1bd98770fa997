"""The bundled model beside the anchors: ``python -m scripts.bundled.report`` (``make model-report``).

Embeddings come from the product's own analysis of a track; a support vector machine and a logistic regression on them
are scored on artists that they have not seen. Beside them stand plain statistics of cepstral coefficients, what is
left without learning, and the model's own heads, out of fold.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.datasets import Dataset, load_dataset
from earmark.engine import predict_all
from earmark.errors import EarmarkError
from earmark.features.statistics import track_statistics
from earmark.inference.records import Prediction
from earmark.inference.tagger import load_model
from earmark.models.card import Card
from scripts.bundled.probe import CHOICES, ProbeTask, out_of_fold, resampled, score

__all__ = ["AIMS", "main", "report", "tasks"]

Array = NDArray[np.float32]
AIMS: Mapping[str, tuple[float, float, float]] = {
    "quadrant (4), accuracy": (0.57, 0.73, 0.75),
    "valence sign, accuracy": (0.65, 0.80, 0.81),
    "arousal sign, accuracy": (0.79, 0.88, 0.91),
    "genres, ROC-AUC": (0.78, 0.89, 0.90),
    "mood words, ROC-AUC": (0.73, 0.81, 0.83),
    "emotify genre (4), accuracy": (0.63, 0.72, 0.76),
    "emotions at 0.4, ROC-AUC": (0.69, 0.84, 0.86),
}
"""By task: statistics of cepstral coefficients, the best single anchor, and the aim, on artists kept elsewhere."""
EMOTIONS = ("solemnity", "nostalgia", "calmness", "power", "joyful_activation", "tension", "sadness")


def tasks(moods900: Dataset, emotify400: Dataset) -> list[ProbeTask]:
    """The rows of the table; tracks are numbered through both data sets."""
    first, second = np.arange(len(moods900.tracks)), np.arange(len(emotify400.tracks)) + len(moods900.tracks)
    emotions = emotify400.head("emotions").labels
    chosen = emotify400.targets("emotions")[:, [emotions.index(name) for name in EMOTIONS]]
    columns = [
        (moods900, "quadrant"), (moods900, "valence"), (moods900, "arousal"), (moods900, "genres"), (moods900, "moods"),
        (emotify400, "genre"), (emotify400, None),
    ]  # fmt: skip
    found = []
    for name, (dataset, head) in zip(AIMS, columns, strict=True):
        targets = (chosen if head is None else dataset.targets(head)).astype(np.int64)
        groups = np.array([track.group for track in dataset.tracks])
        rows = first if dataset is moods900 else second
        found.append(ProbeTask(name, "accuracy" if targets.ndim == 1 else "roc-auc", rows, targets, groups))
    return found


def _row(task: ProbeTask, embeddings: Array) -> tuple[float, float, float]:
    """Mean score of the two classifiers out of fold, and its 95 % interval, artists resampled."""
    answers = [out_of_fold(embeddings, task, kind) for kind in CHOICES]

    def mean(rows: NDArray[np.int64]) -> float:
        return float(np.mean([score(task.targets[rows], found[rows]) for found in answers]))

    low, high = resampled(mean, task.groups, 300)
    return mean(np.arange(len(task.targets))), low, high


def report(data: Path, model: str) -> str:
    """The table in Markdown."""
    tagger = load_model(model)
    datasets = [load_dataset(data / name, training=True) for name in ("moods900", "emotify400")]
    paths = [track.path for dataset in datasets for track in dataset.tracks]
    results = list(predict_all(tagger, paths))
    embeddings = np.stack([_embedding(result) for result in results])
    plain = np.stack([track_statistics(path) for path in paths])
    lines = [
        f"Model {tagger.card.id}: five folds by artist over {len(paths)} tracks of `../shared/data`, C chosen by four "
        "folds inside each; mean of SVM and logistic regression, [95 % interval, artists resampled].",
        "The anchors' and the aim's columns were measured on other artists, kept elsewhere; folds here come out 0 to 5 "
        "points higher, and the backbone has heard this audio (without labels), which flatters it further.",
        "",
        "| task | cepstral statistics | earmark, embedding | cepstral (kept part) | best anchor (kept part) | aim |",
        "|---|---|---|---|---|---|",
    ]
    for task in tasks(*datasets):
        cells = [
            f"{value:.3f} [{low:.3f}, {high:.3f}]" for value, low, high in (_row(task, plain), _row(task, embeddings))
        ]
        lines.append(f"| {task.name} | {' | '.join(cells)} | {' | '.join(f'{aim:.2f}' for aim in AIMS[task.name])} |")
    return "\n".join([*lines, "", *_heads(tagger.card)]) + "\n"


def _embedding(result: object) -> Array:
    if not isinstance(result, Prediction) or result.embedding is None:
        raise EarmarkError(f"a track of the corpora could not be analysed: {result}")
    return result.embedding


def _heads(card: Card) -> list[str]:
    """The heads' own scores, as the card has them."""
    lines = [
        "The heads themselves, out of fold:",
        "",
        "| head | tracks | score | coverage | precision | ECE (limit) |",
        "|---|---|---|---|---|---|",
    ]
    for head in card.heads:
        found = card.scores.get(head.name, {})
        key = "accuracy" if head.task == "multiclass" else "roc_auc_macro"
        low, high = found.get(f"{key}_ci95") or (float("nan"), float("nan"))
        cells = [f"{head.name} ({key})", str(found.get("tracks")), f"{found.get(key):.3f} [{low:.3f}, {high:.3f}]"]
        if head.task == "multiclass":
            cells += [
                f"{found['coverage']:.2f}",
                f"{found['precision']:.2f}",
                f"{found['ece']:.3f} ({found['ece_limit']:.3f})",
            ]
        lines.append("| " + " | ".join([*cells, "", "", ""][:6]) + " |")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0, or 1 with one line of what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bundled.report")
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data and weights")
    parser.add_argument("-m", "--model", default="default", help="a model folder or a name")
    given = parser.parse_args(arguments)
    try:
        sys.stdout.write(report(given.shared / "data", given.model))
    except EarmarkError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
