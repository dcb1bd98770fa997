"""The bundled model, made again by one command: ``python -m scripts.bundled.model`` (``make model``).

Teachers analyse the three corpora and changed copies of them, a small network learns to give the same, linear heads
learn the corpora's labels from its embedding, and all of it is calibrated on predictions out of fold. Interrupted, it
goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from earmark.datasets import load_dataset
from earmark.errors import DatasetError, EarmarkError
from earmark.events import Event, Notice, Progress, Run, Steps
from earmark.features.frontend import Frontend
from earmark.paths import cache_folder as user_cache
from earmark.recipe import ClipPlan
from earmark.training.backbones import Backbone, build
from earmark.training.fitting import Linear
from earmark.training.module import TaggerModule
from scripts.bundled import cache as distill_cache
from scripts.bundled import students as distill
from scripts.bundled.cache import CacheDesign, Piece
from scripts.bundled.card import BundledModel, write_folder
from scripts.bundled.heads import CORPORA, embed_tracks, fit_heads, join
from scripts.bundled.students import Resume, StudentDesign
from scripts.bundled.teachers import KINDS

__all__ = ["PHASES", "PLAN", "STUDENT", "TEACHERS", "Workshop", "linear_module", "main", "make", "student"]

FRONTEND = Frontend()
PLAN = ClipPlan(seconds=3.0, count=10, pad="repeat", pooling="mean")
TEACHERS = {
    "efficientat-mn04": "efficientat-mn04/mn04_as_mAP_432.pt",
    "won-crnn": "won2020/msd-crnn.pth",
    "won-fcn": "won2020/msd-fcn.pth",
    "yamnet": "yamnet/yamnet-float.tflite",
}
"""Kinds of teachers, in the order of their columns, and their files below the folder of weights."""
STUDENT = StudentDesign(backbone="patch-residual", options={"level": 8.0}, steps=40000, mask=0.25, plain=2.0, seed=0)
PHASES = ((0, 2), (10000, 4), (20000, 6))
"""From which step on the student gets how many copies of each piece (the first is the piece itself)."""
ROTATION_SEED = 0


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where everything is.

    Attributes:
        shared: Folder with ``data`` and ``weights``.
        work: Cache and checkpoints.
        output: The model folder.
        jobs: Processes of the teachers. The student trains on one thread: the sum of two is another sum.
    """

    shared: Path
    work: Path
    output: Path
    jobs: int = 1


def _show(event: Event) -> None:
    """A line with the time for every notice, and for progress twenty times a stage."""
    line = ""
    if isinstance(event, Notice):
        line = event.message
    elif isinstance(event, Progress) and event.total and event.done % max(1, event.total // 20) == 0:
        facts = "".join(f", {name} {value:.3g}" for name, value in event.facts.items())
        line = f"{event.stage}: {event.done} of {event.total} {event.unit}{facts}"
    if line:
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")
        sys.stderr.flush()


def _kept_apart(corpus: str, group: str) -> int:
    """1 for the third of the artists that the comparison of networks is scored on: never mixed with the others."""
    if corpus == "gtzan-short":
        return 0
    return int(int(hashlib.sha256(f"s1{corpus}{group}".encode()).hexdigest(), 16) % 3 == 0)


def cache_design(shared: Path) -> CacheDesign:
    """What the teachers analyse: the first half minute of every track of the corpora."""
    pieces = []
    for name in CORPORA:
        for track in load_dataset(shared / "data" / name, training=True).tracks:
            pieces.append(Piece(str(track.path), 0.0, 30.0, _kept_apart(name, track.group)))
    teachers = {kind: str(shared / "weights" / file) for kind, file in TEACHERS.items()}
    return CacheDesign(tuple(pieces), teachers, FRONTEND)


def teacher_widths(design: CacheDesign) -> list[int]:
    """Features of each teacher, in the order of the cache's columns."""
    return [KINDS[kind](Path(file), False).features for kind, file in sorted(design.teachers.items())]


def student(shop: Workshop, plan: StudentDesign = STUDENT) -> Steps[Backbone]:
    """The trained and rotated student; trained now, or as far as it is not yet."""
    design = cache_design(shop.shared)
    folder = distill_cache.cache_folder(design, shop.work / "teachers")
    frames = round(PLAN.seconds * FRONTEND.frames_per_second) + 1
    finished = shop.work / f"student-{hashlib.sha256(repr((plan, PHASES)).encode()).hexdigest()[:12]}.safetensors"
    if finished.exists():
        network = build(plan.backbone, frames, FRONTEND.bands, plan.options)
        network.load_state_dict(load_file(str(finished)))
        return network.eval()
    for first, last, copies in _phases(plan.steps):
        yield from distill_cache.fill(design, folder, range(copies), shop.jobs)
        if _reached(finished.with_suffix(".ckpt")) >= last:
            continue
        yield Notice(f"The student is trained from step {first} to {last} on {copies} copies of each piece.")
        network = yield from _train(plan, (design, folder), copies, last, finished.with_suffix(".ckpt"))
    distill.rotate(network, ROTATION_SEED)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, str(finished))
    return network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload, no-any-return]


