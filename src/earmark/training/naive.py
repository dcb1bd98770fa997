"""The leaking score: the same recipe trained and tested on clips split at random, one song's clips on both sides.

It is what most publications report. Shown beside the honest score it tells how much of theirs is memory of the song.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from earmark.audio.decode import load
from earmark.audio.images import read_image, write_image
from earmark.audio.track import starts
from earmark.datasets.core import Dataset, Track
from earmark.datasets.splits import split
from earmark.engine.base import Engine
from earmark.engine.local import LocalEngine
from earmark.errors import AudioError, StorageError
from earmark.evaluation.comparison import Row
from earmark.evaluation.evaluate import Plan, evaluate
from earmark.events import Steps
from earmark.inference.tagger import Tagger, load_model
from earmark.models.registry import sha256
from earmark.recipe import Recipe, SplitPlan, load_recipe, recipe_from
from earmark.training.job import Device, TrainOptions
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
    wanted = replace(dataset, heads=tuple(dataset.head(name) for name in plan.heads))
    with tempfile.TemporaryDirectory(prefix="earmark-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        clips = write_clips(wanted, tagger, folder / "clips", _pieces_of_a_track(recipe))
        recipe = _sparing(recipe, len(clips.tracks) / max(len(dataset.tracks), 1))
        parts = None if plan.shares is None else split(clips, plan.shares, plan.seed)
        options = TrainOptions(seed=plan.seed, device=plan.device, init=init, split=parts)
        out = yield from train_model(clips, recipe, folder / "model", options)
        found = yield from evaluate([load_model(out)], clips, Plan(heads=plan.heads), engine=engine)
        return dict(found.figures)


def naive_row(row: Row, models: Path, dataset: Dataset, wanted: NaivePlan) -> Steps[Row]:
    """The row with its leaking score, which is kept beside the model and found there the next time.

    Args:
        row: Of a trained model.
        models: Folder of the model folders.
        dataset: All of it.
        wanted: Of the leaking score.

    Raises:
        EarmarkError: As :func:`naive_figures`.
    """
    file = models / f"{row.name}.naive.json"
    asked = json.loads(json.dumps(asdict(replace(wanted, device="auto"))))  # where it was trained makes no other score
    asked["model"] = sha256(models / row.name / "weights.safetensors")[:16]  # trained anew, on other songs: scored anew
    try:
        known = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        known = {}
    if known.get("plan") == asked:
        return replace(row, naive=known["heads"])
    with LocalEngine() as engine:
        found = yield from naive_figures(load_model(models / row.name), dataset, wanted, engine)
    file.write_text(json.dumps({"plan": asked, "heads": found}, allow_nan=False) + "\n", "utf-8")
    return replace(row, naive=found)


def write_clips(dataset: Dataset, tagger: Tagger, folder: Path, count: int = 0) -> Dataset:
    """The data set's tracks as files of clips, each a track and a group of its own.

    Tracks that cannot be read are left out. A track gives ``count`` clips at most: as many as the tagger hears where it
    is 0, and no less than three.

    Raises:
        StorageError: A clip cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tracks: list[Track] = []
    most = max(_CLIPS, count or tagger.card.clip.count)
    for row, track in enumerate(dataset.tracks):
        try:
            written = list(_cut(track, folder / f"{row:06}", tagger, most, dataset.kind == "images"))
        except AudioError:
            continue
        except (OSError, soundfile.SoundFileError) as error:
            raise StorageError(f"{folder}: cannot write the clips: {error}") from error
        tracks += [replace(track, path=path, name=path.name, group=path.name, part=None) for path in written]
    return replace(
        dataset,
        name=f"{dataset.name} in clips",
        root=folder,
        tracks=tuple(tracks),
        group_by="track",
        has_split=False,
    )


def _cut(track: Track, out: Path, tagger: Tagger, count: int, picture: bool) -> Iterator[Path]:
    plan = tagger.card.clip
    if picture:
        columns = read_image(track.path)
        length = max(1, round(min(plan.seconds, len(columns) / _CLIPS)))
        for number, piece in _pieces(columns, length, count):
            path = out.with_name(f"{out.name}-{number:02}.png")
            write_image(path, piece)
            yield path
        return
    rate = tagger.frontend.sample_rate
    wave = load(track.path, rate, seconds=_SECONDS * count)
    for number, piece in _pieces(wave, round(min(plan.seconds, _SECONDS) * rate), count):
        path = out.with_name(f"{out.name}-{number:02}.flac")
        soundfile.write(path, np.clip(piece, -1, 1), rate)
        yield path


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
