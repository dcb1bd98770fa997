"""The naive score: the same recipe trained again on clips that are split at random, as most published systems do.

Clips of one song then stand on both sides, and the score says how well songs are recognised, not genres. It is shown
beside the honest one, never in its place.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from earmark.audio.excerpts import Hearing, hear
from earmark.datasets.core import Dataset, HeadSpec, Track
from earmark.datasets.images import read_image, write_image
from earmark.datasets.splits import Split
from earmark.errors import AudioError, ModelError
from earmark.evaluation.answers import HeadAnswers
from earmark.evaluation.scores import score_head
from earmark.inference.records import Failure
from earmark.inference.tagger import Tagger, load_model
from earmark.model.card import HeadCard
from earmark.recipe import Recipe, recipe_from
from earmark.training.calibrate import calibrate, track_scores
from earmark.training.embeddings import embed_files
from earmark.training.examples import examples_of
from earmark.training.fitting import fit_head
from earmark.training.options import Progress, Report, TrainOptions, silent
from earmark.training.transfer import raw_scores

__all__ = ["naive_scores"]

Array = NDArray[np.float32]

_PARTS = (0.7, 0.8)  # up to where the shuffled clips teach, and up to where they calibrate; the rest judges


def naive_scores(
    model: Path, dataset: Dataset, heads: Sequence[str], *, seed: int = 0, report: Report = silent
) -> dict[str, dict[str, Any]]:
    """Train a model's recipe again on clips split at random, and score it on the clips left over.

    Args:
        model: Folder of a trained model; its recipe is in its card.
        dataset: What it was trained on.
        heads: Which heads to score.
        seed: Of the draw and of the training.
        report: Told how far it is.

    Returns:
        By head, figures as :func:`earmark.evaluation.scores.score_head` gives them; "tracks" are clips.

    Raises:
        ModelError: The card holds no recipe (the bundled model).
    """
    tagger = load_model(model)
    if not tagger.card.recipe.get("training"):
        raise ModelError(f"{tagger.card.id}: its card holds no recipe, so that it cannot be trained again (--naive)")
    recipe = recipe_from(tagger.card.recipe, str(model / "card.json"))
    wanted = replace(dataset, heads=tuple(dataset.head(head) for head in heads))
    if recipe.training.method == "transfer":
        return _transfer(tagger, recipe, wanted, seed, report)
    return _network(tagger, recipe, wanted, seed, report)


def _drawn(count: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Clips to learn from, to calibrate by and to judge by, at random."""
    order = np.random.default_rng([seed, 11]).permutation(count).astype(np.intp)
    first, second = (round(part * count) for part in _PARTS)
    return np.sort(order[:first]), np.sort(order[first:second]), np.sort(order[second:])


def _transfer(tagger: Tagger, recipe: Recipe, dataset: Dataset, seed: int, report: Report) -> dict[str, dict[str, Any]]:
    """Heads on the clips' embeddings, which are kept already."""
    paths = [track.path for track in dataset.tracks]
    heard = embed_files(tagger, paths, lambda done, total: report(Progress(stage="features", done=done, total=total)))
    every = [(row, clip[None]) for row, one in enumerate(heard) if not isinstance(one, Failure) for clip in one.clips]
    rows, clips = np.array([row for row, _ in every]), [clip for _, clip in every]
    return {spec.name: _score(spec, recipe, clips, dataset.targets(spec.name)[rows], seed) for spec in dataset.heads}


def _score(spec: HeadSpec, recipe: Recipe, clips: list[Array], truth: NDArray[np.float32], seed: int) -> dict[str, Any]:
    known = np.flatnonzero(~np.isnan(truth if truth.ndim == 1 else truth[:, 0]))
    learn, choose, judge = (known[part] for part in _drawn(len(known), seed))
    examples = examples_of(spec, [clips[i] for i in learn], truth[learn], learn, balance=recipe.training.balance)
    head = fit_head(recipe.heads, spec, examples, recipe.training, seed)
    raw = [raw_scores({spec.name: head}, clip)[spec.name] for clip in clips]
    card = calibrate(
        HeadCard(spec.name, spec.task, spec.labels), [raw[i] for i in choose], truth[choose], recipe.clip.pooling
    )
    scores = track_scores([raw[i] for i in judge], card, recipe.clip.pooling)
    limits = np.array([card.thresholds.get(label, 0.5) for label in card.labels])
    given = scores >= limits if spec.task == "multilabel" else scores.max(1) >= card.threshold
    names = tuple(f"clip {i}" for i in judge)
    answers = HeadAnswers(spec.name, spec.task, spec.labels, names, names, truth[judge].astype(float), scores, given)
    return score_head(answers)


def _network(tagger: Tagger, recipe: Recipe, dataset: Dataset, seed: int, report: Report) -> dict[str, dict[str, Any]]:
    """The whole network anew, on a data set whose tracks are the clips: cut into files that are removed afterwards."""
    from earmark.training.run import train

    with tempfile.TemporaryDirectory(prefix="earmark-naive-") as folder:
        clips = _cut(tagger, dataset, Path(folder))
        learn, choose, judge = _drawn(len(clips.tracks), seed)
        parts = Split(learn, choose, judge, "track")
        options = TrainOptions(seed=seed, split=parts)
        trained = train(clips, recipe, Path(folder) / "model", options, report)
        scores: Mapping[str, Any] = load_model(trained).card.scores
        return {spec.name: dict(scores[spec.name]) for spec in dataset.heads}


def _cut(tagger: Tagger, dataset: Dataset, folder: Path) -> Dataset:
    tracks: list[Track] = []
    for track in dataset.tracks:
        try:
            files = _clips_of(tagger, track.path, folder / f"{len(tracks)}")
        except AudioError:
            continue
        for file in files:
            tracks.append(Track(file, file.name, file.name, None, track.labels))
    return replace(dataset, root=folder, tracks=tuple(tracks), group_by="track", has_split=False)


def _clips_of(tagger: Tagger, path: Path, stem: Path) -> list[Path]:
    """The clips of a track as files, as the model's card plans them."""
    frontend, plan = tagger.frontend, tagger.card.clip
    files = []
    if frontend.kind == "image":
        picture = read_image(path)
        columns = max(1, round(plan.seconds * frontend.frames_per_second))
        for number, start in enumerate(range(0, max(1, len(picture) - columns + 1), columns)):
            files.append(stem.with_name(f"{stem.name}-{number}.png"))
            write_image(files[-1], picture[start : start + columns])
        return files
    rate = frontend.sample_rate
    for number, clip in enumerate(hear(path, rate, plan.seconds, plan.count, Hearing())):
        files.append(stem.with_name(f"{stem.name}-{number}.wav"))
        soundfile.write(files[-1], clip.waveform, rate, subtype="FLOAT")
    return files
