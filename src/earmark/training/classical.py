"""The first row of every table: an SVM on hand-made statistics, without any network.

Audio: 20 MFCC (orthonormal DCT of 40 mel bands in dB at 22.05 kHz, 23 ms hops: Davis and Mermelstein 1980) and their
differences from frame to frame; mean, deviation, skewness and the 10 %, 50 % and 90 % quantiles of each over the whole
track: 240 numbers. Pictures: the same of the first 20 coefficients of each column's DCT. The SVM has a Gaussian kernel
(Tzanetakis and Cook's task as Li et al. 2003 solve it); C and gamma are chosen on artists set aside inside the training
part.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.stats import skew
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from earmark.audio.decode import load
from earmark.datasets import load_dataset
from earmark.datasets.cache import open_store
from earmark.datasets.contents import FileIndex, track_hashes
from earmark.datasets.core import Dataset
from earmark.datasets.images import read_image
from earmark.datasets.splits import Split, apply_split, load_split, split
from earmark.errors import AudioError, DatasetError
from earmark.evaluation import metrics
from earmark.evaluation.intervals import bootstrap, interval
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import spectrogram
from earmark.model.folder import find_model
from earmark.recipe import SplitPlan
from earmark.training.heads.examples import Examples, group_folds

__all__ = ["Baseline", "baseline", "statistics_of"]

COEFFICIENTS = 20
FRONTEND = Frontend(sample_rate=22050, n_fft=2048, win_length=2048, hop_length=512, bands=40, f_min=0, f_max=11025)
_GRID = {"svc__C": [1.0, 10.0, 100.0], "svc__gamma": ["scale", 0.001, 0.0003]}


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """What the SVM reaches on the test part.

    Attributes:
        accuracy: By track.
        ci95: Bootstrap over artists (or what else groups).
        right: (tracks,) of the test part, for paired tests.
        rows: (tracks,) which tracks of the data set they are.
    """

    accuracy: float
    ci95: tuple[float, float] | None
    right: NDArray[np.bool_]
    rows: NDArray[np.intp]


def baseline(dataset: Dataset, head: str, parts: Split, seed: int = 0) -> Baseline:
    """Train on the training and validation parts (C and gamma by folds of groups), score on the test part.

    Raises:
        DatasetError: The head is not multiclass, or no test track can be heard.
    """
    if dataset.head(head).task != "multiclass":
        raise DatasetError(f"{dataset.name}: the baseline needs a multiclass head; {head!r} is not")
    targets = dataset.targets(head)
    rows = statistics_of(dataset)
    known = np.array([row is not None for row in rows]) & ~np.isnan(targets)
    train = np.array([row for row in sorted({*parts.train, *parts.valid}) if known[row]], np.intp)
    test = np.array([row for row in parts.test if known[row]], np.intp)
    if not len(test) or not len(train):
        raise DatasetError(f"{dataset.name}: no labelled track that can be heard in the test (or training) part")
    numbers = {group: number for number, group in enumerate(dict.fromkeys(t.group for t in dataset.tracks))}
    group = np.array([numbers[dataset.tracks[row].group] for row in train], np.intp)
    features = np.stack([rows[row] for row in train])
    examples = Examples("multiclass", len(dataset.head(head).labels), features, np.arange(len(train)),
                        targets[train].astype(np.float64), group)  # fmt: skip
    folds = [(np.flatnonzero(~held), np.flatnonzero(held)) for held in group_folds(examples, 5, seed)]
    svm = GridSearchCV(make_pipeline(StandardScaler(), SVC(random_state=seed)), _GRID, cv=folds)
    svm.fit(features, targets[train].astype(int))
    guess = svm.predict(np.stack([rows[row] for row in test]))
    right = guess == targets[test]
    names = [dataset.tracks[row].group for row in test]
    drawn = bootstrap(lambda weights: metrics.accuracy(targets[test], guess, weights), names, seed=seed)
    return Baseline(float(right.mean()), interval(drawn), np.asarray(right), test)


def statistics_of(dataset: Dataset) -> list[NDArray[np.float32] | None]:
    """(tracks,) of (240,) numbers, kept on disk; None for a file that cannot be read."""
    store = open_store(
        "statistics", {"frontend": asdict(FRONTEND), "coefficients": COEFFICIENTS, "version": 1}, "float32"
    )
    hashes = track_hashes(dataset, FileIndex.open())

    def one(row: int) -> NDArray[np.float32] | None:
        digest = hashes[row]
        if isinstance(digest, AudioError):
            return None
        try:
            return np.asarray(store.get_or_put(digest, lambda: _statistics(dataset.tracks[row].path)))
        except AudioError:
            return None

    with ThreadPoolExecutor() as pool:
        return list(pool.map(one, range(len(hashes))))


def _statistics(path: Path) -> NDArray[np.float32]:
    if path.suffix.lower() == ".png":
        frames = read_image(path)
    else:
        frames = spectrogram(load(path, FRONTEND.sample_rate), FRONTEND)
    cepstrum = dct(frames.astype(np.float64), type=2, norm="ortho", axis=1)[:, :COEFFICIENTS]
    both = np.concatenate([cepstrum, np.diff(cepstrum, axis=0, prepend=cepstrum[:1])], axis=1)
    shape = np.nan_to_num(skew(both, axis=0))
    quantiles = np.quantile(both, [0.1, 0.5, 0.9], axis=0)
    return np.concatenate([both.mean(0), both.std(0), shape, *quantiles]).astype(np.float32)


def _main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m earmark.training.classical", description=__doc__.splitlines()[0])
    parser.add_argument("dataset", metavar="DATASET")
    parser.add_argument("--heads", metavar="HEAD", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split-from", metavar="MODEL", help="the parts that a model was trained with")
    args = parser.parse_args(arguments)
    dataset = load_dataset(args.dataset, heads=[args.heads], training=True)
    if args.split_from:
        hashes = [str(one) for one in track_hashes(dataset, FileIndex.open())]
        parts = apply_split(dataset, load_split(find_model(args.split_from) / "split.tsv"), hashes)
    else:
        parts = split(dataset, SplitPlan(0.7, 0.1, 0.2), args.seed, args.heads)
    found = baseline(dataset, args.heads, parts, args.seed)
    return {
        "dataset": dataset.name,
        "head": args.heads,
        "tracks": len(found.rows),
        "accuracy": round(found.accuracy, 4),
        "accuracy_ci95": None if found.ci95 is None else [round(end, 4) for end in found.ci95],
        "group": parts.group_by,
    }


if __name__ == "__main__":
    import sys

    sys.stdout.write(json.dumps(_main()) + "\n")
