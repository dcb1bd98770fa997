"""Training on two workers of a Ray cluster against one process: the score of each seed, their difference, the time.

Both learn the same recipe on the same split with the same global batch; the cluster is of two nodes on this machine, so
that it has no more cores than the one. Prints accuracy of the test part, loss of the validation part and seconds of
training by seed, and the mean difference with its 95 % interval (Student, paired by seed).

    PYTHONPATH=src:tests python bench/workers.py ../shared/data/emotify400/audio [--seeds 5] [--epochs 6]
        [--recipe time-axis] [--set KEY=VALUE ...]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from clusters import clustered
from earmark.app.train import TrainRequest, train
from earmark.events import Progress

SETTINGS = ("training.clips_per_track=1", "clip.seconds=5", "training.batch_size=16", "training.learning_rate=0.001")


def one(request: TrainRequest) -> tuple[float, float, float]:
    """Accuracy of the test part, loss of the validation part, and seconds from the first batch to the last epoch."""
    run, seconds, since = train(request), 0.0, 0.0
    for event in run:
        if isinstance(event, Progress) and event.stage == "training" and not since:
            since = time.perf_counter()
        if isinstance(event, Progress) and event.stage == "epochs":
            seconds = time.perf_counter() - since
    rows = [row.split(",") for row in (Path(request.output) / "history.csv").read_text().splitlines()]
    losses = [float(row[rows[0].index("valid_loss")]) for row in rows[1:]]
    return run.result.card.scores["genre"]["accuracy"], min(losses), seconds


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--recipe", default="time-axis")
    parser.add_argument("--set", nargs="*", default=SETTINGS)
    args = parser.parse_args()
    found: list[tuple[tuple[float, float, float], ...]] = []
    with clustered({}) as cluster, tempfile.TemporaryDirectory() as folder:
        for seed in range(args.seeds):
            asked: dict[str, Any] = {"dataset": args.dataset, "recipe": args.recipe, "epochs": args.epochs}
            asked |= {"seed": seed, "settings": tuple(args.set)}
            alone = one(TrainRequest(**asked, output=f"{folder}/{seed}-1"))
            there = {"engine": "ray", "address": cluster.address}
            found.append((alone, one(TrainRequest(**asked, **there, output=f"{folder}/{seed}-2"))))
            print(seed, *(f"{value:.3f}" for pair in zip(*found[-1], strict=True) for value in pair), flush=True)
    table = np.array(found)
    for place, name in enumerate(("accuracy", "validation loss", "seconds")):
        change = table[:, 1, place] - table[:, 0, place]
        half = stats.t.ppf(0.975, len(change) - 1) * change.std(ddof=1) / len(change) ** 0.5
        means = " and ".join(f"{value:.3f}" for value in table[:, :, place].mean(0))
        low, high = change.mean() - half, change.mean() + half
        print(f"{name}: {means}, difference {change.mean():+.3f} ({low:+.3f} to {high:+.3f})")


if __name__ == "__main__":
    main()
