"""The bundled model's heads: three corpora's labels of tracks, embedded by the student, and what is learnt of them.

Every figure and every calibration is made from answers out of fold: heads that have not seen the track's artist. A
fold's heads are whole heads, put together by the product's own :func:`earmark.inference.scores.raw_scores`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from sklearn.metrics import roc_auc_score

from earmark.datasets import Dataset, load_dataset
from earmark.datasets.core import HeadSpec, Label
from earmark.errors import AudioError
from earmark.evaluation.regression import Linear, fit_strengths
from earmark.events import Progress, Steps
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import open_input, views
from earmark.inference.scores import probabilities, raw_scores
from earmark.models.card import HeadCard
from earmark.models.network import HeadWeights
from earmark.recipe import ClipPlan
from earmark.training.backbones import Backbone
from scripts.bundled import labels

__all__ = [
    "CORPORA",
    "FOLDS",
    "Corpus",
    "Embedded",
    "FittedHeads",
    "Pieces",
    "chosen",
    "embed_tracks",
    "fit_heads",
    "fit_linear",
    "fold_of",
    "join",
    "mood_axes",
    "temperature",
    "track_means",
    "track_scores",
]

Array = NDArray[np.float32]
Double = NDArray[np.float64]
Targets = Mapping[str, tuple[tuple[str, ...], Array]]
Views = Mapping[str, Mapping[str, Array]]
CORPORA = ("moods900", "emotify400", "gtzan-short")
FOLDS = 5
STRENGTHS = {
    "genre": 0.05, "mood": 0.06, "moods": 0.15, "emotions": 0.5, "instruments": 0.06, "voice": 0.06, "tags": 0.02,
    "estimates": 0.06,
}  # fmt: skip
"""By head that is learned, the weight of the squared norm: chosen once on artist-grouped folds."""
PRIOR_WEIGHT = 0.7
LEAST = (30, 10)
"""A label needs so many songs, by so many artists."""
LEAST_AUC = 0.75
"""Of a multi-label head's label, out of fold: below it nobody can tell it by ear, or the labels are not about sound."""
TAG_NAMED = 0.2
"""The teachers' mean probability from which a tag counts as named by them."""
SURE_WEIGHT = 3.0
"""What a rendered piece, or a song of which it is known, weighs beside one that taggers agree on."""
EMOTIFY_WEIGHT = 0.2
"""What a song of Emotify weighs in the mood, where only its valence is known."""


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """All tracks with the labels of the bundled heads.

    Attributes:
        dataset: Tracks of all corpora; their labels are what can be scored: one name, several, a number, or None.
        learnt: By head that is learned, (tracks, labels) of 1, 0 and NaN (and between, of the tags); of a multiclass
            head the ones are a set.
        stated: (tracks, genres) what the genre may be by the corpora's names alone.
        origin: (tracks,) name of the corpus.
        known: (tracks,) what is public knowledge.
    """

    dataset: Dataset
    learnt: Mapping[str, Array]
    stated: Array
    origin: NDArray[np.str_]
    known: Sequence[labels.Known]

    @property
    def groups(self) -> list[str]:
        """(tracks,) artists."""
        return [track.group for track in self.dataset.tracks]

    def sure(self, head: str) -> NDArray[np.bool_]:
        """(tracks,) of which it is public knowledge what a head is asked for."""
        return np.array([song.tells(head) for song in self.known])

    def keeping(self, kept: Mapping[str, Sequence[int]]) -> Corpus:
        """The same with these columns of multi-label heads only."""
        specs = {spec.name: spec for spec in self.dataset.heads}
        learnt = dict(self.learnt)
        for head, columns in kept.items():
            learnt[head] = learnt[head][:, columns]
            specs[head] = replace(specs[head], labels=tuple(specs[head].labels[i] for i in columns))
        tracks = [
            replace(
                track, labels={**track.labels} | {head: _kept(track.labels[head], specs[head].labels) for head in kept}
            )
            for track in self.dataset.tracks
        ]
        return replace(
            self, dataset=replace(self.dataset, heads=tuple(specs.values()), tracks=tuple(tracks)), learnt=learnt
        )


def _kept(given: Label, names: Sequence[str]) -> Label:
    return tuple(name for name in given if name in names) if isinstance(given, tuple) else given


