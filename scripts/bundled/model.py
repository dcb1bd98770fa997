"""The bundled model, made again by one command: ``python -m scripts.bundled.model`` (``make model``).

Teachers analyse the three corpora and changed copies of them, a small network learns to give the same, linear heads
learn the corpora's labels from its embedding, and all of it is calibrated on predictions out of fold. Interrupted, it
goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from earmark.datasets import load_dataset
from earmark.errors import DatasetError, EarmarkError
from earmark.events import Event, Notice, Progress, Run, Steps
from earmark.features.frontend import Frontend
from earmark.models.card import read_card
from earmark.paths import cache_folder as user_cache
from earmark.recipe import ClipPlan
from earmark.training.backbones import Backbone, build
from earmark.training.module import TaggerModule, load_matching
from scripts.bundled import cache as distill_cache
from scripts.bundled import students as distill
from scripts.bundled.agreement import tag_scores, verdicts_of
from scripts.bundled.cache import CacheDesign, Piece, StudentData
from scripts.bundled.card import BundledModel, head_cards, write_folder
from scripts.bundled.heads import CORPORA, Embedded, Pieces, chosen, embed_tracks, fit_heads, join
from scripts.bundled.rendered import examples
from scripts.bundled.students import Before, Reduction, Resume, StudentDesign
from scripts.bundled.taggers import QUICK, labels_of, tag_probabilities
from scripts.bundled.teachers import KINDS

__all__ = [
    "BUNDLED",
    "LEGS",
    "MUSIC",
    "PLAN",
    "TEACHERS",
    "Workshop",
    "bundled_network",
    "embed",
    "main",
    "make",
    "remake_heads",
    "student",
]

FRONTEND = Frontend()
PLAN = ClipPlan(seconds=3.0, count=10, pad="repeat", pooling="mean")
TEACHERS = {
    "efficientat-mn04": "efficientat-mn04/mn04_as_mAP_432.pt",
    "musicnn": "musicnn/msd-musicnn.safetensors",
    "won-crnn": "won2020/msd-crnn.pth",
    "won-fcn": "won2020/msd-fcn.pth",
    "yamnet": "yamnet/yamnet-float.tflite",
}
"""Kinds of teachers, in the order of their columns, and their files below the folder of weights."""
LEGS = (
    StudentDesign(
        options={"level": 8.0}, teachers=("efficientat-mn04", "won-crnn", "won-fcn", "yamnet"),
        phases=((0, 2), (10000, 4), (20000, 6)), steps=40000, mask=0.25, plain=2.0,
    ),
    StudentDesign(
        options={"level": 8.0}, steps=10000, learning_rate=1e-3, average=0.999, mask=0.25, more=0.08, seed=1,
    ),
    StudentDesign(
        options={"level": 8.0}, steps=12000, learning_rate=1e-3, average=0.999, mask=0.25, more=0.25,
        music=("train", "more"), seed=2,
    ),
)  # fmt: skip
"""How the student is trained: from random numbers on four teachers, from these weights on all five, then on more
music."""
MUSIC = Path(__file__).with_name("music.tsv")
"""Free music that joins the second and third part where it is at hand, and music that is kept unheard."""
BUNDLED = Path(__file__).parents[2] / "src/earmark/models/default"
ROTATION_SEED = 0
TAG_TEACHERS = ("msd-fcn", "msd-crnn")
"""Whose mean the head tags imitates."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where everything is.

    Attributes:
        shared: Folder with ``data`` and ``weights``.
        work: Cache and checkpoints.
        output: The model folder.
        music: Folder of the free music that :data:`MUSIC` lists, as ``OWNER+NAME/PATH``; None where it is not at hand.
        jobs: Processes of the teachers. The student trains on one thread: the sum of two is another sum.
    """

    shared: Path
    work: Path
    output: Path
    jobs: int = 1
    music: Path | None = None


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


@cache
def _width(kind: str, file: str) -> int:
    return KINDS[kind](Path(file), False).features


def teacher_widths(design: CacheDesign) -> dict[str, int]:
    """Features of each teacher, in the order of the cache's columns."""
    return {kind: _width(kind, file) for kind, file in sorted(design.teachers.items())}


