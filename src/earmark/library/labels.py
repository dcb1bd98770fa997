"""Labels of stored tracks by probability: of any name of any head, in the user's words and with the user's corrections.

Lists, maps and searches go by these, and not by the labels that are asserted: a song of which the model is not sure
still has a best guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.inference.answers import DECIMALS, LEAST_GUESS, contradicted
from earmark.inference.labels import renamed
from earmark.library.harmony import aligned
from earmark.library.records import STEPS, Correction, LibraryModel
from earmark.library.store import Library
from earmark.models.card import HeadCard
from earmark.text import fold

__all__ = ["GENRE", "LIKELY", "MOOD", "LabelProbabilities", "free_scores", "given_names", "heads_about", "main_head",
           "merged_scores", "name_scores", "user_heads", "user_labels"]  # fmt: skip

Array = NDArray[np.float32]
Steps = NDArray[np.uint16]

GENRE, MOOD = ("genre", "style"), ("mood", "quadrant", "emotion", "feeling")
"""Words in the names of heads that are about genre, and about mood; the first is the plainest."""

LIKELY = 0.3
"""A track has a name where that is so probable, or asserted, or the best guess."""


class LabelProbabilities:
    """Of some stored tracks, how probable any name is: ``of("genre", "Rock")``, be it a label or above labels.

    Attributes:
        audio: (n,) rows of the library's audio.
        heads: By name, the model's heads in the user's names of labels.
    """

    def __init__(self, library: Library, model: LibraryModel, audio: NDArray[np.int64]) -> None:
        """Look up nothing yet; ``audio`` are rows that the model has analysed, in any order."""
        self.audio, self.heads = audio, user_heads(model)
        self._library, self._model = library, model
        self._places: NDArray[np.intp] | None = None

    def find(self, name: str, kinds: Sequence[str] = ()) -> list[tuple[str, str]]:
        """The heads (of some kinds, where given) that know a name, without case, and how each spells it."""
        found, given = [], user_labels(self._library.labels())
        for head in self.about(kinds):
            known = {fold(word): word for word in (*given.get(head.name, ()), *head.names)}
            if fold(name) in known:
                found.append((head.name, known[fold(name)]))
        return found

    def about(self, kinds: Sequence[str] = ()) -> list[HeadCard]:
        """The heads with labels, or those whose names speak of some kinds (:data:`GENRE`, :data:`MOOD`)."""
        return heads_about(self.heads.values(), kinds)

    def of(self, head: str, name: str) -> Array:
        """(n,) probability that a name holds: the sum of the labels at or below it; of a multi-label head the highest.

        A label that other heads contradict has none; a correction by the user makes it 0 or 1.
        """
        card, column = self.heads[head], np.zeros(len(self.audio), np.float32)
        if name in card.names:
            column = self._name_score(card, name)
        for row, labels in self._corrected(head):
            column[row] = any(fold(name) in map(fold, card.above(label)) for label in labels)
        return column

    def likely(self, head: str, name: str) -> NDArray[np.bool_]:
        """(n,) whether a name may well hold: see :data:`LIKELY`."""
        card, value = self.heads[head], self.of(head, name)
        found = value >= min(LIKELY, card.threshold_of(name))
        if card.task == "multiclass" and name in card.names:
            below = np.isin(card.labels, card.below(name))
            found |= below[self.scores(head).argmax(axis=1)] & (value >= LEAST_GUESS)
        for row, _ in self._corrected(head):
            found[row] = value[row] == 1
        return np.asarray(found, bool)

    def scores(self, head: str) -> Array:
        """(n, labels) probabilities of the labels of a head that has some: the model's, 0 where others contradict."""
        stored = self._model.head(head)
        return merged_scores(stored, self._model.aliases.get(head, {}), self._free(stored, range(len(stored.labels))))

    def _name_score(self, card: HeadCard, name: str) -> Array:
        """(n,) of one name: of the stored labels, only those at or below it are looked at."""
        stored, users = self._model.head(card.name), self._model.aliases.get(card.name, {})
        below = set(card.below(name))
        columns = [place for place, label in enumerate(stored.labels) if users.get(label, label) in below]
        each = self._free(stored, columns)
        return np.asarray(each.max(axis=1) if card.task == "multilabel" else np.minimum(1, each.sum(axis=1)))

    def _free(self, stored: HeadCard, columns: Sequence[int]) -> Array:
        """(n, columns) probabilities of some labels of a head; see :func:`free_scores`."""
        audio, steps = self._library.steps(self._model, stored)
        return free_scores(stored, columns, steps, self._steps_of)[self._rows(audio)]

    def _steps_of(self, name: str) -> tuple[HeadCard, Steps] | None:
        head = next((one for one in self._model.heads if one.name == name and one.labels), None)
        return None if head is None else (head, self._library.steps(self._model, head)[1])

    def _rows(self, audio: NDArray[np.int64]) -> NDArray[np.intp]:
        """Where each of our audio stands among all that was analysed."""
        if self._places is None:
            self._places = np.searchsorted(audio, self.audio)
        return self._places

    def names(self, head: str) -> Array:
        """(n, names) the same of all names."""
        return name_scores(self.heads[head], self.scores(head))

    def numbers(self, head: str) -> Array:
        """(n,) what a regression head says."""
        audio, values = self._library.numbers(self._model, self._model.head(head))
        return values[self._rows(audio)]

    def feature(self, name: str) -> NDArray[np.float64]:
        """(n,) a feature as a number to choose and sort by (``Feature.number``); NaN where it is not known."""
        return aligned(self.audio, self._library.feature_numbers(self._model, name))

    def best(self, head: str) -> tuple[list[str | None], NDArray[np.bool_]]:
        """What each track is called by: the name that is asserted (or the user's), else the best guess; and which.

        Returns:
            (n,) names, None of silence; and (n,) whether the name is more than a guess.
        """
        card, scores = self.heads[head], self.scores(head)
        given = given_names(card, scores)
        guess = scores.argmax(axis=1)
        if card.task == "multilabel":  # the best of those that are asserted
            given &= np.arange(len(card.names)) == guess[:, None]
        sure = np.asarray(given.any(axis=1), np.bool_)
        place = np.where(sure, given.argmax(axis=1), guess)
        sounds = (scores.max(axis=1, initial=0) > 0).tolist()
        names = [card.names[one] if there else None for one, there in zip(place.tolist(), sounds, strict=True)]
        for row, labels in self._corrected(head):
            names[row], sure[row] = next(iter(labels), None), True
        return names, sure

    def _corrected(self, head: str) -> list[tuple[int, tuple[str, ...]]]:
        """Rows of tracks whose labels of a head the user gave, and these."""
        given = {audio: _words(labels[head]) for audio, labels in self._library.labels().items() if head in labels}
        rows = np.flatnonzero(np.isin(self.audio, list(given))).tolist()
        return [(row, given[int(self.audio[row])]) for row in rows]


