"""The user's word: what a listener should look at, and their corrections as a data set to train on.

A listener is asked of tracks where the model disagrees with the file, or is unsure.
"""

from __future__ import annotations

import heapq
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
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
_CLOSE = 0.2  # margin of the best label over the next
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
    found: list[list[_Doubt]] = []
    for head in heads:
        key = ("doubts", model.key, head.name)
        found.append(library.remember(key, partial(_doubts, library, model, head)))
    labels = LabelProbabilities(library, model, library.analysed(model))
    asked: list[Question] = []
    for doubt in heapq.merge(*found):
        if len(asked) == count:
            break
        files = library.tracks_of([doubt.audio])[doubt.audio]
        if files and library.correction(doubt.audio, doubt.head) is None:
            asked.append(_question(labels, doubt, files[0]))
    return asked


@dataclass(frozen=True, slots=True, order=True)
class _Doubt:
    """A track and head worth a question; in the order of questions.

    Attributes:
        value: The most useful first: -2..-1 contradictions, -1..0 close calls.
        path: Of the track.
        head: Of which head.
        audio: Row of the audio.
        row: Its place among all that was analysed.
        own: What the file says.
        why: See :class:`Question`.
    """

    value: float
    path: str
    head: str
    audio: int
    row: int
    own: str
    why: Literal["disagrees", "unsure"]


def _doubts(library: Library, model: LibraryModel, head: HeadCard) -> list[_Doubt]:
    """All that is worth a question about one head, the most useful first."""
    labels = LabelProbabilities(library, model, library.analysed(model))
    mine, scores = labels.heads[head.name], labels.scores(head.name)
    if not len(scores):
        return []
    best, given = scores.argmax(axis=1), given_names(mine, scores)
    answer = np.where(given.any(axis=1), given.argmax(axis=1), -1)
    ends = np.sort(scores, axis=1)[:, ::-1][:, :2]
    confidence, margin = ends[:, 0], ends[:, 0] - (ends[:, 1] if ends.shape[1] > 1 else 0)
    named = np.asarray([mine.names.index(label) for label in mine.labels])
    unsure = (answer < 0) | ((answer == named[best]) & (margin < _CLOSE))
    known = _known_words(head, mine, model.aliases.get(head.name, {}))
    own_of = cache(lambda genre, folder: _own(genre, folder, known))
    contradicts = cache(lambda own, best, answer: _contradicts(mine, own, best, answer))
    found = []
    rows = {audio: row for row, audio in enumerate(labels.audio.tolist())}
    for audio, path, genre in library.song_files():
        row = rows.get(audio)
        if row is None:
            continue
        own = own_of(genre, os.path.dirname(path))  # noqa: PTH120 - of each of many songs
        if own and contradicts(own, int(best[row]), int(answer[row])):
            found.append(_Doubt(-1 - float(confidence[row]), path, head.name, audio, row, own, "disagrees"))
        elif unsure[row]:
            found.append(_Doubt(float(margin[row]) - 1, path, head.name, audio, row, own, "unsure"))
    return sorted(found)


def _known_words(head: HeadCard, mine: HeadCard, aliases: Mapping[str, str]) -> dict[str, str]:
    """The user's labels by all words that mean them, folded."""
    known = {fold(name): name for name in mine.labels}
    for label, others in head.aliases.items():
        known |= {
            fold(other): aliases.get(label, label) for other in others if aliases.get(label, label) in mine.labels
        }
    return known


def _contradicts(head: HeadCard, own: str, best: int, answer: int) -> bool:
    predicted = head.labels[best]
    return own not in head.above(predicted) and (head.names[answer] if answer >= 0 else predicted) not in head.above(
        own
    )


def _question(labels: LabelProbabilities, doubt: _Doubt, track: LibraryTrack) -> Question:
    names = labels.heads[doubt.head].labels
    scores = labels.scores(doubt.head)[doubt.row]
    best = np.argsort(-scores, kind="stable")
    options = [(names[label], round(float(scores[label]), 4)) for label in best[:_OPTIONS]]
    if doubt.own and doubt.own not in (name for name, _ in options):
        options[-1] = (doubt.own, round(float(scores[names.index(doubt.own)]), 4))
    predicted, confidence = names[best[0]], round(float(scores[best[0]]), 4)
    return Question(track, doubt.head, predicted, confidence, doubt.own, doubt.why, tuple(options), names)


def _own(genre: str, folder: str, known: Mapping[str, str]) -> str:
    """The label that a file says of itself: by its genre tag, or else by the name of a folder that it is in."""
    for word in re.split(r"[;,/|]", genre):
        if (label := known.get(fold(word))) is not None:
            return label
    for name in Path(folder).parts[: -_FOLDERS - 1 : -1]:
        if (label := known.get(fold(name))) is not None:
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
