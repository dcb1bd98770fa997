"""The bundled model's heads: what three corpora say of tracks, heard by the student, and what is learnt of it.

Every figure and every calibration is made from answers out of fold: heads that have not seen the track's artist.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from earmark.audio.excerpts import Hearing, fit, hear
from earmark.datasets import Dataset, load_dataset
from earmark.datasets.core import HeadSpec, Track
from earmark.errors import AudioError
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import spectrogram
from earmark.recipe import ClipPlan
from earmark.training.backbones import Backbone
from earmark.training.default_labels import HEADS, LabelledHead, targets
from earmark.training.examples import Examples, examples_of
from earmark.training.logistic import Linear, fit_linear
from earmark.training.outputs import Outputs
from earmark.training.partial import fit_sets

__all__ = ["CORPORA", "FOLDS", "Corpus", "embed_tracks", "fit_heads", "fold_of", "join", "out_of_fold"]

Array = NDArray[np.float32]
CORPORA = ("moods900", "emotify400", "gtzan-short")
FOLDS = 5
TAG_NAMED = 0.25
"""The teachers' mean probability from which a tag counts as named by them."""


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """All tracks with the labels of the bundled heads.

    Attributes:
        dataset: Tracks of all corpora; their labels are what can be scored: one name, several, or None.
        learnt: By head, (tracks, labels) of 1, 0 and NaN (and soft values, of the tags) to learn from; of a multiclass
            head the ones are a set.
        aliases: By head and label, the corpora's own names.
        origin: (tracks,) name of the corpus.
    """

    dataset: Dataset
    learnt: Mapping[str, Array]
    aliases: Mapping[str, Mapping[str, tuple[str, ...]]]
    origin: tuple[str, ...]


def join(data: Path, tag_names: Sequence[str], tag_scores: Array) -> Corpus:
    """The three corpora as one data set with the bundled heads.

    Args:
        data: Folder of the corpora.
        tag_names: The teachers' tags.
        tag_scores: (tracks, tags) their mean probabilities, tracks in the order of :data:`CORPORA`.
    """
    corpora = {name: load_dataset(data / name, training=True) for name in CORPORA}
    words = corpora["moods900"].head("moods").labels
    heads = HEADS(words)
    origin = tuple(name for name, dataset in corpora.items() for _ in dataset.tracks)
    learnt = {
        head.name: np.concatenate([targets(head, name, dataset.tracks) for name, dataset in corpora.items()])
        for head in heads
    }
    learnt["tags"] = tag_scores.astype(np.float32)
    tracks = []
    for row, (name, track) in enumerate(zip(origin, (t for d in corpora.values() for t in d.tracks), strict=True)):
        given = {head.name: _scored(head, name, track, learnt[head.name][row]) for head in heads}
        named = tuple(tag for tag, p in zip(tag_names, tag_scores[row], strict=True) if p >= TAG_NAMED)
        tracks.append(replace(track, name=f"{name}/{track.name}", group=f"{name}/{track.group}", labels=given | {"tags": named}))
    order = [*heads[:5], _tags(tag_names), *heads[5:]]
    specs = tuple(HeadSpec(head.name, head.task, head.labels) for head in order)
    dataset = Dataset("corpora", data, specs, tuple(tracks), "artist")
    return Corpus(dataset, learnt, {head.name: head.aliases for head in order}, origin)


def _tags(names: Sequence[str]) -> LabelledHead:
    return LabelledHead("tags", "multilabel", tuple(names), {}, lambda corpus, track: None)


def _scored(head: LabelledHead, corpus: str, track: Track, row: Array) -> str | tuple[str, ...] | None:
    """The label that answers are scored against: a set of several names is none, nor is a weak one."""
    if np.isnan(row).any() or (head.name == "mood" and corpus != "emotify400"):
        return None
    named = tuple(label for label, value in zip(head.labels, row, strict=True) if value == 1)
    if head.task == "multilabel":
        return named
    return named[0] if len(named) == 1 else None


def fold_of(groups: Sequence[str], count: int = FOLDS) -> NDArray[np.intp]:
    """(tracks,) number of each track's fold: by a hash of its artist, so that artists stay together."""
    return np.array([int(hashlib.sha256(group.encode()).hexdigest(), 16) % count for group in groups], np.intp)


def embed_tracks(
    network: Backbone, paths: Sequence[Path], frontend: Frontend, plan: ClipPlan, report: Callable[[int], None]
) -> list[Array | None]:
    """(clips, features) of each track, heard as inference hears it; None where it cannot be read."""
    samples = round(plan.seconds * frontend.sample_rate)
    found: list[Array | None] = []
    for path in paths:
        try:
            clips = list(hear(path, frontend.sample_rate, plan.seconds, plan.count, Hearing()))
        except AudioError:
            found.append(None)
            continue
        seen = np.stack([spectrogram(fit(clip.waveform, samples, plan.pad), frontend) for clip in clips])
        with torch.inference_mode():
            found.append(network(torch.from_numpy(seen)).numpy())
        report(len(found))
    return found


def fit_heads(
    corpus: Corpus, embeddings: Sequence[Array | None], use: NDArray[np.bool_], seed: int = 0
) -> dict[str, Linear]:
    """All heads from some of the tracks; each learns from those that have something to say."""
    chosen = [clips if use[row] else None for row, clips in enumerate(embeddings)]
    groups = [track.group for track in corpus.dataset.tracks]
    return {spec.name: _fit(spec, corpus.learnt[spec.name], chosen, groups, seed) for spec in corpus.dataset.heads}


def _fit(spec: HeadSpec, learnt: Array, embeddings: Sequence[Array | None], groups: Sequence[str], seed: int) -> Linear:
    if spec.task == "multilabel":
        return fit_linear(examples_of(spec, embeddings, learnt, groups), seed)
    one = np.where(np.isnan(learnt).any(1), np.nan, np.nan_to_num(learnt).argmax(1)).astype(np.float32)
    examples: Examples = examples_of(spec, embeddings, one, groups)
    known = [row for row, clips in enumerate(embeddings) if clips is not None and not np.isnan(one[row])]
    sets = learnt[known] > 0
    return fit_sets(examples, sets, seed) if (sets.sum(1) > 1).any() else fit_linear(examples, seed)


def out_of_fold(
    corpus: Corpus, embeddings: Sequence[Array | None], report: Callable[[int], None] = lambda fold: None
) -> list[Outputs | None]:
    """What heads that have not seen a track's artist say of it, for every track."""
    fold = fold_of([track.group for track in corpus.dataset.tracks])
    found: list[Outputs | None] = [None] * len(embeddings)
    for number in range(FOLDS):
        heads = fit_heads(corpus, embeddings, fold != number)
        for row in np.flatnonzero(fold == number):
            clips = embeddings[row]
            if clips is not None:
                raw = {name: linear(clips).astype(np.float32) for name, linear in heads.items()}
                found[row] = Outputs(clips, raw)
        report(number + 1)
    return found
