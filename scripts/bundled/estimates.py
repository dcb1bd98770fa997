"""Estimated features on the bundled network: ``python -m scripts.bundled.estimates`` (``make estimates``).

Makes ``src/earmark/analyses/estimates.safetensors`` and prints how good each feature is. Linear models learn where
unrelated taggers agree (:data:`scripts.bundled.agreement.ESTIMATES`), acousticness from rendered pieces too; a slope
and an offset make each the share of the taggers' vocabularies that say yes, which corrects the agreement's prior. A
feature with too few songs, or told worse than :data:`scripts.bundled.heads.LEAST_AUC` out of fold, is left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.metrics import log_loss

from earmark.analyses.estimates import FILE, Estimator, write_estimator
from earmark.analyses.facts import ANALYSES
from earmark.audio.track import load as load_audio
from earmark.datasets import load_dataset
from earmark.datasets.core import Track
from earmark.evaluation.intervals import bootstrap, widened
from earmark.evaluation.metrics import ece, roc_auc
from earmark.evaluation.regression import Linear
from earmark.events import Run, Steps
from earmark.inference.options import HearingOptions
from earmark.inference.tagger import load_model
from earmark.models.card import HeadCard, read_card
from earmark.paths import cache_folder as user_cache
from scripts.bundled.agreement import ESTIMATES, MTT, agreed, tag_scores, verdicts_of
from scripts.bundled.figures import markdown
from scripts.bundled.heads import (
    CORPORA,
    FOLDS,
    LEAST,
    LEAST_AUC,
    SURE_WEIGHT,
    Embedded,
    fit_linear,
    fold_of,
    track_means,
)
from scripts.bundled.labels import genres_of
from scripts.bundled.model import BUNDLED, Workshop, bundled_network, embed, music_design
from scripts.bundled.rendered import RATE, Score, render_all, truth
from scripts.bundled.report import printed
from scripts.bundled.taggers import QUICK, TAGGERS, labels_of, tag_probabilities

__all__ = ["acoustic", "calibration", "main"]

Array = NDArray[np.float32]
Double = NDArray[np.float64]
NAMES = tuple(name for name in ANALYSES if name in {*ESTIMATES, "instrumentalness"})
HEAD = HeadCard("estimates", "multilabel", NAMES)
ELECTRIC = frozenset({4, 5, 16, 17, 18, 26, 27, 29, 30, 80, 81, 84, 87, 90, 94})
"""General MIDI programs of electric pianos, organs with drawbars, electric guitars and synthesizers."""
ELECTRIC_KITS = frozenset({24, 25})
UNSURE = frozenset({33, 34, 36, 52, 53})
"""Electric basses, which acoustic ensembles have too, and the sound font's choirs."""
SPOKEN = frozenset({"rap", "hiphop"})
CHECKS: Sequence[tuple[str, frozenset[str], frozenset[str], Sequence[str], str]] = (
    ("speechiness", SPOKEN, frozenset(), ("moods900", "gtzan-short"), "rap and hip-hop against all other genres"),
    ("danceability", frozenset({"disco", "hiphop", "reggae"}), frozenset(), ("gtzan-short",),
     "GTZAN's disco, hip-hop and reggae against its other genres"),
    ("acousticness", frozenset({"classical"}), SPOKEN | {"electronic", "metal"}, CORPORA,
     "classical music against electronic, rap and metal"),
)  # fmt: skip
"""Feature, people's genres that have it, those that have it not (all others where there are none), corpora, words."""
SOURCES = "moods900, emotify400, gtzan-short; taggers of AudioSet (EfficientAT mn04, YAMNet), MagnaTagATune and the " \
    "Million Song Dataset (Won 2020); pieces rendered with FluidR3"  # fmt: skip


