"""The score of a random split ("leaky"): a recipe trained and tested on clips, one song's clips on both sides.

It is what most publications report. Beside the honest score it tells how much of theirs is memory of the song.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from earmark.audio.images import read_image, write_image
from earmark.audio.track import load, starts
from earmark.datasets.core import Dataset, Track
from earmark.datasets.splits import split
from earmark.engine.base import Each, Engine
from earmark.errors import StorageError
from earmark.evaluation.comparison import Row
from earmark.evaluation.evaluate import Plan, evaluate
from earmark.events import Progress, Steps
from earmark.inference.records import Failure
from earmark.inference.tagger import Tagger, load_model
from earmark.models.device import Device
from earmark.models.registry import sha256
from earmark.recipe import Recipe, SplitPlan, load_recipe, recipe_from
from earmark.training.job import TrainOptions
from earmark.training.run import train_model

__all__ = ["NaivePlan", "naive_figures", "naive_row", "write_clips"]

_SECONDS = 10.0
"""Clips are no longer than this, so that a track of 30 s gives several."""
_CLIPS = 3
_TEST = 0.1


@dataclass(frozen=True, slots=True)
class NaivePlan:
    """What to score.

    Attributes:
        heads: Which of the data set's.
        shares: Of the clips in each part; the recipe's own where it is None.
        seed: Of split and training.
        device: Where it is trained.
    """

    heads: tuple[str, ...]
    shares: SplitPlan | None = None
    seed: int = 0
    device: Device = "auto"


def naive_figures(tagger: Tagger, dataset: Dataset, plan: NaivePlan, engine: Engine) -> Steps[dict[str, Any]]:
    """Train the tagger's recipe again on clips split at random, and score the test clips.

    The training draws as many clips as the recipe's own does, now from the clips of each track.

    Args:
        tagger: Its card's recipe is used; without one its network is kept and new heads are trained (``transfer``).
        dataset: Whose tracks are cut into clips; its own split and its artists are disregarded.
        plan: What to score.
        engine: That analyses the clips.

    Returns:
        By head, figures as ``evaluate`` gives them.

    Raises:
        EarmarkError: As training does; StorageError where there is no room for the clips.
    """
    recipe = _recipe(tagger)
    init = tagger.folder if recipe.training.method == "transfer" else None
    headed = replace(dataset, heads=tuple(dataset.head(name) for name in plan.heads))
    with tempfile.TemporaryDirectory(prefix="earmark-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        clips = yield from write_clips(headed, tagger, folder / "clips", engine, _pieces_of_a_track(recipe))
        recipe = _sparing(recipe, len(clips.tracks) / max(len(dataset.tracks), 1))
        parts = None if plan.shares is None else split(clips, plan.shares, plan.seed)
        options = TrainOptions(seed=plan.seed, device=plan.device, init=init, split=parts)
        out = yield from train_model(clips, recipe, folder / "model", options, engine)
        found = yield from evaluate([load_model(out)], clips, Plan(heads=plan.heads), engine=engine)
        return dict(found.figures)


def naive_row(row: Row, models: Path, dataset: Dataset, plan: NaivePlan, engine: Engine) -> Steps[Row]:
    """The row with its score of the random split, which is kept beside the model and found there the next time.

    Args:
        row: Of a trained model.
        models: Folder of the model folders.
        dataset: All of it.
        plan: Of the random split.
        engine: That reads the tracks.

    Raises:
        EarmarkError: As :func:`naive_figures`.
    """
    file = models / f"{row.name}.naive.json"
    asked = json.loads(json.dumps(asdict(replace(plan, device="auto"))))  # where it was trained makes no other score
    asked["model"] = sha256(models / row.name / "weights.safetensors")[:16]  # trained anew, on other songs: scored anew
    try:
        known = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        known = {}
    if known.get("plan") == asked:
        return replace(row, naive=known["heads"])
    found = yield from naive_figures(load_model(models / row.name), dataset, plan, engine)
    file.write_text(json.dumps({"plan": asked, "heads": found}, allow_nan=False) + "\n", "utf-8")
    return replace(row, naive=found)


def write_clips(dataset: Dataset, tagger: Tagger, folder: Path, engine: Engine, count: int = 0) -> Steps[Dataset]:
    """The data set's tracks as files of clips, each a track and a group of its own.

    Tracks that cannot be read are left out. A track gives ``count`` clips at most: as many as the tagger analyses where
    it is 0, and no less than three.

    Raises:
        StorageError: A clip cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plan, most = tagger.card.clip, max(_CLIPS, count or tagger.card.clip.count)
    task: Each[tuple[int, Path], list[Path]]
    if dataset.kind == "images":
        task = Each(partial(_cut_picture, folder=folder, columns=plan.seconds, count=most))
    else:
        rate = tagger.frontend.sample_rate
        task = Each(partial(_cut_audio, folder=folder, rate=rate, seconds=min(plan.seconds, _SECONDS), count=most))
    tracks: list[Track] = []
    files = [(row, track.path) for row, track in enumerate(dataset.tracks)]
    with closing(engine.map(task, files)) as results:
        for track, result in zip(dataset.tracks, results, strict=True):
            written = [] if isinstance(result, Failure) else result.value
            tracks += [replace(track, path=path, name=path.name, group=path.name, part=None) for path in written]
            yield Progress((result.index or 0) + 1, len(files), "cutting clips")
    return replace(
        dataset,
        name=f"{dataset.name} in clips",
        root=folder,
        tracks=tuple(tracks),
        group_by="track",
        has_split=False,
    )


