"""A model, or several as one, on a data set: honest scores by track, with intervals, and beside another model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from earmark.datasets.cache import content_hashes
from earmark.datasets.core import Dataset, HeadSpec, Part
from earmark.datasets.splits import group_hash, load_groups, load_split, named_groups
from earmark.engine.base import Engine
from earmark.engine.predict import Analyse, analyse
from earmark.errors import DatasetError, UnknownName
from earmark.evaluation.comparison import Node, explain_nodes, nodes_to_dict
from earmark.evaluation.history import Epoch, Jump, find_jumps, read_history
from earmark.evaluation.intervals import RESAMPLES
from earmark.evaluation.scores import (
    HeadAnswers,
    ModelPredictions,
    answers_of,
    compare_answers,
    head_of,
    main_figure,
    rounded,
    score_head,
    score_in_short,
    shared_heads,
)
from earmark.events import Progress, Steps
from earmark.inference.options import HearingOptions
from earmark.inference.records import Failure, Prediction
from earmark.inference.tagger import Tagger
from earmark.models.card import Card

__all__ = ["PARTS", "Evaluation", "Plan", "analyse_dataset", "choose_tracks", "evaluate", "explain_layers"]

PARTS = ("test", "valid", "train", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to score, and how.

    Attributes:
        heads: Only these; all that model and data set share, where empty.
        part: ``test``, ``valid``, ``train`` or ``all``.
        allow_training_tracks: Score tracks that the model was trained on, too.
        unheard_artists: Leave out tracks by artists that a model was trained on.
        nodes: Whether the nodes of small layers are explained, which analyses the tracks once more.
        resamples: Of the bootstrap; 0 gives no intervals.
        seed: Of the bootstrap and the permutations.
    """

    heads: tuple[str, ...] = ()
    part: str = "test"
    allow_training_tracks: bool = False
    unheard_artists: bool = False
    nodes: bool = False
    resamples: int = RESAMPLES
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Evaluation:
    """What was found.

    Attributes:
        model: ``name@version``; of an ensemble joined by ``+``.
        cards: Of each model.
        dataset: Its name.
        part: What was really scored.
        group_by: What the bootstrap draws: ``artist``, ``album`` or ``track``.
        left_out: Tracks left out because a model was trained on them.
        left_out_artists: Tracks left out because a model was trained on others of their artists.
        answers: By head, predictions and truth.
        figures: By head, as :func:`earmark.evaluation.scores.score_head` gives them.
        naive: The same figures on clips split at random, by head; None where they were not asked for.
        against: The paired test; None where it was not asked for.
        failures: Tracks that could not be analysed.
        notices: Lines for people.
        history: Learning curves of the (first) model.
        jumps: In its validation curve.
        nodes: What the nodes of small layers stand for, by layer; empty where they were not asked for.
    """

    model: str
    cards: tuple[Card, ...]
    dataset: str
    part: str
    group_by: str
    left_out: int
    answers: Mapping[str, HeadAnswers]
    figures: Mapping[str, dict[str, Any]]
    naive: Mapping[str, Any] | None = None
    against: Mapping[str, Any] | None = None
    failures: tuple[Failure, ...] = ()
    notices: tuple[str, ...] = ()
    history: tuple[Epoch, ...] = ()
    jumps: tuple[Jump, ...] = ()
    nodes: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)
    left_out_artists: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As ``evaluate -f json`` prints it."""
        return {
            "model": self.model,
            "dataset": self.dataset,
            "split": self.part,
            "group": self.group_by,
            "left_out": self.left_out,
            "heads": dict(self.figures),
            "naive": None if self.naive is None else dict(self.naive),
            "against": None if self.against is None else dict(self.against),
            "failures": [failure.to_dict() for failure in self.failures],
            "jumps": [asdict(jump) for jump in self.jumps],
            "notices": list(self.notices),
            "left_out_artists": self.left_out_artists,
            **({"nodes": nodes_to_dict(self.nodes)} if self.nodes else {}),
        }


def evaluate(
    models: Sequence[Tagger],
    dataset: Dataset,
    plan: Plan,
    *,
    engine: Engine,
    against: Sequence[Tagger] = (),
) -> Steps[Evaluation]:
    """Score one model, or several as one (the mean of their probabilities), on the tracks that none was trained on.

    Args:
        models: One or more.
        dataset: With labels for at least one of their heads.
        plan: What to score.
        engine: That analyses the tracks.
        against: Another model (or several), for a paired test on the same tracks.

    Raises:
        DatasetError: No head, label or track in common, or no track left that was not trained on.
        UnknownName: A head or part that does not exist.
    """
    everyone = [*models, *against]
    _check_kinds(everyone, dataset)
    heads = shared_heads([tagger.card for tagger in everyone], dataset, plan.heads)
    splits = [_split_of(tagger) for tagger in everyone]
    hashes = (yield from _hashes(dataset, engine)) if any(splits) else [None] * len(dataset.tracks)
    chosen = choose_tracks(dataset, plan.part, hashes, splits, plan.allow_training_tracks)
    familiar = _familiar(everyone, dataset, chosen.part)
    if plan.unheard_artists:
        chosen = _unheard_alone(chosen, familiar, everyone, dataset)
    part = dataset.subset(chosen.rows)
    by_them = {dataset.tracks[row].name for row in chosen.rows if familiar[row]}
    predictions = yield from _analyse_all(everyone, part, engine)
    failures = _failures(predictions)
    ours, theirs = predictions[: len(models)], predictions[len(models) :]
    if len(failures) == len(part.tracks):
        first = failures[0]
        raise DatasetError(f"{dataset.name}: not one track could be analysed, as {first.path}: {first.message}")
    answers = {head: answers_of(ours, part, head) for head in heads}
    history = read_history(models[0].folder / "history.csv")
    return Evaluation(
        model=_name(models),
        cards=tuple(tagger.card for tagger in models),
        dataset=dataset.name,
        part=chosen.part,
        group_by=dataset.group_by,
        left_out=chosen.left_out,
        answers=answers,
        left_out_artists=chosen.left_out_artists,
        figures={head: _figures(answer, by_them, plan) for head, answer in answers.items()},
        against=_against(theirs, ours, part, heads, plan) if against else None,
        failures=tuple(failures),
        notices=dataset.notices
        + chosen.notices
        + _artist_notices(by_them, part)
        + _one_group(answers, dataset)
        + _unverified(models[0].card, [dataset.head(head) for head in heads]),
        history=history,
        jumps=find_jumps(history),
        nodes=(yield from explain_layers(models[0], part, engine)) if plan.nodes else {},
    )


def _unverified(card: Card, specs: Sequence[HeadSpec]) -> tuple[str, ...]:
    meant = [head for spec in specs if (head := head_of(card, spec)) is not None and head.unverified]
    return tuple(
        f"{head.name}: other models agree on the labels of this head; no listener checked them" for head in meant
    )


def _check_kinds(models: Sequence[Tagger], dataset: Dataset) -> None:
    for tagger in models:
        pictures = tagger.card.frontend is None or tagger.card.frontend.kind == "image"
        if pictures != (dataset.kind == "images"):
            has, wants = ("images", "audio") if dataset.kind == "images" else ("audio", "images")
            raise DatasetError(f"{dataset.name} is a data set of {has}, but the model {tagger.card.id} takes {wants}")


def _name(models: Sequence[Tagger]) -> str:
    return "+".join(tagger.card.id for tagger in models)


def _split_of(tagger: Tagger) -> dict[str, Part]:
    file = tagger.folder / "split.tsv"
    return load_split(file) if file.is_file() else {}


def _familiar(models: Sequence[Tagger], dataset: Dataset, part: str) -> list[bool]:
    """(tracks,) whether a model was trained on songs of the track's artist; False where that is not known."""
    seen, names = ("train",) if part == "valid" else ("train", "valid"), named_groups(dataset)
    found = [False] * len(names)
    for tagger in models:
        known = set(_groups_of(tagger, seen).values())
        found = [
            one or group_hash(name, tagger.card.group_salt) in known for one, name in zip(found, names, strict=True)
        ]
    return found


