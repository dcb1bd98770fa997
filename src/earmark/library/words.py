"""Words to a query: names of the library, and what the words mean among the labels of a model, in several languages.

Pure functions: a vocabulary is made of a model's heads at run time, and of the words in ``synonyms.toml``.
"""

from __future__ import annotations

import difflib
import itertools
import re
import tomllib
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from earmark.inference.options import LabelTable
from earmark.models.card import HeadCard

__all__ = [
    "Meaning",
    "Names",
    "Part",
    "Query",
    "Target",
    "Term",
    "Understand",
    "Unknown",
    "Vocabulary",
    "fold_words",
    "understand",
    "vocabulary_of",
]

_MOST = 64  # words that are read
_LONGEST_NAME = 8  # words of a name that are looked for as one

_LETTERS = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "ı": "i", "þ": "th"}
_APOSTROPHES = b"'`"
_NOT_ASCII = re.compile("[^\x00-\x7f]+")
_KEPT = b"\n\x1f"  # what parts names in a list of them
_ASCII = bytes(one if chr(one).isalnum() or one > 0x7F or one in _KEPT else 0x20 for one in range(256))


class _Folded(dict[int, str]):
    """What stands for a character that is not ASCII, found once each."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kind = unicodedata.category(character)
        if kind in ("Mn", "Me", "Cf", "Lm", "Sk") or character in "’‘ʼ´":
            found = ""
        elif kind == "So":
            found = f" {character} "  # an emoji is a word
        else:
            found = _LETTERS.get(character, character) if kind[0] in "LN" or kind == "Mc" else " "
        self[code] = found
        return found


def fold_words(text: str) -> str:
    """The words of a text to compare by: without case, accents and punctuation, a blank between two."""
    if not text.isascii():
        folded = _Folded()
        text = unicodedata.normalize("NFKD", text).casefold()
        text = _NOT_ASCII.sub(lambda run: run[0].translate(folded), text)
    plain = text.lower().encode("utf-8").translate(_ASCII, _APOSTROPHES).decode("utf-8")
    while "  " in plain:
        plain = plain.replace("  ", " ")
    return plain.strip(" ")


@dataclass(frozen=True, slots=True)
class Target:
    """What a probability is read from.

    Attributes:
        head: Whose.
        name: One of the head's, in the user's words; of a regression head what its number is called.
        low: The lower the number, the better.
    """

    head: str
    name: str
    low: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that is meant: the mean of its targets' probabilities, or what is left of it to 1."""

    targets: tuple[Target, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a word means: all of its parts; ``near`` where the model has no label of it, but of something like it."""

    name: str
    parts: tuple[Part, ...]
    near: bool = False


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that is asked for.

    Attributes:
        typed: The words as they were typed.
        phrase: As names are compared.
        meaning: Among the labels; None where it is a name.
        negated: It must not be.
        either: It will do in place of the term before.
        corrected: The words that were typed are not quite those that are known.
    """

    typed: str
    phrase: str
    meaning: Meaning | None = None
    negated: bool = False
    either: bool = False
    corrected: bool = False

    @property
    def read_as(self) -> str:
        """What the words were understood as, where that is something else than they say; else empty."""
        meant = self.meaning.name if self.meaning else self.phrase
        folded = fold_words(meant)
        same = folded in _numbers(self.phrase) or set(folded.split()) <= set(self.phrase.split())
        return meant if self.corrected or not same else ""

    def __str__(self) -> str:
        return f"not {self.typed}" if self.negated else self.typed


@dataclass(frozen=True, slots=True)
class Unknown:
    """Words that nothing matches.

    Attributes:
        typed: As they were typed.
        nearest: The known ones most like them.
        lacking: They are known, but the model has no label for them.
    """

    typed: str
    nearest: tuple[str, ...] = ()
    lacking: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked for, and which words nobody knows; ``left_out`` counts words beyond those that are read."""

    terms: tuple[Term, ...] = ()
    unknown: tuple[Unknown, ...] = ()
    left_out: int = 0


Understand = Callable[[str], Query]
"""The seam for a text network: another function from words to a query, with targets of a kind of its own."""


class Names(Protocol):
    """The names that a library holds: artists, titles, albums."""

    def __contains__(self, phrase: object) -> bool:
        """Whether some name has these words (folded) in this order."""

    def alike(self, first: str, lengths: range) -> Collection[str]:
        """Words of the names, folded, that begin with a letter and have so many letters."""


class NoNames:
    """Names of an empty library."""

    def __contains__(self, phrase: object) -> bool:
        return False

    def alike(self, first: str, lengths: range) -> Collection[str]:
        """None."""
        return ()


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Everything that words may mean.

    Attributes:
        meanings: By phrase, folded.
        lacking: Phrases that the model has no label for.
        grammar: Sets of small words by what they do: ``fillers``, ``negations``, ``without``, ``joiners``, ``either``.
        endings: That may be cut off behind a known word.
        words: Of all phrases.
        squashed: Phrases of several words by what they are without blanks.
        longest: Words of the longest phrase.
    """

    meanings: Mapping[str, Meaning]
    lacking: frozenset[str] = frozenset()
    grammar: Mapping[str, frozenset[str]] = field(default_factory=dict)
    endings: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()
    squashed: Mapping[str, str] = field(default_factory=dict)
    longest: int = 1

    def phrase_of(self, phrase: str) -> str | None:
        """The phrase that is known: this one, or its other number."""
        return next((one for one in _numbers(phrase) if one in self.meanings), None)

    def is_small(self, word: str) -> bool:
        """Whether a word carries nothing by itself."""
        return any(word in words for words in self.grammar.values())

    def examples(self, count: int = 8) -> tuple[str, ...]:
        """Some names of labels, spread over all."""
        known = list(dict.fromkeys(meaning.name for meaning in self.meanings.values() if not meaning.near))
        return tuple(known[:: max(1, len(known) // count)][:count])


def _numbers(phrase: str) -> Iterator[str]:
    """The phrase, and its last word in the singular and the plural."""
    yield phrase
    if phrase.endswith("ies"):
        yield phrase[:-3] + "y"
    if phrase.endswith("s") and not phrase.endswith("ss") and len(phrase) > 3:
        yield phrase[:-1]
    if not phrase.endswith(("s", "blue")):
        yield phrase + "s"


# The vocabulary


def vocabulary_of(
    heads: Sequence[HeadCard], aliases: LabelTable | None = None, extra: Mapping[str, Iterable[str]] | None = None
) -> Vocabulary:
    """The vocabulary of a model.

    Args:
        heads: Of the model, in the user's names of labels.
        aliases: From the model's names to the user's, by head: the model's are understood still.
        extra: Labels of the user's that the model does not know, by head.
    """
    direct: dict[str, dict[Target, None]] = {}
    weak: dict[str, dict[Target, None]] = {}
    faint: dict[str, dict[Target, None]] = {}
    for head in heads:
        for phrase, target, is_weak in _of_head(head, (aliases or {}).get(head.name, {}), (extra or {}).get(head.name)):
            level = faint if _is_faint(head, target) else weak if is_weak else direct
            if phrase:
                level.setdefault(phrase, {})[target] = None
    table = tomllib.loads(Path(__file__).with_name("synonyms.toml").read_text("utf-8"))
    meanings: dict[str, Meaning] = {}
    lacking: set[str] = set()
    group_of: dict[str, list[str]] = {}
    for name, others in table["same"].items():
        phrases = [phrase for one in (name, *others) for phrase in _spellings(one)]
        group_of |= dict.fromkeys(phrases, phrases)
        targets = [target for level in (direct, weak) for phrase in phrases for target in level.get(phrase, ())]
        strong = [target for phrase in phrases for target in direct.get(phrase, ())]
        if targets:
            meanings |= dict.fromkeys(phrases, _meaning(name.lower(), strong or targets))
        else:
            lacking.update(phrases)
    for level in (direct, weak):
        for phrase, found in level.items():
            meanings.setdefault(phrase, _meaning(phrase, list(found)))
    grammar = {name: frozenset(fold_words(table[name]).split()) for name in _GRAMMAR}
    known = _with_near(_assembled(meanings, lacking, grammar, table["endings"]), table["near"], group_of)
    left: dict[str, Meaning] = {}
    for phrase, found in faint.items():
        if phrase not in known.meanings:
            left |= dict.fromkeys(group_of.get(phrase, [phrase]), _meaning(phrase, list(found)))
    return _assembled({**left, **known.meanings}, known.lacking - left.keys(), grammar, table["endings"])


def _is_faint(head: HeadCard, target: Target) -> bool:
    """Whether a label is never asserted: its probability tells little, so that any other meaning goes before."""
    return head.task == "multilabel" and target.name in head.names and head.threshold_of(target.name) >= 1


_GRAMMAR = ("fillers", "negations", "without", "joiners", "either")


def _of_head(
    head: HeadCard, aliases: Mapping[str, str], extra: Iterable[str] | None
) -> Iterator[tuple[str, Target, bool]]:
    """Phrases of one head, what each means, and whether it is but another table's name for it."""
    own = fold_words(head.name)
    if head.task == "regression":
        yield own, Target(head.name, head.name), False
        yield f"high {own}", Target(head.name, head.name), False
        yield f"low {own}", Target(head.name, f"low {head.name}", low=True), False
        return
    known_as = [own, *map(fold_words, head.also)]
    kinds = dict.fromkeys([*known_as, *(one.removesuffix("s") for one in known_as)])
    for phrase, name in {fold_words(name): name for name in (*(extra or ()), *head.names)}.items():
        target = Target(head.name, name)
        yield phrase, target, False
        for kind in kinds:
            yield f"{kind} {phrase}", target, False
            yield f"{phrase} {kind}", target, False
        before = [label for label, user in aliases.items() if user == name]
        others = [*before, *(other for label in (name, *before) for other in head.aliases.get(label, ()))]
        others += [part for part in re.split(r"[&/,]|\band\b", name) if len(part.strip()) > 2]
        for other in dict.fromkeys(map(fold_words, others)):
            if other != phrase:
                yield other, target, True


def _spellings(phrase: str) -> tuple[str, ...]:
    """A phrase as it is compared; German umlauts in both ways of writing."""
    wide = phrase.lower().replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")
    return tuple(dict.fromkeys((fold_words(phrase), fold_words(wide))))


def _meaning(key: str, targets: Sequence[Target]) -> Meaning:
    targets = tuple(dict.fromkeys(targets))
    names = {fold_words(target.name): target.name for target in targets}
    return Meaning(next(iter(names.values())) if len(names) == 1 else key, (Part(targets),))


def _assembled(
    meanings: Mapping[str, Meaning], lacking: Iterable[str], grammar: Mapping[str, frozenset[str]], endings: Any
) -> Vocabulary:
    several = [phrase for phrase in meanings if " " in phrase]
    return Vocabulary(
        meanings,
        frozenset(lacking),
        grammar,
        tuple(endings),
        frozenset(word for phrase in (*meanings, *lacking) for word in phrase.split()),
        {phrase.replace(" ", ""): phrase for phrase in several},
        max([1, *(len(phrase.split()) for phrase in meanings)]),
    )


def _with_near(known: Vocabulary, near: Mapping[str, Sequence[str]], group_of: Mapping[str, list[str]]) -> Vocabulary:
    """With the words that stand for near labels of the model; those may stand for others again."""
    meanings, lacking = dict(known.meanings), set(known.lacking)
    for key in near:
        lacking.update(phrase for phrase in group_of.get(fold_words(key), [fold_words(key)]) if phrase not in meanings)
    for _ in range(3):
        for key, choices in near.items():
            phrases = group_of.get(fold_words(key), [fold_words(key)])
            if phrases[0] in meanings:
                continue
            so_far = replace(known, meanings=meanings, longest=known.longest + 2)
            found = next((query for query in (understand(one, so_far) for one in choices) if _is_plain(query)), None)
            if found is not None:
                parts = tuple(
                    replace(part, negated=part.negated != term.negated)
                    for term in found.terms
                    for part in (term.meaning.parts if term.meaning else ())
                )
                meaning = Meaning(", ".join(map(str, found.terms)), parts, near=True)
                meanings |= dict.fromkeys(phrases, meaning)
                lacking.difference_update(phrases)
    return _assembled(meanings, lacking, known.grammar, known.endings)


def _is_plain(query: Query) -> bool:
    return not query.unknown and not any(term.corrected for term in query.terms)


# Reading words


@dataclass(frozen=True, slots=True)
class _Token:
    """A word, the stretch of text that it is of, and what the text says around it."""

    word: str
    typed: str
    quoted: bool = False
    minus: bool = False
    ends: bool = False  # a comma stands behind it
    corrected: bool = False
    piece: int = 0  # the number of the stretch
    words: int = 1  # that the stretch has


_PIECES = re.compile(
    r"""(?P<minus>(?<![^\s,;|(])[-−–])?(?:
    (?:"(?P<a>[^"]*)"|[“„](?P<b>[^“”„]*)[“”]|«(?P<c>[^»]*)»|(?<![^\s,;|(\-−–])'(?P<d>[^']{2,})'(?![^\s,;|.!?)]))
    |(?P<break>[,;|\n]+)|(?P<word>[^\s,;|"“”„«»]+))""",
    re.VERBOSE,
)


def _tokens(text: str) -> tuple[list[_Token], int]:
    """The words of a text, as many as are read, and how many are left out."""
    found: list[_Token] = []
    left_out = 0
    for number, piece in enumerate(_PIECES.finditer(text)):
        minus = piece["minus"] is not None
        quoted = next((piece[name] for name in "abcd" if piece[name] is not None), None)
        if piece["break"] is not None:
            found[-1:] = [replace(last, ends=True) for last in found[-1:]]
        elif quoted is not None and (phrase := fold_words(quoted)):
            found.append(_Token(phrase, quoted.strip(), quoted=True, minus=minus, piece=number))
        elif piece["word"] is not None:
            typed = piece["word"]
            words = fold_words("and" if typed in ("&", "+") else typed).split()
            bare = typed.strip("".join({mark for mark in typed if not mark.isalnum()})) or typed
            whole = _Token("", bare, piece=number, words=len(words))
            found += [replace(whole, word=word, minus=minus and not place) for place, word in enumerate(words)]
        if len(found) > _MOST:
            left_out += len(found) - _MOST
            del found[_MOST:]
    return found, left_out


def understand(text: str, vocabulary: Vocabulary, names: Names | None = None) -> Query:
    """What words ask for.

    Commas part what is asked for; ``not``, ``no``, ``without``, their like in other languages and a hyphen in front
    turn around the next thing; quotation marks hold a name together; ``or`` joins choices. Longest phrases come first.
    Misspelt words are understood where one known word alone is near.

    Args:
        text: Any.
        vocabulary: Of labels.
        names: Of the library.
    """
    names = NoNames() if names is None else names
    tokens, left_out = _tokens(text)
    reader = _Reader([one for token in tokens for one in _corrected(token, vocabulary, names)], vocabulary, names)
    terms, unknown = reader.read()
    if not terms and not unknown and tokens:  # nothing but small words: a name, like "The The"
        phrase = " ".join(token.word for token in tokens)
        if phrase in names:
            terms = [Term(_typed(tokens), phrase)]
    return Query(tuple(dict.fromkeys(terms)), tuple(dict.fromkeys(unknown)), left_out)


def _typed(span: Sequence[_Token]) -> str:
    """A span as it was typed."""
    pieces = [list(tokens) for _, tokens in itertools.groupby(span, lambda token: token.piece)]
    whole = ([one[0].typed] if len(one) == one[0].words else [token.word for token in one] for one in pieces)
    return " ".join(itertools.chain.from_iterable(whole))


@dataclass(slots=True)
class _Reader:
    """Goes through tokens from left to right."""

    tokens: Sequence[_Token]
    vocabulary: Vocabulary
    names: Names
    place: int = 0
    negated: str = ""  # by which word
    either: bool = False

    def read(self) -> tuple[list[Term], list[Unknown]]:
        terms: list[Term] = []
        unknown: list[Unknown] = []
        while self.place < len(self.tokens):
            token = self.tokens[self.place]
            if token.minus:
                self.negated, self.either = "-", False
            label, name = self._label(), self._name()
            length = max(label, name) if label or name else 1
            if label or name:
                meaning = self._meaning(label) if label >= name else None
                terms.append(self._term(length, meaning, bool(terms)))
                self._go_on(length)
            elif token.word in self.vocabulary.grammar.get("negations", ()) and not token.quoted:
                self.negated = token.word
            elif not self.vocabulary.is_small(token.word) or token.quoted:
                unknown.append(_unknown(token, self.vocabulary, self.names))
                self._go_on(1)
            self.place += length
            if self.tokens[self.place - 1].ends:
                self.negated, self.either = "", False
        return terms, unknown

    def _go_on(self, length: int) -> None:
        """Whether what comes next is turned around too, or a choice beside this."""
        following = self.place + length
        word = self.tokens[following].word if following < len(self.tokens) else ""
        grammar = self.vocabulary.grammar
        either = word in grammar.get("either", ()) and not self.tokens[following - 1].ends
        both = word in grammar.get("joiners", ()) and self.negated in grammar.get("without", ())
        self.either = either and not self.negated
        self.negated = self.negated if either or both else ""

    def _span(self, length: int) -> Sequence[_Token]:
        """So many tokens from here on; fewer where a comma, a hyphen or a quotation mark is between."""
        span = self.tokens[self.place : self.place + length]
        whole = all(not one.ends for one in span[:-1]) and not any(one.minus or one.quoted for one in span[1:])
        return span if whole and (length == 1 or not span[0].quoted) and len(span) == length else ()

    def _phrase(self, length: int) -> str:
        return " ".join(token.word for token in self._span(length))

    def _label(self) -> int:
        """Words of the longest phrase here that means a label; 0 where none does."""
        if self.tokens[self.place].quoted and self.tokens[self.place].word in self.names:
            return 0
        lengths = range(self.vocabulary.longest, 0, -1)
        return next((n for n in lengths if self._span(n) and self.vocabulary.phrase_of(self._phrase(n))), 0)

    def _name(self) -> int:
        """Words of the longest name here that is not all labels and small words; 0 where none is."""
        for n in range(_LONGEST_NAME, 0, -1):
            span = self._span(n)
            if span and (span[0].quoted or not self._all_known(span, n > 1)) and self._phrase(n) in self.names:
                return n
        return 0

    def _all_known(self, span: Sequence[_Token], lacking: bool) -> bool:
        """Whether labels and small words make up a span, or ``lacking`` ones."""
        words = [token.word for token in span]
        place = 0
        while place < len(words):
            ends = range(len(words), place, -1)
            known = next((end for end in ends if self.vocabulary.phrase_of(" ".join(words[place:end]))), None)
            word = words[place]
            if known is None and not (self.vocabulary.is_small(word) or (lacking and word in self.vocabulary.lacking)):
                return False
            place = known or place + 1
        return True

    def _meaning(self, length: int) -> Meaning:
        phrase = self.vocabulary.phrase_of(self._phrase(length))
        return self.vocabulary.meanings[phrase or ""]

    def _term(self, length: int, meaning: Meaning | None, some: bool) -> Term:
        span = self._span(length)
        corrected = any(token.corrected for token in span)
        return Term(_typed(span), self._phrase(length), meaning, bool(self.negated), self.either and some, corrected)


# Words that are not quite known


def _corrected(token: _Token, vocabulary: Vocabulary, names: Names) -> Iterator[_Token]:
    """The token, or what it must mean: a known word with another ending, or one alone that is nearly the same."""
    word = token.word
    known = word in vocabulary.words or vocabulary.phrase_of(word) or vocabulary.is_small(word) or word in names
    found = None if token.quoted or known else vocabulary.squashed.get(word) or _near_word(word, vocabulary, names)
    if found is None:
        yield token
        return
    words = found.split()
    for place, one in enumerate(words):
        ends = token.ends and place == len(words) - 1
        yield replace(token, word=one, corrected=True, minus=token.minus and not place, ends=ends, words=len(words))


def _near_word(word: str, vocabulary: Vocabulary, names: Names) -> str | None:
    for ending in vocabulary.endings:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 3 and stem in vocabulary.meanings:
            return stem
    for most in range(1, 2 if len(word) < 8 else 3):
        lengths = range(len(word) - most, len(word) + most + 1)
        for candidates in (vocabulary.words, names.alike(word[:1], lengths) if len(word) > 3 else ()):
            near = [one for one in candidates if _is_near(word, one, most)]
            if near:  # several will do where they mean the same
                meant = {vocabulary.meanings.get(one, one) for one in near}
                return min(near) if len(meant) == 1 else None
    return None


def _is_near(word: str, other: str, most: int) -> bool:
    """Whether two words differ by so many letters left out, added, changed or swapped at most.

    Short words are too many to be sure: of words of four letters only the order or the number may differ, of one of
    three the last letter may be missing; and all begin with the same letter.
    """
    if abs(len(word) - len(other)) > most or word[:1] != other[:1] or len(other) < 4 or len(word) < 3:
        return False
    if len(word) == 3:
        return other[:-1] == word
    if len(word) == len(other) == 4 and sorted(word) != sorted(other):
        return False
    return _distance(word, other) <= most


def _distance(one: str, other: str) -> int:
    """Letters left out, added, changed, or swapped with the next (optimal string alignment)."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            row.append(min(last[j] + 1, row[-1] + 1, last[j - 1] + (a != b)))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                row[j] = min(row[j], before[j - 2] + 1)
        before, last = last, row
    return last[-1]


def _unknown(token: _Token, vocabulary: Vocabulary, names: Names) -> Unknown:
    if any(one in vocabulary.lacking for one in _numbers(token.word)):
        return Unknown(token.typed, lacking=True)
    alike = {one: one for one in names.alike(token.word[:1], range(len(token.word) - 2, len(token.word) + 3))}
    known = alike | {fold_words(one.name): one.name for one in vocabulary.meanings.values() if not one.near}
    return Unknown(token.typed, tuple(known[one] for one in difflib.get_close_matches(token.word, known, 3, 0.5)))