def join(data: Path, tags: tuple[Sequence[str], Array], verdicts: Targets, views: Views) -> Corpus:
    """The three corpora as one data set with the bundled heads.

    Args:
        data: Folder of the corpora.
        tags: The teachers' tags, and (tracks, tags) their mean probabilities, tracks in the order of :data:`CORPORA`.
        verdicts: Of ``instruments`` and ``voice``: labels and (tracks, labels) where unrelated teachers agree.
        views: By genre and vocabulary, the teachers' log-odds (tracks,).
    """
    corpora = {name: load_dataset(data / name) for name in CORPORA}
    tracks = [track for dataset in corpora.values() for track in dataset.tracks]
    origin = np.array([name for name, dataset in corpora.items() for _ in dataset.tracks])
    stated, refined, each = labels.genre_sets(tracks, views)
    known = labels.known_songs(tracks)
    named = {
        "genres": labels.GENRES, "moods": labels.MOODS, "emotions": labels.EMOTIONS,
        "instruments": verdicts["instruments"][0], "voice": verdicts["voice"][0], "tags": tags[0],
    }  # fmt: skip
    learnt = {
        "genre": refined, "genres": each, "mood": labels.quadrants(tracks),
        "moods": labels.moods(tracks), "emotions": labels.emotions(tracks),
        "instruments": labels.instruments(known, *verdicts["instruments"]),
        "voice": labels.voices(known, *verdicts["voice"]), "tags": tags[1].astype(np.float32),
    }  # fmt: skip
    exact = {
        "genre": refined, "mood": labels.by_table(tracks, "quadrant", labels.MOOD), "valence": labels.valences(tracks),
        "arousal": labels.by_table(tracks, "arousal", labels.AROUSAL),
    }  # fmt: skip
    specs = [
        *(HeadSpec(head, "multiclass", tuple(table)) for head, table in labels.MULTICLASS.items()),
        *(HeadSpec(head, "multilabel", tuple(own)) for head, own in named.items()),
        HeadSpec("positivity", "regression", ()), HeadSpec("energy", "regression", ()),
    ]  # fmt: skip
    scored = exact | {head: marks for head, marks in learnt.items() if head not in exact}
    scored["tags"] = np.where(np.isnan(tags[1]), np.nan, tags[1] >= TAG_NAMED)
    given: list[dict[str, Label]] = [
        {spec.name: _scored(spec, scored[spec.name][row]) for spec in specs if spec.task != "regression"}
        for row in range(len(tracks))
    ]
    for found, track in zip(given, tracks, strict=True):
        for head, column in (("positivity", "valence"), ("energy", "arousal")):
            found[head] = {"+": 1.0, "-": 0.0}.get(str(track.labels.get(column)))
    renamed = tuple(
        replace(track, name=f"{name}/{track.name}", group=f"{name}/{track.group}", labels=found)
        for track, name, found in zip(tracks, origin, given, strict=True)
    )
    return Corpus(Dataset("corpora", data, tuple(specs), renamed, "artist"), learnt, stated, origin, known)


def _scored(spec: HeadSpec, row: Array) -> Label:
    """The label that answers are scored against: a set of several names is none, nor is what is known in part."""
    if np.isnan(row).all() or (spec.task == "multilabel" and np.isnan(row).any() and spec.name != "genres"):
        return None
    found = tuple(label for label, value in zip(spec.labels, row, strict=True) if value == 1)
    if spec.task == "multilabel":
        return found
    return found[0] if len(found) == 1 else None


def fold_of(groups: Sequence[str], count: int = FOLDS) -> NDArray[np.intp]:
    """(tracks,) number of each track's fold: by a hash of its artist, so that artists stay together."""
    return np.array([int(hashlib.sha256(group.encode()).hexdigest(), 16) % count for group in groups], np.intp)


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """What the student makes of all tracks.

    Attributes:
        clips: (clips, features), of the clips that inference takes.
        owner: (clips,) the track of each, ascending.
        changed: (more clips, features), the same 6 dB louder, 6 dB softer, and after 5 s of silence: heads learn from
            these too, so that such things change no prediction, but are never scored on them.
        changed_owner: (more clips,) the track of each.
    """

    clips: Array
    owner: NDArray[np.intp]
    changed: Array
    changed_owner: NDArray[np.intp]

    @property
    def parts(self) -> tuple[Array, NDArray[np.intp]]:
        """(parts, features) means of thirds of each track and of its changed clips, and their tracks: to learn from.

        A quarter of the rows, and as good: what a track's clips differ in is not what its labels are about.
        """
        each = [_thirds(self.clips, self.owner), _thirds(self.changed, self.changed_owner)]
        return np.concatenate([clips for clips, _ in each]), np.concatenate([owner for _, owner in each])

    def of(self, row: int) -> Array:
        """(clips, features) of one track."""
        return np.asarray(self.clips[self.owner == row])

    def beside(self, others: Embedded, tracks: int) -> Embedded:
        """With others behind its own tracks, of which there are so many."""
        return Embedded(
            np.concatenate([self.clips, others.clips]),
            np.concatenate([self.owner, others.owner + tracks]),
            np.concatenate([self.changed, others.changed]),
            np.concatenate([self.changed_owner, others.changed_owner + tracks]),
        )