def _groups_of(tagger: Tagger, parts: Sequence[str]) -> dict[str, str]:
    file = tagger.folder / "split.tsv"
    return load_groups(file, parts) if tagger.card.group_salt and file.is_file() else {}


def _unheard_alone(
    chosen: ScoredTracks, familiar: Sequence[bool], models: Sequence[Tagger], dataset: Dataset
) -> ScoredTracks:
    """Without the tracks by artists that a model was trained on.

    Raises:
        DatasetError: No track is left, or a model does not know its artists, or the data set names none.
    """
    for tagger in models:
        if not _groups_of(tagger, PARTS):
            raise DatasetError(
                f"--unheard-artists: {tagger.card.id} does not know the artists that it was trained on: train it "
                "again, on songs whose artists are named"
            )
    names = named_groups(dataset)
    if not any(names[row] for row in chosen.rows):
        raise DatasetError(f"--unheard-artists: no track of {dataset.name} names its artist")
    kept = tuple(row for row in chosen.rows if not familiar[row])
    left_out = len(chosen.rows) - len(kept)
    if not kept:
        raise DatasetError(
            f"{dataset.name}: all {left_out} tracks are by artists that the model was trained on; "
            "give songs of others, or leave out --unheard-artists"
        )
    notices = [f"{left_out} songs are by artists it was trained on: left out"] if left_out else []
    unknown = sum(not names[row] for row in kept)
    notices += [f"{unknown} songs name no artist: it may have been trained on others of theirs"] if unknown else []
    return replace(chosen, rows=kept, left_out_artists=left_out, notices=(*chosen.notices, *notices))