def acoustic(score: Score) -> float:
    """1 where no instrument of a piece is electric, 0 where one is, NaN where people would differ."""
    kits = {part.program for part in score.parts if part.drums}
    programs = {part.program for part in score.parts if not part.drums}
    if programs & ELECTRIC or kits & ELECTRIC_KITS:
        return 0.0
    return float("nan") if programs & UNSURE else 1.0


def probability(raw: Double) -> Double:
    """Sigmoid."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * raw)))


def calibration(raw: Double, owner: NDArray[np.intp], shares: Double) -> tuple[float, float]:
    """Slope and offset that make the clips' mean probability the share, of the least log-loss.

    Args:
        raw: (clips,) raw scores.
        owner: (clips,) the track of each, ascending.
        shares: (tracks,) from 0 to 1; NaN counts nothing.
    """
    known = ~np.isnan(shares)

    def loss(line: Double) -> float:
        means = track_means(probability(line[0] * raw + line[1])[:, None], owner, len(shares))[known, 0]
        means = np.clip(means, 1e-6, 1 - 1e-6)
        return float(-(shares[known] * np.log(means) + (1 - shares[known]) * np.log(1 - means)).mean())

    slope, offset = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 0.01, "fatol": 1e-5}).x
    return float(slope), float(offset)


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What is learnt from.

    Attributes:
        tracks: Of the corpora.
        groups: (tracks,) artists.
        embedded: By the bundled network.
        views: By feature and view, (tracks,) log-odds.
        limits: By feature and view, below which it says no and from which it says yes.
        pieces: Rendered pieces.
        acoustic: (pieces,) of 1, 0 and NaN.
    """

    tracks: Sequence[Track]
    groups: Sequence[str]
    embedded: Embedded
    views: Mapping[str, Mapping[str, Array]]
    limits: Mapping[str, Mapping[str, tuple[float, float]]]
    pieces: Embedded
    acoustic: Double

    def marks(self, without: Mapping[str, str] | None = None) -> Array:
        """(tracks, features) what views agree on, of each feature without one of them."""
        kept = {
            name: {view: odds for view, odds in views.items() if view != (without or {}).get(name)}
            for name, views in self.views.items()
        }
        return np.stack([agreed(kept[name], self.limits[name]) for name in NAMES], 1)

    def yes(self, name: str, view: str) -> Double:
        """(tracks,) whether a view says yes to a feature; NaN where it says nothing."""
        odds = self.views[name][view]
        return np.where(np.isnan(odds), np.nan, odds >= self.limits[name][view][1])

    @property
    def shares(self) -> Double:
        """(tracks, features) the share of the views that say yes."""
        return np.stack([np.mean([self.yes(name, view) for view in self.views[name]], 0) for name in NAMES], 1)

    def fit(self, marks: Array, pieces: bool = True) -> Linear:
        """Linear models of all features."""
        more = np.full((len(self.acoustic), len(NAMES)), np.nan, np.float32)
        more[:, NAMES.index("acousticness")] = self.acoustic if pieces else np.nan
        importance = np.repeat([1.0, SURE_WEIGHT], [len(marks), len(more)])
        examples = self.embedded.beside(self.pieces, len(marks))
        return fit_linear(examples, np.concatenate([marks, more]), HEAD, importance)

    def means(self, scores: Double) -> Double:
        """(tracks, features) of (clips, features)."""
        return track_means(scores, self.embedded.owner, len(self.tracks))

    def out_of_fold(self, marks: Array) -> Double:
        """(clips, features) raw scores of models that have not seen the artist."""
        fold = fold_of(self.groups)
        found = np.zeros((len(self.embedded.clips), len(NAMES)))
        for number in range(FOLDS):
            linear = self.fit(np.where((fold == number)[:, None], np.nan, marks).astype(np.float32))
            inside = (fold == number)[self.embedded.owner]
            found[inside] = linear(self.embedded.clips[inside])
        return found


