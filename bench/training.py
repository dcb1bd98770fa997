"""Training speed: the loop of Earmark against plain PyTorch, eager, fp32, with a DataLoader and librosa on the fly.

Both train the same network on the same files, one epoch of each in turn (interleaved, so that both see the same
machine); the first epoch of each warms caches and is not counted. Prints clips a second of every counted epoch, their
medians and the ratio, and what the cache takes an hour of music.

    python bench/training.py ../shared/data/emotify400 [--recipe time-axis] [--tracks 60] [--rounds 3] [--threads 2]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from earmark.datasets import load_dataset
from earmark.datasets.cache import bytes_per_hour
from earmark.engine import LocalEngine
from earmark.events import Run
from earmark.recipe import BackboneChoice, Recipe, load_recipe
from earmark.training.draws import Songs, open_songs
from earmark.training.job import Job, TrainOptions
from earmark.training.loop import FitPlan, _Pace, _State, _train_epoch, head_task, make_optimizer
from earmark.training.network import build_module
from earmark.training.run import prepare


class OnTheFly(TorchDataset):
    """What most training scripts do: decode, resample and transform with librosa whenever a clip is asked for."""

    def __init__(self, job: Job, rows: np.ndarray) -> None:
        self.paths = [job.dataset.tracks[int(row)].path for row in rows]
        self.labels = job.dataset.targets(job.dataset.heads[0].name)[rows].astype(int)
        self.frontend, self.seconds = job.recipe.frontend, job.recipe.clip.seconds

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        f = self.frontend
        wave, _ = librosa.load(self.paths[place], sr=f.sample_rate, mono=True)
        wave = np.resize(wave, round(self.seconds * f.sample_rate))
        mel = librosa.feature.melspectrogram(
            y=wave, sr=f.sample_rate, n_fft=f.n_fft, hop_length=f.hop_length, n_mels=f.bands, fmin=f.f_min, fmax=f.f_max
        )
        return torch.from_numpy(librosa.power_to_db(mel, ref=np.max).T.astype(np.float32)), int(self.labels[place])


def plain_epoch(job: Job, rows: np.ndarray, workers: int) -> tuple[float, torch.nn.Module]:
    """Clips a second of one epoch of the usual loop."""
    module = build_module(job, 0).train()
    optimizer = torch.optim.SGD(module.parameters(), 1e-3, momentum=0.9)
    loader = DataLoader(OnTheFly(job, rows), job.recipe.training.batch_size, shuffle=True, num_workers=workers)
    name, begun, clips = job.dataset.heads[0].name, time.perf_counter(), 0
    for spectrograms, labels in loader:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(module(spectrograms)[1][name], labels)
        loss.backward()
        optimizer.step()
        clips += len(labels)
    return clips / (time.perf_counter() - begun), module


def our_epochs(job: Job, songs: Songs, rows: np.ndarray) -> Iterator[float]:
    """A generator: clips a second of one epoch of Earmark's loop at each step."""
    module = build_module(job, 0).to(memory_format=torch.channels_last)
    plan, spec = job.recipe.training, job.dataset.heads[0]
    from earmark.training.draws import Draws

    draws = Draws(songs, rows, plan.clips_per_track, plan.batch_size, 0)
    fit = FitPlan(draws=draws, tasks=(head_task(job.dataset, spec, rows, False),), valid=rows[:0], training=plan,
                  device=torch.device("cpu"), pooling="mean")  # fmt: skip
    state = _State(module, make_optimizer(module, plan, False), plan.learning_rate)
    epoch = 0
    while True:
        epoch += 1
        begun = time.perf_counter()
        Run(_train_epoch(state, fit, epoch, _Pace(fit, 0))).wait()
        yield draws.clips / (time.perf_counter() - begun)


def compare(name: str, recipe: Recipe, args: argparse.Namespace) -> None:
    """Print one row."""
    data = load_dataset(args.dataset, heads=["genre"], training=True)
    recipe = replace(recipe, training=replace(recipe.training, clips_per_track=1))
    with tempfile.TemporaryDirectory() as folder, LocalEngine() as engine:
        job = Run(prepare(data, recipe, Path(folder) / "m", TrainOptions(), engine)).wait()
    rows = job.split.train[: args.tracks]
    part = job.dataset.subset(rows)
    job = replace(job, dataset=part, hashes=tuple(job.hashes[int(row)] for row in rows))
    rows = np.arange(len(rows))
    begun = time.perf_counter()
    with LocalEngine() as engine:
        songs = Run(open_songs(job.dataset, job.hashes, job.recipe, engine)).wait()
    filled = time.perf_counter() - begun
    ours, fast, slow = our_epochs(job, songs, rows), [], []
    next(ours)
    plain_epoch(job, rows[: recipe.training.batch_size], args.workers)
    for _ in range(args.rounds):
        slow.append(plain_epoch(job, rows, args.workers)[0])
        fast.append(next(ours))
    a, b = statistics.median(fast), statistics.median(slow)
    print(f"{name:24} {a:10.1f} {b:10.1f} {a / b:8.1f}   {[round(x) for x in fast]} {[round(x, 1) for x in slow]}")
    size = bytes_per_hour(job.recipe.frontend) / 1e6
    print(f"{'':24} cache: {size:.1f} MB an hour of music, filled in {filled:.1f} s ({len(rows)} tracks)")


def main() -> None:
    """Measure time-axis and one small convolutional network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--tracks", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2, help="of the DataLoader")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{'second epoch on':24} {'earmark':>10} {'plain':>10} {'ratio':>8}   clips/s of each round")
    compare("time-axis", load_recipe("time-axis"), args)
    small = load_recipe("time-axis", ["clip.seconds=10", "frontend.sample_rate=16000", "frontend.n_fft=1024",
                                      "frontend.win_length=1024", "frontend.hop_length=320", "frontend.bands=96",
                                      "frontend.f_max=7800.0", "frontend.relative=false"])  # fmt: skip
    compare("patch-residual", replace(small, backbone=BackboneChoice("patch-residual")), args)


if __name__ == "__main__":
    main()
