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
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from earmark.datasets.core import Track
from earmark.events import Steps
from scripts.bundled.taggers import TAGGERS, labels_of, tag_probabilities

__all__ = [
    "GENRES",
    "HEADS",
    "INSTRUMENTS",
    "NAMED",
    "VOICE",
    "Evidence",
    "Scores",
    "Tag",
    "Verdicts",
    "evidence",
    "label_names",
    "named_genres",
    "tag_scores",
    "tag_targets",
    "verdicts_of",
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
        within: The corpora's genres (lower case) beside which it can stand; a track that people put elsewhere is a no.
    """

    share: float
    tags: Mapping[str, tuple[str, ...]]
    against: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    by_network: bool = False
    within: frozenset[str] = frozenset()
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


def _genre(share: float, audioset: str, tags: Mapping[str, tuple[str, ...]], within: str = "") -> Tag:
    return Tag(share, {AUDIOSET: (audioset,), **tags}, within=frozenset(within.split(", ")) if within else frozenset())


GENRES: Mapping[str, Tag] = {
    "Punk": _genre(0.06, "Punk rock", {MSD: ("punk",)}, "pop/rock, rock, metal"),
    "Metal": _genre(0.1, "Heavy metal", {MSD: ("metal", "heavy metal"), MTT: ("metal",)}, "pop/rock, rock, metal"),
    "Indie": replace(
        _genre(0.08, "Independent music", {MSD: ("indie", "indie rock", "indie pop")}, "pop/rock, rock, pop, folk"),
        left_out="the two vocabularies hardly agree",
    ),
    "Soul": _genre(0.08, "Soul music", {MSD: ("soul",)}, "r&b, religious, vocal, pop, disco"),
    "Funk": _genre(0.05, "Funk", {MSD: ("funk",)}, "r&b, pop/rock, jazz, electronic, disco, pop"),
    "Contemporary R&B": _genre(0.06, "Rhythm and blues", {MSD: ("rnb",)}, "r&b, rap, hiphop, pop, pop/rock"),
    "House": _genre(0.04, "House music", {MSD: ("House",)}, "electronic, disco"),
    "Techno": _genre(0.04, "Techno", {MTT: ("techno",)}, "electronic"),
    "Dance": _genre(
        0.08, "Dance music", {MSD: ("dance",), MTT: ("dance",)}, "electronic, pop/rock, pop, r&b, latin, disco"
    ),
    "Ambient": _genre(
        0.06,
        "Ambient music",
        {MSD: ("ambient",), MTT: ("ambient",)},
        "electronic, new age, avant-garde, stage & screen",
    ),
}
"""Genres that the corpora do not name. Left out: hard rock (AudioSet has none: metal and hardcore passed for it) and
progressive rock (the two vocabularies hardly agree on a track)."""

NAMED: Mapping[str, Tag] = {
    "blues": _genre(0.08, "Blues", {MSD: ("blues",)}),
    "jazz": _genre(0.12, "Jazz", {MSD: ("jazz",)}),
    "country": _genre(0.1, "Country", {MSD: ("country",), MTT: ("country",)}),
    "hip-hop": _genre(0.09, "Hip hop music", {MSD: ("Hip-Hop",)}),
    "electronic": _genre(0.12, "Electronic music", {MSD: ("electronic", "electronica"), MTT: ("electronic",)}),
    "classical": _genre(0.1, "Classical music", {MTT: ("classical",)}),
}
"""Genres that the corpora name as well: what the agreement of taggers is worth is measured on them."""

TABLES: Mapping[str, Mapping[str, Tag]] = {
    "instruments": INSTRUMENTS, "voice": VOICE, "genres": GENRES, "named": NAMED,
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
            head: {label: _agreed(views, self.limits[head][label]) for label, views in table.items()}
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


def _agreed(views: Mapping[str, Array], limits: Mapping[str, tuple[float, float]]) -> Array:
    yes = np.sum([odds >= limits[view][1] for view, odds in views.items()], 0)
    no = np.sum([odds < limits[view][0] for view, odds in views.items()], 0)
    return np.where((yes >= 2) & (no == 0), 1.0, np.where((no >= 2) & (yes == 0), 0.0, np.nan)).astype(np.float32)


def tag_targets(tracks: Sequence[Track], weights: Path, work: Path) -> Steps[dict[str, tuple[tuple[str, ...], Array]]]:
    """Targets of the heads ``instruments``, ``voice`` and (further) ``genres``.

    Args:
        tracks: All tracks of the corpora, with the corpora's own labels: the limits are quantiles of them.
        weights: Folder of the published weights.
        work: Folder where the taggers' tables are kept; what is there is not computed again.

    Returns:
        By head, its labels and (tracks, labels): 1 or 0 where unrelated taggers agree, NaN where they do not.
    """
    found = yield from tag_probabilities([track.path for track in tracks], weights, work)
    scores = tag_scores(found, {name: labels_of(name, weights) for name in found})
    targets = verdicts_of(scores)(scores)
    return {head: (targets[head][0], _by_people(*targets[head], TABLES[head], tracks)) for head in HEADS}


def _by_people(names: Sequence[str], targets: Array, table: Mapping[str, Tag], tracks: Sequence[Track]) -> Array:
    """The targets, where a track of another genre by its own label has none of the genres that cannot stand beside."""
    found = targets.copy()
    for row, track in enumerate(tracks):
        given = named_genres(track)
        for column, name in enumerate(names):
            within = table[name].within if name in table else frozenset()
            if given and within and not given & within:
                found[row, column] = 0.0
    return found


def named_genres(track: Track) -> set[str]:
    """The corpora's own genres of a track, in lower case."""
    one, several = track.labels.get("genre"), track.labels.get("genres")
    return {
        name.lower()
        for name in (*((one,) if isinstance(one, str) else ()), *(several if isinstance(several, tuple) else ()))
    }


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