def material(shop: Workshop) -> Steps[Material]:
    """Tags and embeddings, computed where they are not kept yet."""
    corpora = {name: load_dataset(shop.shared / "data" / name, training=True).tracks for name in CORPORA}
    tracks = [track for several in corpora.values() for track in several]
    groups = [f"{name}/{track.group}" for name, several in corpora.items() for track in several]
    paths, weights = [track.path for track in tracks], shop.shared / "weights"
    found = yield from tag_probabilities(paths, weights, shop.work / "taggers", QUICK)
    scores = tag_scores(found, {name: labels_of(name, weights) for name in found})
    network = bundled_network(shop.output)
    embedded = yield from embed(network, paths, shop.work, "embedded")
    rendered, written = yield from render_all(shop.work / "taggers", 0)
    pieces = yield from embed(network, rendered, shop.work, "rendered")
    limits, electric = verdicts_of(scores).limits, np.array([acoustic(score) for score in written])
    views, ends = dict(scores["estimates"]), dict(limits["estimates"])
    views["instrumentalness"] = {view: -odds for view, odds in scores["voice"]["vocal"].items()}
    ends["instrumentalness"] = {view: (-high, -low) for view, (low, high) in limits["voice"]["vocal"].items()}
    return Material(tracks, groups, embedded, views, ends, pieces, electric)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Features out of fold and as they are used.

    Attributes:
        raw: (clips, features) out of fold, before calibration.
        values: (tracks, features) out of fold.
        alone: By feature and view, (tracks,) out of fold of models that never saw this view.
        linear: Learnt from all tracks, calibrated.
    """

    raw: Double
    values: Double
    alone: Mapping[str, Mapping[str, Double]]
    linear: Linear


def fitted(known: Material) -> Fitted:
    """All that is learnt."""
    marks = known.marks()
    raw = known.out_of_fold(marks)
    alone: dict[str, dict[str, Double]] = {name: {} for name in NAMES}
    for place in range(max(len(views) for views in known.views.values())):
        left = {name: sorted(views)[place % len(views)] for name, views in known.views.items()}
        found = known.means(probability(known.out_of_fold(known.marks(left))))
        for name, view in left.items():
            alone[name][view] = found[:, NAMES.index(name)]
    linear, owner = known.fit(marks), known.embedded.owner
    slope, offset = np.array([calibration(raw[:, i], owner, known.shares[:, i]) for i in range(len(NAMES))]).T
    values = known.means(probability(raw * slope + offset))
    return Fitted(raw, values, alone, Linear(linear.weight * slope[:, None], linear.bias * slope + offset))


def area(has: NDArray[np.floating], scores: Double, groups: Sequence[str]) -> tuple[float, str]:
    """ROC-AUC over what is known of (tracks,), and it in words with its 95 % interval by artist."""
    use = ~np.isnan(has) & ~np.isnan(scores)
    known, mine, artists = has[use], scores[use], np.array(groups)[use].tolist()
    value = float(roc_auc(known, mine))
    bounds = widened(bootstrap(lambda weights: roc_auc(known, mine, weights), artists), value, artists)
    low, high = bounds or (0.0, 1.0)
    return value, f"{value:.3f} [{max(0.0, low):.3f}, {min(1.0, high):.3f}]"


def artists_of(known: Material, name: str) -> list[str]:
    """Of each song on which the views agree that it has the feature."""
    marks = known.marks()[:, NAMES.index(name)]
    return [group for group, mark in zip(known.groups, marks, strict=True) if mark == 1]


def holds(known: Material, found: Fitted, name: str) -> bool:
    """Whether a feature has songs and artists enough, and is told as each view tells it that no model learnt from."""
    artists = artists_of(known, name)
    areas = [area(known.yes(name, view), raw, known.groups)[0] for view, raw in found.alone[name].items()]
    return len(artists) >= LEAST[0] and len(set(artists)) >= LEAST[1] and min(areas) >= LEAST_AUC


def agreement_rows(known: Material, found: Fitted) -> Iterator[list[str]]:
    """What taggers say of each feature, out of fold."""
    fold, owner, of_vectors = fold_of(known.groups), known.embedded.owner, known.means(found.raw)
    for i, name in enumerate(NAMES):
        shares, values, artists = known.shares[:, i], np.zeros(len(fold)), artists_of(known, name)
        for number in range(FOLDS):
            line = calibration(found.raw[:, i], owner, np.where(fold == number, np.nan, shares))
            own = known.means(probability(line[0] * found.raw[:, i : i + 1] + line[1]))[:, 0]
            values[fold == number] = own[fold == number]
        most = np.where(np.isnan(shares), np.nan, shares >= 0.5)
        views = [f"{view} {area(known.yes(name, view), one, known.groups)[1]}"
                 for view, one in found.alone[name].items()]  # fmt: skip
        given, said = shares[~np.isnan(shares)], values[~np.isnan(shares)]
        twice, weights = np.repeat([1.0, 0.0], len(given)), np.concatenate([given, 1 - given])
        losses = [log_loss(twice, np.tile(one, 2), sample_weight=weights) for one in (said, given * 0 + given.mean())]
        yield [
            name, f"{len(artists)} ({len(set(artists))})", "; ".join(views), area(most, values, known.groups)[1],
            f"{area(most, of_vectors[:, i], known.groups)[0]:.3f}", f"{losses[0]:.3f} ({losses[1]:.3f})",
            f"{ece(twice, np.tile(said, 2), weights=weights):.3f}", "yes" if holds(known, found, name) else "no: null",
        ]  # fmt: skip


def people_rows(known: Material, found: Fitted) -> Iterator[list[str]]:
    """What people's genres say, out of fold."""
    for name, meant, against, corpora, words in CHECKS:
        has = np.full(len(known.tracks), np.nan)
        for i, (track, group) in enumerate(zip(known.tracks, known.groups, strict=True)):
            own = genres_of(track) if group.split("/")[0] in corpora else frozenset()
            if own & (meant | against) or (own and not against):
                has[i] = bool(own & meant)
        yield row(name, words, has, found.values[:, NAMES.index(name)], known.groups)


