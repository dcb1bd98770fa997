"""The bundled model's heads: three corpora's labels of tracks, embedded by the student, and what is learnt of them.

Every figure and every calibration is made from answers out of fold: heads that have not seen the track's artist.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from earmark.datasets import Dataset, load_dataset
from earmark.datasets.core import HeadSpec
from earmark.errors import AudioError
from earmark.events import Progress, Steps
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import open_input, views
from earmark.recipe import ClipPlan
from earmark.training.backbones import Backbone
from earmark.training.finish import Outputs
from earmark.training.fitting import Examples, Linear, examples_of, fit_partial, partial_loss
from scripts.bundled.labels import LabelledHead, labelled_heads, targets

__all__ = ["CORPORA", "FOLDS", "Corpus", "FittedHeads", "StudentClips", "embed_tracks", "fit_heads", "fold_of", "join"]

Array = NDArray[np.float32]
CORPORA = ("moods900", "emotify400", "gtzan-short")
FOLDS = 5
STRENGTHS = (3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3)
"""Penalties to choose from."""
TAG_NAMED = 0.2
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
    heads = labelled_heads(words)
    origin = tuple(name for name, dataset in corpora.items() for _ in dataset.tracks)
    learnt = {
        head.name: np.concatenate([targets(head, name, dataset.tracks) for name, dataset in corpora.items()])
        for head in heads
    }
    learnt["tags"] = tag_scores.astype(np.float32)
    tracks = []
    for row, (name, track) in enumerate(zip(origin, (t for d in corpora.values() for t in d.tracks), strict=True)):
        given = {head.name: _scored(head, learnt[head.name][row]) for head in heads}
        named = tuple(tag for tag, p in zip(tag_names, tag_scores[row], strict=True) if p >= TAG_NAMED)
        tracks.append(
            replace(track, name=f"{name}/{track.name}", group=f"{name}/{track.group}", labels=given | {"tags": named})
        )
    order = [*heads[:5], _tags(tag_names), *heads[5:]]
    specs = tuple(HeadSpec(head.name, head.task, head.labels) for head in order)
    dataset = Dataset("corpora", data, specs, tuple(tracks), "artist")
    return Corpus(dataset, learnt, {head.name: head.aliases for head in order}, origin)


def _tags(names: Sequence[str]) -> LabelledHead:
    return LabelledHead("tags", "multilabel", tuple(names), {}, lambda corpus, track: None)


def _scored(head: LabelledHead, row: Array) -> str | tuple[str, ...] | None:
    """The label that answers are scored against: a set of several names is none."""
    if np.isnan(row).any():
        return None
    named = tuple(label for label, value in zip(head.labels, row, strict=True) if value == 1)
    if head.task == "multilabel":
        return named
    return named[0] if len(named) == 1 else None


def fold_of(groups: Sequence[str], count: int = FOLDS) -> NDArray[np.intp]:
    """(tracks,) number of each track's fold: by a hash of its artist, so that artists stay together."""
    return np.array([int(hashlib.sha256(group.encode()).hexdigest(), 16) % count for group in groups], np.intp)


@dataclass(frozen=True, slots=True, eq=False)
class StudentClips:
    """What the student makes of one track.

    Attributes:
        clips: (clips, features), of the clips that inference takes.
        augmented: (more clips, features), the same 6 dB louder, 6 dB softer, and after 5 s of silence: heads learn from
            these too, so that such things change no prediction, but are never scored on them.
    """

    clips: Array
    augmented: Array


def embed_tracks(
    network: Backbone, paths: Sequence[Path], frontend: Frontend, plan: ClipPlan
) -> Steps[list[StudentClips | None]]:
    """The embeddings of each track; None where it cannot be read."""
    found: list[StudentClips | None] = []
    for path in paths:
        try:
            with open_input(path, frontend) as opened:
                seen = np.stack([clip.data for clip in views(opened, frontend, plan)])
        except AudioError:
            found.append(None)
            continue
        with torch.inference_mode():
            found.append(StudentClips(network(torch.from_numpy(seen)).numpy(), _augmented(network, seen, frontend)))
        yield Progress(len(found), len(paths), "embedding the corpora")
    return found


