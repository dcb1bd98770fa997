"""Embeddings beside each other: ``python -m scripts.bundled.embedding NETWORK ...``, files of students.

Each network, each teacher alone, and each other published network (:mod:`scripts.bundled.anchors`; those of
MagnaTagATune last) gives one vector a track of moods900 and emotify400, from the first half minute; an SVM and a
logistic regression on them, C fixed, are scored on artists that they have not seen, over several partitions.
Differences to the first network are paired by artist. On music that no network has learnt from stands the share of the
teachers' variance (R2) that its vectors explain.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from earmark.audio.track import load
from earmark.datasets import Dataset, load_dataset
from earmark.errors import EarmarkError
from earmark.events import Run
from earmark.features.spectrogram import open_input, views
from earmark.paths import cache_folder as user_cache
from earmark.training.backbones import Backbone, build
from scripts.bundled import cache
from scripts.bundled.anchors import ANCHORS, MAGNATUNE, anchor_vectors
from scripts.bundled.cache import STUDIO_RATE, CacheDesign, Piece, StudentData
from scripts.bundled.copies import through_codec
from scripts.bundled.figures import markdown
from scripts.bundled.model import FRONTEND, LEGS, PLAN, Workshop, cache_design, music_design, teacher_widths
from scripts.bundled.probe import CHOICES, ProbeTask, draws, out_of_fold, score
from scripts.bundled.report import printed, tasks
from scripts.bundled.students import Reduction, reduce_teachers

__all__ = [
    "SONGS",
    "SVM_C",
    "Answers",
    "clip_vectors",
    "difference",
    "explained",
    "main",
    "ridge_errors",
    "sound_means",
    "teacher_vectors",
]

Array = NDArray[np.float32]
SVM_C = 2.0
SONGS = 976
"""Tracks of moods900 and emotify400, which come first in the cache; a probe learns from these."""


def clip_vectors(network: Backbone, data: StudentData, windows: int = PLAN.count) -> list[Array]:
    """(windows, features) of each sound: clips of :data:`PLAN` at evenly spaced places of the cached spectrogram."""
    length = round(PLAN.seconds * FRONTEND.frames_per_second) + 1
    found = []
    for end, frames in zip(np.cumsum(data.frames), data.frames, strict=True):
        first = np.linspace(0, max(0, frames - length), windows).astype(int)[:, None]
        seen = data.spectrograms[end - frames + (first + np.arange(length)) % frames].astype(np.float32)
        with torch.inference_mode():
            found.append(network(torch.from_numpy(seen)).numpy())
    return found


def teacher_vectors(data: StudentData, widths: Mapping[str, int]) -> dict[str, Array]:
    """By kind, (sounds, features) the mean over the seconds of each sound."""
    means = sound_means(data.series, data.seconds)
    return dict(zip(widths, np.split(means, np.cumsum(list(widths.values()))[:-1], 1), strict=True))


def ridge_errors(known: tuple[Array, Array], unknown: tuple[Array, Array]) -> tuple[Array, Array]:
    """(sounds,) squared errors of a ridge regression on unknown sounds, and those of the known sounds' mean."""
    (vectors, targets), (other, truth) = known, unknown
    mean, scale, middle = vectors.mean(0), vectors.std(0) + 1e-6, targets.mean(0)
    z = (vectors - mean) / scale
    weights = np.linalg.solve(z.T @ z + 0.1 * len(z) * np.eye(z.shape[1]), z.T @ (targets - middle))
    error = truth - middle - (other - mean) / scale @ weights
    return np.square(error).sum(1), np.square(truth - middle).sum(1)


def explained(known: tuple[Array, Array], unknown: tuple[Array, Array]) -> float:
    """Share of the variance of targets that a ridge regression on vectors explains on other sounds.

    Args:
        known: Vectors (sounds, features) and targets (sounds, targets) to learn from.
        unknown: The same of other sounds; their variance is taken about the known sounds' mean.
    """
    errors, spread = ridge_errors(known, unknown)
    return 1.0 - float(errors.sum() / spread.sum())


@dataclass(frozen=True, slots=True)
class Answers:
    """A probe's answers for one task: (partitions, classifiers) of answers a track."""

    task: ProbeTask
    found: Sequence[Sequence[NDArray[np.generic]]]

    def mean(self, rows: NDArray[np.int64]) -> float:
        """Mean score of those rows of the task over partitions and classifiers."""
        return float(np.mean([score(self.task.targets[rows], a[rows]) for part in self.found for a in part]))


def _answers(vectors: Array, task: ProbeTask, partitions: int) -> Answers:
    found = []
    for number in range(partitions):
        salted = [hashlib.sha256(f"{number}{group}".encode()).hexdigest() for group in task.groups]
        drawn = replace(task, groups=np.array(salted))
        c = {"svm": SVM_C, "logistic": 1 / vectors.shape[1]}
        found.append([out_of_fold(vectors, drawn, kind, c[kind]) for kind in CHOICES])
    return Answers(task, found)


def _all(answers: Answers) -> NDArray[np.int64]:
    return np.arange(len(answers.task.rows))


