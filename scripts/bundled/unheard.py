"""Students scored on artists that they have not heard: ``python -m scripts.bundled.unheard CANDIDATE ...``.

Artists fall into three parts. For each part a short student learns from the audio of the other two, and every candidate
goes on from it for the same processor time; an SVM and a logistic regression learn the labels of the other two and
answer for the part, so that every track is answered once by what has never heard its artist. Beside the tasks stands
the share of the teachers' variance (R2) that the vectors explain on the part. Differences to the first candidate are
paired by artist.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from earmark.audio.track import load as load_audio
from earmark.datasets import load_dataset
from earmark.events import Run
from earmark.paths import cache_folder as user_cache
from earmark.training.backbones import Backbone, build
from scripts.bundled import cache
from scripts.bundled.cache import CacheDesign, StudentData, partner
from scripts.bundled.embedding import (
    SONGS,
    SVM_C,
    Answers,
    clip_vectors,
    difference,
    ridge_errors,
    sound_means,
    teacher_vectors,
)
from scripts.bundled.figures import markdown
from scripts.bundled.heads import CORPORA
from scripts.bundled.model import FRONTEND, LEGS, ROTATION_SEED, Workshop, cache_design, music_design, teacher_widths
from scripts.bundled.musical import SAMPLE_RATE, WIDTHS, musical
from scripts.bundled.probe import CHOICES, ProbeTask, answers_of, draws
from scripts.bundled.report import printed, tasks
from scripts.bundled.students import Before, StudentDesign, reduce_teachers, rotate, train_student

__all__ = ["CANDIDATES", "PARTS", "main"]

Array = NDArray[np.float32]
PARTS = 3
BASE = replace(LEGS[1], steps=2400, learning_rate=3e-3, average=0.995, seed=0)
"""The short student from random numbers that every candidate of a part goes on from."""
WIDE = {"level": 8.0, "stages": ((64, 1, 2), (128, 2, 2), (256, 1, 2))}


@dataclass(frozen=True, slots=True)
class Candidate:
    """How a student goes on.

    Attributes:
        design: Of the training; its ``phases`` say how many copies it gets.
        musical: Weight of the musical targets, as further outputs that are cut off at the end, beside a teacher's 1.
        others: Candidates whose mean answer to a crop is half of its target.
    """

    design: StudentDesign
    musical: float = 0.0
    others: tuple[str, ...] = ()


NARROW = replace(LEGS[1], steps=2000)
CANDIDATES: Mapping[str, Candidate] = {
    "narrow": Candidate(NARROW),
    "wide": Candidate(replace(NARROW, steps=1080, options=WIDE)),
    "copies": Candidate(replace(NARROW, phases=((0, 2),))),
    "mixup": Candidate(replace(NARROW, mixup=0.5)),
    "musical": Candidate(NARROW, musical=0.5),
    "music": Candidate(replace(NARROW, more=0.25, music=("train", "more"))),
    "long": Candidate(replace(NARROW, steps=6000)),
    "taught": Candidate(replace(NARROW, steps=1300), others=("narrow", "mixup", "copies")),
}
"""By name; steps such that all but ``long`` take the same processor time (0.10, 0.19 and 0.15 s a step)."""


def part_of(artist: str) -> int:
    """Which part an artist belongs to; the same in every corpus."""
    return int(hashlib.sha256(f"part{artist}".encode()).hexdigest(), 16) % PARTS


def _parts(shop: Workshop) -> NDArray[np.int64]:
    """(tracks,) of each track of the corpora its part; gtzan-short, which names no artists, is always learnt from."""
    return np.array(
        [
            -1 if corpus == "gtzan-short" else part_of(track.group)
            for corpus in CORPORA
            for track in load_dataset(shop.shared / "data" / corpus, training=True).tracks
        ]
    )


@dataclass(frozen=True, slots=True)
class Material:
    """What all candidates of a part share.

    Attributes:
        corpora: All tracks, the part included.
        learnt: What students learn from: the other parts and the free music.
        targets: (seconds, targets) of ``learnt``.
        truth: (tracks, targets) of ``corpora``, by the same reduction.
    """

    corpora: StudentData
    learnt: StudentData
    targets: Array
    truth: Array


def _material(shop: Workshop, part: int, chosen: Candidate) -> Material:
    design, copies = cache_design(shop.shared), chosen.design.phases[0][1]
    corpora = _sounds(shop, design, copies, chosen.musical > 0)
    more = _sounds(shop, music_design(shop, *chosen.design.music), 1, chosen.musical > 0)
    known = cache.chosen(corpora, _without(design, _parts(shop) == part, corpora))
    targets = _targets(cache.chosen(known, known.copy == 0), list(teacher_widths(design).values()), chosen.musical)
    learnt, corpora = cache.joined(known, more), cache.chosen(corpora, corpora.copy == 0)
    truth = sound_means(targets(corpora.series)[:, : BASE.components], corpora.seconds)
    return Material(corpora, learnt, targets(learnt.series), truth)


def _sounds(shop: Workshop, design: CacheDesign, copies: int, with_music: bool) -> StudentData:
    """The cached sounds of a design; the musical targets, where wanted, in columns behind the teachers'."""
    folder = cache.cache_folder(design, shop.work / "teachers")
    Run(cache.fill(design, folder, range(copies), shop.jobs)).wait()
    data = cache.load(design, folder, range(copies))
    if not with_music:
        return data
    file, rows = folder / "musical.npy", []
    if not file.exists():
        for number, seconds in zip(data.piece.tolist(), data.seconds.tolist(), strict=True):
            piece = design.pieces[number]
            found = musical(load_audio(piece.path, SAMPLE_RATE, start=piece.start, seconds=piece.seconds))
            rows.append(found[np.minimum(np.arange(seconds), len(found) - 1)])
        np.save(file, np.concatenate(rows))
    return replace(data, series=np.concatenate([data.series, np.load(file).astype(np.float16)], 1))