def _thirds(clips: Array, owner: NDArray[np.intp]) -> tuple[Array, NDArray[np.intp]]:
    counts = np.bincount(owner)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    parts, part = np.unique(owner * 3 + 3 * place // counts[owner], return_inverse=True)
    return track_means(clips, part, len(parts)).astype(np.float32), parts // 3


def embed_tracks(
    network: Backbone, paths: Sequence[Path], frontend: Frontend, plan: ClipPlan, file: Path
) -> Steps[Embedded]:
    """The embeddings of all tracks that can be read, kept in a file (``.npz``) for the next time."""
    if file.is_file():
        with np.load(file, allow_pickle=False) as kept:
            return Embedded(**kept)
    clips: list[Array] = []
    changed: list[Array] = []
    for done, path in enumerate(paths, 1):
        try:
            with open_input(path, frontend) as opened:
                seen = np.stack([clip.data for clip in views(opened, frontend, plan)])
        except AudioError:
            seen = np.zeros((0, 1, frontend.bands), np.float32)
        clips.append(_embedded(network, seen))
        changed.append(_embedded(network, _changed(seen, frontend)))
        yield Progress(done, len(paths), "embedding the corpora")
    owners = [np.repeat(np.arange(len(paths)), [len(one) for one in parts]) for parts in (clips, changed)]
    found = Embedded(np.concatenate(clips), owners[0], np.concatenate(changed), owners[1])
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **{name: getattr(found, name) for name in Embedded.__slots__})
    return found


def _embedded(network: Backbone, seen: Array) -> Array:
    if not len(seen):
        return np.zeros((0, network.features), np.float32)
    with torch.inference_mode():
        found: Array = network(torch.from_numpy(seen)).numpy()
    return found


def _changed(seen: Array, frontend: Frontend) -> Array:
    floor = np.float32(10 * np.log10(frontend.floor))
    late = seen[:1].copy()
    silent = min(round(5 * frontend.frames_per_second), late.shape[1] // 2)
    late[:, silent:], late[:, :silent] = seen[:1, : late.shape[1] - silent], floor
    return np.concatenate([np.maximum(seen - 6, floor), np.maximum(seen + 6, floor), late])


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Rendered pieces, whose instruments are known: some heads learn from them too, none is scored on them.

    Attributes:
        embedded: What the student makes of them.
        learnt: By head, its labels and (pieces, labels) of 1, 0 and NaN.
    """

    embedded: Embedded
    learnt: Targets

    def marks(self, head: HeadCard) -> Array:
        """(pieces, labels) in the head's order; NaN of labels that no piece is about."""
        names, table = self.learnt[head.name]
        columns = [table[:, names.index(label)] if label in names else table[:, 0] * np.nan for label in head.labels]
        return np.stack(columns, 1)


@dataclass(frozen=True, slots=True, eq=False)
class FittedHeads:
    """Heads and what was learnt on the way.

    Attributes:
        heads: How they hang together, as yet without calibration but for the mood's temperature.
        weights: By name, fitted to all tracks.
        raw: By name, (clips, labels) raw scores of heads that have not seen the track's artist.
    """

    heads: tuple[HeadCard, ...]
    weights: Mapping[str, HeadWeights]
    raw: Mapping[str, Double]


def fit_heads(
    corpus: Corpus, embedded: Embedded, heads: Sequence[HeadCard], pieces: Pieces | None = None
) -> Steps[FittedHeads]:
    """All heads, fitted to all tracks and out of fold.

    Args:
        corpus: Labels.
        embedded: Embeddings.
        heads: Their names, labels and dependence on each other; other heads depend on the first called ``mood``.
        pieces: Further examples, learnt from in every fold.
    """
    fold = fold_of(corpus.groups)
    moods = _moods_out_of_fold(corpus, embedded, fold)
    axes = mood_axes(moods, embedded.owner, corpus.learnt["mood"])
    answers = track_scores(moods @ axes.T, embedded.owner, HeadCard("mood", "multiclass"))
    known = np.nansum(corpus.learnt["mood"], 1, keepdims=True) == 1
    tables = _matrices(corpus, answers) | {"axes": axes.astype(np.float32)}
    tables["mood"] = np.where(known, corpus.learnt["mood"], answers).astype(np.float32)
    raw = {head.name: np.zeros((len(embedded.clips), head.width)) for head in heads}
    for number in range(FOLDS):
        weights = _fit(corpus, embedded, heads, fold != number, tables, pieces)
        inside = (fold == number)[embedded.owner]
        for name, scores in raw_scores(heads, weights, {"embedding": embedded.clips[inside]}).items():
            raw[name][inside] = scores
        yield Progress(number + 1, FOLDS + 1, "training heads", "folds")
    weights = _fit(corpus, embedded, heads, np.full(len(fold), True), tables, pieces)
    return FittedHeads(tuple(weights[head.name].described(head) for head in heads), weights, raw)


def track_scores(raw: Double, owner: NDArray[np.intp], head: HeadCard) -> Double:
    """(tracks, labels) probabilities, as inference makes them, from raw scores of clips; the owners ascend."""
    tracks = int(owner.max()) + 1
    if head.pooling == "logits":
        return probabilities(track_means(raw, owner, tracks), head)
    return track_means(probabilities(raw, head), owner, tracks)


AXES = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, -1, 1], [1, -1, 1, -1]]) / 2
"""Of the moods' raw scores: all, energy, valence, and what is left; orthogonal, and its own inverse."""


