"""What the bundled model's heads are called and which of the corpora's labels they learn from.

A corpus is often vague: AllMusic's Pop/Rock may be pop, rock, metal, punk or indie rock. A multiclass head learns from
such *sets*, whose likelihood counts, and teachers' tags make the sets smaller where two unrelated ones agree
(:mod:`scripts.bundled.agreement`). The corpora's own names are kept as aliases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.core import Label, Track

__all__ = [
    "AROUSAL", "CONTRADICTS", "EMOTIONS", "GENRES", "IMPLIES", "KNOWN", "MEANINGS", "MOOD", "MOODS", "MOOD_ALIASES",
    "MULTICLASS", "PARENTS", "SADNESS", "SINGERS", "TOLD", "VALENCE", "VOICES", "Known", "alike", "by_table",
    "emotions", "genre_sets", "genres_of", "instruments", "known_songs", "moods", "quadrants", "singer_matrix",
    "singers", "valences", "voices",
]  # fmt: skip

Array = NDArray[np.float32]
Table = Mapping[str, tuple[str, ...]]

GENRES: Table = {
    "Blues": ("blues",),
    "Classical": ("classical",),
    "Country": ("country",),
    "Disco": ("disco",),
    "Easy Listening": ("easy listening", "vocal"),
    "Electronic": ("electronic",),
    "House & Techno": ("electronic",),
    "Ambient & New Age": ("electronic", "new age"),
    "Folk": ("folk",),
    "Hip-Hop": ("hiphop", "rap"),
    "Jazz": ("jazz",),
    "Latin": ("latin",),
    "Pop": ("pop", "pop/rock"),
    "Rock": ("rock", "pop/rock"),
    "Indie": ("pop/rock", "rock", "pop"),
    "Metal": ("metal", "pop/rock", "rock"),
    "Punk": ("pop/rock", "rock"),
    "R&B & Soul": ("r&b",),
    "Reggae": ("reggae",),
}
"""Display name and the corpora's names (lower case) that may mean it.

Left out, for want of songs or because nobody can tell them by ear: AllMusic's International, Stage & Screen,
Avant-Garde, Holiday, Comedy/Spoken, Religious, Children's; and of the teachers' tags funk (they find disco), hard rock
(they find metal), progressive rock (they do not agree), and soul beside contemporary R&B: of the 68 songs that people
call R&B they agree on 27 for either, too few.
"""

TOLD: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], float]] = {
    "Punk": (("Punk",), (), 0.15),
    "Metal": (("Metal",), (), 0.2),
    "Indie": (("Indie",), (), 0.3),
    "House & Techno": (("House", "Techno"), (), 0.3),
    "Ambient & New Age": (("Ambient",), (), 0.3),
}
"""Genres that teachers tell from others of one vague name: their tags for it, those against it, and about which share
of the songs of such names it is. Among songs that a person called Pop/Rock, teachers that agree on punk are right;
among all, they call other music so."""

PARENTS: Mapping[str, str] = {
    "Pop": "Pop & Rock",
    "Rock": "Pop & Rock",
    "Indie": "Rock",
    "Metal": "Rock",
    "Punk": "Rock",
    "House & Techno": "Electronic",
}
"""What stands above a genre: the answer where it cannot be told below."""

ALSO_RIGHT: Table = {"international": ("Folk", "Latin"), "religious": ("R&B & Soul",)}
"""Genres that a corpus's name allows beside others, though nothing is learned of it: AllMusic files the Gipsy Kings
under International and Jazz."""

COMPANIONS = frozenset({"Easy Listening", "Pop", "Rock", "Indie", "R&B & Soul", "Folk", "Latin"})
"""Names that AllMusic often adds to another: a corpus with one genre a track does not mean that they are absent."""

MOOD: Table = {"happy": ("Q1",), "tense": ("Q2",), "sad": ("Q3",), "calm": ("Q4",)}
MOOD_ALIASES: Table = {"happy": ("Q1", "joyful"), "tense": ("Q2",), "sad": ("Q3", "gloomy"), "calm": ("Q4", "peaceful")}
VALENCE: Table = {"negative": ("-", "sad"), "neutral": ("neutral",), "positive": ("+", "happy")}
AROUSAL: Table = {"calm": ("-",), "energetic": ("+",)}

MULTICLASS: Mapping[str, Table] = {"genre": GENRES, "mood": MOOD, "valence": VALENCE, "arousal": AROUSAL}

EMOTIONS: tuple[str, ...] = (
    "calmness", "joyful activation", "nostalgia", "power", "sadness", "solemnity", "tenderness", "tension",
)  # fmt: skip
"""Emotify's, without amazement, which hardly a track of it has."""