def _targets(known: StudentData, widths: Sequence[int], weight: float) -> Callable[[NDArray[Any]], Array]:
    """What makes targets of series: the teachers' components, and behind them the musical targets."""
    count = sum(widths)
    teachers = reduce_teachers(replace(known, series=known.series[:, :count]), widths, BASE.components, BASE.alpha)
    if not weight:
        return teachers
    behind = replace(known, series=known.series[:, count:])
    more = reduce_teachers(behind, list(WIDTHS.values()), 44, BASE.alpha)  # eleven a kind: shares of pitches sum to 1
    scale = np.float32(np.sqrt(weight / len(WIDTHS)))
    return lambda series: np.concatenate([teachers(series[:, :count]), scale * more(series[:, count:])], 1)


def _without(design: CacheDesign, unknown: NDArray[np.bool_], data: StudentData) -> NDArray[np.bool_]:
    """(sounds,) true where neither the sound nor what its copy has mixed in is of the unknown pieces."""
    kept = np.asarray(~unknown[data.piece])
    for i in np.flatnonzero(data.copy > 0).tolist():
        mixed, _ = partner(design, int(data.piece[i]), int(data.copy[i]))
        kept[i] &= mixed is None or not unknown[mixed]
    return kept


def _student(shop: Workshop, part: int, chosen: Candidate, start: Candidate | None = None) -> Backbone:
    """A student of a part, and the one that it starts from; trained now if it is not there yet."""
    name = hashlib.sha256(repr((part, start, chosen)).encode()).hexdigest()[:12]
    file, design = shop.work / f"unheard-{name}.safetensors", chosen.design
    if file.exists():
        network = build(design.backbone, 250, FRONTEND.bands, dict(design.options))
        network.load_state_dict(load_file(str(file)))
        return network.eval()
    first = None if start is None else _student(shop, part, start)
    material = _material(shop, part, chosen)
    targets, rate = material.targets, FRONTEND.frames_per_second
    others = [_student(shop, part, CANDIDATES[name], start) for name in chosen.others]
    before = Before(first, others)
    network = Run(train_student(material.learnt, targets, design, rate, before=before)).wait()
    linear, count = network.linear, BASE.components
    assert isinstance(linear, nn.Linear)
    network.linear = nn.Linear(linear.in_features, count)
    network.linear.load_state_dict({name: value[:count] for name, value in linear.state_dict().items()})
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, str(file))
    return network


def candidate(shop: Workshop, part: int, name: str) -> Backbone:
    """The student of a candidate for a part, its embedding turned as the bundled model's."""
    network = _student(shop, part, CANDIDATES[name], Candidate(BASE))
    rotate(network, ROTATION_SEED)
    return network


def _answers(vectors: Sequence[Array], parts: NDArray[np.int64], task: ProbeTask, kind: Any) -> NDArray[Any]:
    """Answers for each track of a task, from a classifier that has learnt from the other parts."""
    mine, found = parts[task.rows], None
    for number, whole in enumerate(vectors):
        here, unknown = whole[task.rows], mine == number
        c = SVM_C if kind == "svm" else 1 / here.shape[1]
        told = answers_of(kind, c, (here[~unknown], task.targets[~unknown]), here[unknown])
        found = np.zeros((len(mine), *told.shape[1:]), told.dtype) if found is None else found
        found[unknown] = told
    assert found is not None
    return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a candidate's vectors are worth.

    Attributes:
        answers: For each task.
        log_loss: Mean over the tasks of one class, of the logistic regression.
        errors: (tracks,) of the targets predicted from the vectors, squared.
        spread: (tracks,) what the mean would err.
    """

    answers: Sequence[Answers]
    log_loss: float
    errors: Array
    spread: Array

    def r2(self, rows: Any = slice(None)) -> float:
        """Share of the targets' variance that is explained."""
        return 1.0 - float(self.errors[rows].sum() / self.spread[rows].sum())


