"""Training speed: the loop of Earmark against plain eager PyTorch, and what each of its means to be fast brings.

Three recipes of different kinds learn from the same songs. Every way is measured in a process of its own: the loop as
it is, the loop without one of its means at a time ("leave one out"), and two plain loops. Rounds are interleaved and
ratios are taken within a round, so that a busy machine slows both sides; CPU seconds of a clip count.

    python bench/training.py ../shared/data/emotify400 [--recipes bbnn] [--rounds 3] [--seconds 2] [-o PAGE]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import numpy as np

from measure import _line, sections
from run import ROOT, _processor, _table

RECIPES: Mapping[str, tuple[str, ...]] = {
    "time-axis": ("genre",),
    "multi-output": ("genre", "mood"),
    "bbnn": ("genre",),
}
"""And the heads that each learns."""
SETTINGS = {"bbnn": ["training.batch_size=4"]}
"""A step of its batches of 8 would take as long as the rest of the bench."""
WARM = 1
"""Steps before those that count."""
MANY = 10**6


@dataclass(frozen=True)
class Cost:
    """Of a clip: seconds of all threads, and by the clock; and the process's peak of resident memory in MB."""

    cpu: float
    wall: float
    peak: float


@dataclass(frozen=True)
class Work:
    """What is learnt: pickled, so that each way has a process of its own."""

    job: Any
    songs: Any
    waves: Any
    seconds: float


def paced(steps: Iterator[int], seconds: float) -> Cost:
    """Cost of a clip, of steps that each give their number of clips, until so many CPU seconds have passed."""
    for _ in range(WARM):
        next(steps)
    clips, cpu, wall = 0, time.process_time(), time.perf_counter()
    while time.process_time() - cpu < seconds:
        clips += next(steps)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Cost(cpu / clips, wall / clips, _line(Path("/proc/self/status"), "VmHWM:") / 1024)


