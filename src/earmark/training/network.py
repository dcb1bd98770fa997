"""Training of whole networks: backbone and heads from spectrograms, in one piece or in chunks that compete."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from earmark.datasets.splits import folds
from earmark.errors import DatasetError, ModelError
from earmark.events import Progress, Steps
from earmark.inference.records import Failure
from earmark.models.card import Card, HeadCard, read_card
from earmark.models.registry import find_model
from earmark.storage import write_file
from earmark.training.backbones import Backbone, build
from earmark.training.draws import Draws, Songs, chances, open_songs
from earmark.training.finish import Outputs, TrainedModel, finish_model
from earmark.training.heads import build_head
from earmark.training.job import Job, without_failures
from earmark.training.loop import FitPlan, FitResult, HeadTask, fit, fold_scale, head_task, outputs_of
from earmark.training.module import TaggerModule, find_device, load_matching, write_network

__all__ = ["build_module", "train_network"]

_CHECKED = 8
"""Tracks of each of which a clip checks the ONNX file: all clips at once would take more memory than training."""


@dataclass(frozen=True, slots=True, eq=False)
class _Chunk:
    """One model of several: the training tracks it saw and what came of it."""

    number: int
    rows: NDArray[np.intp]
    module: TaggerModule
    tasks: tuple[HeadTask, ...]
    fitted: FitResult


def train_network(job: Job) -> Steps[None]:
    """Fill ``job.folder`` with a whole model.

    Raises:
        RecipeError: Settings that make no sense, or a loss that is not a number any more.
        ModelError: The model to start from has another frontend or network.
        StorageError: No space for the cache or the checkpoints.
    """
    device = find_device(job.options.device, elsewhere=job.engine.elsewhere)
    build_module(job, job.options.seed)  # what does not fit together is refused before anything is decoded
    songs = yield from open_songs(job.dataset, job.hashes, job.recipe, job.engine)
    songs = replace(songs, keep=job.recipe.training.streams == 0)
    unread = {row: songs.failures[one] for row, one in enumerate(job.hashes) if one in songs.failures}
    job = yield from without_failures(job, unread)
    parts = _chunks(job)
    chunks: list[_Chunk] = []
    for number, rows in enumerate(parts, 1):
        chunks.append((yield from _train_chunk(job, songs, rows, number, device)))
    best = min(chunks, key=lambda chunk: (_rank(chunk), chunk.number))
    module = best.module
    for task in best.tasks:
        fold_scale(module.heads[task.spec.name], task)
    clips = np.concatenate([songs.spread(int(row))[:1] for row in job.split.train[:_CHECKED]])
    yield Progress(0, 1, "writing the network", "networks")
    heads = write_network(module, job.folder, clips, getattr(module.backbone, "any_length", False))
    if len(chunks) > 1:
        write_file(job.folder / "chunks.csv", _table(chunks, best))
    finish_model(
        job.folder,
        TrainedModel(
            card=_card(job, module, _compared(chunks, best)),
            dataset=job.dataset,
            split=job.split,
            hashes=job.hashes,
            outputs=(yield from _outputs(job, songs, module)),
            heads=heads,
            history=best.fitted.history,
            kept=best.fitted.kept,
            seed=job.options.seed,
        ),
    )


def build_module(job: Job, seed: int) -> TaggerModule:
    """Backbone and heads with random weights, or with those of the model to start from.

    Raises:
        UnknownName, RecipeError: No such network, or its options do not fit.
        ModelError: ``--init`` names a model of another frontend or network.
    """
    recipe = job.recipe
    frontend, plan = recipe.frontend, recipe.clip
    pictures = frontend.kind == "image"
    frames = round(plan.seconds) if pictures else frontend.frames(round(plan.seconds * frontend.sample_rate))
    torch.manual_seed(seed)
    backbone: Backbone = build(recipe.backbone.name, frames, frontend.bands, recipe.backbone.options)
    heads = {
        spec.name: build_head(recipe.heads, backbone.features, spec, seed + number)
        for number, spec in enumerate(job.dataset.heads, 1)
    }
    module = TaggerModule(backbone, heads)
    given = job.options.init or recipe.backbone.init
    if isinstance(given, str) and Path(given).is_file():
        from earmark.training.pretrained import load_pretrained

        load_pretrained(module.backbone, Path(given))
    elif given:
        _start_from(module, job, find_model(given))
    return module


def _start_from(module: TaggerModule, job: Job, folder: Path) -> None:
    """Take over backbone, and heads of the same name and labels, of a model folder."""
    card = read_card(folder)
    if card.frontend != job.recipe.frontend:
        ours, theirs = job.recipe.frontend, card.frontend
        fields = [field.name for field in dataclasses.fields(ours)]
        key = next((name for name in fields if theirs and getattr(ours, name) != getattr(theirs, name)), "kind")
        raise ModelError(
            f"{folder}: was trained with another frontend: {key} = {getattr(theirs, key, None)!r}, here "
            f"{getattr(ours, key)!r}; train with its recipe, or without --init"
        )
    if card.backbone != job.recipe.backbone.name:
        raise ModelError(
            f"{folder}: its network is {card.backbone!r}, the recipe's is {job.recipe.backbone.name!r}; "
            "train with its recipe, or without --init"
        )
    labels = {head.name: (head.task, head.labels) for head in card.heads}
    same = [spec.name for spec in job.dataset.heads if labels.get(spec.name) == (spec.task, spec.labels)]
    load_matching(module, folder, same)
    for spec in job.dataset.heads:
        if spec.name in same and spec.task == "regression":
            fold_scale(module.heads[spec.name], _task(job, spec.name), backwards=True)


def _task(job: Job, name: str, rows: NDArray[np.intp] | None = None) -> HeadTask:
    spec = job.dataset.head(name)
    train = job.split.train if rows is None else rows
    return head_task(job.dataset, spec, train, job.recipe.training.balance == "loss")


def _chunks(job: Job) -> list[NDArray[np.intp]]:
    """The training part, or its parts: no group in two of them, labels spread evenly."""
    count = job.recipe.training.chunks
    train = job.split.train
    if count == 1:
        return [train]
    part = replace(job.dataset.subset(train), has_split=False)
    return [train[fold.test] for fold in folds(part, count, job.options.seed, valid=0)]


def _train_chunk(job: Job, songs: Songs, rows: NDArray[np.intp], number: int, device: torch.device) -> Steps[_Chunk]:
    training, seed = job.recipe.training, job.options.seed + number - 1
    tasks = tuple(_task(job, spec.name, rows) for spec in job.dataset.heads)
    for task in tasks:
        if bool(torch.isnan(task.targets[torch.from_numpy(rows)]).all()):
            where = f" chunk {number}" if training.chunks > 1 else ""
            raise DatasetError(f"{job.dataset.name}: no track of the training part{where} has a label of "
                               f"head {task.spec.name!r}")  # fmt: skip
    draws = Draws(
        songs=songs,
        rows=rows,
        clips_per_track=training.clips_per_track,
        batch_size=training.batch_size,
        seed=seed,
        augment=job.recipe.augment,
        chances=chances(job.dataset, rows) if training.balance == "sample" else None,
        streams=training.streams,
    )
    plan = FitPlan(
        draws=draws,
        tasks=tasks,
        valid=job.split.valid,
        training=training,
        device=device,
        pooling=job.recipe.clip.pooling,
        frozen=job.recipe.backbone.frozen,
        chunk=number if training.chunks > 1 else 0,
    )
    module = build_module(job, seed)
    checkpoint = job.work / f"chunk-{number}.safetensors"
    if job.engine.elsewhere:
        from earmark.engine.cluster import RayEngine
        from earmark.training.cluster import fit_on

        assert isinstance(job.engine, RayEngine)
        fitted = yield from fit_on(job.engine, job.options.device, module, plan, checkpoint)
    else:
        fitted = yield from fit(module, plan, checkpoint)
    return _Chunk(number, rows, module.cpu(), tasks, fitted)


def _rank(chunk: _Chunk) -> float:
    return chunk.fitted.valid_loss if chunk.fitted.valid_loss == chunk.fitted.valid_loss else 0.0


def _compared(chunks: Sequence[_Chunk], best: _Chunk) -> tuple[str, ...]:
    if len(chunks) == 1:
        return ()
    return tuple(
        f"Chunk {chunk.number} of {len(chunks)} ({len(chunk.rows)} training tracks): validation loss "
        f"{chunk.fitted.valid_loss:.3f}, score {chunk.fitted.valid_score:.3f}"
        f"{': kept' if chunk is best else ''}."
        for chunk in chunks
    )


def _table(chunks: Sequence[_Chunk], best: _Chunk) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("chunk", "tracks", "epoch", "valid_loss", "valid_score", "kept"))
    for chunk in chunks:
        fitted = chunk.fitted
        figures = (fitted.kept, f"{fitted.valid_loss:.6g}", f"{fitted.valid_score:.6g}")
        writer.writerow((chunk.number, len(chunk.rows), *figures, "yes" if chunk is best else ""))
    return text.getvalue()


def _outputs(job: Job, songs: Songs, module: TaggerModule) -> Steps[list[Outputs | None]]:
    """What the finished network gives for every track: of training tracks from the cache, of others from the file."""
    found: list[Outputs | None] = [None] * len(job.dataset.tracks)
    cpu = torch.device("cpu")
    train, others = job.split.train.tolist(), [*job.split.valid.tolist(), *job.split.test.tolist()]
    readable: list[int] = []

    def clips() -> Iterator[NDArray[np.float32]]:
        yield from map(songs.spread, train)
        for row, seen in zip(others, songs.from_files(others, job.engine), strict=True):
            if not isinstance(seen, Failure):
                readable.append(row)
                yield seen

    for done, output in enumerate(outputs_of(module, clips(), cpu)):
        found[train[done] if done < len(train) else readable[done - len(train)]] = output
        yield Progress(done + 1, len(train) + len(others), "scoring")
    return found


def _card(job: Job, module: TaggerModule, notes: tuple[str, ...]) -> Card:
    recipe = job.recipe
    return Card(
        name=job.name,
        version="1",
        backbone=recipe.backbone.name,
        frontend=recipe.frontend,
        clip=recipe.clip,
        heads=tuple(HeadCard(spec.name, spec.task, spec.labels) for spec in job.dataset.heads),
        embedding=module.backbone.features,
        recipe=dataclasses.asdict(recipe),
        notes=(*job.notices, *notes),
    )