def _outcome(rows: Sequence[ProbeTask], vectors: Sequence[Array], truths: Sequence[Array], parts: Any) -> Outcome:
    answers = [Answers(task, [[_answers(vectors, parts, task, kind) for kind in CHOICES]]) for task in rows]
    classes = [task for task in rows if task.targets.ndim == 1]
    found = [_answers(vectors, parts, task, "probabilities") for task in classes]
    right = [p[np.arange(len(p)), task.targets] for p, task in zip(found, classes, strict=True)]
    log_loss = float(np.mean([-np.log(np.maximum(p, 1e-6)).mean() for p in right]))
    errors, spread = np.zeros(len(parts), np.float32), np.zeros(len(parts), np.float32)
    for number, (here, truth) in enumerate(zip(vectors, truths, strict=True)):
        new = parts == number
        errors[new], spread[new] = ridge_errors((here[~new], truth[~new]), (here[new], truth[new]))
    return Outcome(answers, log_loss, errors, spread)


def _cells(outcome: Outcome, first: Outcome | None, artists: NDArray[Any]) -> list[str]:
    scores = [answers.mean(np.arange(len(answers.task.rows))) for answers in outcome.answers]
    cells = [f"{value:.3f}" for value in [*scores, float(np.mean(scores))]]
    r2 = f"{outcome.r2():.3f}"
    if first is None:
        return [*cells, "", f"{outcome.log_loss:.3f}", r2, ""]
    resampled = [outcome.r2(rows) - first.r2(rows) for rows in draws(artists, 200)]
    tasks_beside = "{:+.4f} ± {:.4f}".format(*difference(first.answers, outcome.answers))
    r2_beside = f"{outcome.r2() - first.r2():+.4f} ± {np.std(resampled):.4f}"
    return [*cells, tasks_beside, f"{outcome.log_loss:.3f}", r2, r2_beside]


def compared(shop: Workshop, names: Sequence[str]) -> Iterator[str]:
    """Lines of a table in Markdown: candidates, and each teacher alone by the same parts."""
    corpora = [load_dataset(shop.shared / "data" / name, training=True) for name in ("moods900", "emotify400")]
    rows, parts = tasks(*corpora), _parts(shop)[:SONGS]
    artists = np.array([track.group for corpus in corpora for track in corpus.tracks])
    found: dict[str, list[Array]] = {name: [] for name in names}
    truths, data = [], None
    for part in range(PARTS):
        for name in names:
            candidate(shop, part, name)
        material = _material(shop, part, Candidate(BASE))
        data = cache.chosen(material.corpora, material.corpora.piece < SONGS)
        truths.append(material.truth[:SONGS])
        for name in names:
            seen = clip_vectors(candidate(shop, part, name), data)
            found[name].append(np.stack([clips.mean(0) for clips in seen]))
    assert data is not None
    alone = teacher_vectors(data, teacher_widths(cache_design(shop.shared)))
    if len(names) > 1:
        found["mean of these"] = [np.mean(same, 0) for same in zip(*(found[name] for name in names), strict=True)]
    found |= {kind: [vectors] * PARTS for kind, vectors in alone.items()} | {"all teachers, reduced": truths}
    names = [*(task.name for task in rows), "mean", "beside the first", "log-loss", "R2 unheard", "beside the first"]
    yield from markdown(["vectors", *names], _rows(rows, found, truths, parts, artists))


def _rows(rows: Any, found: Mapping[str, list[Array]], truths: Any, parts: Any, artists: Any) -> Iterator[list[str]]:
    first: Outcome | None = None
    for name, vectors in found.items():
        outcome = _outcome(rows, vectors, truths, parts)
        yield [name, *_cells(outcome, first, artists)]
        first = first or outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0, or 1 with one line of what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bundled.unheard")
    parser.add_argument("candidates", nargs="+", choices=list(CANDIDATES), help="the one to compare with first")
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data and weights")
    parser.add_argument("--work", type=Path, default=user_cache() / "default-model", help="cache of the teachers")
    parser.add_argument("--music", type=Path, help="folder of free music, as scripts/bundled/music.tsv lists it")
    given = parser.parse_args(arguments)
    shop = Workshop(given.shared.resolve(), given.work, given.work, 1, given.music and given.music.resolve())
    torch.set_num_threads(1)
    return printed(compared(shop, given.candidates))


if __name__ == "__main__":
    sys.exit(main())