def mood_axes(raw: Double, owner: NDArray[np.intp], marks: Array) -> Double:
    """(moods, moods) what calibrates raw scores of the mood (clips, moods): energy and valence stretched, each its own.

    One temperature for all four would leave energy, which is told better than valence, too unsure of itself.
    """
    known = np.flatnonzero(~np.isnan(marks[:, 0]))
    weights = np.where(marks[known].sum(1) > 1, EMOTIFY_WEIGHT, 1.0)

    def matrix(logs: Double) -> Double:
        return np.asarray(AXES @ np.diag([1.0, *np.exp(logs)]) @ AXES)

    def loss(logs: Double) -> float:
        scores = track_scores(raw @ matrix(logs), owner, HeadCard("mood", "multiclass"))[known]
        return float(weights @ -np.log(np.maximum((scores * marks[known]).sum(1), 1e-9)) / weights.sum())

    return matrix(minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 0.01, "fatol": 1e-5}).x)


def _moods_out_of_fold(corpus: Corpus, embedded: Embedded, fold: NDArray[np.intp]) -> Double:
    """(clips, moods) raw scores."""
    head = HeadCard("mood", "multiclass", tuple(labels.MOOD))
    raw = np.zeros((len(embedded.clips), len(labels.MOOD)))
    for number in range(FOLDS):
        linear = fit_linear(embedded, np.where((fold != number)[:, None], corpus.learnt["mood"], np.nan), head)
        inside = (fold == number)[embedded.owner]
        raw[inside] = linear(embedded.clips[inside])
    return raw


def temperature(head: HeadCard, raw: Double, owner: NDArray[np.intp], marks: Array) -> float:
    """The temperature of the least log-loss of the tracks (Guo et al. 2017); of sets, of the set's probability."""

    def loss(log: float) -> float:
        scores = track_scores(raw, owner, replace(head, temperature=float(np.exp(log))))
        scores = np.clip(scores, 1e-6, 1 - 1e-6)
        if head.task == "multiclass":
            known = ~np.isnan(marks[:, 0])
            return float(-np.log((scores[known] * (marks[known] > 0)).sum(1)).mean())
        return float(-np.nanmean(marks * np.log(scores) + (1 - marks) * np.log(1 - scores)))

    found = minimize_scalar(loss, bounds=np.log((0.3, 10.0)), method="bounded", options={"xatol": 0.01})
    return round(float(np.exp(found.x)), 3)


