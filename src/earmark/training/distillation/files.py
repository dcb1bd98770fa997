"""``earmark distill``: any audio files and some teachers in, a model folder out.

Everything that takes long is kept on the way: what the teachers said in the cache, the training in ``MODEL.part``.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from earmark.audio.decode import open_audio
from earmark.datasets.cache import cache_folder as user_cache
from earmark.datasets.core import HeadSpec
from earmark.errors import AudioError, DatasetError, ModelError
from earmark.features.frontend import Frontend
from earmark.model.card import Card, HeadCard, write_card
from earmark.model.folder import sha256
from earmark.recipe import ClipPlan
from earmark.training.backbones import Backbone
from earmark.training.distillation import cache as distill_cache
from earmark.training.distillation import students as distill
from earmark.training.distillation.cache import CacheDesign, Heard, Piece
from earmark.training.distillation.students import StudentDesign
from earmark.training.distillation.teachers import load_teacher
from earmark.training.folder.export import write_network
from earmark.training.folder.words import model_card_text
from earmark.training.heads.examples import examples_of
from earmark.training.heads.partial import fit_path
from earmark.training.module import TaggerModule

__all__ = ["DistillPlan", "Distilled", "distill_files"]

PIECE_SECONDS = 30.0
PIECES_A_TRACK = 4
NAMED = 0.3
"""The probability from which a distilled head names a tag: there is no truth to choose it by."""


@dataclass(frozen=True, slots=True)
class DistillPlan:
    """What to distil.

    Attributes:
        teachers: By kind, the file of the weights (a model folder, of kind ``earmark``).
        copies: Of each piece, the piece itself among them.
        student: How the student is trained.
        frontend: What it sees.
        clip: How the model hears a track.
    """

    teachers: Mapping[str, str]
    copies: int = 2
    student: StudentDesign = field(default_factory=lambda: StudentDesign(backbone="patch-residual", mask=0.25))
    frontend: Frontend = field(default_factory=Frontend)
    clip: ClipPlan = field(default_factory=ClipPlan)


@dataclass(frozen=True, slots=True)
class Distilled:
    """What became of it.

    Attributes:
        card: Of the model; None where it was finished before.
        pieces: Of at most half a minute, that were learnt from.
        unreadable: Files that could not be heard.
        explained: Share of the variance of the teachers' answers that the student gives, on what it has heard.
    """

    card: Card | None
    pieces: int = 0
    unreadable: int = 0
    explained: float = 0.0


def distill_files(
    paths: Sequence[str],
    plan: DistillPlan,
    output: Path,
    jobs: int = 1,
    report: Callable[[str], None] = lambda line: None,
) -> Distilled:
    """Distil a model from teachers; run again, it goes on where it was interrupted.

    Args:
        paths: Audio files; unreadable ones are left out and counted.
        plan: Teachers and student.
        output: The model folder; it is made in ``output.part``.
        jobs: Processes that hear, threads that train.
        report: Called with a line now and then.

    Raises:
        ModelError: A teacher is missing, damaged or of another kind; or the part was made with other settings.
        DatasetError: No file could be heard.
        StorageError: No space for the cache; said before anything is computed.
    """
    if (output / "card.json").exists():
        return Distilled(None)
    for kind, file in plan.teachers.items():
        load_teacher(kind, Path(file))
    part = _open_part(output, plan)
    pieces, unreadable = _pieces(paths)
    if not pieces:
        raise DatasetError(f"none of {len(paths)} files could be heard")
    design = CacheDesign(pieces, plan.teachers, plan.frontend, plan.student.seed)
    folder = distill_cache.cache_folder(design, user_cache() / "teachers")
    for left, _ in distill_cache.fill(design, folder, range(plan.copies), jobs):
        report(f"teachers: {left} parts to go")
    torch.set_num_threads(jobs)
    heard = distill_cache.load(design, folder, range(plan.copies))
    if not len(heard.frames):
        raise DatasetError(f"none of {len(paths)} files could be heard")
    network, explained = _student(heard, design, plan, part, report)
    card = _write(part, network, heard, design, plan)
    part.replace(output)
    failed = {pieces[i].path for i in set(range(len(pieces))) - set(heard.piece.tolist())}
    return Distilled(card, len(np.unique(heard.piece)), unreadable + len(failed), explained)


def _pieces(paths: Sequence[str]) -> tuple[tuple[Piece, ...], int]:
    """Up to four half minutes of each file, spread over it; and how many files cannot be opened."""
    pieces: list[Piece] = []
    unreadable = 0
    for path in paths:
        try:
            with open_audio(path) as source:
                seconds = source.seconds or PIECE_SECONDS
        except AudioError:
            unreadable += 1
            continue
        count = min(PIECES_A_TRACK, max(1, int(seconds // PIECE_SECONDS)))
        share = seconds / count
        length = min(PIECE_SECONDS, share)
        pieces += [Piece(path, round(i * share + (share - length) / 2, 3), round(length, 3)) for i in range(count)]
    return tuple(pieces), unreadable


def _open_part(output: Path, plan: DistillPlan) -> Path:
    """``MODEL.part`` with the settings that it was begun with."""
    part = output.with_name(output.name + ".part")
    part.mkdir(parents=True, exist_ok=True)
    wanted = json.loads(json.dumps(dataclasses.asdict(plan)))
    file = part / "settings.json"
    if file.exists():
        before = json.loads(file.read_text("utf-8"))
        for key, value in wanted.items():
            if before.get(key) != value:
                raise ModelError(f"{part}: begun with another setting of {key!r}; use the same again, or --overwrite")
    file.write_text(json.dumps(wanted), "utf-8")
    return part


def _student(
    heard: Heard, design: CacheDesign, plan: DistillPlan, part: Path, report: Callable[[str], None]
) -> tuple[Backbone, float]:
    widths = [load_teacher(kind, Path(file)).features for kind, file in sorted(design.teachers.items())]
    reduction = distill.reduce_teachers(heard, widths, plan.student.components, plan.student.alpha)
    targets, rate = reduction(heard.series), plan.frontend.frames_per_second
    network = distill.train(
        heard, targets, plan.student, rate, distill.Resume(part / "student.ckpt"),
        lambda now: report(f"student: step {now.step} of {now.steps}, loss {now.loss:.3f}"),
    )  # fmt: skip
    wanted = np.stack([rows.mean(0) for rows in np.split(targets, np.cumsum(heard.seconds)[:-1])])
    explained = distill.explained(distill.embed_pieces(network, heard, rate, plan.clip.seconds), wanted)
    distill.rotate(network, plan.student.seed)
    return network.to(memory_format=torch.contiguous_format), explained  # type: ignore[call-overload]


def _heads(network: Backbone, heard: Heard, design: CacheDesign, plan: DistillPlan) -> list[tuple[HeadCard, nn.Module]]:
    """A head a list of tags: linear, its marks the mean probabilities of the teachers that share the list."""
    embeddings = distill.embed_pieces(network, heard, plan.frontend.frames_per_second, plan.clip.seconds)
    probabilities = np.asarray(1.0 / (1.0 + np.exp(-heard.tags.astype(np.float32))), np.float32)
    lists: dict[tuple[str, ...], list[NDArray[np.float32]]] = {}
    first = 0
    for kind, file in sorted(design.teachers.items()):
        teacher = load_teacher(kind, Path(file))
        if teacher.labels:
            lists.setdefault(teacher.labels, []).append(probabilities[:, first : first + teacher.tags])
        first += teacher.tags
    groups = [design.pieces[i].path for i in heard.piece]
    heads: list[tuple[HeadCard, nn.Module]] = []
    for number, (labels, scores) in enumerate(lists.items()):
        marks = np.mean(scores, 0).astype(np.float32)
        spec = HeadSpec("tags" if number == 0 else f"tags{number + 1}", "multilabel", labels)
        examples = examples_of(spec, [row[None] for row in embeddings], marks, groups)
        linear = fit_path(examples, marks, (1e-1, 1e-2))[-1]
        layer = nn.Linear(embeddings.shape[1], len(labels))
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(linear.weight.astype(np.float32)))
            layer.bias.copy_(torch.from_numpy(linear.bias.astype(np.float32)))
        heads.append((HeadCard(spec.name, "multilabel", labels, thresholds=dict.fromkeys(labels, NAMED)), layer))
    return heads


def _write(part: Path, network: Backbone, heard: Heard, design: CacheDesign, plan: DistillPlan) -> Card:
    heads = _heads(network, heard, design, plan)
    module = TaggerModule(network, {head.name: layer for head, layer in heads})
    frames = round(plan.clip.seconds * plan.frontend.frames_per_second) + 1
    index = np.resize(np.arange(int(heard.frames[0])), frames)
    write_network(
        module, part, heard.spectrograms[index].astype(np.float32)[None], [head.name for head, _ in heads], True
    )
    kinds = ", ".join(sorted(design.teachers))
    card = Card(
        name=part.stem.removesuffix(".part"),
        version="1",
        backbone=plan.student.backbone,
        frontend=plan.frontend,
        clip=plan.clip,
        heads=tuple(head for head, _ in heads),
        embedding=network.features,
        recipe={
            "name": "distilled",
            "about": f"a small network distilled from {kinds}",
            "backbone": {"name": plan.student.backbone, "options": dict(plan.student.options)},
            "student": dataclasses.asdict(plan.student),
        },
        data=(
            f"{len(np.unique(heard.piece))} pieces of up to half a minute and their changed copies, heard by {kinds}",
        ),
        notes=("Its heads imitate their teachers; nobody has checked them against people's labels.",),
    )
    (part / "README.md").write_text(model_card_text(card, False), "utf-8", newline="\n")
    for leftover in ("settings.json", "student.ckpt"):
        (part / leftover).unlink(missing_ok=True)
    files = {file.name: sha256(file) for file in sorted(part.iterdir())}
    card = dataclasses.replace(card, files=files)
    write_card(card, part)
    return card


def forget(output: Path) -> None:
    """Remove a model and its part, to begin anew."""
    for folder in (output, output.with_name(output.name + ".part")):
        if folder.is_dir():
            shutil.rmtree(folder)