def difference(first: Sequence[Answers], second: Sequence[Answers], times: int = 200) -> tuple[float, float]:
    """Second minus first in the mean over the tasks, and its standard error.

    Artists are resampled for both alike, and for all tasks of one corpus alike: their answers go together.
    """
    each = [[b.mean(r) - a.mean(r) for r in draws(a.task.groups, times)] for a, b in zip(first, second, strict=True)]
    values = np.mean(each, 0)
    whole = [b.mean(_all(b)) - a.mean(_all(a)) for a, b in zip(first, second, strict=True)]
    return float(np.mean(whole)), float(np.std(values))


def _cached(shop: Workshop, design: CacheDesign) -> StudentData:
    folder = cache.cache_folder(design, shop.work / "teachers")
    Run(cache.fill(design, folder, [0], shop.jobs)).wait()
    return cache.load(design, folder, [0])


def _load(file: Path) -> Backbone:
    leg = LEGS[-1]
    network = build(leg.backbone, round(PLAN.seconds * FRONTEND.frames_per_second) + 1, FRONTEND.bands, leg.options)
    network.load_state_dict(load_file(str(file)))
    return network.eval()


def _unheard(shop: Workshop) -> dict[str, StudentData]:
    songs = sorted(p for p in (shop.shared / "data" / "full-songs").iterdir() if p.suffix in (".mp3", ".ogg"))
    pieces = tuple(Piece(str(song), start, 30.0, 2) for song in songs for start in (15.0, 60.0, 105.0))
    designs = {"full songs": replace(cache_design(shop.shared), pieces=pieces)}
    if shop.music:
        designs["free music, two sources"] = music_design(shop, "unheard")
    return {name: _cached(shop, design) for name, design in designs.items()}


def sound_means(series: NDArray[Any], seconds: NDArray[np.int64]) -> Array:
    """(sounds, features) the mean over each sound's seconds."""
    parts = zip(np.cumsum(seconds), seconds, strict=True)
    return np.stack([series[end - count : end].astype(np.float32).mean(0) for end, count in parts])


@dataclass(frozen=True, slots=True)
class Vectors:
    """What is compared: vectors of the corpora's tracks, the first :data:`SONGS` of the cache.

    Attributes:
        networks: By name.
        found: By name, (tracks, features) of networks, teachers and anchors.
        single: Names of teachers and anchors: what the networks are to be better than.
        data: The cache.
        reduction: All teachers' series to targets.
    """

    networks: Mapping[str, Backbone]
    found: Mapping[str, Array]
    single: Sequence[str]
    data: StudentData
    reduction: Reduction

    @property
    def targets(self) -> Array:
        """(tracks, targets) of the cache's sounds."""
        return sound_means(self.reduction(self.data.series), self.data.seconds)


def _vectors(shop: Workshop, files: Sequence[Path]) -> Vectors:
    design = cache_design(shop.shared)
    data, widths = _cached(shop, design), teacher_widths(design)
    if data.piece[:SONGS].tolist() != list(range(SONGS)):
        raise EarmarkError("a track of the corpora could not be analysed")
    networks = {file.stem: _load(file) for file in files}
    found = {name: np.stack([v.mean(0) for v in clip_vectors(net, data)]) for name, net in networks.items()}
    single = teacher_vectors(data, widths)
    paths = [Path(piece.path) for piece in design.pieces[:SONGS]]
    single |= Run(anchor_vectors(paths, shop.shared / "weights", shop.work / "anchors")).wait()
    reduction = reduce_teachers(data, list(widths.values()))
    return Vectors(networks, found | single, tuple(single), data, reduction)


def _unheard_table(shop: Workshop, vectors: Vectors) -> Iterator[str]:
    """R2 of the targets on music that no network has learnt from."""
    rows = []
    for name, other in _unheard(shop).items():
        truth = sound_means(vectors.reduction(other.series), other.seconds)
        cells = []
        for label, network in vectors.networks.items():
            here = np.stack([v.mean(0) for v in clip_vectors(network, other)])
            cells.append(f"{explained((vectors.found[label], vectors.targets), (here, truth)):.3f}")
        rows.append([f"{name} ({len(truth)} pieces)", *cells])
    yield from markdown(["R2 of the targets", *vectors.networks], rows)


def _probe_table(rows: Sequence[ProbeTask], vectors: Vectors, partitions: int) -> Iterator[str]:
    """Scores of simple classifiers out of fold, and the mean difference to the first network."""
    names = ["vectors", *(task.name for task in rows), "mean", "beside the first"]
    yield from markdown(names, _probe_rows(rows, vectors, partitions))


