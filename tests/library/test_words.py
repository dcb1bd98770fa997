"""Words are read as people mean them, in several languages; and no text, whatever it is, breaks the reader."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.inference.labels import renamed
from earmark.library import words as words_module
from earmark.library.words import Query, Vocabulary, fold_words, understand, vocabulary_of
from earmark.models.card import HeadCard

GENRES = (
    "Rock",
    "Punk",
    "Metal",
    "Jazz",
    "Hip-Hop",
    "Classical",
    "R&B & Soul",
    "Hard Rock",
    "Pop",
    "Blues",
    "Electronic",
)
HEADS = (
    HeadCard("genre", "multiclass", GENRES, parents={"Punk": "Rock", "Metal": "Rock", "Hard Rock": "Rock"}),
    HeadCard("mood", "multiclass", ("happy", "tense", "sad", "calm")),
    HeadCard("energy", "regression"),
    HeadCard("positivity", "regression"),
    HeadCard("instruments", "multilabel", ("piano", "guitar", "strings", "drums", "synth", "choir", "opera")),
    HeadCard("voice", "multilabel", ("vocal", "instrumental", "male", "female", "rap")),
)
VOCABULARY = vocabulary_of(HEADS)
SYNONYMS = tomllib.loads(Path(words_module.__file__).with_name("synonyms.toml").read_text("utf-8"))


class Known:
    """Names as a library has them."""

    def __init__(self, *names: str) -> None:
        self._lines = [f" {fold_words(name)} " for name in names]

    def __contains__(self, phrase: object) -> bool:
        return any(f" {phrase} " in line for line in self._lines)

    def alike(self, first: str, lengths: range) -> Collection[str]:
        words = {word for line in self._lines for word in line.split()}
        return {word for word in words if word[0] == first and len(word) in lengths}


NAMES = Known(
    "Soul Asylum", "Queen", "The Who", "Metallica", "Miles Davis", "Calm Piano Moods", "No Doubt", "The Beatles",
    "The The", "Sigur Rós", "Sade", "Blue Train", "AC/DC", "🎵 notes",
)  # fmt: skip


def read(text: str, vocabulary: Vocabulary = VOCABULARY) -> list[str]:
    """What a text is read as: a line a term, names in quotation marks."""
    found = []
    for term in understand(text, vocabulary, NAMES).terms:
        sign = "-" if term.negated else "|" if term.either else ""
        found.append(sign + (term.meaning.name if term.meaning else f'"{term.phrase}"'))
    return found


def parts(text: str, vocabulary: Vocabulary = VOCABULARY) -> set[str]:
    """Where the probabilities of all terms are read from."""
    query = understand(text, vocabulary)
    return {
        f"{'-' if part.negated else ''}{target.head}:{target.name}"
        for term in query.terms
        if term.meaning
        for part in term.meaning.parts
        for target in part.targets
    }


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("calm piano, female voice, not classical", ["calm", "piano", "female", "-Classical"]),
        ("calm piano female voice -classical", ["calm", "piano", "female", "-Classical"]),
        ("CALM Piano; no DRUMS", ["calm", "piano", "-drums"]),
        ("hip hop", ["Hip-Hop"]),
        ("hip-hop hiphop HipHop", ["Hip-Hop"] * 3),
        ("hard rock", ["Hard Rock"]),
        ("rock, hard", ["Rock"]),
        ("soul", ["R&B & Soul"]),
        ("voice: female", ["female"]),
        ("genre: rock", ["Rock"]),
        ("without drums and vocals", ["-drums", "-vocal"]),
        ("not drums and vocals", ["-drums", "vocal"]),
        ("no drums or vocals, piano", ["-drums", "-vocal", "piano"]),
        ("jazz or blues, not rock", ["Jazz", "|Blues", "-Rock"]),
        ("rock/pop", ["Rock", "Pop"]),
        ("guitars & pianos & drum", ["guitar", "piano", "drums"]),
        ("miles davis", ['"miles davis"']),
        ("davis, calm", ['"davis"', "calm"]),
        ("soul asylum", ['"soul asylum"']),
        ("the who, not calm", ['"the who"', "-calm"]),
        ("no doubt", ['"no doubt"']),
        ("not beatles", ['-"beatles"']),
        ("sigur ros", ['"sigur ros"']),
        ("SIGUR RÓS", ['"sigur ros"']),
        ("acdc ac/dc", ['"ac dc"']),
        ('"calm piano" happy', ['"calm piano"', "happy"]),
        ("calm piano", ["calm", "piano"]),
        ('"hip hop"', ["Hip-Hop"]),
        ('-"miles davis" jazz', ['-"miles davis"', "Jazz"]),
        ("„Queen“ und «Sade»", ['"queen"', '"sade"']),
        ("the the", ['"the the"']),
        ("🎵", ['"🎵"']),
        ("blue train", ['"blue train"']),
        ("I want something calm with piano, but no singing please", ["calm", "piano", "-vocal"]),
        ("I don't want drums", ["-drums"]),
        ("non-classical jaz", ["-Classical", "Jazz"]),
        ("rock 'n' roll", ["Rock"]),
    ],
)
def test_grammar(text: str, terms: list[str]) -> None:
    assert read(text) == terms


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("ruhiges Klavier ohne Schlagzeug und Gesang", ["calm", "piano", "-drums", "-vocal"]),
        ("fröhliche Gitarre", ["happy", "guitar"]),
        ("froehlich", ["happy"]),
        ("trauriger Jazz, kein Gesang", ["sad", "Jazz", "-vocal"]),
        ("klassische Musik", ["Classical"]),
        ("Klaviermusik mit Frauenstimme", ["piano", "female"]),
        ("guitare triste sans batterie", ["guitar", "sad", "-drums"]),
        ("piano calme et joyeux", ["piano", "calm", "happy"]),
        ("musique classique, voix féminine", ["Classical", "female"]),
        ("guitarra alegre, sin batería", ["guitar", "happy", "-drums"]),
        ("música tranquila con voz femenina", ["calm", "female"]),
        ("Streicher und Chor", ["strings", "choir"]),
    ],
)
def test_languages(text: str, terms: list[str]) -> None:
    assert read(text) == terms
    assert not understand(text, VOCABULARY, NAMES).unknown


def test_numbers_and_trees() -> None:
    assert parts("energetic") == {"energy:energy"} and parts("quiet") == {"energy:low energy"} == parts("low energy")
    assert parts("upbeat") == {"energy:energy", "positivity:positivity"}, "all of what stands for it"
    assert parts("rock") == {"genre:Rock"} and parts("punk") == {"genre:Punk"}
    assert parts("melancholic") == {"mood:sad"} and parts("aggressive") == {"mood:tense", "energy:energy"}
    assert parts("party") and parts("chill") == {"mood:calm"}


def test_a_word_that_is_a_label_of_several_heads() -> None:
    heads = (
        *HEADS,
        HeadCard("moods", "multilabel", ("calm", "energetic")),
        HeadCard("arousal", "multiclass", ("calm", "energetic")),
    )
    assert parts("calm", vocabulary_of(heads)) == {"mood:calm", "moods:calm", "arousal:calm"}
    assert parts("energetic", vocabulary_of(heads)) == {"moods:energetic", "arousal:energetic", "energy:energy"}
    assert parts("mood calm", vocabulary_of(heads)) == {"mood:calm", "moods:calm"}


def test_a_tree_with_names_that_stand_only_above_labels() -> None:
    labels = ("Pop", "Rock", "Indie", "Metal", "Contemporary R&B", "Soul")
    parents = {"Pop": "Pop & Rock", "Rock": "Pop & Rock", "Indie": "Rock", "Metal": "Rock"}
    parents |= {"Contemporary R&B": "R&B & Soul", "Soul": "R&B & Soul"}
    aliases = {"Metal": ("metal", "pop/rock"), "Rock": ("pop/rock",), "Indie": ("pop/rock", "rock")}
    tree = vocabulary_of([HeadCard("genre", "multiclass", labels, parents=parents, aliases=aliases)])
    assert parts("pop/rock", tree) == {"genre:Pop & Rock"} and parts("rock", tree) == {"genre:Rock"}
    assert parts("pop, rock", tree) == {"genre:Pop", "genre:Rock"} and parts("soul", tree) == {"genre:Soul"}
    assert parts("rnb", tree) == {"genre:R&B & Soul", "genre:Contemporary R&B"}, "the nearer the better"
    assert parts("heavy metal", tree) == {"genre:Metal"} and parts("punk", tree) == {"genre:Rock"}
    assert understand("punk", tree).terms[0].read_as == "rock"


def test_a_model_without_some_heads() -> None:
    few = vocabulary_of(
        [HeadCard("genre", "multiclass", ("Rock", "Jazz")), HeadCard("tags", "multilabel", ("happy", "instrumental"))]
    )
    query = understand("calm Klavier jazz", few)
    assert [str(term) for term in query.terms] == ["jazz"]
    assert [(one.typed, one.lacking) for one in query.unknown] == [("calm", True), ("Klavier", True)]
    assert parts("vocals", few) == {"-tags:instrumental"}, "what stands for it may be turned around"
    assert understand("jazz", vocabulary_of([])).unknown and not vocabulary_of([]).meanings


def test_names_of_the_users_own() -> None:
    aliases = {"genre": {"Classical": "Klassik pur", "Jazz": "Swing", "Blues": "Swing"}}
    heads = [renamed(head, aliases.get(head.name, {})) for head in HEADS]
    mine = vocabulary_of(heads, aliases, {"genre": ["Polka", "rock"]})
    assert parts("swing", mine) == {"genre:Swing"} and parts("klassik pur", mine) == {"genre:Klassik pur"}
    assert parts("jazz", mine) == {"genre:Swing"}, "the model's own name is understood still"
    assert parts("polka", mine) == {"genre:Polka"} and parts("rock", mine) == {"genre:Rock"}


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("paino", "piano"), ("energetc", "energy"), ("metalica", "metallica"), ("beatels", "beatles"),
        ("hard rokc", "Hard Rock"), ("Klavier", "piano"), ("clasical", "Classical"), ("ruhiges", "calm"),
        ("upbeat", "energetic, positive"), ("piano", ""), ("pianos", ""), ("queen", ""), ("female voice", ""),
    ],
)  # fmt: skip
def test_what_is_not_quite_known_is_never_taken_silently(text: str, read_as: str) -> None:
    (term,) = understand(text, VOCABULARY, NAMES).terms
    assert term.read_as == read_as and str(term) == text


@pytest.mark.parametrize("text", ["palm", "rick", "cat", "blobfish", "xyzzyx", "soup"])
def test_spelling_has_a_limit(text: str) -> None:
    query = understand(text, VOCABULARY, NAMES)
    assert not query.terms and [one.typed for one in query.unknown] == [text]


def test_two_that_are_as_near_are_not_guessed_between() -> None:
    query = understand("marion", VOCABULARY, Known("Marian", "Marlon"))
    assert not query.terms and set(query.unknown[0].nearest) == {"marian", "marlon"}


@pytest.mark.parametrize(
    "text",
    ["", " ", ",,,", "not", "-", "--", '"', '""', "''", "not not not", "and or", "🇩🇪", "\x00", "\ud800", "\u202e"],
)
def test_nothing_to_search_for(text: str) -> None:
    assert not understand(text, VOCABULARY, NAMES).terms


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10_000,
        "calm " * 2_000,
        "not " * 3_000,
        '"' * 10_000,
        "-" * 10_000,
        "'a" * 5_000,
        "שלום עולם",
        "موسيقى هادئة",
        "静かなピアノ",
        "a\u0301" * 5_000,
    ],
)
def test_long_and_foreign_texts(text: str) -> None:
    query = understand(text, VOCABULARY, NAMES)
    assert len(query.terms) + len(query.unknown) <= 64
    assert query.left_out == max(0, len(text.split()) - 64) or " " not in text


FRAGMENTS = [
    "not",
    "-",
    '"',
    "'",
    ",",
    "or",
    "without",
    "calm",
    "Klavier",
    "hip hop",
    "queen",
    "é",
    "🎵",
    "\u202e",
    "ß",
    "İ",
    "&",
    ":",
]


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(" ".join),
        st.lists(st.sampled_from(FRAGMENTS)).map("".join),
    )
)
def test_any_text_is_read(text: str) -> None:
    query = understand(text, VOCABULARY, NAMES)
    assert isinstance(query, Query)
    for term in query.terms:
        assert str(term) and (term.meaning is not None or term.phrase in NAMES)
    assert understand(text, VOCABULARY, NAMES) == query
    assert fold_words(fold_words(text)) == fold_words(text)


def test_every_word_of_the_list_stands_once_and_leads_somewhere() -> None:
    every = Counter(
        phrase for name, others in SYNONYMS["same"].items() for phrase in {fold_words(one) for one in (name, *others)}
    )
    assert [phrase for phrase, count in every.items() if count > 1] == []
    first = {name.lower() for name in SYNONYMS["same"]}
    assert set(SYNONYMS["near"]) <= first, "a word that stands for others has its own names first"
    full = vocabulary_of([*HEADS, HeadCard("all", "multilabel", tuple(SYNONYMS["same"]))])
    for name, choices in SYNONYMS["near"].items():
        for choice in choices:
            query = understand(choice, full)
            assert not any(term.corrected for term in query.terms), f"{name}: {choice}"
    for word in SYNONYMS["same"]:
        assert fold_words(word) in full.meanings


def test_a_label_that_is_never_asserted_gives_way_to_what_comes_near() -> None:
    """A *party* that is nowhere likely must not drag down every song; where nothing else is near, it stands."""
    tags = HeadCard("tags", "multilabel", ("party", "catchy"), thresholds={"party": 1.0, "catchy": 1.0})
    known = vocabulary_of([HeadCard("mood", "multiclass", ("happy", "sad")), HeadCard("energy", "regression"), tags])
    (term,) = understand("party", known).terms
    assert term.meaning and {t.head for part in term.meaning.parts for t in part.targets} == {"mood", "energy"}
    (term,) = understand("catchy", known).terms
    assert term.meaning and [t.head for part in term.meaning.parts for t in part.targets] == ["tags"]