def _fit(
    corpus: Corpus,
    embedded: Embedded,
    heads: Sequence[HeadCard],
    tracks: NDArray[np.bool_],
    tables: Mapping[str, Array],
    pieces: Pieces | None,
) -> dict[str, HeadWeights]:
    """The weights of all heads from the tracks marked True.

    Args:
        corpus: Labels.
        embedded: Embeddings.
        heads: What to fit.
        tracks: (tracks,) which to learn from.
        tables: The matrices of derived heads; ``axes``, that of :func:`mood_axes`; and of a head that is another's
            prior, (tracks, labels) its labels, or its answers out of fold where none are known.
        pieces: Further examples.
    """
    found: dict[str, HeadWeights] = {}
    for head in heads:
        if head.derived:
            found[head.name] = HeadWeights(matrix=tables[head.name])
        elif head.name == "genres":  # the same raw scores, moved to where each stands for itself
            found[head.name] = _alone(corpus, embedded, found["genre"], tracks)
        else:
            learnt = corpus.learnt[head.name]
            examples, marks = embedded, np.where(tracks[:, None], learnt, np.nan)
            importance = np.where(corpus.sure(head.name), SURE_WEIGHT, 1.0)
            if pieces is not None and head.name in pieces.learnt:
                examples = embedded.beside(pieces.embedded, len(marks))
                marks = np.concatenate([marks, pieces.marks(head)])
                importance = np.pad(importance, (0, len(marks) - len(tracks)), constant_values=SURE_WEIGHT)
            asked = marks
            if head.classes:
                asked, importance = labels.singers(marks, head.labels), labels.alike(marks, head.labels, importance)
            linear = fit_linear(examples, asked, head, importance)
            if head.name == "mood":
                linear = Linear(tables["axes"] @ linear.weight, tables["axes"] @ linear.bias)
            found[head.name] = HeadWeights.linear(linear.weight.astype(np.float32), linear.bias.astype(np.float32))
            if head.classes:
                found[head.name] = replace(found[head.name], matrix=labels.singer_matrix(marks, head.labels))
            if head.prior:
                found[head.name] = replace(found[head.name], prior=_rates(learnt, tables[head.prior], tracks))
    return found


def fit_linear(embedded: Embedded, marks: Array, head: HeadCard, importance: Double | None = None) -> Linear:
    """Regularised logistic regression on the parts of the tracks that have marks, each track of its importance."""
    known: NDArray[np.bool_] = np.asarray(~np.isnan(marks).all(1))
    clips, owner = embedded.parts
    weights = known[owner] / np.maximum(1, np.bincount(owner, minlength=len(marks)))[owner]
    weights = weights if importance is None else weights * importance[owner]
    if head.name == "mood":
        weights = weights * np.where(np.nansum(marks, 1) > 1, EMOTIFY_WEIGHT, 1.0)[owner]
    used = weights > 0
    clips, owner, weights = clips[used].astype(np.float64), owner[used], weights[used] / weights.sum()
    centre = weights @ clips
    scale = np.sqrt(weights @ (clips - centre) ** 2) + 1e-9
    multiclass = head.task == "multiclass" or head.classes > 0
    found = fit_strengths(
        (clips - centre) / scale, marks[owner], [STRENGTHS[head.name]], multiclass=multiclass, weights=weights
    )[0]
    return Linear(found.weight / scale, found.bias - (found.weight / scale) @ centre)


def _alone(corpus: Corpus, embedded: Embedded, genre: HeadWeights, tracks: NDArray[np.bool_]) -> HeadWeights:
    """Raw scores of genre times one number plus another, such that each label's sigmoid fits its own marks.

    The order of the labels stays: the best of ``genres`` is ``genre``.
    """
    step = genre.members[0][0]
    scores = embedded.clips @ step.weight.T + step.bias
    means = track_means(scores, embedded.owner, len(tracks))
    marks = corpus.learnt["genres"]
    known = ~np.isnan(marks) & tracks[:, None]
    signs = np.where(marks[known] > 0.5, 1.0, -1.0)
    slope, offset = minimize(
        lambda line: float(np.logaddexp(0, -signs * (line[0] * means[known] + line[1])).mean()), [1.0, 0.0],
        method="Nelder-Mead",
    ).x  # fmt: skip
    return HeadWeights.linear((step.weight * slope).astype(np.float32), (step.bias * slope + offset).astype(np.float32))