def _probe_rows(rows: Sequence[ProbeTask], vectors: Vectors, partitions: int) -> Iterator[list[str]]:
    first: list[Answers] | None = None
    scores: dict[str, list[float]] = {}
    for name, found in {**vectors.found, "all teachers, reduced": vectors.targets}.items():
        answers = [_answers(found[:SONGS], task, partitions) for task in rows]
        scores[name] = [a.mean(_all(a)) for a in answers]
        beside = "" if first is None else "{:+.4f} ± {:.4f}".format(*difference(first, answers))
        first = first or answers
        yield [name, *(f"{m:.3f}" for m in [*scores[name], float(np.mean(scores[name]))]), beside]
    magnatune = {name for name, source in ANCHORS.items() if source.vocabulary == MAGNATUNE}
    for title, names in (("without", set(vectors.single) - magnatune), ("with", set(vectors.single))):
        best = np.max([scores[name] for name in sorted(names)], 0)
        for network in vectors.networks:
            lead = [*(np.array(scores[network]) - best), np.mean(scores[network]) - best.mean()]
            yield [
                f"{network} less the best single one of each row, {title} {MAGNATUNE}",
                *(f"{x:+.3f}" for x in lead),
                "",
            ]


def _across_table(moods900: Dataset, emotify400: Dataset, vectors: Vectors) -> Iterator[str]:
    """Valence learnt from moods900, answered on emotify400's happy and sad songs."""
    rows = []
    mood = emotify400.head("mood").labels
    marks = emotify400.targets("mood")
    known = np.flatnonzero(np.isin(marks, [mood.index("happy"), mood.index("sad")]))
    train = slice(0, len(moods900.tracks))
    for name, found in vectors.found.items():
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=1 / found.shape[1], max_iter=400))
        probe.fit(found[train], moods900.targets("valence"))
        answers = probe.decision_function(found[len(moods900.tracks) : SONGS])
        positive = 1 if moods900.head("valence").labels[1] == "+" else -1
        area = roc_auc_score(marks[known] == mood.index("happy"), positive * answers[known])
        rows.append([name, f"{area:.3f}"])
    yield from markdown(["valence of moods900 on emotify400's happy against sad, ROC-AUC", ""], rows)


def _wrappings(sound: Array, rate: int) -> dict[str, Array]:
    silence = np.zeros(5 * rate, np.float32)
    return {
        "mp3, smallest": through_codec(sound, rate, 0, 0.0),
        "mp3, 128 kbit/s": through_codec(sound, rate, 0, 1.0),
        "Opus": through_codec(sound, rate, 2, 0.3),
        "22 kHz": soxr.resample(soxr.resample(sound, rate, 22050), 22050, rate),
        "-6 dB": sound * np.float32(0.5),
        "+6 dB": np.clip(sound * np.float32(2), -1, 1),
        "5 s of silence in front": np.concatenate([silence, sound]),
    }


def _robustness_table(moods900: Dataset, vectors: Vectors, every: int = 8) -> Iterator[str]:
    """Share of songs whose best quadrant stays the same in other wrappings; the probe has not seen these songs."""
    songs = np.arange(0, len(moods900.tracks), every)
    rest = np.setdiff1d(np.arange(len(moods900.tracks)), songs)
    probes = {}
    for name in vectors.networks:
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=1 / vectors.found[name].shape[1], max_iter=400))
        probes[name] = probe.fit(vectors.found[name][rest], moods900.targets("quadrant")[rest])
    same: dict[str, dict[str, list[bool]]] = {}
    for song in songs:
        sound = load(str(moods900.tracks[song].path), STUDIO_RATE)
        plain: dict[str, object] = {}
        for kind, waveform in ({"plain": sound} | _wrappings(sound, STUDIO_RATE)).items():
            with open_input(waveform, FRONTEND, STUDIO_RATE) as opened:
                seen = torch.from_numpy(np.stack([clip.data for clip in views(opened, FRONTEND, PLAN)]))
            for name, network in vectors.networks.items():
                with torch.inference_mode():
                    best = probes[name].predict(network(seen).numpy().mean(0, keepdims=True))[0]
                same.setdefault(kind, {}).setdefault(name, []).append(best == plain.setdefault(name, best))
    rows = ([name, *(f"{np.mean(found[name]):.3f}" for found in same.values())] for name in vectors.networks)
    yield from markdown(["best quadrant the same", *same], rows)


def compared(shop: Workshop, files: Sequence[Path], partitions: int) -> Iterator[str]:
    """Lines of tables in Markdown."""
    vectors = _vectors(shop, files)
    moods900, emotify400 = (load_dataset(shop.shared / "data" / n, training=True) for n in ("moods900", "emotify400"))
    yield from _unheard_table(shop, vectors)
    yield ""
    yield from _across_table(moods900, emotify400, vectors)
    yield ""
    yield from _robustness_table(moods900, vectors)
    yield ""
    yield from _probe_table(tasks(moods900, emotify400), vectors, partitions)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0, or 1 with one line of what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bundled.embedding")
    parser.add_argument("networks", nargs="+", type=Path, help="students' files, the one to compare with first")
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data and weights")
    parser.add_argument("--work", type=Path, default=user_cache() / "default-model", help="cache of the teachers")
    parser.add_argument("--music", type=Path, help="folder of free music, as scripts/bundled/music.tsv lists it")
    parser.add_argument("--partitions", type=int, default=3)
    given = parser.parse_args(arguments)
    shop = Workshop(given.shared.resolve(), given.work, given.work, 1, given.music and given.music.resolve())
    torch.set_num_threads(1)
    return printed(compared(shop, given.networks, given.partitions))


if __name__ == "__main__":
    sys.exit(main())