def _phases(steps: int) -> Iterator[tuple[int, int, int]]:
    ends = [first for first, _ in PHASES[1:]] + [steps]
    for (first, copies), last in zip(PHASES, ends, strict=True):
        if first < steps:
            yield first, min(last, steps), copies


def _reached(checkpoint: Path) -> int:
    if not checkpoint.exists():
        return 0
    step: int = torch.load(checkpoint, map_location="cpu", weights_only=True)["step"]
    return step if step < STUDENT.steps else 0


def _train(
    plan: StudentDesign, cache: tuple[CacheDesign, Path], copies: int, last: int, checkpoint: Path
) -> Steps[Backbone]:
    torch.set_num_threads(1)
    plain = distill_cache.load(*cache, [0])
    reduction = distill.reduce_teachers(plain, teacher_widths(cache[0]), plan.components, plan.alpha)
    data = plain if copies == 1 else distill_cache.load(*cache, range(copies))
    resume = Resume(checkpoint, last)
    return distill.train_student(data, reduction(data.series), plan, FRONTEND.frames_per_second, resume)


def _tag_scores(design: CacheDesign, folder: Path) -> NDArray[np.float32]:
    """(pieces, tags) the teachers' mean probability of each tag; NaN where a piece could not be read."""
    data = distill_cache.load(design, folder, [0])
    probabilities = 1.0 / (1.0 + np.exp(-data.tags.astype(np.float32)))
    found = np.full((len(design.pieces), data.tags.shape[1] // 2), np.nan, np.float32)
    found[data.piece] = probabilities.reshape(len(data.piece), 2, -1).mean(1)
    return found


def linear_module(linear: Linear) -> nn.Linear:
    """The fitted head as a layer."""
    layer = nn.Linear(linear.weight.shape[1], linear.weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.asarray(linear.weight, np.float32)))
        layer.bias.copy_(torch.from_numpy(np.asarray(linear.bias, np.float32)))
    return layer


def make(shop: Workshop) -> Steps[None]:
    """Make the bundled model."""
    if not (shop.shared / "data").is_dir():
        raise DatasetError(f"{shop.shared}: no folder with data and weights; name it with --shared")
    shop.work.mkdir(parents=True, exist_ok=True)
    network = yield from student(shop)
    yield from make_from(shop, network)


def make_from(shop: Workshop, network: Backbone, plan: StudentDesign = STUDENT) -> Steps[None]:
    """Heads, calibration, card and files, from a finished backbone and how it was trained."""
    design = cache_design(shop.shared)
    folder = distill_cache.cache_folder(design, shop.work / "teachers")
    yield from distill_cache.fill(design, folder, [0], shop.jobs)
    names = (shop.shared / "weights" / "won2020" / "msd-tags.txt").read_text("utf-8").split("\n")
    corpus = join(shop.shared / "data", [name.strip() for name in names if name.strip()], _tag_scores(design, folder))
    paths = [track.path for track in corpus.dataset.tracks]
    embeddings = yield from embed_tracks(network, paths, FRONTEND, PLAN)
    fitted = yield from fit_heads(corpus, embeddings)
    module = TaggerModule(network, {name: linear_module(linear) for name, linear in fitted.heads.items()})
    write_folder(shop.output, BundledModel(module, corpus, embeddings, fitted, plan, FRONTEND, PLAN))
    yield Notice(f"The model is written: {shop.output}.")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0, or 1 with one line of what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bundled.model", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data and weights")
    parser.add_argument("--work", type=Path, default=user_cache() / "default-model", help="cache and checkpoints")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parents[2] / "src/earmark/models/default")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="processes of the teachers")
    given = parser.parse_args(arguments)
    try:
        for event in Run(make(Workshop(given.shared.resolve(), given.work, given.output, given.jobs))):
            _show(event)
    except EarmarkError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