MOODS: Mapping[str, str] = {
    "angry": "Angry Hostile Bitter Outraged Aggressive Confrontational Belligerent Malevolent Negative",
    "bright": "Bright Sparkling Light Summery Springlike Carefree",
    "calm": "Calm Peaceful Soothing Quiet Relaxed Soft Mellow",
    "cerebral": "Cerebral Complex Elaborate Clinical Literate Technical Difficult",
    "cheerful": "Cheerful Happy Joyous Fun Positive Optimistic Exuberant Gleeful Jovial Uplifting Good-Natured",
    "confident": "Confident Strong Swaggering Bravado Brash",
    "dark": "Ominous Eerie Menacing Unsettling Spooky Threatening Malevolent Brooding Nihilistic Cold",
    "dreamy": "Dreamy Ethereal Atmospheric Spacey Nocturnal Trippy Mystical Lush",
    "elegant": "Elegant Refined Sophisticated Stylish Restrained",
    "energetic": "Energetic Lively Exciting Rousing Boisterous Celebratory Rollicking Thrilling Effervescent Swinging",
    "gentle": "Gentle Delicate Tender Sweet Innocent Precious Intimate Warm",
    "gloomy": "Gloomy Bleak Somber Austere Wintry",
    "gritty": "Gritty Greasy Gutsy Sleazy Messy",
    "harsh": "Harsh Fierce Uncompromising Visceral Intense Brittle Powerful Explosive Crunchy",
    "hypnotic": "Hypnotic Circular Pulsing",
    "lazy": "Lazy Laid-Back Smooth",
    "nostalgic": "Nostalgic Sentimental Autumnal",
    "passionate": "Passionate Fiery Spicy",
    "playful": "Playful Humorous Whimsical Silly Quirky Witty Giddy Campy",
    "rebellious": "Rebellious Reckless Rowdy Raucous Trashy Outrageous Provocative Volatile Thuggish Snide Irreverent",
    "romantic": "Romantic Sensual Sexy Sexual Slick",
    "sad": "Sad Melancholy Weary Poignant Wistful Bittersweet Lonely Plaintive Yearning Regretful Reflective",
    "spiritual": "Spiritual Reverent Stately",
    "tense": "Tense Nervous Jittery Anxious Paranoid Manic Urgent",
}
"""Words for what can be heard, each with AllMusic's that mean about the same: alone most are too rare."""

SADNESS = frozenset({"sad", "gloomy"})
"""Words of MOODS that a happy song must not have."""

_AGAINST_MOOD: Mapping[str, str] = {
    "angry": "happy sad calm", "bright": "tense sad", "calm": "happy tense", "cheerful": "tense sad",
    "dark": "happy calm", "dreamy": "tense", "elegant": "tense", "energetic": "sad calm", "gentle": "tense",
    "gloomy": "happy calm", "harsh": "happy calm", "lazy": "tense", "nostalgic": "tense", "playful": "tense sad",
    "rebellious": "sad calm", "romantic": "tense", "sad": "happy calm", "tense": "happy sad calm",
    "calmness": "happy tense", "joyful activation": "tense sad calm", "power": "sad calm", "sadness": "happy calm",
    "tenderness": "tense", "tension": "happy calm", "nostalgia": "tense",
}  # fmt: skip
"""Words and emotions, and the moods that they are not: of the other valence, or of the other energy."""

_ROCK = ("Rock", "Indie", "Punk", "Metal")
_BESIDE_TAG: Table = {
    "alternative": (*_ROCK, "Pop", "Electronic", "Folk"),
    "ambient": ("Ambient & New Age", "Electronic", "Classical", "Folk"),
    "blues": ("Blues", "Jazz", "Rock", "Country", "Folk", "R&B & Soul"),
    "country": ("Country", "Folk", "Rock", "Pop", "Blues", "Easy Listening"),
    "dance": ("Electronic", "House & Techno", "Disco", "Pop", "Hip-Hop", "R&B & Soul", "Latin", "Reggae"),
    "electronic": ("Electronic", "House & Techno", "Ambient & New Age", "Disco", "Hip-Hop", "Pop", "Indie"),
    "folk": ("Folk", "Country", "Blues", "Indie", "Pop", "Easy Listening"),
    "hard rock": ("Rock", "Metal", "Punk"),
    "heavy metal": ("Rock", "Metal", "Punk"),
    "Hip-Hop": ("Hip-Hop", "R&B & Soul", "Reggae", "Electronic", "Pop"),
    "House": ("House & Techno", "Electronic", "Disco", "Pop"),
    "indie": (*_ROCK[:3], "Pop", "Folk", "Electronic"),
    "jazz": ("Jazz", "Blues", "Easy Listening", "Latin", "R&B & Soul"),
    "metal": ("Metal", "Rock", "Punk"),
    "punk": _ROCK,
    "rnb": ("R&B & Soul", "Hip-Hop", "Pop", "Disco"),
    "rock": (*_ROCK, "Pop", "Blues", "Country", "Folk"),
    "soul": ("R&B & Soul", "Reggae", "Blues", "Jazz", "Disco", "Pop", "Easy Listening"),
}
"""Tags that name a genre, and the genres that may have them; the others contradict them."""