def _augmented(network: Backbone, seen: Array, frontend: Frontend) -> Array:
    floor = np.float32(10 * np.log10(frontend.floor))
    late = seen[:1].copy()
    silent = min(round(5 * frontend.frames_per_second), late.shape[1] // 2)
    late[:, silent:], late[:, :silent] = seen[:1, : late.shape[1] - silent], floor
    changed = np.concatenate([np.maximum(seen - 6, floor), np.maximum(seen + 6, floor), late])
    answer: Array = network(torch.from_numpy(changed)).numpy()
    return answer


@dataclass(frozen=True, slots=True, eq=False)
class FittedHeads:
    """Heads and what was learnt on the way.

    Attributes:
        heads: FittedHeads to all tracks.
        outputs: (tracks,) raw scores of heads that have not seen the track's artist; None where it could not be read.
        strengths: By head, the penalty that was best out of fold.
    """

    heads: Mapping[str, Linear]
    outputs: Sequence[Outputs | None]
    strengths: Mapping[str, float]


def fit_heads(corpus: Corpus, embeddings: Sequence[StudentClips | None]) -> Steps[FittedHeads]:
    """All heads; each learns from the tracks that are labelled, its penalty chosen by artist-grouped folds."""
    groups = [track.group for track in corpus.dataset.tracks]
    raw: list[dict[str, Array]] = [{} for _ in embeddings]
    heads: dict[str, Linear] = {}
    strengths: dict[str, float] = {}
    for spec in corpus.dataset.heads:
        learner = _learner(spec, corpus.learnt[spec.name], embeddings, groups)
        answers = learner.out_of_fold()
        losses = [partial_loss(learner.examples, learner.marks, found) for found in answers]
        best = int(np.argmin(losses))
        strengths[spec.name] = STRENGTHS[best]
        heads[spec.name] = fit_partial(learner.augmented, learner.marks, STRENGTHS[: best + 1])[-1]
        for row, found in _of_tracks(learner, answers[best], heads[spec.name], embeddings):
            raw[row][spec.name] = found
        yield Progress(len(heads), len(corpus.dataset.heads), "training heads", "heads")
    outputs = [None if found is None else Outputs(found.clips, raw[row]) for row, found in enumerate(embeddings)]
    return FittedHeads(heads, outputs, strengths)


def _of_tracks(
    learner: _Learner, answers: Array, head: Linear, embeddings: Sequence[StudentClips | None]
) -> Iterator[tuple[int, Array]]:
    """Raw scores (clips, labels) by track: out of fold where the head learned from it, the head's own where not."""
    place = {row: number for number, row in enumerate(learner.rows)}
    for row, embedded in enumerate(embeddings):
        if embedded is not None:
            found = answers[learner.examples.owner == place[row]] if row in place else head(embedded.clips)
            yield row, found.astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Learner:
    """One head's examples: ``rows`` are the tracks, ``marks`` (rows, labels) what is known of them."""

    examples: Examples
    augmented: Examples
    rows: Sequence[int]
    fold: NDArray[np.intp]
    marks: Array

    def out_of_fold(self) -> Array:
        """(strengths, clips, labels) raw scores."""
        raw = np.zeros((len(STRENGTHS), len(self.examples.clips), self.examples.labels), np.float32)
        for number in range(FOLDS):
            held = self.fold == number
            if held.any():
                inside = held[self.examples.owner]
                path = fit_partial(self.augmented.subset(~held), self.marks[~held], STRENGTHS)
                raw[:, inside] = np.stack([linear(self.examples.clips[inside]) for linear in path])
        return raw


def _learner(
    spec: HeadSpec, learnt: Array, embeddings: Sequence[StudentClips | None], groups: Sequence[str]
) -> _Learner:
    unknown: NDArray[np.bool_] = np.asarray(np.isnan(learnt).all(1))
    rows = [row for row, found in enumerate(embeddings) if found is not None and not unknown[row]]
    truth = learnt
    if spec.task == "multiclass":
        truth = np.where(unknown, np.nan, np.nan_to_num(learnt).argmax(1)).astype(np.float32)
    plain = [None if found is None else found.clips for found in embeddings]
    more = [None if found is None else np.concatenate([found.clips, found.augmented]) for found in embeddings]
    examples, augmented = (examples_of(spec, clips, truth, groups) for clips in (plain, more))
    return _Learner(examples, augmented, rows, fold_of([groups[row] for row in rows]), learnt[rows])
