"""Tags as labels: what two unrelated taggers agree on, for instruments, voice and further genres.

Taggers of MagnaTagATune, AudioSet and the Million Song Dataset learned from annotations that have nothing to do with
each other. Their probabilities cannot be compared, for each has the prior of its own corpus and misses what its
annotators left out (Elkan and Noto 2008, "Learning classifiers from only positive and unlabeled data"); their *order*
of our tracks can. So a vocabulary says yes to the top share of the tracks, no to those far below it, and nothing
between. A label is 1 where two vocabularies say yes and none says no, 0 where two say no and none says yes, else NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from earmark.datasets.core import Track
from scripts.bundled.labels import GENRES as PEOPLE
from scripts.bundled.labels import genres_of
from scripts.bundled.taggers import TAGGERS

__all__ = [
    "ESTIMATES",
    "GENRES",
    "HEADS",
    "INSTRUMENTS",
    "NAMED",
    "VOICE",
    "Evidence",
    "Scores",
    "Tag",
    "Verdicts",
    "Worth",
    "agreed",
    "evidence",
    "label_names",
    "tag_scores",
    "verdicts_of",
    "worth",
]

Array = NDArray[np.float32]
HEADS = ("instruments", "voice", "genres")
MTT, AUDIOSET, MSD = "MagnaTagATune", "AudioSet", "Million Song Dataset"
Scores = Mapping[str, Mapping[str, Mapping[str, Array]]]
"""By head, label and view, (tracks,) log-odds."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A label and the tags that speak for it.

    Attributes:
        share: About how many of the corpora's tracks have it: what each view says yes to.
        tags: By vocabulary, its names for the label; any of them counts.
        against: By vocabulary, its names for the opposite: their log-odds are taken off.
        by_network: The views are the networks, not the vocabularies: only one vocabulary knows the label, so that its
            networks are related, and what counts is how they do on rendered pieces.
        left_out: Why it is no label of the head, although it is looked at.
    """

    share: float
    tags: Mapping[str, tuple[str, ...]]
    against: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    by_network: bool = False
    left_out: str = ""


def _two(share: float, mtt: Sequence[str], audioset: Sequence[str]) -> Tag:
    return Tag(share, {MTT: tuple(mtt), AUDIOSET: tuple(audioset)})


def _networks(share: float, *audioset: str) -> Tag:
    return Tag(share, {AUDIOSET: audioset}, by_network=True)


def _rare(tag: Tag) -> Tag:
    return replace(tag, left_out="fewer than 13 songs on which unrelated taggers agree")


INSTRUMENTS: Mapping[str, Tag] = {
    "piano": _two(0.25, ["piano"], ["Piano"]),
    "guitar": _two(0.45, ["guitar"], ["Guitar", "Acoustic guitar", "Electric guitar", "Strum"]),
    "electric guitar": Tag(0.25, {AUDIOSET: ("Electric guitar", "Distortion"), MTT: ("rock", "metal")}),
    "acoustic guitar": Tag(0.15, {AUDIOSET: ("Acoustic guitar",), MTT: ("guitar",), MSD: ("acoustic",)}),
    "strings": _two(
        0.2, ["strings", "violin", "cello"], ["String section", "Violin, fiddle", "Cello", "Bowed string instrument"]
    ),
    "violin": _two(0.08, ["violin"], ["Violin, fiddle"]),
    "cello": _two(0.05, ["cello"], ["Cello"]),
    "drums": _two(
        0.55,
        ["drums", "beat", "beats"],
        ["Drum", "Drum kit", "Snare drum", "Bass drum", "Drum machine", "Cymbal", "Hi-hat"],
    ),
    "synth": _two(0.2, ["synth"], ["Synthesizer"]),
    "choir": _two(0.03, ["choir", "choral"], ["Choir"]),
    "flute": _two(0.05, ["flute"], ["Flute"]),
    "harpsichord": _two(0.03, ["harpsichord"], ["Harpsichord"]),
    "harp": _rare(_two(0.04, ["harp"], ["Harp"])),
    "sitar": _rare(_two(0.02, ["sitar"], ["Sitar"])),
    "organ": _networks(0.05, "Organ", "Electronic organ", "Hammond organ"),
    "brass": _networks(0.12, "Brass instrument", "French horn", "Trumpet", "Trombone"),
    "saxophone": _networks(0.08, "Saxophone"),
    "clarinet": _rare(_networks(0.03, "Clarinet")),
    "accordion": _rare(_networks(0.02, "Accordion")),
    "harmonica": _rare(_networks(0.02, "Harmonica")),
    "banjo": _networks(0.03, "Banjo"),
    "mallets": _networks(0.04, "Mallet percussion", "Marimba, xylophone", "Glockenspiel", "Vibraphone"),
}

SOLOISTS = frozenset(INSTRUMENTS) - {"guitar", "electric guitar", "acoustic guitar", "strings", "drums", "synth"}
OUTSHONE = 1.5
"""A soloist that stays this far behind another (log-odds above each one's own limit) is taken for an echo of it: what
sounds like a saxophone sounds like a flute and a clarinet too. A piano may accompany."""

_NO_VOCAL = ("no vocals", "no vocal", "no voice")
_VOCAL = ("vocal", "vocals", "singing", "voice", "female", "male", "woman", "man", "male vocal", "female vocal",
          "male voice", "female voice")  # fmt: skip
_MALE, _FEMALE = ("male", "man", "male vocal", "male voice"), ("female", "woman", "female vocal", "female voice")
_SUNG = ("Singing", "Male singing", "Female singing", "Rapping", "Vocal music", "Choir", "Song")
VOICE: Mapping[str, Tag] = {
    "vocal": Tag(
        0.7,
        {MTT: _VOCAL, AUDIOSET: _SUNG, MSD: ("female vocalists", "male vocalists", "female vocalist")},
        {MTT: _NO_VOCAL, MSD: ("instrumental",)},
    ),
    "male": Tag(
        0.65,
        {MTT: _MALE, AUDIOSET: ("Male singing", "Male speech, man speaking"), MSD: ("male vocalists",)},
        {
            MTT: _FEMALE,
            AUDIOSET: ("Female singing", "Female speech, woman speaking"),
            MSD: ("female vocalists", "female vocalist"),
        },
    ),
    "rap": Tag(0.07, {AUDIOSET: ("Rapping", "Hip hop music"), MSD: ("Hip-Hop",)}),
    "choir": INSTRUMENTS["choir"],
    "opera": _rare(_two(0.015, ["opera"], ["Opera"])),
}
"""``male`` is a share of what is vocal; ``female`` is its opposite and ``instrumental`` that of ``vocal``."""


def _genre(share: float, audioset: str, **others: Sequence[str]) -> Tag:
    """AudioSet's name for it, and those of the Million Song Dataset (``msd``) and of MagnaTagATune (``mtt``)."""
    vocabularies = {"msd": MSD, "mtt": MTT}
    return Tag(share, {AUDIOSET: (audioset,), **{vocabularies[key]: tuple(names) for key, names in others.items()}})


GENRES: Mapping[str, Tag] = {
    "Punk": _genre(0.06, "Punk rock", msd=["punk"]),
    "Metal": _genre(0.1, "Heavy metal", msd=["metal", "heavy metal"], mtt=["metal"]),
    "Indie": replace(
        _genre(0.08, "Independent music", msd=["indie", "indie rock", "indie pop"]),
        left_out="the two vocabularies hardly agree",
    ),
    "Soul": _genre(0.08, "Soul music", msd=["soul"]),
    "Funk": _genre(0.05, "Funk", msd=["funk"]),
    "Contemporary R&B": _genre(0.06, "Rhythm and blues", msd=["rnb"]),
    "House": _genre(0.04, "House music", msd=["House"]),
    "Techno": _genre(0.04, "Techno", mtt=["techno"]),
    "Dance": _genre(0.08, "Dance music", msd=["dance"], mtt=["dance"]),
    "Ambient": _genre(0.06, "Ambient music", msd=["ambient"], mtt=["ambient"]),
}
"""Genres that the corpora do not name. Left out: hard rock (AudioSet has none: metal and hardcore passed for it) and
progressive rock (the two vocabularies hardly agree on a track). Which of them count, and on which songs, is said by
:data:`scripts.bundled.labels.TOLD`: people have the last word."""

NAMED: Mapping[str, Tag] = {
    "Blues": _genre(0.08, "Blues", msd=["blues"]),
    "Jazz": _genre(0.12, "Jazz", msd=["jazz"]),
    "Country": _genre(0.1, "Country", msd=["country"], mtt=["country"]),
    "Hip-Hop": _genre(0.09, "Hip hop music", msd=["Hip-Hop"]),
    "Electronic": _genre(0.12, "Electronic music", msd=["electronic", "electronica"], mtt=["electronic"]),
    "Classical": _genre(0.1, "Classical music", mtt=["classical"]),
}
"""Genres that the corpora name as well: what the agreement of taggers is worth is measured on them (:func:`worth`)."""

_SPOKEN = ("Speech", "Male speech, man speaking", "Female speech, woman speaking", "Narration, monologue",
           "Conversation", "Rapping")  # fmt: skip
_ACOUSTIC = (
    "Acoustic guitar", "Piano", "Banjo", "Sitar", "Mandolin", "Zither", "Ukulele", "Harpsichord", "Orchestra",
    "Brass instrument", "French horn", "Trumpet", "Trombone", "Bowed string instrument", "String section",
    "Violin, fiddle", "Pizzicato", "Cello", "Double bass", "Wind instrument, woodwind instrument", "Flute",
    "Saxophone", "Clarinet", "Harp", "Accordion", "Bagpipes", "Harmonica", "Mallet percussion", "Marimba, xylophone",
    "Glockenspiel", "Vibraphone", "A capella", "Choir", "Classical music",
)  # fmt: skip
_ELECTRIC = (
    "Electric guitar", "Distortion", "Effects unit", "Synthesizer", "Sampler", "Drum machine", "Electronic organ",
    "Hammond organ", "Electric piano", "Electronic music", "Electronica", "House music", "Techno", "Heavy metal",
)  # fmt: skip
ESTIMATES: Mapping[str, Tag] = {
    "danceability": Tag(
        0.25,
        {
            AUDIOSET: ("Dance music", "Electronic dance music", "House music", "Techno", "Disco", "Trance music"),
            MSD: ("dance", "party", "House", "electro"),
            MTT: ("dance", "techno", "beat", "beats"),
        },
    ),
    "acousticness": Tag(
        0.4,
        {
            AUDIOSET: _ACOUSTIC,
            MTT: ("classical", "guitar", "piano", "violin", "harp", "cello", "flute", "harpsichord", "strings",
                  "sitar", "choir"),
        },
        {AUDIOSET: _ELECTRIC, MTT: ("electronic", "synth", "techno", "rock", "metal")},
    ),
    "speechiness": _networks(0.07, *_SPOKEN),
    "liveness": replace(
        _networks(0.04, "Applause", "Cheering", "Crowd", "Clapping"),
        left_out="no song of the corpora has an audience, as far as two networks tell",
    ),
}  # fmt: skip
"""Features that have no head (:mod:`scripts.bundled.estimates`)."""

TABLES: Mapping[str, Mapping[str, Tag]] = {
    "instruments": INSTRUMENTS, "voice": VOICE, "genres": GENRES, "named": NAMED, "estimates": ESTIMATES,
}  # fmt: skip


def tag_scores(found: Mapping[str, Array], labels: Mapping[str, Sequence[str]]) -> Scores:
    """Log-odds of every label by every view of it.

    Args:
        found: By tagger, (tracks, tags) probabilities, of :func:`scripts.bundled.taggers.tag_probabilities`.
        labels: By tagger, the names of its tags.
    """
    return {head: {label: _views(tag, found, labels) for label, tag in table.items()} for head, table in TABLES.items()}


def _views(tag: Tag, found: Mapping[str, Array], labels: Mapping[str, Sequence[str]]) -> dict[str, Array]:
    views: dict[str, list[Array]] = {}
    for name, probabilities in found.items():
        vocabulary = TAGGERS[name].vocabulary
        odds = _log_odds(probabilities, labels[name], tag.tags.get(vocabulary, ()))
        if odds is not None:
            opposite = _log_odds(probabilities, labels[name], tag.against.get(vocabulary, ()))
            views.setdefault(name if tag.by_network else vocabulary, []).append(
                odds - (0 if opposite is None else opposite)
            )
    return {view: np.mean(several, 0) for view, several in views.items()}


def _log_odds(probabilities: Array, labels: Sequence[str], names: Sequence[str]) -> Array | None:
    """Of any of the names that a tagger knows (as if they were independent); None if it knows none."""
    columns = [labels.index(name) for name in names if name in labels]
    if not columns:
        return None
    absent = np.clip(1.0 - probabilities[:, columns].astype(np.float64), 1e-9, 1 - 1e-9).prod(1)
    return np.asarray(np.log1p(-absent) - np.log(absent), np.float32)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """By head, label and view, the log-odds below which it says no, and from which it says yes."""

    limits: Mapping[str, Mapping[str, Mapping[str, tuple[float, float]]]]

    def __call__(self, scores: Scores) -> dict[str, tuple[tuple[str, ...], Array]]:
        """By head, its labels and (tracks, labels) of 1, 0 and NaN."""
        found, names = self.columns(scores), {head: label_names(head) for head in scores}
        return {
            head: (names[head], np.stack([table[name] for name in names[head]], 1).astype(np.float32))
            for head, table in found.items()
        }

    def columns(self, scores: Scores) -> dict[str, dict[str, Array]]:
        """By head and label (also what is left out), (tracks,) of 1, 0 and NaN."""
        found = {
            head: {label: agreed(views, self.limits[head][label]) for label, views in table.items()}
            for head, table in scores.items()
        }
        found["voice"] = _consistent(found["voice"])
        found["instruments"] = _without_echoes(found["instruments"], scores["instruments"], self.limits["instruments"])
        return found


def label_names(head: str) -> tuple[str, ...]:
    """The labels of a head, in the order of its targets."""
    names = tuple(name for name, tag in TABLES[head].items() if not tag.left_out)
    return ("vocal", "instrumental", "male", "female", *names[2:]) if head == "voice" else names


def _consistent(voice: Mapping[str, Array]) -> dict[str, Array]:
    """The voice's labels with ``instrumental`` and ``female``; without a voice there is none of the rest."""
    vocal = voice["vocal"]
    male = np.where(vocal == 1, voice["male"], np.nan)
    everything = {**voice, "instrumental": 1 - vocal, "male": male, "female": 1 - male}
    return {
        name: found if name in ("vocal", "instrumental") else np.where(vocal == 0, 0.0, found)
        for name, found in everything.items()
    }


def _without_echoes(
    found: Mapping[str, Array], scores: Mapping[str, Mapping[str, Array]],
    limits: Mapping[str, Mapping[str, tuple[float, float]]],
) -> dict[str, Array]:  # fmt: skip
    """Unknown where a soloist that two views name stays far behind another one."""
    above = {
        label: np.min([odds - limits[label][view][1] for view, odds in scores[label].items()], 0)
        for label in sorted(SOLOISTS)
    }
    best = np.max(list(above.values()), 0)
    echo = {label: (above[label] < best - OUTSHONE) & (found[label] == 1) for label in SOLOISTS - {"piano"}}
    return {label: np.where(echo[label], np.nan, row) if label in echo else row for label, row in found.items()}


def verdicts_of(scores: Scores) -> Verdicts:
    """The limits by the order of the corpora's tracks: yes to the label's share, no below twice that (or half way)."""
    limits: dict[str, dict[str, dict[str, tuple[float, float]]]] = {}
    for head, table in scores.items():
        limits[head] = {}
        for label, views in table.items():
            share = TABLES[head][label].share
            ends = (max(0.0, 1 - min(2 * share, (1 + share) / 2)), 1 - share)
            limits[head][label] = {view: _quantiles(odds, ends) for view, odds in views.items()}
    return Verdicts(limits)


def _quantiles(odds: Array, ends: tuple[float, float]) -> tuple[float, float]:
    low, high = np.nanquantile(odds, ends)
    return float(low), float(high)


def agreed(views: Mapping[str, Array], limits: Mapping[str, tuple[float, float]]) -> Array:
    """(tracks,) 1 where two views say yes and none no, 0 where two say no and none yes, else NaN; one alone counts."""
    yes = np.sum([odds >= limits[view][1] for view, odds in views.items()], 0)
    no = np.sum([odds < limits[view][0] for view, odds in views.items()], 0)
    least = min(2, len(views))
    return np.where((yes >= least) & (no == 0), 1.0, np.where((no >= least) & (yes == 0), 0.0, np.nan)).astype(
        np.float32
    )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a label rests on.

    Attributes:
        songs: Tracks of the corpora on which two views say yes and none says no.
        artists: Of these.
        kappa: Cohen's, of the views' yes on all tracks, the mean over pairs of views: 1 is the same word, 0 is chance.
    """

    songs: int
    artists: int
    kappa: float


def evidence(scores: Scores, tracks: Sequence[Track]) -> dict[str, dict[str, Evidence]]:
    """By head and label, what its labels rest on; labels that are left out too."""
    verdicts = verdicts_of(scores)
    targets = verdicts.columns(scores)
    found: dict[str, dict[str, Evidence]] = {}
    for head in HEADS:
        found[head] = {}
        for label, views in scores[head].items():
            rows = np.flatnonzero(targets[head][label] == 1).tolist()
            known = ~np.isnan(np.sum(list(views.values()), 0))
            yes = [odds[known] >= verdicts.limits[head][label][view][1] for view, odds in views.items()]
            kappa = float(np.mean([cohen_kappa_score(a, b) for a, b in combinations(yes, 2)]))
            found[head][label] = Evidence(len(rows), len({tracks[row].group for row in rows}), kappa)
    return found


@dataclass(frozen=True, slots=True)
class Worth:
    """What taggers' word for a genre is worth: shares of tracks that people call so, who name few genres a track.

    Attributes:
        alone: Of those that the best vocabulary says yes to.
        yes: Of those that two say yes to and none no.
        found: Of those that people call so, the share that has such a yes.
        no: Of those that two say no to and none yes.
    """

    alone: float
    yes: float
    found: float
    no: float


def worth(scores: Scores, tracks: Sequence[Track]) -> dict[str, Worth]:
    """By genre of :data:`NAMED`, over the tracks that people have named a genre of."""
    verdicts = verdicts_of(scores)
    people, found = [genres_of(track) for track in tracks], {}
    for genre, views in scores["named"].items():
        asked = np.array([bool(names) for names in people]) & ~np.isnan(np.sum(list(views.values()), 0))
        called = np.array([not names.isdisjoint(PEOPLE[genre]) for names in people])[asked]
        limits = verdicts.limits["named"][genre]
        found_by_two = agreed(views, limits)[asked]
        alone = [_share(called[odds[asked] >= limits[view][1]]) for view, odds in views.items()]
        yes, no = found_by_two == 1, found_by_two == 0
        found[genre] = Worth(max(alone), _share(called[yes]), _share(yes[called]), _share(called[no]))
    return found


def _share(rows: NDArray[np.bool_]) -> float:
    return float(rows.mean()) if len(rows) else float("nan")
