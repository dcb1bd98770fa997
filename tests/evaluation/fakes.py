"""Made-up models, data sets and predictions for the tests of this folder."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from earmark.datasets.core import Dataset, HeadSpec, Track
from earmark.engine import Each, InlineEngine, Result
from earmark.evaluation.evaluate import Evaluation
from earmark.evaluation.scores import ModelPredictions, answers_of, score_head
from earmark.features.frontend import Frontend
from earmark.inference.records import Failure, HeadPrediction, Prediction
from earmark.models.card import Card, HeadCard
from earmark.recipe import ClipPlan


class Canned(InlineEngine):
    """An engine whose analyses are given beforehand, by the name of the model's folder; keys of files are their paths.

    ``calls`` are the models that were asked.
    """

    def __init__(self, **results):
        super().__init__()
        self.results, self.calls = results, []

    def map(self, task, items, *, ordered=True, deadline=None):
        if isinstance(task, Each):
            yield from (Result(i, item, str(item)) for i, item in enumerate(items))
            return
        (folder,) = task.models
        self.calls.append(folder.name)
        for i, (item, given) in enumerate(zip(items, self.results[folder.name], strict=True)):
            yield replace(given, index=i) if isinstance(given, Failure) else Result(i, item, given)


GENRES = ("classical", "jazz", "pop", "rock")


def card(*heads, name="made", scores=None):
    return Card(
        name=name,
        version="1",
        backbone="none",
        frontend=Frontend(),
        clip=ClipPlan(),
        heads=heads,
        embedding=4,
        scores=scores or {},
    )


def dataset(heads, labels, groups=None, parts=None, name="made-up"):
    """``labels`` is a list of dicts, one a track."""
    tracks = tuple(
        Track(
            path=Path(f"/music/{i:03}.wav"), name=f"{i:03}.wav", group=groups[i] if groups else f"{i:03}.wav",
            part=parts[i] if parts else None, labels=given,
        )
        for i, given in enumerate(labels)
    )  # fmt: skip
    return Dataset(
        name=name, root=Path("/music"), heads=tuple(heads), tracks=tracks, has_split=parts is not None,
        group_by="artist" if groups else "track",
    )  # fmt: skip


def multiclass(head, probabilities):
    scores = dict(zip(head.labels, map(float, probabilities), strict=True))
    best = max(scores, key=scores.get)
    return HeadPrediction(
        "multiclass", label=best if scores[best] >= head.threshold else None, confidence=scores[best], scores=scores
    )


def multilabel(head, probabilities):
    scores = dict(zip(head.labels, map(float, probabilities), strict=True))
    named = tuple(label for label, p in scores.items() if p >= head.thresholds.get(label, 0.5))
    return HeadPrediction("multilabel", labels=named, scores=scores)


def number(value):
    return HeadPrediction("regression", value=float(value))


def prediction(track, heads, model="made@1"):
    return Prediction(path=str(track.path), seconds=30.0, model=model, heads=heads)


def genre_model(skill=2.0, tracks=120, seed=0, **options):
    """Four genres by artists of three tracks, and a model with some skill at it: (card, data set, results)."""
    rng = np.random.default_rng(seed)
    head = HeadCard("genre", "multiclass", GENRES, threshold=options.get("threshold", 0.0))
    truth = np.random.default_rng(1).integers(0, 4, tracks)
    data = dataset(
        [HeadSpec("genre", "multiclass", GENRES)], [{"genre": GENRES[k]} for k in truth],
        groups=[f"artist {i // 3}" for i in range(tracks)], parts=options.get("parts"),
    )  # fmt: skip
    logits = rng.normal(size=(tracks, 4)) + skill * np.eye(4)[truth]
    scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    facts = card(head, name=options.get("name", "made"), scores=options.get("scores"))
    results = [
        prediction(t, {"genre": multiclass(head, p)}, facts.id) for t, p in zip(data.tracks, scores, strict=True)
    ]
    return facts, data, results


def made_evaluation(facts, data, results):
    heads = {head.name: answers_of([ModelPredictions(facts, results)], data, head.name) for head in data.heads}
    return Evaluation(
        model=facts.id, cards=(facts,), dataset=data.name, part="test", group_by=data.group_by, left_out=0,
        answers=heads, figures={name: score_head(head, 50) for name, head in heads.items()},
    )  # fmt: skip
