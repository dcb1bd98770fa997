"""Search in words: the songs of a library by names, and by the probabilities of the labels that the words mean."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from earmark.library.labels import LabelProbabilities, user_heads, user_labels
from earmark.library.records import LibraryModel, LibraryTrack
from earmark.library.store import Library
from earmark.library.words import Query, Target, Term, Vocabulary, fold_words, understand, vocabulary_of

__all__ = ["Hit", "LibraryNames", "Ranked", "Search", "best_hits", "vocabulary_key"]

Array = NDArray[np.float32]
Rows = NDArray[np.int64]
Bools = NDArray[np.bool_]

_NAMED = 0.99  # a name that is there is as good as certain
_LABEL_IN_NAME = 0.9  # a song that is called by a label
_LEAST = 0.1  # as for guesses: below it a label is no hit
_NEAREST = 0.005, 1 / 3  # where there would be none: so likely, and such a part of the likeliest
_NO_BLANKS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u2e80-\ua4cf\uf900-\ufaff]")  # scripts that part no words


class LibraryNames:
    """Artists, titles and albums of a library's songs, as one text in which a phrase is found in milliseconds.

    Args:
        audio: (files,) of each file.
        text: A line a file; see :meth:`earmark.library.store.Library.names`.
        before: Of an earlier state of the library: its lines that still begin the text are taken as they are.

    Attributes:
        songs: (songs,) audio, ascending, each once.
    """

    def __init__(self, audio: Rows, text: str, before: LibraryNames | None = None) -> None:
        self._audio, self._raw = audio, text
        same = 0 if before is None else _same_lines(before._raw, text)
        if before is None or not same:
            self._text = f" {fold_words(text)} "
        else:
            start, more = int(before._starts[text.count("\n", 0, same)]), f" {fold_words(text[same:])} "
            self._text = before._text[:start] + more
            if more.startswith(before._text[start:]):  # nothing is gone
                self._words = _sorted_words(more, before._words)
        lines = self._text.split("\n") if len(audio) else []
        if len(lines) != len(audio):
            raise ValueError(f"{len(audio)} files have {len(lines)} lines of names")
        self._starts: Rows = np.cumsum([0, *(len(line) + 1 for line in lines)])
        self.songs, self._song_of = np.unique(audio, return_inverse=True)

    @classmethod
    def of(cls, library: Library, before: LibraryNames | None = None) -> LibraryNames:
        """The names that a library holds now; ``before`` itself where they are still the same."""
        audio, text = library.names()
        if before is not None and text == before._raw and np.array_equal(audio, before._audio):
            return before
        return cls(audio, text, before)

    def __contains__(self, phrase: object) -> bool:
        return bool(phrase) and _needle(str(phrase)) in self._text

    def alike(self, first: str, lengths: range) -> Collection[str]:
        """Words that begin with a letter and have so many letters."""
        words = self._words
        return [word for length in lengths for word in words.get((first, length), ())]

    @cached_property
    def _words(self) -> dict[tuple[str, int], frozenset[str]]:
        """All words by first letter and length."""
        return _sorted_words(self._text, {})

    def songs_with(self, phrase: str) -> Bools:
        """(songs,) whether the name of one of its files has a phrase."""
        found, needle = np.zeros(len(self.songs), bool), _needle(phrase)
        places, place = [], self._text.find(needle)
        while place >= 0:
            places.append(place)
            end = self._text.find("\n", place)
            place = self._text.find(needle, end) if end >= 0 else -1
        found[self._song_of[np.searchsorted(self._starts, places, "right") - 1]] = True
        return found


def _sorted_words(text: str, before: Mapping[tuple[str, int], frozenset[str]]) -> dict[tuple[str, int], frozenset[str]]:
    """The words of a text beside those before, by first letter and length."""
    found: dict[tuple[str, int], set[str]] = {}
    for word in set(text.split()) - {"\x1f"}:
        found.setdefault((word[0], len(word)), set()).add(word)
    return {**before, **{key: before.get(key, frozenset()) | words for key, words in found.items()}}


def _same_lines(one: str, other: str) -> int:
    """Characters of the whole lines that two texts begin with alike."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return other.rfind("\n", 0, low) + 1