def ours(work: Work) -> Iterator[int]:
    """Clips of each step of Earmark's loop, of an epoch that does not end."""
    import torch

    from earmark.events import Progress
    from earmark.training.draws import Draws
    from earmark.training.loop import FitPlan, fit, head_task
    from earmark.training.network import build_module

    job, rows = work.job, np.arange(len(work.job.dataset.tracks))
    plan = job.recipe.training
    draws = Draws(work.songs, rows, MANY // len(rows), plan.batch_size, job.options.seed, job.recipe.augment)
    tasks = tuple(head_task(job.dataset, spec, rows, False) for spec in job.dataset.heads)
    cpu = torch.device("cpu")
    fitting = FitPlan(draws=draws, tasks=tasks, valid=rows[:0], training=plan, device=cpu, pooling="mean")
    with closing(fit(build_module(job, job.options.seed), fitting, job.work / "none")) as events:
        yield from (plan.batch_size for event in events if isinstance(event, Progress) and event.stage == "training")


class Plain:
    """A PyTorch data set as most scripts have it: a random clip of a song, by librosa, or from its cached picture."""

    def __init__(self, work: Work, cached: bool) -> None:
        self.work, self.rng, self.cached = work, np.random.default_rng(work.job.options.seed), cached
        self.labels = [work.job.dataset.targets(spec.name).astype(int) for spec in work.job.dataset.heads]

    def __len__(self) -> int:
        return len(self.work.job.dataset.tracks)

    def __getitem__(self, row: int) -> tuple[np.ndarray, list[int]]:
        return self._cached(row) if self.cached else self._decoded(row), [int(labels[row]) for labels in self.labels]

    def _cached(self, row: int) -> np.ndarray:
        songs = self.work.songs
        whole = np.load(songs.store._path(songs.hashes[row])).astype(np.float32)
        start = int(self.rng.integers(len(whole) - songs.frames + 1))
        return whole[start : start + songs.frames]

    def _decoded(self, row: int) -> np.ndarray:
        import librosa

        f, seconds = self.work.job.recipe.frontend, self.work.job.recipe.clip.seconds
        path, samples = self.work.job.dataset.tracks[row].path, round(seconds * f.sample_rate)
        offset = self.rng.uniform(0, max(0.0, librosa.get_duration(path=path) - seconds))
        wave, _ = librosa.load(path, sr=f.sample_rate, offset=offset, duration=seconds)
        lengths = {"n_fft": f.n_fft, "win_length": f.win_length, "hop_length": f.hop_length, "power": float(f.power)}
        bank = {"n_mels": f.bands, "fmin": f.f_min, "fmax": f.f_max, "htk": f.mel_scale == "htk"}
        mel = librosa.feature.melspectrogram(y=np.resize(wave, samples), sr=f.sample_rate, **lengths, **bank)
        return librosa.power_to_db(mel, amin=f.floor, top_db=f.range_db or None).T[: self.work.songs.frames]


def plain(work: Work, cached: bool) -> Iterator[int]:
    """Clips of each step of the usual loop: eager, float32, a DataLoader without workers, the network as published."""
    import torch
    from torch.utils.data import DataLoader, RandomSampler

    from earmark.training.network import build_module

    for layer in ("the first layer as a matrix product", "large maps computed again"):
        MEANS[layer].leave_out()
    training, names = work.job.recipe.training, [spec.name for spec in work.job.dataset.heads]
    module = build_module(work.job, work.job.options.seed).train()
    if training.optimizer == "sgd":
        optimizer: Any = torch.optim.SGD(module.parameters(), training.learning_rate, momentum=training.momentum)
    else:
        optimizer = torch.optim.Adam(module.parameters(), training.learning_rate, weight_decay=training.weight_decay)
    songs: Any = Plain(work, cached)
    sampler = RandomSampler(songs, replacement=True, num_samples=MANY)
    for clips, labels in DataLoader(songs, training.batch_size, sampler=sampler):
        optimizer.zero_grad()
        raw = module(clips)[1]
        loss = sum(torch.nn.functional.cross_entropy(raw[name], one) for name, one in zip(names, labels, strict=True))
        loss.backward()
        optimizer.step()
        loss.item()
        yield len(clips)


@dataclass(frozen=True)
class Mean:
    """A means to be fast (or small): how the process does without it, and which recipes have it."""

    leave_out: Callable[[], None] = lambda: None
    recipes: tuple[str, ...] = tuple(RECIPES)
    waves: bool = False


def _training(name: str) -> ModuleType:
    import importlib

    return importlib.import_module(f"earmark.training.{name}")


def _decode_each() -> None:
    """Each clip is decoded and transformed when it is asked for, by Earmark's own reader."""
    from earmark.audio.track import load
    from earmark.features.spectrogram import spectrogram

    def cut(songs: Any, row: int, start: int, clips: int = 1) -> Any:
        rate, hop, seconds = songs.frontend.sample_rate, songs.frontend.hop_length, clips * songs.plan.seconds
        samples = round(seconds * rate)
        wave = load(songs.dataset.tracks[row].path, rate, start=start * hop / rate, seconds=seconds)
        return spectrogram(np.pad(wave, (0, max(0, samples - len(wave))))[:samples], songs.frontend)

    _training("draws").Songs.cut = cut


def _read_whole() -> None:
    from earmark.datasets.cache import ArrayStore

    _training("draws").Songs.whole = lambda songs, row: songs.store[songs.hashes[row]]
    ArrayStore.get = lambda store, digest: np.load(store._path(digest))  # type: ignore[method-assign]


def _map_anew() -> None:
    _training("draws").Songs.whole = lambda songs, row: songs.store[songs.hashes[row]]


def _no_channels_last() -> None:
    _training("module").TaggerModule.to = lambda module, *_, **__: module


def _keep_gradients() -> None:
    import torch

    zero = torch.optim.Optimizer.zero_grad
    torch.optim.Optimizer.zero_grad = lambda self, set_to_none=False: zero(self, False)  # type: ignore[method-assign]


def _plain_first_layer() -> None:
    import torch

    def forward(net: Any, spectrograms: Any) -> Any:
        pool = torch.nn.functional.max_pool2d
        mean = spectrograms.mean((1, 2), keepdim=True)
        maps = pool(torch.relu(net.along((spectrograms / mean)[:, None])), 2)
        maps = pool(torch.relu(net.norm(net.local(maps))), 2)
        return net.connected(net.dropout(maps.flatten(1)))

    _training("backbones.time_axis").TimeAxis.forward = forward


def _keep_maps() -> None:
    _training("backbones.bbnn").lean = lambda layers, maps: layers(maps)


def _replace(module: str, **names: Any) -> Callable[[], None]:
    def leave_out() -> None:
        for name, value in names.items():
            setattr(_training(module), name, value)

    return leave_out


MEANS: Mapping[str, Mean] = {
    "features cached": Mean(_decode_each),
    "spectrograms cached, not waveforms": Mean(waves=True),
    "cache memory-mapped": Mean(_read_whole),
    "maps stay open": Mean(_map_anew),
    "next batch made meanwhile": Mean(_replace("draws", ahead=lambda items: (item for item in items))),
    "`channels_last`": Mean(_no_channels_last),
    "bfloat16, where the processor multiplies it": Mean(_replace("loop", autocast=lambda *_: nullcontext())),
    "gradients let go (PyTorch's own default)": Mean(_keep_gradients),
    "freed memory kept by the C library": Mean(_replace("loop", keep_freed_memory=lambda: None)),
    "memory above 3 GB returned": Mean(_replace("loop", return_freed_memory=lambda: None)),
    "the first layer as a matrix product": Mean(_plain_first_layer, ("time-axis",)),
    "large maps computed again": Mean(_keep_maps, ("bbnn",)),
}
PLAIN = {"plain PyTorch, spectrograms in `.npy` files": True, "plain PyTorch, librosa on the fly": False}
ALL = "nothing"
SLOW = ("features cached", "plain PyTorch, librosa on the fly")
"""Ways that decode for every clip: so much slower that one round of small batches tells."""


def run_one(work: Work, way: str) -> Cost:
    """Measure one way, in this process, which is not used again."""
    import torch

    torch.set_num_threads(1)
    if way in SLOW:
        recipe = work.job.recipe
        recipe = replace(recipe, training=replace(recipe.training, batch_size=4))
        work = replace(work, job=replace(work.job, recipe=recipe))
    if way in PLAIN:
        return paced(plain(work, PLAIN[way]), work.seconds)
    if way in MEANS:
        MEANS[way].leave_out()
        if MEANS[way].waves:
            work = replace(work, songs=work.waves)
    return paced(ours(work), work.seconds)


def rounds_of(recipe: str, work: Work, ways: Sequence[str], rounds: int, minutes: float) -> dict[str, list[Cost]]:
    """Costs of each way by round; the ways take turns, each in a process of its own; at least one round."""
    found: dict[str, list[Cost]] = {way: [] for way in ways}
    context = get_context("forkserver")
    context.set_forkserver_preload(["librosa", "earmark.training.network"])
    begun = time.monotonic()
    for number in range(rounds):
        if number and (time.monotonic() - begun) * (number + 1) / number > 60 * minutes:
            break
        for way in ways if not number else [way for way in ways if way not in SLOW]:
            with ProcessPoolExecutor(1, context) as process:
                found[way].append(process.submit(run_one, work, way).result())
            print(f"{recipe}, round {number + 1}, {way}: {found[way][-1]}", file=sys.stderr)
    return found


def rows_of(found: Mapping[str, Sequence[Cost]], base: str) -> list[list[str]]:
    """A row of a way: clips of a CPU second, ratios of CPU and wall time to the base's of the same round, and peak."""
    rows = []
    for way, costs in found.items():
        cpu, wall = ([getattr(one, key) for one in costs] for key in ("cpu", "wall"))
        by_cpu, by_wall = (median(_ratios(found, way, base, key)) for key in ("cpu", "wall"))
        speed = [f"{1 / median(cpu):.3g}", f"**{by_cpu:.2f}**", f"{1 / median(wall):.3g}", f"{by_wall:.2f}"]
        rows.append([way, *speed, f"{median(one.peak for one in costs) / 1000:.2f} GB"])
    return rows


def _ratios(found: Mapping[str, Sequence[Cost]], way: str, base: str, key: str) -> list[float]:
    return [getattr(a, key) / getattr(b, key) for a, b in zip(found[way], found[base], strict=False)]


def work_of(recipe: str, args: argparse.Namespace, folder: Path) -> Work:
    """Songs read into a cache in ``folder``, as spectrograms and as waveforms."""
    from earmark.datasets import load_dataset
    from earmark.engine import InlineEngine
    from earmark.events import Run
    from earmark.recipe import Augmentation, load_recipe
    from earmark.training.draws import open_songs
    from earmark.training.job import TrainOptions
    from earmark.training.run import prepare

    engine, plan = InlineEngine(), load_recipe(recipe, SETTINGS.get(recipe, []))
    data = load_dataset(args.dataset, heads=RECIPES[recipe], training=True)
    data = data.subset(range(0, len(data.tracks), max(1, len(data.tracks) // args.tracks)))
    job = Run(prepare(data, plan, folder / recipe, TrainOptions(seed=args.seed, device="cpu"), engine)).wait()
    heard = replace(plan, augment=(Augmentation("gain", 0.0),))
    waves = Run(open_songs(job.dataset, job.hashes, heard, engine)).wait()
    songs = replace(waves, waves=None)
    return Work(replace(job, engine=None), songs, waves, args.seconds)  # type: ignore[arg-type]


HEAD = """# Training speed

Earmark's loop without one of its means at a time, each by itself, and two plain loops: eager PyTorch in float32, a
`DataLoader` without workers, the network as published, the same batches and optimiser. One of them reads spectrograms
from files; the other decodes and transforms each clip by librosa, as most scripts do.

The main figure is what a clip takes of the processor, as a multiple of what the whole loop takes (*times*: above 1 is
slower without). Ways take turns, each in a process of its own, after one step to warm up; ratios are taken within a
round, and all figures are medians over rounds (ways that decode each clip have one round, of batches of four). One
thread computes; a second one makes the next batch. The machine is shared with other work: times by the clock tell what
else ran as well, and of one round differences below .1 may be chance, of three those below .05.

Validation, checkpoints and the first decoding, which is done once for all epochs, are not in it.

What brings nothing here stays for another reason: the batch made meanwhile for the clock where decoding or a free core
is there, memory above 3 GB returned for the peak of larger networks, bfloat16 for processors with AMX (this one has
none: both rows are one code). A fused optimiser saved 2.4 % of `time-axis` and .1 % of the others: left out."""
NOTES: Mapping[str, str] = {
    "bbnn": "Batches of 4 clips instead of 8. Large maps are computed again to save memory, and cost time.",
}


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--recipes", default=",".join(RECIPES), help="by comma; others stay on the page as they were")
    parser.add_argument("--tracks", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=3.0, help="of a recipe, with fewer rounds where busy")
    parser.add_argument("--seconds", type=float, default=1.5, help="of the processor, that a way is measured for")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "bench-training.md")
    args = parser.parse_args()
    kept = sections(args.output)
    for recipe in args.recipes.split(","):
        with tempfile.TemporaryDirectory() as name:
            os.environ["EARMARK_CACHE"] = name
            work = work_of(recipe, args, Path(name))
            ways = [ALL, *(way for way, mean in MEANS.items() if recipe in mean.recipes), *PLAIN]
            found = rounds_of(recipe, work, ways, args.rounds, args.minutes)
        columns = ["without", "clips a CPU second", "times", "clips a second by the clock", "times", "peak"]
        kept[f"`{recipe}`"] = "\n".join(
            [_made(recipe, args, len(found[ALL])), "", *_table("", columns, rows_of(found, ALL))[2:]]
        ).strip()
    page = [HEAD, *(f"## `{name}`\n\n{kept[f'`{name}`']}" for name in RECIPES if f"`{name}`" in kept)]
    args.output.write_text("\n\n".join(page) + "\n", "utf-8")
    print("\n\n".join(page))


def _made(recipe: str, args: argparse.Namespace, rounds: int) -> str:
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    options = f"--recipes {recipe} --seconds {args.seconds:g} --seed {args.seed}"
    day = time.strftime("%d %B %Y", time.gmtime())
    where = f"{os.cpu_count()} cores ({_processor()}), load {os.getloadavg()[0]:.1f}"
    note = f" {NOTES[recipe]}" if recipe in NOTES else ""
    return (
        f"Written by `python bench/training.py {Path(args.dataset).name} {options}` on {day} at commit "
        f"{commit.stdout.strip()}: {where}; {rounds} round{'s' * (rounds > 1)}.{note}"
    )


if __name__ == "__main__":
    main()