CONTRADICTS: Mapping[str, Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "moods": {word: {"mood": tuple(own.split())} for word, own in _AGAINST_MOOD.items() if word in MOODS},
    "emotions": {word: {"mood": tuple(own.split())} for word, own in _AGAINST_MOOD.items() if word in EMOTIONS},
    "voice": {
        "rap": {"genre": ("Ambient & New Age", "Blues", "Classical", "Country", "Easy Listening", "Folk", "Jazz")},
    },
    "tags": {
        tag: {"genre": tuple(genre for genre in GENRES if genre not in beside)} for tag, beside in _BESIDE_TAG.items()
    } | {
        "female vocalists": {"voice": ("male", "instrumental")}, "female vocalist": {"voice": ("male", "instrumental")},
        "male vocalists": {"voice": ("female", "instrumental")}, "instrumental": {"voice": ("vocal",)},
    },
}  # fmt: skip
"""By head and label, labels of the heads above beside which it is not named."""

IMPLIES: Mapping[str, Mapping[str, str]] = {
    "instruments": {"electric guitar": "guitar", "acoustic guitar": "guitar", "violin": "strings", "cello": "strings"},
}
"""By head and label, the label that is named with it."""

SINGERS: Mapping[str, Mapping[str, int]] = {
    "nobody": {"vocal": 0, "instrumental": 1, "male": 0, "female": 0, "rap": 0, "choir": 0},
    "man": {"vocal": 1, "instrumental": 0, "male": 1, "female": 0, "rap": 0, "choir": 0},
    "woman": {"vocal": 1, "instrumental": 0, "male": 0, "female": 1, "rap": 0, "choir": 0},
    "rapper": {"vocal": 1, "instrumental": 0, "rap": 1, "choir": 0},
    "choir": {"vocal": 1, "instrumental": 0, "rap": 0, "choir": 1},
}
"""Who sings, one of these, and what that says of each label of the voice; what is not stated is a rate. A man and a
woman exclude each other, for the teachers' word is about the one or the other: a duet is ``vocal``, no more."""

KNOWN = Path(__file__).with_name("known.tsv")
"""What is public knowledge of songs of the corpora: who sings, which instruments they have, which they lack (``*``: all
others). By artist, or by track where it differs."""
VOICES: Mapping[str, Mapping[str, int]] = {
    "nobody": {"vocal": 0, "instrumental": 1, "male": 0, "female": 0, "rap": 0, "choir": 0},
    "man": {"vocal": 1, "instrumental": 0, "male": 1, "female": 0, "rap": 0},
    "woman": {"vocal": 1, "instrumental": 0, "male": 0, "female": 1, "rap": 0},
    "man raps": {"vocal": 1, "instrumental": 0, "male": 1, "female": 0, "rap": 1},
    "woman raps": {"vocal": 1, "instrumental": 0, "male": 0, "female": 1, "rap": 1},
}
"""What it says of each label of the voice who sings."""

MEANINGS: Mapping[str, str] = {
    "genre": "kind of music; where the kind cannot be told, what stands above it",
    "genres": "kinds of music, each for itself, over the names of genre",
    "mood": "quadrant of valence and arousal, as listeners would call the music",
    "valence": "whether the music is positive or negative, whatever its energy",
    "arousal": "whether the music is calm or energetic, whatever its valence",
    "positivity": "probability that listeners would call the music positive",
    "energy": "probability that listeners would call the music energetic",
    "moods": "mood words, of AllMusic's vocabulary",
    "emotions": "induced emotions of the Geneva Emotional Music Scale, as Emotify's listeners marked them",
    "instruments": "instruments that can be heard",
    "voice": "voices that can be heard",
    "tags": "what listeners of Last.fm would tag, as taggers of the Million Song Dataset imitate it",
}


def genres_of(track: Track) -> frozenset[str]:
    """The corpora's own names of a track's genres, lower case."""
    given = [*_names(track.labels.get("genre")), *_names(track.labels.get("genres"))]
    return frozenset(name.lower() for name in given)


