"""Several trained models on one test part: rows, paired tests, a sentence of advice, and what nodes stand for."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.core import Dataset
from earmark.evaluation.history import Epoch
from earmark.evaluation.intervals import RESAMPLES
from earmark.evaluation.scores import HeadAnswers, ModelPredictions, answers_of, compare_answers, main_figure, rounded

__all__ = ["Comparison", "Node", "Row", "advise", "explain_nodes", "nodes_to_dict", "pair_up"]

_LABELS, _SONGS = 3, 5


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a layer.

    Attributes:
        number: From 0.
        labels: ``HEAD: LABEL`` with its correlation to the node, strongest first.
        songs: Names of the songs that excite it most, with its value.
    """

    number: int
    labels: tuple[tuple[str, float], ...]
    songs: tuple[tuple[str, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"node": self.number, "labels": dict(self.labels), "songs": dict(self.songs)}


def explain_nodes(vectors: NDArray[np.float32], dataset: Dataset) -> tuple[Node, ...]:
    """Correlate every node with every label, over songs.

    Args:
        vectors: (tracks, nodes) the layer of each track; a row of NaN where it was not analysed.
        dataset: The tracks, with their labels.

    Returns:
        One a node; a node that never changes has no labels.
    """
    names, columns = _columns(dataset)
    nodes = []
    for number, values in enumerate(vectors.T.astype(np.float64)):
        related = [(name, _correlation(values, column)) for name, column in zip(names, columns, strict=True)]
        strongest = sorted((pair for pair in related if pair[1]), key=lambda pair: -abs(pair[1]))[:_LABELS]
        order = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")[:_SONGS]
        songs = tuple(
            (dataset.tracks[int(row)].name, round(float(values[row]), 4)) for row in order if np.isfinite(values[row])
        )
        nodes.append(Node(number, tuple(strongest), songs))
    return tuple(nodes)


def nodes_to_dict(nodes: Mapping[str, Sequence[Node]]) -> dict[str, list[dict[str, Any]]]:
    """Nodes by layer as JSON has them."""
    return {layer: [node.to_dict() for node in every] for layer, every in nodes.items()}


def _columns(dataset: Dataset) -> tuple[list[str], list[NDArray[np.float64]]]:
    """Every label as a column of numbers, NaN where a track is unlabelled."""
    names: list[str] = []
    columns: list[NDArray[np.float64]] = []
    for spec in dataset.heads:
        targets = dataset.targets(spec.name).astype(np.float64)
        if spec.task == "regression":
            names.append(spec.name)
            columns.append(targets)
            continue
        if spec.task == "multiclass":
            known = ~np.isnan(targets)[:, None]
            targets = np.where(known, targets[:, None] == np.arange(len(spec.labels)), np.nan)
        names += [f"{spec.name}: {label}" for label in spec.labels]
        columns += list(targets.T)
    return names, columns


def _correlation(values: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
    """Pearson's, over tracks that are analysed and labelled; 0 where either never changes."""
    known = np.isfinite(values) & np.isfinite(labels)
    if known.sum() < 3 or np.ptp(values[known]) == 0 or np.ptp(labels[known]) == 0:
        return 0.0
    return round(float(np.corrcoef(values[known], labels[known])[0, 1]), 4)


MARGIN = 0.05
"""A score that is shown to be behind by no more than this counts as no worse."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """One recipe, with its settings.

    Attributes:
        name: Of its model folder.
        recipe: As it was asked for.
        settings: Laid over the recipe, ``KEY`` to value.
        varied: Those of them that are not the same in every row.
        heads: Figures as in ``evaluate -f json``, and those of training and validation part; of a row that was
            tried in a sweep and not chosen those of the validation part alone.
        naive: The same figures of the recipe trained and tested on clips split at random, by head; empty where they
            were not asked for.
        parameters: Numbers in the model's weights.
        gflop: For a song of the data set's typical length.
        songs_per_second: Heard by the exported model, decoding included, on one core; the rows' models took turns.
        train_seconds: Of all sessions together.
        chosen: Whether it was scored on the test part.
        error: Why there is no model.
        history: Learning curves.
        nodes: What the nodes of small layers stand for, by layer.
        notes: Of the recipe.
    """

    name: str
    recipe: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    varied: Mapping[str, Any] = field(default_factory=dict)
    heads: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    naive: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    parameters: int | None = None
    gflop: float | None = None
    songs_per_second: float | None = None
    train_seconds: float | None = None
    chosen: bool = True
    error: str | None = None
    history: tuple[Epoch, ...] = ()
    nodes: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Recipe and what sets it apart, for people."""
        return " ".join([self.recipe, *(f"{key}={value}" for key, value in self.varied.items())])

    @property
    def score(self) -> float | None:
        """Mean of the heads' main figures on the test part."""
        found = [figures.get(main_figure(figures["task"])) for figures in self.heads.values() if "task" in figures]
        known = [value for value in found if value is not None]
        return statistics.fmean(known) if known and self.chosen and self.error is None else None

    def to_dict(self) -> dict[str, Any]:
        """As ``compare -f json`` prints it."""
        return {
            "recipe": self.recipe,
            "settings": dict(self.settings),
            "heads": dict(self.heads),
            "naive": dict(self.naive) or None,
            "parameters": self.parameters,
            "gflop": self.gflop,
            "songs_per_second": self.songs_per_second,
            "train_seconds": self.train_seconds,
            "chosen": self.chosen,
            "error": self.error,
            "model": self.name,
            "nodes": nodes_to_dict(self.nodes),
        }


@dataclass(frozen=True, slots=True)
class Advice:
    """Which row is worth its cost.

    Attributes:
        text: In words.
        advised: Title of a row; None where none is.
        margin: How much less than the best counts as no worse; 0.05 is five points.
        songs_needed: How many more songs would tell whether a smaller row is no worse; 0 where that is known, None
            where nothing tells how many.
    """

    text: str = ""
    advised: str | None = None
    margin: float = MARGIN
    songs_needed: int | None = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """What was found.

    Attributes:
        dataset: Its name.
        part: That rows are scored on.
        group_by: What the intervals draw, and what never stands in two parts.
        rows: In the order asked for.
        baseline: What an SVM on hand-made statistics reaches on the same tracks; None where it was not asked.
        paired: Of each two scored rows and each head: ``a``, ``b``, ``head``, ``difference``, ``ci95``, ``p``.
        advice: Which row is worth its cost.
        notices: Lines for people.
    """

    dataset: str
    part: str
    group_by: str
    rows: tuple[Row, ...]
    baseline: Row | None = None
    paired: tuple[dict[str, Any], ...] = ()
    advice: Advice = field(default_factory=Advice)
    notices: tuple[str, ...] = ()

    @property
    def table(self) -> tuple[Row, ...]:
        """All rows as people read them: the baseline first."""
        return self.rows if self.baseline is None else (self.baseline, *self.rows)

    def to_dict(self) -> dict[str, Any]:
        """As ``compare -f json`` prints it."""
        return {
            "dataset": self.dataset,
            "split": self.part,
            "group": self.group_by,
            "baseline": None if self.baseline is None else self.baseline.to_dict(),
            "recipes": [row.to_dict() for row in self.rows],
            "paired": list(self.paired),
            "advice": self.advice.text,
            "advised": self.advice.advised,
            "margin": self.advice.margin,
            "songs_needed": self.advice.songs_needed,
            "notices": list(self.notices),
        }


def pair_up(
    predictions: Mapping[str, ModelPredictions],
    dataset: Dataset,
    baseline: Mapping[str, Mapping[str, HeadAnswers]] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> tuple[dict[str, Any], ...]:
    """The paired test of each two models and each head, on the tracks that both could analyse.

    Args:
        predictions: By title, those of each model on the data set's tracks.
        dataset: The test part.
        baseline: By title and head, answers that come from no model; each is compared with every model.
        seed: Of permutations and bootstrap.
        resamples: Of the bootstrap.
    """
    both: list[tuple[str, str, HeadAnswers, HeadAnswers]] = []
    for title, heads in (baseline or {}).items():
        for name, model in predictions.items():
            for head, answers in heads.items():
                both.append((name, title, *_on_the_same(answers_of([model], dataset, head), answers)))
    for (a, first), (b, second) in itertools.combinations(predictions.items(), 2):
        for spec in dataset.heads:
            ours = answers_of([first], dataset, spec.name, [second])
            both.append((a, b, ours, answers_of([second], dataset, spec.name, [first])))
    found = []
    for a, b, ours, theirs in both:
        if ours.tracks:
            result = compare_answers(ours, theirs, resamples, seed)
            facts = {"difference": rounded(result.difference), "ci95": rounded(result.ci95), "p": rounded(result.p)}
            found.append({"a": a, "b": b, "head": ours.name, **facts})
    return tuple(found)


def _on_the_same(first: HeadAnswers, second: HeadAnswers) -> tuple[HeadAnswers, HeadAnswers]:
    """Both with the tracks alone that both have, in one order."""
    shared = [track for track in first.tracks if track in set(second.tracks)]

    def cut(answers: HeadAnswers) -> HeadAnswers:
        place = {track: row for row, track in enumerate(answers.tracks)}
        return answers.subset([place[track] for track in shared])

    return cut(first), cut(second)


def advise(
    rows: Sequence[Row], paired: Sequence[Mapping[str, Any]], baseline: Row | None = None, margin: float = MARGIN
) -> Advice:
    """The smallest model that is shown to be no worse than the best one by more than a margin, else the best one.

    Shown: the 95 % interval of the paired difference ends below the margin in every head (non-inferiority: Piaggio et
    al. 2012). A difference that is not significant shows nothing: few songs tell no model from another. A model that
    scores less than the baseline is not advised.

    Args:
        rows: Of trained models.
        paired: Their differences, by :func:`pair_up`.
        baseline: What no network reaches.
        margin: In units of the score.
    """
    scored = [row for row in rows if row.score is not None]
    if not scored:
        return Advice("No recipe could be trained and scored; the rows say why.", None, margin, None)
    best = max(scored, key=lambda row: (row.score or 0.0, -(row.parameters or 0)))
    floor = None if baseline is None else baseline.score
    if baseline is not None and floor is not None and (best.score or 0.0) < floor:
        text = f"Take none of them: {baseline.title} ({floor:.3f}) scores more than the best, {_sized(best)}."
        return Advice(f"{text} Too few songs for a network?", None, margin, _needed(baseline, best, paired, margin))
    smaller = sorted((row for row in scored if _size(row) < _size(best)), key=_size)
    as_good = [row for row in smaller if _no_worse(best, row, paired, margin) and (row.score or 0.0) >= (floor or 0.0)]
    taken = as_good[0] if as_good else best
    open_ = [
        row
        for row in smaller
        if _size(row) < _size(taken) and not _no_worse(best, row, paired, margin) and not _is_worse(best, row, paired)
    ]
    needed = [_needed(best, row, paired, margin) for row in open_]
    songs = None if None in needed else max((one for one in needed if one is not None), default=0)
    sentences = [_taken(scored, taken, best, paired, margin), _undecided(open_, best, songs, margin)]
    sentences.append(_beside_baseline(taken, baseline, paired, margin))
    return Advice(" ".join(filter(None, sentences)), taken.title, margin, songs)


def _taken(scored: Sequence[Row], taken: Row, best: Row, paired: Sequence[Mapping[str, Any]], margin: float) -> str:
    if len(scored) == 1:
        return f"Only {_sized(best)} was scored, so there is nothing to choose from."
    if taken is not best:
        most = max(high for _, _, high in _behind(best, taken, paired).values())
        text = f"Take {_sized(taken)}: it is the smallest that is shown to be no more than {_points(margin)} worse than"
        return f"{text} the best, {_sized(best)}: at most {_points(max(most, 0.0))} (95 % interval of the difference)."
    fewer = any(_size(row) < _size(best) for row in scored)
    why = "no smaller one is shown to be as good" if fewer else "no other is smaller"
    return f"Take {_sized(best)}: it is the best, and {why}."


def _undecided(rows: Sequence[Row], best: Row, songs: int | None, margin: float) -> str:
    """Which smaller ones are neither shown to be as good nor to be worse."""
    if not rows:
        return ""
    names = " and ".join(row.title for row in rows[:3]) + (f" and {len(rows) - 3} more" if len(rows) > 3 else "")
    tracks = max((figures.get("tracks", 0) for figures in best.heads.values()), default=0)
    text = f"Whether {names} would be no more than {_points(margin)} worse cannot be told from {tracks} songs"
    return f"{text}: about {songs:,} more would tell." if songs else f"{text} of one artist."


def _beside_baseline(row: Row, baseline: Row | None, paired: Sequence[Mapping[str, Any]], margin: float) -> str:
    """Whether the advised model is worth more than no network at all."""
    if baseline is None or baseline.score is None:
        return ""
    if _is_worse(row, baseline, paired):
        return f"It is measurably better than {baseline.title} ({baseline.score:.3f})."
    needed = _needed(row, baseline, paired, margin)
    how = "more songs" if needed is None else f"about {needed:,} more songs"
    return f"It cannot be told from {baseline.title} ({baseline.score:.3f}): {how} would tell."


def _behind(first: Row, second: Row, paired: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float, float]]:
    """By head, how much the second is behind the first, with the ends of its interval; endless where it has none."""
    found = {}
    for test in paired:
        if {test["a"], test["b"]} == {first.title, second.title}:
            gap, (low, high) = test["difference"], test["ci95"] or (-math.inf, math.inf)
            found[test["head"]] = (gap, low, high) if test["a"] == first.title else (-gap, -high, -low)
    return found


def _no_worse(best: Row, row: Row, paired: Sequence[Mapping[str, Any]], margin: float) -> bool:
    behind = _behind(best, row, paired).values()
    return bool(behind) and all(high < margin for _, _, high in behind)


def _is_worse(best: Row, row: Row, paired: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a head is measurably worse."""
    return any(low > 0 for _, low, _ in _behind(best, row, paired).values())


def _needed(best: Row, row: Row, paired: Sequence[Mapping[str, Any]], margin: float) -> int | None:
    """How many more songs like these would show a row to be no worse, or to be worse, whichever is sooner.

    Intervals narrow as the root of the songs.
    """
    needed = []
    for head, (gap, low, high) in _behind(best, row, paired).items():
        sides = [(margin - gap, high - gap), (gap, gap - low)]
        part = min((side / room for room, side in sides if room > 1e-9), default=math.inf)
        needed.append(row.heads[head].get("tracks", 0) * (part**2 - 1))
    most = max(needed, default=0.0)
    return math.ceil(most) if 0 < most < math.inf else None


def _size(row: Row) -> int:
    return row.parameters or 0


def _points(share: float) -> str:
    points = f"{100 * share:.1f}".removesuffix(".0")
    return f"{points} point" if points == "1" else f"{points} points"


def _sized(row: Row) -> str:
    size = "" if row.parameters is None else f"{row.parameters:,} parameters, "
    return f"{row.title} ({size}score {row.score or 0:.3f})"
