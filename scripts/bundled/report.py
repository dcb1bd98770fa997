"""What the bundled model scores: ``python -m scripts.bundled.report`` (``make model-report``).

Its embedding, by classifiers on artists that they have not seen, beside plain statistics of cepstral coefficients; its
heads' own answers out of fold; contradictions between them, counted on all songs. With ``--against`` the same of a
model before.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.datasets import Dataset, load_dataset
from earmark.engine import predict_all
from earmark.errors import EarmarkError
from earmark.evaluation.scores import main_figure
from earmark.features.statistics import track_statistics
from earmark.inference.records import Prediction
from earmark.inference.tagger import Tagger, load_model
from earmark.models.card import Card
from scripts.bundled.figures import answer_tables, contradictions, markdown
from scripts.bundled.probe import CHOICES, ProbeTask, out_of_fold, resampled, score

__all__ = ["AIMS", "main", "named", "printed", "report", "tasks"]

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


def report(shared: Path, model: str, before: str) -> Iterator[str]:
    """Lines in Markdown: the embedding by tasks, the heads' answers, contradictions; beside another model, if named."""
    data = shared / "data"
    taggers = named([load_model(name) for name in (model, before) if name])
    datasets = [load_dataset(data / name, training=True) for name in ("moods900", "emotify400")]
    paths = [track.path for dataset in datasets for track in dataset.tracks]
    songs = sorted(path for path in (data / "full-songs").iterdir() if path.suffix in (".mp3", ".ogg"))
    short = [track.path for track in load_dataset(data / "gtzan-short").tracks]
    results = {name: list(predict_all(tagger, [*paths, *songs, *short])) for name, tagger in taggers.items()}
    yield from _contradictions({name: tagger.card for name, tagger in taggers.items()}, results)
    yield ""
    for name, tagger in taggers.items():
        yield from _heads(name, tagger.card)
        yield ""
    vectors = {name: np.stack([_embedding(r) for r in found[: len(paths)]]) for name, found in results.items()}
    vectors["cepstral statistics"] = np.stack([track_statistics(path) for path in paths])
    yield from _embeddings(tasks(*datasets), vectors)


def named(taggers: Sequence[Tagger]) -> dict[str, Tagger]:
    """By what stands above their columns: the card's id, or with its digest where the model before has the same."""
    same = len({tagger.card.id for tagger in taggers}) < len(taggers)
    return {tagger.card.id + (f" ({tagger.card.digest[:8]})" if same else ""): tagger for tagger in taggers}


def _embeddings(rows: Sequence[ProbeTask], vectors: Mapping[str, Array]) -> Iterator[str]:
    yield (
        "Five folds by artist over moods900 and emotify400, C chosen by four folds inside each; mean of SVM and "
        "logistic regression, [95 % interval, artists resampled]. The anchors' and the aim's columns were measured on "
        "other artists, kept elsewhere; folds here come out 0 to 5 points higher, and the backbone was trained on this "
        "audio (without labels), which flatters it further. Every single teacher by one command: "
        "`python -m scripts.bundled.embedding`."
    )
    yield ""
    names = ["task", *vectors, "cepstral (kept part)", "best anchor (kept part)", "aim"]
    yield from markdown(names, (_cells(task, vectors.values()) for task in rows))


def _cells(task: ProbeTask, vectors: Iterable[Array]) -> list[str]:
    scores = ["{:.3f} [{:.3f}, {:.3f}]".format(*_row(task, found)) for found in vectors]
    return [task.name, *scores, *(f"{aim:.2f}" for aim in AIMS[task.name])]


def _embedding(result: object) -> Array:
    if not isinstance(result, Prediction) or result.embedding is None:
        raise EarmarkError(f"a track of the corpora could not be analysed: {result}")
    return result.embedding


def _heads(name: str, card: Card) -> Iterator[str]:
    """The heads' own scores, as the card has them: out of fold, thresholds included where it says *answers*."""
    yield f"The heads of {name}, out of fold:"
    yield ""
    rows = []
    for head in card.heads:
        found = card.scores.get(head.name, {})
        key = main_figure(head.task)
        low, high = found.get(f"{key}_ci95") or (float("nan"), float("nan"))
        cells = [f"{head.name} ({key})", str(found.get("tracks")), f"{found.get(key):.3f} [{low:.3f}, {high:.3f}]"]
        if head.task == "multiclass":
            cells += [f"{found['coverage']:.2f}", f"{found['precision']:.2f}"]
            cells += [f"{found['ece']:.3f} ({found['ece_limit']:.3f})"]
        rows.append([*cells, "", "", ""][:6])
    yield from markdown(["head", "tracks", "score", "coverage", "precision", "ECE (limit)"], rows)
    yield from ("", *answer_tables(card))


def _contradictions(cards: Mapping[str, Card], results: Mapping[str, Sequence[object]]) -> Iterator[str]:
    counts = [
        contradictions(cards[name], [one for one in found if isinstance(one, Prediction)])
        for name, found in results.items()
    ]
    songs = len(next(iter(results.values())))
    yield f"Contradictions and silence, over {songs} songs of `../shared/data`, as `earmark tag` answers:"
    yield ""
    rows = []
    for name in dict.fromkeys(name for count in counts for name in count):
        cells = [
            f"{c[name][0]} of {c[name][1]} ({c[name][0] / max(1, c[name][1]):.1%})" if name in c else "" for c in counts
        ]
        rows.append([name, *cells])
    yield from markdown(["", *results], rows)


def printed(lines: Iterable[str]) -> int:
    """Print lines as they come; 0, or 1 with one line of what is wrong."""
    try:
        for line in lines:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    except EarmarkError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0, or 1 with one line of what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bundled.report")
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data and weights")
    parser.add_argument("-m", "--model", default="default", help="a model folder or a name")
    parser.add_argument("--against", default="", help="the model before: a folder or a name")
    given = parser.parse_args(arguments)
    return printed(report(given.shared, given.model, given.against))


if __name__ == "__main__":
    sys.exit(main())