def _names(given: Label) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else given if isinstance(given, tuple) else ()


def genre_sets(tracks: Sequence[Track], views: Mapping[str, Mapping[str, Array]]) -> tuple[Array, Array, Array]:
    """What a track's genre may be, and which genres it has.

    Args:
        tracks: All tracks.
        views: By genre that teachers know and by vocabulary, (tracks,) their log-odds.

    Returns:
        (tracks, genres) each: what it may be as the corpora name it, less what all teachers deny; to learn from, of
        these what is sure or the teachers agree on, or else what needs no teachers: a genre that might be anywhere
        would swallow its neighbours; marks of each genre for itself, NaN where unknown. Rows without a name are NaN.
    """
    names = [genres_of(track) for track in tracks]
    stated = np.array([[bool(mine.intersection(own)) for own in GENRES.values()] for mine in names], np.float32)
    meant = [[[genre for genre, own in GENRES.items() if name in own] for name in mine] for mine in names]
    sure = np.array([[[genre] in lists for genre in GENRES] for lists in meant])
    sure |= np.array([["new age" in mine and genre == "Ambient & New Age" for genre in GENRES] for mine in names])
    sure |= np.array([["metal" in mine and genre == "Metal" for genre in GENRES] for mine in names])
    agreed = np.stack([_agreed(genre, column, views) for genre, column in zip(GENRES, stated.T, strict=True)], 1)
    stated = np.where((agreed == 0) & ~sure, 0.0, stated).astype(np.float32)
    found = ((agreed == 1) | sure) & (stated > 0)
    plain = np.where([genre in TOLD for genre in GENRES], 0.0, stated)
    refined = np.where(found.any(1, keepdims=True), found, np.where(plain.any(1, keepdims=True), plain, stated))
    several = np.array(["genres" in track.labels for track in tracks])[:, None]
    each = np.where(sure, 1.0, np.where(stated > 0, np.where(found, 1.0, np.nan), 0.0))
    each[(stated == 0) & ~several & np.array([genre in COMPANIONS for genre in GENRES])] = np.nan
    for row, mine in enumerate(names):
        allowed = {genre for name in mine for genre in ALSO_RIGHT.get(name, ())}
        stated[row] = np.maximum(stated[row], [genre in allowed for genre in GENRES])
    for table in (stated, each, refined := refined.astype(np.float32)):
        table[[not any(lists) for lists in meant]] = np.nan
    return stated, refined, each.astype(np.float32)


def _agreed(genre: str, stated: Array, views: Mapping[str, Mapping[str, Array]]) -> Array:
    """(tracks,) 1 where all teachers find this genre among the songs that may be of it, 0 where none does, else NaN."""
    found = np.full(len(stated), np.nan, np.float32)
    if genre not in TOLD or not stated.any():
        return found
    tags, against, share = TOLD[genre]
    odds = []
    for vocabulary in set.intersection(*(set(views[tag]) for tag in (*tags, *against))):
        mine = np.max([views[tag][vocabulary] for tag in tags], 0)
        odds.append(mine - np.max([views[tag][vocabulary] for tag in against], 0) if against else mine)
    member = stated > 0
    yes, no = (
        np.stack([one > np.nanquantile(one[member], 1 - share) for one in odds]).all(0),
        np.stack([one < np.nanquantile(one[member], max(0.0, 1 - 2 * share)) for one in odds]).all(0),
    )
    found[member & yes] = 1.0
    found[member & no] = 0.0
    return found


def by_table(tracks: Sequence[Track], head: str, table: Table) -> Array:
    """(tracks, labels) 1 and 0 of a data set's multiclass head; NaN where it is unlabelled."""
    rows = np.full((len(tracks), len(table)), np.nan, np.float32)
    for row, track in zip(rows, tracks, strict=True):
        given = track.labels.get(head)
        if isinstance(given, str):
            row[:] = [given in own for own in table.values()]
    return rows