def music_design(shop: Workshop, *uses: str) -> CacheDesign:
    """The free music of some uses (``train``, ``more`` or ``unheard``): half minutes from the fifteenth second on.

    Raises:
        DatasetError: A track is missing.
    """
    pieces = []
    rows = [line.split("\t") for line in MUSIC.read_text("utf-8").splitlines()[1:]] if shop.music else []
    for repository, _, use, _, _, path, count in rows:
        file = (shop.music or Path()) / repository.replace("/", "+") / path
        if use in uses:
            if not file.is_file():
                raise DatasetError(f"{file}: no such file; {MUSIC} names the repository and commit that has it")
            pieces += [Piece(str(file), 15.0 + 60.0 * place, 30.0, 2) for place in range(int(count))]
    return replace(cache_design(shop.shared), pieces=tuple(pieces))


def student(shop: Workshop, legs: Sequence[StudentDesign] = LEGS) -> Steps[Backbone]:
    """The trained and rotated student; trained now, or as far as it is not yet."""
    if shop.music is None:
        yield Notice("No folder of free music was named (--music): the student learns from the corpora alone.")
        legs = [replace(leg, more=0.0) for leg in legs]
    network: Backbone | None = None
    for number, leg in enumerate(legs, 1):
        name = hashlib.sha256(repr(tuple(legs[:number])).encode()).hexdigest()[:12]
        network = yield from _leg(shop, leg, shop.work / f"student-{name}.safetensors", network)
    assert network is not None
    return network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload, no-any-return]


def _leg(shop: Workshop, leg: StudentDesign, finished: Path, start: Backbone | None) -> Steps[Backbone]:
    """One design's student, from where the one before it ended."""
    if finished.exists():
        network = build(leg.backbone, round(PLAN.seconds * FRONTEND.frames_per_second) + 1, FRONTEND.bands, leg.options)
        network.load_state_dict(load_file(str(finished)))
        return network.eval()
    checkpoint = finished.with_suffix(".ckpt")
    for first, last, copies in _phases(leg):
        data, reduction = yield from _material(shop, leg, copies)
        yield Notice(f"The student is trained from step {first} to {last} on {copies} copies of each piece.")
        resume = Resume(checkpoint, last)
        targets = reduction(data.series)
        network = yield from distill.train_student(
            data, targets, leg, FRONTEND.frames_per_second, resume, Before(start)
        )
    distill.rotate(network, ROTATION_SEED)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, str(finished))
    return network


def _phases(leg: StudentDesign) -> Iterator[tuple[int, int, int]]:
    ends = [first for first, _ in leg.phases[1:]] + [leg.steps]
    for (first, copies), last in zip(leg.phases, ends, strict=True):
        if first < leg.steps:
            yield first, min(last, leg.steps), copies


def _sounds(shop: Workshop, leg: StudentDesign, design: CacheDesign, copies: range) -> Steps[StudentData]:
    """Copies of a design's pieces with the series of the leg's teachers; analysed now, as far as they are not yet."""
    folder = distill_cache.cache_folder(design, shop.work / "teachers")
    yield from distill_cache.fill(design, folder, copies, shop.jobs)
    kinds = leg.teachers or tuple(design.teachers)
    return distill_cache.columns(distill_cache.load(design, folder, copies), teacher_widths(design), kinds)


def _material(shop: Workshop, leg: StudentDesign, copies: int) -> Steps[tuple[StudentData, Reduction]]:
    """What a student learns from, and how its targets come from the teachers."""
    torch.set_num_threads(1)
    design = cache_design(shop.shared)
    data = yield from _sounds(shop, leg, design, range(1))
    widths = [width for kind, width in teacher_widths(design).items() if kind in (leg.teachers or TEACHERS)]
    reduction = distill.reduce_teachers(data, widths, leg.components, leg.alpha)
    if copies > 1:
        data = yield from _sounds(shop, leg, design, range(copies))
    if leg.more:
        more = yield from _sounds(shop, leg, music_design(shop, *leg.music), range(1))
        data = distill_cache.joined(data, more)
    return data, reduction