def _artist_notices(by_them: Collection[str], part: Dataset) -> tuple[str, ...]:
    if not by_them:
        return ()
    kind = "albums" if part.group_by == "album" else "artists"
    share = f"{len(by_them)} of {len(part.tracks)} songs are by {kind} it was trained on"
    return (f"{share}: both kinds are scored apart, and --unheard-artists leaves these out",)


def _one_group(answers: Mapping[str, HeadAnswers], dataset: Dataset) -> tuple[str, ...]:
    """Heads whose tracks are all of one artist: nothing tells how the model does on another."""
    heads = [head for head, answer in answers.items() if len(set(answer.groups)) == 1]
    return tuple(f"{head}: all songs are of one {dataset.group_by}, so that there is no interval" for head in heads)


def _figures(answer: HeadAnswers, by_them: Collection[str], plan: Plan) -> dict[str, Any]:
    """Figures of a head; apart for artists that a model was trained on, and others, where there are such tracks."""
    found = score_head(answer, plan.resamples, plan.seed)
    member = [name in by_them for name in answer.tracks]
    if any(member):
        for kind, wanted in (("heard", True), ("unheard", False)):
            rows = [row for row, one in enumerate(member) if one == wanted]
            found[kind] = score_in_short(answer.subset(rows), plan.resamples, plan.seed)
    return found


def _hashes(dataset: Dataset, engine: Engine) -> Steps[list[str | None]]:
    hashes = yield from content_hashes([track.path for track in dataset.tracks], engine)
    return [digest if isinstance(digest, str) else None for digest in hashes]


def analyse_dataset(
    tagger: Tagger, dataset: Dataset, engine: Engine, options: HearingOptions | None = None
) -> Steps[ModelPredictions]:
    """A model's prediction of each track."""
    results, paths = [], [str(track.path) for track in dataset.tracks]
    with closing(analyse(engine, Analyse.of([tagger.folder], options), paths)) as predictions:
        for result in predictions:
            results.append(result)
            yield Progress(len(results), len(paths), f"analysing with {tagger.card.id}")
    return ModelPredictions(tagger.card, tuple(results))


_EXPLAINED = 64
"""Layers of at most so many nodes are explained."""


def explain_layers(tagger: Tagger, dataset: Dataset, engine: Engine) -> Steps[dict[str, tuple[Node, ...]]]:
    """What the nodes of small layers stand for, by layer.

    Args:
        tagger: Its hidden layers of at most 64 nodes are explained.
        dataset: Tracks that the network did not learn from.
        engine: That analyses them.
    """
    found = {}
    for layer in tagger.layers:
        if (width := tagger.dimensions(layer)) > _EXPLAINED:
            continue
        every = yield from analyse_dataset(tagger, dataset, engine, HearingOptions(embedding=True, layer=layer))
        vectors = [getattr(result, "embedding", None) for result in every.results]
        nothing = np.full(width, np.nan, np.float32)
        found[layer] = explain_nodes(np.stack([nothing if v is None else v for v in vectors]), dataset)
    return found


def _analyse_all(models: Sequence[Tagger], dataset: Dataset, engine: Engine) -> Steps[list[ModelPredictions]]:
    """Each model's prediction of each track; a model that stands on both sides is asked once."""
    found: dict[Path, ModelPredictions] = {}
    for tagger in models:
        if tagger.folder not in found:
            found[tagger.folder] = yield from analyse_dataset(tagger, dataset, engine)
    return [found[tagger.folder] for tagger in models]


def _failures(predictions: Sequence[ModelPredictions]) -> list[Failure]:
    """One a track, whichever model it failed."""

    def first(row: Iterable[Prediction | Failure]) -> Iterator[Failure]:
        return (result for result in row if isinstance(result, Failure))

    rows = zip(*(model.results for model in predictions), strict=True)
    return [failure for row in rows if (failure := next(first(row), None)) is not None]


