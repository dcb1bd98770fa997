"""The user's word: what a listener should look at, and their corrections as a data set to train on.

A listener is asked of tracks where the model disagrees with the file, or is unsure.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from earmark.datasets.core import Dataset, HeadSpec, Label, Track, group_tracks
from earmark.errors import DatasetError, UnknownName
from earmark.library.labels import LabelProbabilities, given_names
from earmark.library.records import Correction, LibraryModel, LibraryTrack
from earmark.library.store import Library
from earmark.models.card import HeadCard
from earmark.recipe import Task
from earmark.text import fold

__all__ = ["Question", "library_dataset", "questions", "reviewed_heads"]

_OPTIONS = 5
_FOLDERS = 3  # nearest folders that may be named after a label


@dataclass(frozen=True, slots=True)
class Question:
    """One track and head to decide about.

    Attributes:
        track: The track.
        head: Name of the head.
        predicted: The model's best label.
        confidence: Of it.
        own: The label that the file's own tag or folder says; "" where none does.
        why: ``disagrees`` with the file, or ``unsure``.
        options: Labels to choose from, the likeliest first, the file's own among them; with their probabilities.
        labels: All labels of the head.
    """

    track: LibraryTrack
    head: str
    predicted: str
    confidence: float
    own: str
    why: Literal["disagrees", "unsure"]
    options: tuple[tuple[str, float], ...]
    labels: tuple[str, ...]


def reviewed_heads(model: LibraryModel, name: str | None = None) -> list[HeadCard]:
    """The heads with one answer, or the one of that name.

    Raises:
        UnknownName: There is no such head.
    """
    heads = [head for head in model.heads if head.task == "multiclass"]
    if name is None:
        return heads
    for head in heads:
        if fold(head.name) == fold(name):
            return [head]
    raise UnknownName("head with one answer", name, [head.name for head in heads])


def questions(library: Library, model: LibraryModel, heads: Iterable[HeadCard], count: int) -> list[Question]:
    """The most useful questions first: where the model contradicts the file, surest first; then the closest calls.

    What the user has answered before is not asked again.
    """
    answered = library.labels()
    found: list[tuple[float, str, Question]] = []
    there = [track for track in library.tracks(vanished=False) if track.audio is not None and track.song]
    tracks: dict[int | None, LibraryTrack] = {track.audio: track for track in reversed(there)}
    labels = LabelProbabilities(library, model, library.analysed(model))
    for head in heads:
        for value, question in _of_head(labels, head, model.aliases.get(head.name, {}), tracks):
            if head.name not in answered.get(question.track.audio or 0, {}):
                found.append((value, question.track.path, question))
    found.sort(key=lambda one: (-one[0], one[1]))
    return [question for _, _, question in found[:count]]


def _of_head(
    labels: LabelProbabilities, head: HeadCard, aliases: Mapping[str, str], tracks: dict[int | None, LibraryTrack]
) -> Iterator[tuple[float, Question]]:
    """Questions with their usefulness: 1..2 contradictions, 0..1 close calls."""
    mine, scores = labels.heads[head.name], labels.scores(head.name)
    names, given = mine.labels, given_names(mine, scores)
    known = {fold(name): name for name in names}
    for label, others in head.aliases.items():
        known |= {fold(other): aliases.get(label, label) for other in others if aliases.get(label, label) in names}
    ranked = np.argsort(-scores, axis=1, kind="stable")
    for row, one in enumerate(labels.audio.tolist()):
        track = tracks.get(one)
        if track is None:
            continue
        best = ranked[row]
        predicted, confidence = names[best[0]], float(scores[row, best[0]])
        answer = mine.names[int(given[row].argmax())] if given[row].any() else ""
        own = _own(track, known)
        margin = confidence - (float(scores[row, best[1]]) if len(best) > 1 else 0.0)
        if own and own not in mine.above(predicted) and (answer or predicted) not in mine.above(own):
            value, why = 1 + confidence, "disagrees"
        elif not answer or (answer == predicted and margin < 0.2):
            value, why = 1 - margin, "unsure"
        else:
            continue
        options = [(names[label], round(float(scores[row, label]), 4)) for label in best[:_OPTIONS]]
        if own and own not in (name for name, _ in options):
            options[-1] = (own, round(float(scores[row, names.index(own)]), 4))
        yield value, Question(track, head.name, predicted, round(confidence, 4), own, why, tuple(options), names)  # type: ignore[arg-type]


def _own(track: LibraryTrack, known: dict[str, str]) -> str:
    """The label that the file says of itself: by its genre tag, or else by the name of a folder that it is in."""
    for word in re.split(r"[;,/|]", track.genre):
        if (label := known.get(fold(word))) is not None:
            return label
    for folder in Path(track.path).parts[:-1][: -_FOLDERS - 1 : -1]:
        if (label := known.get(fold(folder))) is not None:
            return label
    return ""


def library_dataset(library: Library, heads: Sequence[str] | None = None) -> Dataset:
    """Every track that the user has accepted or corrected, with the labels that they gave.

    Args:
        library: The library.
        heads: Names of heads; all that have labels where None.

    Raises:
        DatasetError: There are no such labels, or no file of them is there.
    """
    corrections = library.labels()
    files = library.tracks_of(corrections)
    pairs = [
        (found[0], words)
        for audio, all_words in sorted(corrections.items())
        if (words := {head: word for head, word in all_words.items() if heads is None or head in heads})
        and (found := [track for track in files[audio] if Path(track.path).exists()])
    ]
    if not pairs:
        asked = f" for {', '.join(heads)}" if heads else ""
        raise DatasetError(f"{library.file}: no labels of yours{asked}; `earmark review` asks for them")
    pairs.sort(key=lambda pair: Path(pair[0].path).parts)
    specs = _specs([words for _, words in pairs])
    return _dataset(library, pairs, specs)


def _specs(words: Sequence[dict[str, Correction]]) -> tuple[HeadSpec, ...]:
    labels: dict[str, set[str]] = {}
    tasks: dict[str, Task] = {}
    for one in words:
        for head, word in one.items():
            tasks[head] = "multiclass" if isinstance(word, str) else "multilabel"
            labels.setdefault(head, set()).update([word] if isinstance(word, str) else word)
    return tuple(HeadSpec(head, tasks[head], tuple(sorted(labels[head]))) for head in sorted(labels))


def _dataset(
    library: Library, pairs: Sequence[tuple[LibraryTrack, dict[str, Correction]]], specs: tuple[HeadSpec, ...]
) -> Dataset:
    tracks = [track for track, _ in pairs]
    root = Path(os.path.commonpath([str(Path(track.path).parent) for track in tracks]))
    names = [Path(track.path).relative_to(root).as_posix() for track in tracks]
    groups, group_by, notices = group_tracks(
        names, [track.artist for track in tracks], [track.album for track in tracks]
    )
    made = tuple(
        Track(Path(track.path), name, group, None, _labels(words, specs))
        for (track, words), name, group in zip(pairs, names, groups, strict=True)
    )
    return Dataset(library.file.stem, root, specs, made, group_by, notices=notices)


def _labels(words: dict[str, Correction], specs: Sequence[HeadSpec]) -> dict[str, Label]:
    return {spec.name: words.get(spec.name) for spec in specs}