def row(name: str, words: str, has: NDArray[np.floating], scores: Double, groups: Sequence[str]) -> list[str]:
    """A row of the second table."""
    return [name, words, f"{int(np.nansum(has))} of {(~np.isnan(has)).sum()}", area(has, scores, groups)[1]]


def piece_rows(known: Material, found: Fitted, shop: Workshop) -> Steps[list[list[str]]]:
    """Rendered pieces that nothing has learnt from."""
    paths, scores = yield from render_all(shop.work / "taggers", 1)
    embedded = yield from embed(bundled_network(shop.output), paths, shop.work, "others")
    place, names = NAMES.index("acousticness"), [path.stem for path in paths]
    has, rows = np.array([acoustic(score) for score in scores]), []
    for words, linear in (
        ("rendered pieces without an electric instrument", found.linear),
        ("the same, learnt from songs alone", known.fit(known.marks(), pieces=False)),
    ):
        values = track_means(probability(linear(embedded.clips)), embedded.owner, len(paths))[:, place]
        rows.append(row("acousticness", words, has, values, names))
    played = truth(scores, ["instrumental"])[:, 0]
    return [*rows, row("instrumentalness", "rendered pieces without a choir", played, instrumental(paths), names)]


def instrumental(paths: Sequence[Path]) -> Double:
    """(tracks,) what the voice head says."""
    tagger = load_model()
    return np.array([tagger.predict(path).heads["voice"].scores["instrumental"] for path in paths])


