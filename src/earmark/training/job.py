"""One training run as facts: what it is asked for beside its recipe, and the folder it works in. Needs no PyTorch."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from earmark.datasets.core import Dataset
from earmark.datasets.splits import Split
from earmark.errors import ModelError, RecipeError, StorageError
from earmark.models.registry import sha256
from earmark.recipe import Recipe

__all__ = ["FACTS", "Device", "Job", "TrainOptions", "begin", "complete", "is_finished", "settings_of"]

Device = Literal["auto", "cpu", "cuda"]

FACTS = "run.json"
"""What a run was asked for: in its working folder, and in the finished model."""

CHECKPOINTS = "*.safetensors"
"""Files in the working folder that a run goes on from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What a run is asked for.

    Attributes:
        seed: Of the split, the weights, the order and the changes of the data.
        device: ``auto`` takes a GPU where there is one; ``cuda`` without one is an error.
        init: Model folder to start from; its frontend must be the recipe's.
        heads: Of the data set; None for all.
        overwrite: Begin anew where there is a finished or a begun model.
        split: Parts of the tracks; None draws them as the recipe plans.
    """

    seed: int = 0
    device: Device = "auto"
    init: Path | None = None
    heads: tuple[str, ...] | None = None
    overwrite: bool = False
    split: Split | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Job:
    """One training run.

    Attributes:
        name: Of the model.
        dataset: Tracks that can be read, each once, with the heads that are wanted.
        hashes: (tracks,) content hashes.
        split: Their parts.
        recipe: How; of pictures with the frontend that they need.
        options: What else was asked for.
        work: Folder for checkpoints (``OUT.part``).
        folder: The model folder to be filled and finished, inside it.
        notices: Lines for people about data and split.
    """

    name: str
    dataset: Dataset
    hashes: tuple[str, ...]
    split: Split
    recipe: Recipe
    options: TrainOptions
    work: Path
    folder: Path
    notices: tuple[str, ...] = ()


def settings_of(job: Job) -> dict[str, Any]:
    """All that decides the result, flat, by the names that people know: ``training.epochs``, ``seed``, ``dataset``."""
    facts = _flat(dataclasses.asdict(job.recipe))
    for words in ("about", "source", "notes"):
        facts.pop(words, None)
    facts["seed"] = job.options.seed
    facts["heads"] = [f"{head.name}: {head.task}, {len(head.labels)} labels" for head in job.dataset.heads]
    facts["dataset"] = f"{job.dataset.name} ({len(job.dataset.tracks)} tracks, {_digest(job)})"
    if job.options.init is not None:
        weights = job.options.init / "weights.safetensors"
        facts["init"] = sha256(weights)[:16] if weights.is_file() else str(job.options.init)
    parts = job.split.parts()
    listed = "".join(f"{job.hashes[row]} {part}\n" for row, part in sorted(parts.items()))
    facts["split"] = hashlib.sha256(listed.encode()).hexdigest()[:16]
    return json.loads(json.dumps(facts, default=str))  # type: ignore[no-any-return]


def is_finished(out: Path, settings: Mapping[str, Any], overwrite: bool) -> bool:
    """Whether a model of these settings stands in ``out``; leftovers of its making are removed.

    Raises:
        RecipeError: A model of other settings stands there; the first that differs is named.
        ModelError: Something else stands there.
    """
    if not out.exists():
        return False
    if not (out / "card.json").is_file():  # never overwritten: it may be somebody's music
        raise ModelError(f"{out}: is there already and is no model folder; give another name, or remove it")
    if overwrite:
        return False
    if not (out / FACTS).is_file():
        raise ModelError(f"{out}: is a model that was not trained by this command; give another name, or --overwrite")
    _same(out, _read(out / FACTS), settings, "is a model that was trained")
    shutil.rmtree(work_folder(out), ignore_errors=True)
    return True


def work_folder(out: Path) -> Path:
    """``OUT.part``."""
    return out.with_name(out.name + ".part")


def begin(out: Path, settings: Mapping[str, Any], overwrite: bool) -> Path:
    """The working folder: made, or the one of an earlier run of the same settings.

    Raises:
        RecipeError: The earlier run had other settings; the first that differs is named.
        ModelError: Something else stands there.
        StorageError: It cannot be made.
    """
    work = work_folder(out)
    try:
        if work.is_dir() and any(work.iterdir()) and not (work / FACTS).is_file():
            raise ModelError(f"{work}: is there already and not ours; give another name, or remove it")
        if overwrite and work.exists():
            shutil.rmtree(work)
        work.mkdir(parents=True, exist_ok=True)
        file = work / FACTS
        if file.is_file() and any(work.glob(CHECKPOINTS)):
            _same(out, _read(file), settings, "was begun")
        else:  # nothing is lost where nothing was learnt yet
            temporary = work / f"{FACTS}.tmp"
            temporary.write_text(_text(settings), "utf-8")
            temporary.replace(file)
        model = work / "model"
        shutil.rmtree(model, ignore_errors=True)  # half-written: it is made anew from the checkpoints
        model.mkdir()
        (model / FACTS).write_text(_text(settings), "utf-8")
    except OSError as error:
        raise StorageError(f"{work}: cannot be written: {error.strerror}") from error
    return work


def complete(out: Path, overwrite: bool) -> Path:
    """Put the finished model in its place and remove the working folder.

    Raises:
        StorageError: It cannot be renamed.
    """
    work = work_folder(out)
    old = work / "replaced"
    try:
        if overwrite and out.exists():
            out.replace(old)
        (work / "model").replace(out)
        shutil.rmtree(work)
    except OSError as error:
        raise StorageError(f"{out}: cannot be put in its place: {error.strerror}; it stands in {work}") from error
    return out


def _same(out: Path, before: Mapping[str, Any], now: Mapping[str, Any], what: str) -> None:
    for key in [*now, *before]:
        if before.get(key) != now.get(key):
            raise RecipeError(
                f"{out}: {what} with {key} = {_short(before.get(key))}, not {_short(now.get(key))}; "
                "run it as before, give another name, or --overwrite to begin anew"
            )


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 90 else text[:87] + "..."


def _read(file: Path) -> dict[str, Any]:
    try:
        facts = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: damaged: {error}; begin anew with --overwrite") from error
    return facts if isinstance(facts, dict) else {}


def _text(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, indent=1, ensure_ascii=False) + "\n"


def _digest(job: Job) -> str:
    """Of content, groups and labels, in the data set's order; paths do not count."""
    lines = [
        json.dumps([digest, track.group, {head.name: track.labels.get(head.name) for head in job.dataset.heads}])
        for digest, track in zip(job.hashes, job.dataset.tracks, strict=True)
    ]
    heads = [[head.name, head.task, head.labels] for head in job.dataset.heads]
    return hashlib.sha256(json.dumps([heads, lines]).encode()).hexdigest()[:16]


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping) and key != "options":
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found