def _against(
    theirs: Sequence[ModelPredictions],
    ours: Sequence[ModelPredictions],
    dataset: Dataset,
    heads: Sequence[str],
    plan: Plan,
) -> dict[str, Any]:
    """The paired test, on the labels that all models know and the tracks that all could analyse."""
    found = {}
    for head in heads:
        first, second = answers_of(ours, dataset, head, theirs), answers_of(theirs, dataset, head, ours)
        result = compare_answers(first, second, plan.resamples, plan.seed)
        found[head] = {
            "figure": main_figure(first.task),
            "difference": rounded(result.difference),
            "ci95": rounded(result.ci95),
            "p": rounded(result.p),
        }
    return {"model": "+".join(model.card.id for model in theirs), "heads": found}


@dataclass(frozen=True, slots=True)
class ScoredTracks:
    """Tracks to score.

    Attributes:
        rows: Indices of the data set's tracks.
        part: What they are really: ``test``, ``valid``, ``train`` or ``all``.
        left_out: How many tracks of the part were left out, because a model was trained on them.
        notices: Lines for people.
        left_out_artists: How many were left out, because a model was trained on others of their artists.
    """

    rows: tuple[int, ...]
    part: str
    left_out: int
    notices: tuple[str, ...] = ()
    left_out_artists: int = 0


def choose_tracks(
    dataset: Dataset,
    part: str,
    hashes: Sequence[str | None],
    splits: Sequence[Mapping[str, Part]],
    allow_training_tracks: bool = False,
) -> ScoredTracks:
    """The tracks of a part that no model was trained on.

    A data set's own parts count; ``test`` is ``valid`` where it has no test rows. Where it assigns none, the parts are
    those that the models' ``split.tsv`` gives its tracks, and tracks that no model knows count as test. Training tracks
    are those of ``train``, and of ``valid`` too (they chose the epoch and the thresholds) unless ``valid`` is asked.

    Args:
        dataset: What is to be scored on.
        part: ``test``, ``valid``, ``train`` or ``all``.
        hashes: (tracks,) content hash of each, None where a file cannot be read.
        splits: Of each model, the part of each content hash.
        allow_training_tracks: Leave none out.

    Raises:
        UnknownName: No such part.
        DatasetError: The part is empty, or the models were trained on all of it.
    """
    if part not in PARTS:
        raise UnknownName("part", part, PARTS)
    roles = [_role(digest, splits) for digest in hashes]
    used, rows = _own_part(dataset, part) if dataset.has_split else _models_part(part, roles)
    if not rows:
        raise DatasetError(f"{dataset.name}: its part {used!r} has no tracks; choose another with --split")
    seen = {"train"} if used == "valid" else {"train", "valid"}
    kept = tuple(row for row in rows if allow_training_tracks or roles[row] not in seen)
    left_out = len(rows) - len(kept)
    if not kept:
        raise DatasetError(
            f"{dataset.name}: the model was trained on all {left_out} tracks of the part {used!r}, so no score on them "
            "is honest; give other tracks, or score them all the same with --allow-training-tracks"
        )
    if not dataset.has_split and used == "test" and not left_out and all(roles[row] is None for row in kept):
        used = "all"
    return ScoredTracks(kept, used, left_out, _part_notices(part, used, roles, kept, seen))


def _role(digest: str | None, splits: Sequence[Mapping[str, Part]]) -> Part | None:
    """What a track was to the models: ``train`` where it was to any of them, and so on."""
    found = {split[digest] for split in splits if digest in split} if digest is not None else set()
    order: tuple[Part, ...] = ("train", "valid", "test")
    return next((part for part in order if part in found), None)


def _own_part(dataset: Dataset, part: str) -> tuple[str, list[int]]:
    if part == "all":
        return part, list(range(len(dataset.tracks)))
    rows = [row for row, track in enumerate(dataset.tracks) if track.part == part]
    return _own_part(dataset, "valid") if part == "test" and not rows else (part, rows)


def _models_part(part: str, roles: Sequence[Part | None]) -> tuple[str, list[int]]:
    if part in ("all", "test"):  # what a model was trained on is left out, and counted, afterwards
        return part, list(range(len(roles)))
    return part, [row for row, role in enumerate(roles) if role == part]


def _part_notices(
    asked: str, used: str, roles: Sequence[Part | None], kept: Sequence[int], seen: set[str]
) -> tuple[str, ...]:
    notices = []
    if asked == "test" and used == "valid":
        notices.append("the data set has no test rows: its valid rows are scored")
    known = sum(roles[row] in seen for row in kept)
    if known:
        notices.append(f"{known} of the {len(kept)} tracks scored are ones that the model was trained on")
    return tuple(notices)