def _needle(phrase: str) -> str:
    return phrase if _NO_BLANKS.search(phrase) else f" {phrase} "


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """How well each song meets a query.

    Attributes:
        audio: (songs,) ascending.
        score: (songs,) the probability that all of it holds, were the terms independent.
        hits: (songs,) which are worth to be named.
        terms: (terms, songs) the probability of each term, before it is turned around by ``not``; of a name, 0 or 1.
        likely: Whether the hits are; else they only come nearest.
    """

    audio: Rows
    score: Array
    hits: Bools
    terms: Array
    likely: bool = True

    def of(self, audio: Rows) -> tuple[Bools, Array]:
        """Hits and scores of some audio; what is no song here is no hit."""
        rows = np.minimum(np.searchsorted(self.audio, audio), max(0, len(self.audio) - 1))
        if not len(self.audio):
            return np.zeros(len(audio), bool), np.zeros(len(audio), np.float32)
        return (self.audio[rows] == audio) & self.hits[rows], self.score[rows]


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer.

    Attributes:
        track: The song; of several copies the one whose names fit best.
        score: 0..1.
        why: In words.
    """

    track: LibraryTrack
    score: float
    why: str


def vocabulary_key(model: LibraryModel, library: Library) -> tuple[str, int, str, str]:
    """What the vocabulary of a search depends on, to remember it by."""
    return ("vocabulary", model.key, repr(model.aliases), repr(user_labels(library.labels())))


@dataclass(frozen=True)
class Search:
    """A library as it is now, to search in; one may serve many searches.

    Attributes:
        library: The library.
        model: Whose labels words may mean.
    """

    library: Library
    model: LibraryModel

    @cached_property
    def names(self) -> LibraryNames:
        """Of all songs."""
        return self.library.remember("names", lambda: LibraryNames.of(self.library))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Of the model, in the user's names, with the labels of the user's corrections."""
        heads, given = list(user_heads(self.model).values()), user_labels(self.library.labels())
        key = vocabulary_key(self.model, self.library)
        return self.library.remember(key, lambda: vocabulary_of(heads, self.model.aliases, given))

    @cached_property
    def _known(self) -> Bools:
        """(songs,) whether the model analysed each."""
        return np.isin(self.names.songs, self.library.analysed(self.model))

    @cached_property
    def _labels(self) -> LabelProbabilities:
        return LabelProbabilities(self.library, self.model, self.names.songs[self._known])

    def understand(self, words: str) -> Query:
        """What words mean here (:data:`earmark.library.words.Understand`)."""
        return understand(words, self.vocabulary, self.names)

    def rank(self, query: Query) -> Ranked:
        """Score every song: names are as good as certain, labels have their probability, and all are multiplied.

        A hit has labels that are likely enough (by their geometric mean) and all of the names; where no song has, one
        of the names at least, or labels that are less likely; and never anything that it must not be.
        """
        count = len(self.names.songs)
        score, hits, likely = np.ones(count), np.ones(count, bool), np.ones(count)
        some_name, all_names, labels = np.zeros(count, bool), np.ones(count, bool), 0
        terms = np.empty((len(query.terms), count), np.float32)
        for alternatives in _alternatives(query.terms):
            each, named = [], None
            for place in alternatives:
                term = query.terms[place]
                has_name = self.names.songs_with(term.phrase)
                terms[place] = self._probability(term, has_name)
                if term.negated:
                    hits &= (terms[place] < 0.5) & (self._known | (term.meaning is None))
                    each.append(1 - terms[place])
                elif term.meaning is None:
                    named = has_name if named is None else named | has_name
                    each.append(np.where(has_name, _NAMED, 1 - _NAMED))
                else:
                    each.append(np.where(has_name, np.maximum(terms[place], _LABEL_IN_NAME), terms[place]))
            best = np.max(each, axis=0)
            score *= best
            if named is not None:
                some_name, all_names = some_name | named, all_names & named
            elif not query.terms[alternatives[0]].negated:
                likely, labels = likely * best, labels + 1
        likely **= 1 / max(1, labels)
        nearest = max(_NEAREST[0], _NEAREST[1] * likely[hits].max(initial=0))
        choices = [hits & named & (likely >= least) for least in (_LEAST, nearest) for named in (all_names, some_name)]
        best_choice = next((place for place, one in enumerate(choices) if one.any()), 0)
        return Ranked(self.names.songs, np.asarray(score, np.float32), choices[best_choice], terms, best_choice < 2)

    def _probability(self, term: Term, has_name: Bools) -> Array:
        """Of a term, (songs,): of a name whether it is there; 0 where the model does not know the song."""
        if term.meaning is None:
            return has_name.astype(np.float32)
        value = self._known.astype(np.float32)
        for part in term.meaning.parts:
            mean = np.mean([self._value(target) for target in part.targets], axis=0, dtype=np.float32)
            value *= 1 - mean if part.negated else mean
        return value

    def _value(self, target: Target) -> Array:
        """The probability of one name, (songs,)."""
        if self._labels.heads[target.head].task == "regression":
            share = _shares(self._labels.numbers(target.head))
            found = 1 - share if target.low else share
        else:
            found = self._labels.of(target.head, target.name)
        value = np.zeros(len(self._known), np.float32)
        value[self._known] = found
        return value


