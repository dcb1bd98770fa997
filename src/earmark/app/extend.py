"""Extend a trained model by classes, without the music that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.app import corrections
from earmark.app.selection import opened_engine
from earmark.errors import DatasetError, MissingExtra
from earmark.events import Notice, Steps, use_case

if TYPE_CHECKING:
    from earmark.datasets.core import Dataset
    from earmark.engine import Engine
    from earmark.models.card import Card
    from earmark.training.extend import Extension

__all__ = ["ExtendRequest", "describe", "extend"]


@dataclass(frozen=True, kw_only=True)
class ExtendRequest:
    """Which model to extend, by what.

    Attributes:
        model: A model folder or name.
        songs: A data set with labels that the model does not know; with ``label`` a folder of songs; None for
            corrections alone.
        output: The folder of the new model.
        exclude_files: Patterns of files of the data set that are left out.
        label: The class of all songs.
        head: The head that gains the classes.
        test: A data set to measure before and after on, too.
        seed: Of which artists are set aside.
        from_library: Learn from the corrections in the library, too.
        library: The library's file; the one in the user's data folder where None.
    """

    model: str
    songs: str | None = None
    output: str
    exclude_files: tuple[str, ...] = ()
    label: str | None = None
    head: str | None = None
    test: str | None = None
    seed: int = 0
    from_library: bool = False
    library: str | None = None


def describe(found: Extension) -> dict[str, Any]:
    """What came of it, for machines."""
    return found.to_dict()


@use_case
def extend(request: ExtendRequest, engine: Engine | None = None) -> Steps[Extension]:
    """Add the classes, and measure what the old ones lose.

    Raises:
        EarmarkError: The model or the songs cannot be used.
    """
    if not all(map(find_spec, ("torch", "sklearn", "onnx"))):
        raise MissingExtra("train", "extend")
    from earmark.datasets import load_dataset
    from earmark.models.card import read_card
    from earmark.models.registry import find_model
    from earmark.training.extend import ExtendOptions, extend_model

    model = find_model(request.model)
    with opened_engine(engine) as workers:
        songs = yield from _songs(request, read_card(model), workers)
        options = ExtendOptions(
            head=request.head, test=load_dataset(request.test) if request.test else None, seed=request.seed
        )
        yield from map(Notice, songs.notices)
        found = yield from extend_model(model, songs, Path(request.output), workers, options)
    yield from map(Notice, found.notices)
    if found.degraded:
        yield Notice(_warning(found))
    return found


def _songs(request: ExtendRequest, card: Card, engine: Engine) -> Steps[Dataset]:
    if request.library and not request.from_library:
        raise DatasetError("--library: is for --from-library")
    if request.songs is not None:
        songs = _given(Path(request.songs), request, card)
        if not request.from_library:
            return songs
        return (yield from corrections.join(songs, corrections.corrections_of(request.library), engine)).dataset
    if request.label is not None:
        raise DatasetError(f"--label {request.label}: give the folder of its songs, too")
    if not request.from_library:
        raise DatasetError("no songs: give a data set, a folder with --label, or --from-library")
    return corrections.unknown_to(card, corrections.corrections_of(request.library), request.head)


def _given(folder: Path, request: ExtendRequest, card: Card) -> Dataset:
    """The songs that were given by name."""
    from earmark.datasets import load_dataset, without_files
    from earmark.training.extend import songs_of_class

    if not folder.exists():
        raise DatasetError(f"{folder}: no such folder")
    if request.label is not None:
        songs = songs_of_class(folder, request.label, request.head, card)
    else:
        songs = load_dataset(folder)
    return without_files(songs, request.exclude_files)


def _warning(found: Extension) -> str:
    measured = [("the stored validation songs", found.stored), ("--test", found.test)]
    worse = [
        f"{head}: {100 * difference:+.1f} points on {where} (p = {p:.3f}, {tracks} songs)"
        for where, drift in measured
        if drift is not None and drift.degraded
        for head, (difference, p, tracks) in drift.changes.items()
    ]
    return f"warning: old classes got worse: {'; '.join(worse)}; the old model is unchanged."
