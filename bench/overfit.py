"""Can a recipe learn at all? It has to know twenty songs by heart before its score on others means anything.

    python bench/overfit.py ../shared/data/emotify400 --heads genre -r bbnn,vggish

Every recipe is trained on the same twenty songs, evenly over the labels, with its own optimiser and augmentation but
without early stopping, and is asked for these songs after 10, 20, 40... epochs, until it knows 95 % of them. Prints a
Markdown table.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from earmark.datasets import load_dataset
from earmark.datasets.core import Dataset
from earmark.datasets.splits import Split
from earmark.engine import LocalEngine
from earmark.events import Run
from earmark.recipe import load_recipe
from earmark.training.job import TrainOptions
from earmark.training.run import train_model


def few(dataset: Dataset, head: str, count: int) -> Dataset:
    """The first tracks of each label in turn."""
    targets, labels = dataset.targets(head), len(dataset.head(head).labels)
    each = [np.flatnonzero(targets == label)[: -(-count // labels)] for label in range(labels)]
    return dataset.subset(np.sort(np.concatenate(each)[:count]))


def known(songs: Dataset, name: str, epochs: int, settings: list[str], folder: Path) -> float:
    """Share of the songs that the recipe knows after so many epochs."""
    everything = np.arange(len(songs.tracks))
    nothing = everything[:0]
    plain = [f"training.epochs={epochs}", "training.patience=0", *settings]
    split = Split(everything, nothing, nothing, "track")
    options = TrainOptions(split=split)
    with LocalEngine() as engine:
        run = Run(train_model(songs, load_recipe(name, plain), folder / f"{name}-{epochs}", options, engine))
        out = run.wait()
    scores = json.loads((out / "card.json").read_text("utf-8"))["scores"]
    return float(next(iter(scores.values()))["train_accuracy"])


def main() -> None:
    """Train, ask, and print a row for each recipe."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("-r", "--recipes", required=True)
    parser.add_argument("--heads", default="genre")
    parser.add_argument("--songs", type=int, default=20)
    parser.add_argument("--epochs", default="10,20,40,80", help="after which to ask")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    songs = few(load_dataset(given.dataset, heads=[given.heads], training=True), given.heads, given.songs)
    print("| recipe | epochs | songs known | processor time |\n|---|---|---|---|", flush=True)
    for name in given.recipes.split(","):
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            for epochs in map(int, given.epochs.split(",")):
                share = known(songs, name, epochs, given.set, Path(folder))
                if share >= 0.95:
                    break
            spent = time.process_time() - began
        print(f"| `{name}` | {epochs} | {share:.2f} | {spent:.0f} s |", flush=True)


if __name__ == "__main__":
    main()