def heads_about(heads: Iterable[HeadCard], kinds: Sequence[str] = ()) -> list[HeadCard]:
    """The heads with labels, or those whose names speak of some kinds (:data:`GENRE`, :data:`MOOD`)."""
    return [
        head
        for head in heads
        if head.labels
        and (not kinds or any(kind in name.casefold() for kind in kinds for name in (head.name, *head.also)))
    ]


def main_head(heads: Iterable[HeadCard], kinds: Sequence[str]) -> HeadCard | None:
    """The head that tells best what a song is of these kinds: the plainest name, one label a song before several."""
    ranked = [
        (rank, head.task != "multiclass", number, head)
        for number, head in enumerate(heads)
        for rank, kind in enumerate(kinds)
        if head.labels and kind in head.name.casefold()
    ]
    return min(ranked, key=lambda one: one[:3])[-1] if ranked else None


def user_heads(model: LibraryModel) -> dict[str, HeadCard]:
    """A model's heads by name, in the user's names of labels."""
    return {head.name: renamed(head, model.aliases.get(head.name, {})) for head in model.heads}


def user_labels(corrections: Mapping[int, Mapping[str, Correction]]) -> dict[str, dict[str, None]]:
    """The labels that the user gave, by head, each once; ``corrections`` by audio and head."""
    found: dict[str, dict[str, None]] = {}
    for one in corrections.values():
        for head, correction in one.items():
            found.setdefault(head, {}).update(dict.fromkeys(_words(correction)))
    return found