def make(shop: Workshop) -> Steps[None]:
    """Make the bundled model."""
    if not (shop.shared / "data").is_dir():
        raise DatasetError(f"{shop.shared}: no folder with data and weights; name it with --shared")
    shop.work.mkdir(parents=True, exist_ok=True)
    network = yield from student(shop)
    yield from make_from(shop, network, dataclasses.asdict(LEGS[-1]))


def remake_heads(shop: Workshop) -> Steps[None]:
    """Heads and all that follows anew, on the backbone of the model that is there.

    Raises:
        ModelError: There is no model, or its weights are of another network.
    """
    yield from make_from(shop, bundled_network(shop.output), read_card(shop.output).recipe["student"])


def bundled_network(folder: Path) -> Backbone:
    """The student that a bundled model has; raises as :func:`remake_heads`."""
    card = read_card(folder)
    network = build(card.backbone, card.clip_shape[0], FRONTEND.bands, card.recipe["student"]["options"])
    load_matching(TaggerModule(network, {}), folder, ())
    return network.eval()


def embed(network: Backbone, paths: Sequence[Path], work: Path, what: str) -> Steps[Embedded]:
    """The embeddings of tracks, kept below ``work`` under a name (``embedded``, ``rendered``) and the network's."""
    state = b"".join(value.numpy().tobytes() for value in network.state_dict().values())
    kept = work / f"{what}-{hashlib.sha256(state).hexdigest()[:12]}.npz"
    return (yield from embed_tracks(network, paths, FRONTEND, PLAN, kept))


def make_from(shop: Workshop, network: Backbone, student: Mapping[str, Any]) -> Steps[None]:
    """Heads, calibration, card and files, from a finished backbone and how it was trained."""
    paths = [track.path for name in CORPORA for track in load_dataset(shop.shared / "data" / name).tracks]
    weights = shop.shared / "weights"
    found = yield from tag_probabilities(paths, weights, shop.work / "taggers", QUICK)
    tags = (labels_of(TAG_TEACHERS[0], weights), np.mean([found[name] for name in TAG_TEACHERS], 0))
    views = tag_scores(found, {name: labels_of(name, weights) for name in found})
    embedded = yield from embed(network, paths, shop.work, "embedded")
    rendered, learnt = yield from examples(shop.work / "taggers")
    pieces = Pieces((yield from embed(network, rendered, shop.work, "rendered")), learnt) if rendered else None
    corpus = join(shop.shared / "data", tags, verdicts_of(views)(views), views["genres"])
    fitted = yield from fit_heads(corpus, embedded, head_cards(corpus), pieces)
    corpus, fitted = chosen(corpus, fitted, embedded)
    write_folder(shop.output, BundledModel(network, corpus, embedded, fitted, student, FRONTEND, PLAN))
    yield Notice(f"The model is written: {shop.output}.")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0, or 1 with one line of what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bundled.model", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data and weights")
    parser.add_argument("--work", type=Path, default=user_cache() / "default-model", help="cache and checkpoints")
    parser.add_argument("-o", "--output", type=Path, default=BUNDLED)
    parser.add_argument("--heads", action="store_true", help="only the heads, on the backbone of the model there")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="processes of the teachers")
    parser.add_argument("--music", type=Path, help="folder of free music, as scripts/bundled/music.tsv lists it")
    given = parser.parse_args(arguments)
    music = given.music and given.music.resolve()
    try:
        shop = Workshop(given.shared.resolve(), given.work, given.output, given.jobs, music)
        for event in Run(remake_heads(shop) if given.heads else make(shop)):
            _show(event)
    except EarmarkError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
