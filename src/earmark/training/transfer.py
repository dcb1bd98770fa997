"""Transfer: the base model's network as it is, its embeddings kept on disk, new heads trained on them in seconds.

Embeddings of each clip (float32) are kept by content and model: a second run, another fold or another head decodes
nothing. A track of three clips takes 6 KB with 512 dimensions.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from earmark.datasets.cache import (
    ArrayStore,
    EmbedClips,
    HashAndEmbed,
    check_space,
    content_hashes,
    keep_arrays,
    open_store,
)
from earmark.datasets.core import Dataset
from earmark.engine.base import Engine
from earmark.errors import DatasetError, RecipeError
from earmark.events import Progress, Steps
from earmark.features.frontend import Frontend
from earmark.inference.records import Failure
from earmark.inference.scores import raw_scores
from earmark.inference.tagger import Tagger, load_model
from earmark.models.card import NETWORK, Card, HeadCard
from earmark.models.network import HeadWeights
from earmark.models.registry import sha256
from earmark.recipe import ClipPlan, Recipe
from earmark.training.finish import Outputs, TrainedModel, finish_model
from earmark.training.fitting import examples_of, fit_head
from earmark.training.heads import weights_of
from earmark.training.job import Job, KnownTracks, TrackEmbeddings, without_failures
from earmark.training.module import WEIGHTS, read_weights, write_weights

__all__ = ["TrackEmbeddings", "base_model", "copy_network", "embed_files", "new_card", "outputs_of", "train_transfer"]

Array = NDArray[np.float32]

_CLIPS_BEFORE = 8  # a guess of the clips of a track, for the space that the cache will need


def embed_files(
    tagger: Tagger, paths: Sequence[Path], engine: Engine, known: KnownTracks | None = None
) -> Steps[list[TrackEmbeddings | Failure]]:
    """Analyse files, each once and for all.

    Args:
        tagger: Whose embeddings.
        paths: The files.
        engine: That analyses them.
        known: What is known already; of another network, it says nothing.

    A file that was never met is decoded once, for its content hash and its embeddings.

    Returns:
        (files,) in their order; a file that cannot be analysed is a :class:`Failure`.

    Raises:
        StorageError: The cache cannot be written, or its disk is too full: before anything is analysed.
        ModelError: The model takes no such files.
    """
    before = known.tracks if known and known.backbone == tagger.card.backbone_digest else {}
    every, paths = paths, [path for path in paths if path not in before]
    if not paths:
        return [before[path] for path in every]
    store = _store(tagger)
    check_space(len(paths) * tagger.card.embedding * 4 * _CLIPS_BEFORE)
    task = EmbedClips(tagger.folder, tagger.card)
    hashes = yield from content_hashes(paths, engine, HashAndEmbed(task, store))
    files = {digest: path for digest, path in zip(hashes, paths, strict=True) if isinstance(digest, str)}
    failures = yield from keep_arrays(task, store, files, engine)

    def found(digest: str | Failure, path: Path) -> TrackEmbeddings | Failure:
        if isinstance(digest, Failure):
            return digest
        if digest in failures:
            return replace(failures[digest], path=str(path))
        return TrackEmbeddings(digest, np.asarray(store[digest]))

    rest = iter([found(digest, path) for digest, path in zip(hashes, paths, strict=True)])
    return [before[path] if path in before else next(rest) for path in every]


def _store(tagger: Tagger) -> ArrayStore:
    """The store of embeddings of this very network, heard in this very way."""
    facts = {
        "network": tagger.card.files.get("model.onnx") or sha256(tagger.folder / "model.onnx"),
        "frontend": dataclasses.asdict(tagger.frontend),
        "clip": dataclasses.asdict(tagger.card.clip),
    }
    return open_store("embeddings", facts, "float32")


def train_transfer(job: Job) -> Steps[None]:
    """Fill ``job.folder`` with a whole model: the base model's network with heads of the job's data set.

    Raises:
        DatasetError: Pictures for a model of audio, or the other way round.
        RecipeError: Settings that the base model's network does not allow.
        ModelError: The base model is damaged.
    """
    base = base_model(job.recipe, job.options.init, job.dataset)
    found = yield from embed_files(base, [track.path for track in job.dataset.tracks], job.engine, job.options.known)
    embeddings = [None if isinstance(one, Failure) else one.clips for one in found]
    failures = [one for one in found if isinstance(one, Failure)]
    if len(failures) == len(found):
        first = failures[0]
        raise DatasetError(f"{job.dataset.name}: not one track could be read, as {first.path}: {first.message}")
    job = yield from without_failures(job, {row: one for row, one in enumerate(found) if isinstance(one, Failure)})
    modules = yield from _fit(job, embeddings)
    copy_network(base.folder, job.folder, modules)
    card, heads = _card(job, base.card), {name: weights_of(head) for name, head in modules.items()}
    draft = TrainedModel(
        card=card,
        dataset=job.dataset,
        split=job.split,
        hashes=job.hashes,
        outputs=[None if one is None else outputs_of(card, heads, one) for one in embeddings],
        heads=heads,
        seed=job.options.seed,
    )
    finish_model(job.folder, draft)


def base_model(recipe: Recipe, init: Path | None, dataset: Dataset) -> Tagger:
    """The model whose network is used, with clips as the recipe plans them as far as its network allows.

    Args:
        recipe: Its ``backbone.init`` names the model where ``init`` does not.
        init: As ``--init``.
        dataset: What is to be learned from.

    Raises:
        DatasetError, RecipeError, ModelError, UnknownName: As :func:`train_transfer`.
    """
    base = load_model(init or recipe.backbone.init or "default")
    frontend, clip = base.frontend, base.card.clip
    if recipe.frontend not in (Frontend(), frontend):
        raise RecipeError(
            f"{recipe.name}: frontend: the base model {base.card.id} was trained with another one; "
            "leave it out, or train a whole network (-r time-axis)"
        )
    if recipe.clip.seconds not in (ClipPlan().seconds, clip.seconds):
        raise RecipeError(
            f"{recipe.name}: clip.seconds = {recipe.clip.seconds:g}: the base model {base.card.id} takes clips of "
            f"{clip.seconds:g} s; leave it out"
        )
    if recipe.augment:
        raise RecipeError(f"{recipe.name}: augment: transfer analyses every track once, so there is nothing to change")
    pictures = frontend.kind == "image"
    if pictures != (dataset.kind == "images"):
        kind = "is of spectrogram images" if dataset.kind == "images" else "is of audio"
        needs = "spectrogram images" if pictures else "audio"
        raise DatasetError(
            f"{dataset.name}: the data set {kind}, but transfer from {base.card.id} needs {needs}; "
            "train a whole network instead (-r slices-best), or give a fitting --init"
        )
    if recipe.clip != ClipPlan():
        clip = replace(clip, count=recipe.clip.count, pooling=recipe.clip.pooling, pad=recipe.clip.pad)
    return replace(base, card=replace(base.card, clip=clip))


def outputs_of(card: Card, heads: Mapping[str, HeadWeights], clips: Array) -> Outputs:
    """What the network and the heads give of a track, from its embeddings (clips, dimensions)."""
    return Outputs(clips, raw_scores(card.heads, heads, {"embedding": clips}))


def copy_network(base: Path, folder: Path, heads: Mapping[str, nn.Module]) -> None:
    """Take over the base model's network, and its weights to train on with those of these heads.

    Raises:
        ModelError: The base model's weights are damaged.
    """
    shutil.copyfile(base / NETWORK, folder / NETWORK)
    state: dict[str, Array] = {}
    if (base / WEIGHTS).is_file():
        state = read_weights(base)
    state = {name: value for name, value in state.items() if not name.startswith("heads.")}
    for name, head in heads.items():
        state |= {f"heads.{name}.{key}": value.numpy() for key, value in head.state_dict().items()}
    write_weights(state, folder)


def _fit(job: Job, embeddings: Sequence[Array | None]) -> Steps[dict[str, nn.Module]]:
    heads: dict[str, nn.Module] = {}
    specs = job.dataset.heads
    for number, spec in enumerate(specs):
        yield Progress(number, len(specs), "training heads", "heads")
        rows = [row for row in map(int, job.split.train) if embeddings[row] is not None]
        examples = examples_of(
            spec,
            [embeddings[row] for row in rows],
            job.dataset.targets(spec.name)[rows],
            [job.dataset.tracks[row].group for row in rows],
            balance=job.recipe.training.balance,
        )
        if not len(examples.truth):
            raise DatasetError(f"{job.dataset.name}: no track of the training part has a label of head {spec.name!r}")
        heads[spec.name] = fit_head(job.recipe.heads, spec, examples, job.recipe.training, job.options.seed)
    yield Progress(len(specs), len(specs), "training heads", "heads")
    return heads


def new_card(name: str, base: Card, heads: Sequence[HeadCard], recipe: Mapping[str, Any]) -> Card:
    """The card of a model with other heads on the network of ``base``."""
    note = f"The network is that of {base.id}, which did not change; the heads are new."
    return replace(
        base,
        name=name,
        version="1",
        heads=tuple(heads),
        recipe=recipe,
        data=(),
        scores={},
        notes=(note,),
        files={},
        group_salt="",
    )


def _card(job: Job, base: Card) -> Card:
    recipe = dataclasses.asdict(job.recipe)
    recipe["backbone"] = {
        **recipe["backbone"],
        **base.recipe.get("backbone", {}),
        "name": base.backbone,
        "init": base.id,
    }
    heads = [HeadCard(spec.name, spec.task, spec.labels) for spec in job.dataset.heads]
    return new_card(job.name, base, heads, recipe)