def name_scores(head: HeadCard, scores: Array) -> Array:
    """Probabilities of all names of a head, (n, names), from those of its labels (n, labels)."""
    if not head.parents:
        return scores
    return np.stack([_name_score(head, scores, name) for name in head.names], axis=1)


def _name_score(head: HeadCard, scores: Array, name: str) -> Array:
    """Of one name, (n,)."""
    each = scores[:, [head.labels.index(label) for label in head.below(name)]]
    return np.asarray(each.max(axis=1) if head.task == "multilabel" else np.minimum(1, each.sum(axis=1)))


def free_scores(
    head: HeadCard, columns: Sequence[int], steps: Steps, steps_of: Callable[[str], tuple[HeadCard, Steps] | None]
) -> Array:
    """Probabilities of some labels of a head, (n, columns): 0 where what other heads find likely contradicts them.

    Args:
        head: As the model has it.
        columns: Which of its labels.
        steps: (n, labels) its scores in 1/10,000.
        steps_of: By name another head with labels, and its scores, (n, labels) in 1/10,000; None where there is none.
    """

    def likelihood(name: str, labels: Sequence[str]) -> Any:
        if (found := steps_of(name)) is None:
            return 0.0
        other, theirs = found
        each = (theirs[:, other.labels.index(label)] for label in labels if label in other.labels)
        join = np.maximum if other.task == "multilabel" else np.add
        return reduce(join, each, np.zeros(len(theirs), np.int32)) / STEPS

    found = np.asarray(steps[:, columns] / np.float32(STEPS), np.float32)
    names = [head.labels[column] for column in columns]
    for label, against in contradicted(head, names, likelihood).items():
        found[against, names.index(label)] = 0
    return found


def given_names(head: HeadCard, scores: Array) -> NDArray[np.bool_]:
    """Which names a head asserts, (n, names), of scores (n, labels): see :func:`earmark.inference.answers.answer`."""
    names = np.round(name_scores(head, scores).astype(np.float64), DECIMALS)
    above = names >= np.asarray([head.threshold_of(name) for name in head.names])
    if head.task == "multilabel":
        return above & (np.arange(len(head.names)) < len(head.labels))
    given = np.zeros(names.shape, bool)
    best = scores.argmax(axis=1) if len(scores) else np.zeros(0, int)
    for number in sorted(set(best.tolist())):
        left = best == number
        for name in head.above(head.labels[number]):
            column = head.names.index(name)
            given[left & above[:, column], column] = True
            left &= ~above[:, column]
    return given


def merged_scores(head: HeadCard, names: Mapping[str, str], scores: Array) -> Array:
    """Scores (n, labels) by the user's names: where several labels became one, their sum; multi-label the highest."""
    users = [names.get(label, label) for label in head.labels]
    if len(set(users)) == len(users):
        return scores
    join = np.max if head.task == "multilabel" else np.sum
    columns = [[i for i, one in enumerate(users) if one == user] for user in dict.fromkeys(users)]
    return np.stack([join(scores[:, each], axis=1) for each in columns], axis=1)


def _words(correction: Correction) -> tuple[str, ...]:
    return (correction,) if isinstance(correction, str) else correction