def quadrants(tracks: Sequence[Track]) -> Array:
    """(tracks, moods) what a track's mood may be: one, or for Emotify's happy and sad the two of that valence."""
    sides = {"happy": ("happy", "calm"), "sad": ("tense", "sad")}
    rows = by_table(tracks, "quadrant", MOOD)
    for row, track in zip(rows, tracks, strict=True):
        if (given := track.labels.get("mood")) in sides:
            row[:] = [mood in sides[str(given)] for mood in MOOD]
    return rows


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a song.

    Attributes:
        voice: A key of :data:`VOICES`, or "".
        has: Instruments.
        lacks: Instruments, ``*`` for all that it has not.
    """

    voice: str = ""
    has: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()

    def tells(self, head: str) -> bool:
        """Whether it is known what a head is asked for."""
        return bool({"voice": self.voice, "instruments": self.has | self.lacks}.get(head))


def known_songs(tracks: Sequence[Track]) -> list[Known]:
    """What is known of each track."""
    rows = [line.split("\t") for line in KNOWN.read_text("utf-8").splitlines()[1:]]
    table = {
        (artist, track): Known(voice, *(frozenset(names.split(",")) - {""} for names in instruments))
        for artist, track, voice, *instruments in rows
    }
    nothing = Known()
    return [table.get((t.group, t.path.stem)) or table.get((t.group, ""), nothing) for t in tracks]


def voices(known: Sequence[Known], names: Sequence[str], marks: Array) -> Array:
    """(tracks, labels) marks of the voice: what is known of who sings, else the taggers'.

    A known singer may be silent in a song, and a guest may sing in an instrumental artist's: where the taggers agree
    on the contrary, nothing is known.
    """
    found, vocal = marks.copy(), names.index("vocal")
    for row, song in zip(found, known, strict=True):
        if song.voice and abs(row[vocal] - VOICES[song.voice]["vocal"]) == 1:
            row[:] = np.nan
        elif song.voice:
            row[:] = [VOICES[song.voice].get(name, mark) for name, mark in zip(names, row, strict=True)]
    return found


def instruments(known: Sequence[Known], names: Sequence[str], marks: Array) -> Array:
    """(tracks, labels) marks of the instruments: what is known, else the taggers'; a part is there with its whole."""
    found, whole = marks.copy(), IMPLIES["instruments"]
    for row, song in zip(found, known, strict=True):
        has = song.has | {whole[name] for name in song.has & set(whole)}
        lacks = set(names) - has if "*" in song.lacks else song.lacks | {p for p in whole if whole[p] in song.lacks}
        row[:] = [float(n in has) if n in has or n in lacks else mark for n, mark in zip(names, row, strict=True)]
    return found


def alike(marks: Array, names: Sequence[str], importance: NDArray[np.float64]) -> NDArray[np.float64]:
    """(tracks,) importance by which women count as much as men, who sing most songs of the corpora."""
    male, female = (marks[:, names.index(name)] == 1 for name in ("male", "female"))
    more = importance[male].sum() / max(1.0, importance[female].sum())
    return np.where(female, more, 1.0) * importance


def singers(marks: Array, names: Sequence[str]) -> Array:
    """(tracks, singers) who may sing by the marks (tracks, labels) of the voice; NaN where that may be anybody."""
    table = _singer_table(names)
    denied = (np.abs(marks[:, :, None] - table[None]) == 1).any(1)
    known = denied.any(1, keepdims=True) & ~denied.all(1, keepdims=True)
    return np.where(known, ~denied, np.nan).astype(np.float32)


def singer_matrix(marks: Array, names: Sequence[str]) -> Array:
    """(labels, singers) how probable each label of the voice is of each singer; rates are those of the marks."""
    table, who = _singer_table(names), singers(marks, names)
    for row, column in zip(*np.nonzero(np.isnan(table)), strict=True):
        sure = (who[:, column] == 1) & (np.nansum(who, 1) == 1) & ~np.isnan(marks[:, row])
        table[row, column] = (marks[sure, row].sum() + 0.5) / (sure.sum() + 1)
    return table


def _singer_table(names: Sequence[str]) -> Array:
    return np.array([[own.get(name, np.nan) for own in SINGERS.values()] for name in names], np.float32)


def valences(tracks: Sequence[Track]) -> Array:
    """(tracks, 3) moods900's sign and Emotify's three classes; NaN where unlabelled."""
    first, second = (by_table(tracks, head, VALENCE) for head in ("valence", "mood"))
    return np.where(np.isnan(first), second, first)


def moods(tracks: Sequence[Track]) -> Array:
    """(tracks, words) 1 and 0; NaN where unlabelled."""
    return _several(tracks, "moods", [set(words.split()) for words in MOODS.values()])


def emotions(tracks: Sequence[Track]) -> Array:
    """(tracks, emotions) 1 and 0; NaN where unlabelled."""
    return _several(tracks, "emotions", [{name.replace(" ", "_")} for name in EMOTIONS])


def _several(tracks: Sequence[Track], head: str, names: Sequence[set[str]]) -> Array:
    rows = np.full((len(tracks), len(names)), np.nan, np.float32)
    for row, track in zip(rows, tracks, strict=True):
        if isinstance(given := track.labels.get(head), tuple):
            row[:] = [bool(own.intersection(given)) for own in names]
    return rows