def track_means(scores: NDArray[np.floating], owner: NDArray[np.intp], tracks: int) -> Double:
    """(tracks, labels) of (clips, labels); the owners ascend."""
    present, starts, counts = np.unique(owner, return_index=True, return_counts=True)
    means = np.zeros((tracks, scores.shape[1]))
    means[present] = np.add.reduceat(scores, starts, axis=0) / counts[:, None]
    return means


def _rates(marks: Array, prior: Array, tracks: NDArray[np.bool_]) -> Array:
    """(labels, labels of the prior) how often each goes with each; rare pairs are drawn to the label's mean."""
    known = tracks & ~np.isnan(marks[:, 0]) & ~np.isnan(prior[:, 0])
    counts = marks[known].T @ prior[known] + marks[known].mean(0)[:, None]
    return np.asarray(np.clip(counts / (prior[known].sum(0) + 1), 1e-3, 1 - 1e-3), np.float32)


def _matrices(corpus: Corpus, moods: Double) -> dict[str, Array]:
    """What the mood's four classes say of valence, arousal and the two numbers.

    How often a mood is neutral is learned of the songs with a stated valence, but none of a positive mood is negative,
    nor the other way round: the answers cannot contradict each other.

    Args:
        corpus: Labels.
        moods: (tracks, moods) probabilities out of fold.
    """
    happy, tense, _, calm = np.eye(4)
    positive, energetic = happy + calm, happy + tense
    truth = corpus.dataset.targets("valence")
    known = ~np.isnan(truth)

    def matrix(odds: Double) -> Double:
        neutral = 1 / (1 + np.exp(-odds))
        return np.stack([(1 - positive) * (1 - neutral), neutral, positive * (1 - neutral)])

    def loss(odds: Double) -> float:
        found = (moods[known] @ matrix(odds).T)[np.arange(known.sum()), truth[known].astype(int)]
        return float(-np.log(np.maximum(found, 1e-6)).mean())

    valence = matrix(minimize(loss, np.full(4, -1.0), method="Nelder-Mead").x)
    arousal = np.stack([1 - energetic, energetic])
    found = {"valence": valence, "arousal": arousal, "positivity": positive[None], "energy": energetic[None]}
    return {name: table.astype(np.float32) for name, table in found.items()}


def chosen(corpus: Corpus, fitted: FittedHeads, embedded: Embedded) -> tuple[Corpus, FittedHeads]:
    """Corpus and heads with those labels of multi-label heads only that have evidence and can be told by ear."""
    kept: dict[str, list[int]] = {}
    for head in fitted.heads:
        if head.name in ("moods", "emotions", "instruments", "voice"):
            scores = track_scores(fitted.raw[head.name], embedded.owner, head)
            kept[head.name] = [
                column
                for column, marks in enumerate(corpus.learnt[head.name].T)
                if _holds(corpus, marks, scores[:, column])
            ]
    heads = tuple(_only(head, kept[head.name]) if head.name in kept else head for head in fitted.heads)
    weights = {name: _rows(own, kept[name]) if name in kept else own for name, own in fitted.weights.items()}
    raw = {name: own[:, kept[name]] if name in kept else own for name, own in fitted.raw.items()}
    return corpus.keeping(kept), FittedHeads(heads, weights, raw)


def _only(head: HeadCard, columns: Sequence[int]) -> HeadCard:
    names = tuple(head.labels[column] for column in columns)
    tables = {key: getattr(head, key) for key in ("aliases", "implies", "contradicts")}
    kept: dict[str, Any] = {key: {n: table[n] for n in names if n in table} for key, table in tables.items()}
    kept["implies"] = {name: other for name, other in kept["implies"].items() if other in names}
    return replace(head, labels=names, **kept)


def _holds(corpus: Corpus, marks: Array, scores: Double) -> bool:
    """Whether a label has songs and artists enough, and is told from its absence out of fold."""
    known, true = ~np.isnan(marks), marks > TAG_NAMED
    groups = {group for group, has in zip(corpus.groups, true, strict=True) if has}
    if true.sum() < LEAST[0] or len(groups) < LEAST[1]:
        return False
    return bool(roc_auc_score(true[known], scores[known]) >= LEAST_AUC)


def _rows(weights: HeadWeights, rows: Sequence[int]) -> HeadWeights:
    (step,), *_ = weights.members
    if weights.matrix is not None:
        return replace(weights, matrix=weights.matrix[rows])
    prior = None if weights.prior is None else weights.prior[rows]
    return replace(HeadWeights.linear(step.weight[rows], step.bias[rows]), prior=prior)