def music_rows(known: Material, shop: Workshop) -> Steps[list[list[str]]]:
    """Instrumentalness on free music that nothing has learnt it from, by MagnaTagATune's taggers."""
    if shop.music is None:
        return []
    paths = [Path(piece.path) for use in ("train", "unheard") for piece in music_design(shop, use).pieces]
    weights, groups = shop.shared / "weights", [str(path.parent) for path in paths]
    names = [name for name in QUICK if TAGGERS[name].vocabulary == MTT]
    found = yield from tag_probabilities(paths, weights, shop.work / "taggers", names)
    odds = -tag_scores(found, {name: labels_of(name, weights) for name in names})["voice"]["vocal"][MTT]
    has = agreed({MTT: odds}, known.limits["instrumentalness"])
    words = "free music, by MagnaTagATune's taggers: surely instrumental against surely sung"
    return [row("instrumentalness", words, has, instrumental(paths), groups)]


def speech_rows(known: Material, found: Fitted, folder: Path | None) -> Iterator[list[str]]:
    """Speechiness of songs with recorded speech over them, against the same songs without."""
    speeches = [load_audio(str(path), RATE) for path in sorted(folder.iterdir())] if folder else []
    songs = [i for i, track in enumerate(known.tracks) if not genres_of(track) & SPOKEN][::40] if speeches else []
    tagger, groups = load_model(), [known.groups[song] for song in songs for _ in range(2)]
    for decibels in (0, 6) if songs else ():
        values = []
        for number, song in enumerate(songs):
            music = load_audio(str(known.tracks[song].path), RATE)
            speech = np.resize(speeches[number % len(speeches)], len(music))
            louder = 10 ** (decibels / 20) * float(music.std()) / max(1e-6, float(speech.std()))
            for sound in (music, 0.5 * (music + louder * speech)):
                said = tagger.predict(sound.astype(np.float32), sample_rate=RATE, options=HearingOptions(clips=True))
                vectors = np.zeros((0, 0)) if said.clips is None else said.clips.vectors
                values.append(probability(found.linear(vectors)).mean(0)[NAMES.index("speechiness")])
        words = f"songs with speech over them, {decibels} dB louder, against the same without"
        yield row("speechiness", words, np.tile([0.0, 1.0], len(songs)), np.array(values), groups)


def make(shop: Workshop, speech: Path | None, command: str) -> Iterator[str]:
    """Write the file; lines of two tables in Markdown."""
    known = Run(material(shop)).wait()
    found = fitted(known)
    kept = [i for i, name in enumerate(NAMES) if holds(known, found, name)]
    facts = {"backbone": read_card(shop.output).backbone_digest, "command": command, "sources": SOURCES,
             "seed": "none is drawn: the fit begins at zeros"}  # fmt: skip
    names, weight, bias = tuple(NAMES[i] for i in kept), found.linear.weight[kept], found.linear.bias[kept]
    write_estimator(FILE, Estimator(names, weight, bias, facts))
    yield from markdown(
        ["feature", "songs (artists)", "ROC-AUC of taggers never learnt from", "of what most of them say",
         "the same, of the mean of the vectors", "log-loss (of the share)", "ECE", "given"],
        agreement_rows(known, found),
    )  # fmt: skip
    yield ""
    rows = [
        *people_rows(known, found),
        *Run(piece_rows(known, found, shop)).wait(),
        *Run(music_rows(known, shop)).wait(),
    ]
    rows += speech_rows(known, found, speech)
    yield from markdown(["feature", "checked on", "tracks", "ROC-AUC"], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0, or 1 with one line of what is wrong."""
    parser = argparse.ArgumentParser("python -m scripts.bundled.estimates", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data and weights")
    parser.add_argument("--work", type=Path, default=user_cache() / "default-model", help="for pieces and tables")
    parser.add_argument("--music", type=Path, help="folder of free music, as scripts/bundled/music.tsv lists it")
    parser.add_argument("--speech", type=Path, help="folder of recorded speech, to check speechiness on")
    given = parser.parse_args(arguments)
    shop = Workshop(given.shared.resolve(), given.work, BUNDLED, music=given.music and given.music.resolve())
    return printed(make(shop, given.speech, "python -m scripts.bundled.estimates"))


if __name__ == "__main__":
    sys.exit(main())