def _shares(numbers: Array) -> Array:
    """Numbers as shares of 1: as they are, or where they are of another range, by how many others are lower."""
    if len(numbers) and (numbers.min() < 0 or numbers.max() > 1):
        return np.asarray(np.searchsorted(np.sort(numbers), numbers, "right") / len(numbers), np.float32)
    return numbers


def _alternatives(terms: Sequence[Term]) -> list[list[int]]:
    """Places of terms, those together of which one will do."""
    found: list[list[int]] = []
    for place, term in enumerate(terms):
        if term.either and found and not terms[found[-1][0]].negated and not term.negated:
            found[-1].append(place)
        else:
            found.append([place])
    return found


def best_hits(library: Library, query: Query, ranked: Ranked, count: int) -> list[Hit]:
    """The best songs of a ranking, the best first; ties go by path, of several copies by the first."""
    score = np.round(ranked.score, 4)
    rows = np.flatnonzero(ranked.hits)
    if len(rows) > count:
        least = np.partition(score[rows], len(rows) - count)[len(rows) - count]
        better, even = rows[score[rows] > least], rows[score[rows] == least]
        first = library.first_of(ranked.audio[even], count - len(better))  # a name may be that of all songs
        rows = np.concatenate([better, np.searchsorted(ranked.audio, first)])
    files = library.tracks_of(ranked.audio[rows].tolist())
    found = []
    for row in rows.tolist():
        tracks = files[int(ranked.audio[row])]
        if tracks:  # it may vanish meanwhile
            track = max(tracks, key=lambda one: sum(bool(_field_with(one, term.phrase)) for term in query.terms))
            found.append((-float(score[row]), tracks[0].path, row, track))
    found.sort(key=lambda one: one[:2])
    return [
        Hit(track, round(-value, 4), _why(query, ranked.terms[:, row], track)) for value, _, row, track in found[:count]
    ]


def _why(query: Query, values: Array, track: LibraryTrack) -> str:
    reasons = []
    for term, value in zip(query.terms, values.tolist(), strict=True):
        if term.meaning is not None:
            name = term.typed if term.meaning.near else term.meaning.name
            share = 1 - value if term.negated else value
            reasons.append(f"{'not ' if term.negated else ''}{name} {100 * share:.0f} %")
        if not term.negated and (place := _field_with(track, term.phrase)):
            reasons.append(f'{place} "{_names(track)[place]}"')
    return ", ".join(dict.fromkeys(reasons))


def _field_with(track: LibraryTrack, phrase: str) -> str:
    """Which of artist, title (or file) and album has a phrase; empty where none does."""
    return next((name for name, text in _names(track).items() if _needle(phrase) in f" {fold_words(text)} "), "")


def _names(track: LibraryTrack) -> dict[str, str]:
    title = {"title": track.title} if track.title else {"file": re.split(r"[/\\]", track.path)[-1]}
    return {"artist": track.artist, **title, "album": track.album}