def _cut_picture(item: tuple[int, Path], folder: Path, columns: float, count: int) -> list[Path]:
    row, path = item
    picture, written = read_image(path), []
    for number, piece in _pieces(picture, max(1, round(min(columns, len(picture) / _CLIPS))), count):
        written.append(folder / f"{row:06}-{number:02}.png")
        write_image(written[-1], piece)
    return written


def _cut_audio(item: tuple[int, Path], folder: Path, rate: int, seconds: float, count: int) -> list[Path]:
    row, path = item
    wave, written = load(path, rate, seconds=_SECONDS * count), []
    for number, piece in _pieces(wave, round(seconds * rate), count):
        written.append(folder / f"{row:06}-{number:02}.flac")
        try:
            soundfile.write(written[-1], np.clip(piece, -1, 1), rate)
        except (OSError, soundfile.SoundFileError) as error:
            raise StorageError(f"{folder}: cannot write the clips: {error}") from error
    return written


def _pieces(values: NDArray[np.float32], length: int, count: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Pieces that do not overlap, ``count`` at most, spread over the whole; the whole where it is shorter than one."""
    whole = max(1, len(values) // length)
    for number, start in enumerate(starts(len(values), length, min(count, whole))):
        yield number, values[int(start) : int(start) + length]


def _pieces_of_a_track(recipe: Recipe) -> int:
    """No more than are drawn of it in an epoch: more would make epochs longer than the recipe's own."""
    count = recipe.clip.count
    return count if recipe.training.method == "transfer" else min(count, recipe.training.clips_per_track)


def _sparing(recipe: Recipe, pieces: float) -> Recipe:
    """With as many clips in all as the recipe draws: of each of a track's pieces at least one, in fewer epochs then."""
    plan = recipe.training
    if plan.method == "transfer":
        return recipe
    each = max(1, round(plan.clips_per_track / max(pieces, 1)))
    epochs = max(1, round(plan.epochs * min(1.0, plan.clips_per_track / (each * pieces))))
    return replace(recipe, training=replace(plan, clips_per_track=each, epochs=epochs))


def _recipe(tagger: Tagger) -> Recipe:
    card = tagger.card
    recipe = recipe_from(card.recipe, f"the card of {card.id}") if card.recipe else load_recipe("transfer")
    if recipe.split.test > 0:
        return recipe
    plan = recipe.split
    return replace(recipe, split=replace(plan, train=plan.train - _TEST, test=_TEST))
