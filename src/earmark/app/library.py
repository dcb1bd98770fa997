"""The library that a request is about, which model's results it goes by, and what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from earmark.errors import StorageError
from earmark.events import Notice, Steps, use_case

if TYPE_CHECKING:
    from earmark.app.session import LibrarySession
    from earmark.library.records import LibraryModel, LibraryTrack
    from earmark.library.store import Library

__all__ = ["Contents", "LibraryRequest", "chosen_model", "look_into_library", "opened", "searched"]

R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class LibraryRequest:
    """Which library, and by which model's results.

    Attributes:
        library: The library's file; the one in the user's data folder where None.
        model: A model that analysed it; the one that analysed most songs where None.
    """

    library: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class Contents:
    """What a library holds.

    Attributes:
        file: The library.
        tracks: Files that are there and could be analysed.
        seconds: Their length.
        vanished: Files that are not there any more.
        copies: Files beyond the first of each recording.
        silent: Tracks without any sound.
        models: How many tracks each model analysed, by its name.
        features: Of how many tracks that are there each feature is told, by its name.
        folders: That were scanned.
        failures: Files that could not be analysed.
    """

    file: Path
    tracks: int
    seconds: float
    vanished: int
    copies: int
    silent: int
    models: Mapping[str, int]
    features: Mapping[str, int]
    folders: tuple[str, ...]
    failures: tuple[LibraryTrack, ...]


@contextmanager
def opened(
    file: str | None, *, write: bool = False, make: bool = False, session: LibrarySession | None = None
) -> Iterator[Library]:
    """The library of a request; where ``make``, a missing one is made.

    A session's snapshot takes the place of the file, unless it is to be written.

    Raises:
        StorageError: It cannot be used, or holds values that make no sense.
    """
    from earmark.library.store import default_file, open_library

    place = Path(file) if file else default_file()
    try:
        if session is not None and not write:
            place = session.file
            with session.reading() as library:
                yield library
        else:
            with open_library(place, write=write, make=make) as library:
                yield library
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise StorageError(
            f"{place}: a value in the library makes no sense ({reason}), as where a disk has damaged it; take it from a"
            " backup, or scan into a new one by --library (EARMARK_DEBUG=1 shows where)"
        ) from error


def chosen_model(library: Library, name: str | None) -> Steps[LibraryModel]:
    """The model whose results are used, with a notice where others analysed songs that it did not.

    A model folder that the library does not know yet, with heads on a network that it was scanned with (as ``train``
    makes it), scores the stored embeddings first.

    Raises:
        EarmarkError: The library knows no such model, and there is none that could score what it holds.
    """
    folder = _folder(name)
    model = library.model(name) if folder is None else (yield from _scoring(library, folder))
    known = library.models() if library.has_several_models() else []  # counting takes a while in a large library
    if len(known) > 1:
        count = next(count for one, count in known if one.key == model.key)
        total = library.facts().tracks
        if count < total:
            yield Notice(
                f"{model.title} analysed {count} of {total} songs; `earmark scan --force` lets it analyse the others."
            )
    return model


def searched(library: Library, model: LibraryModel, search: Callable[[], R]) -> Steps[R]:
    """What a search by embeddings finds. The index of a large library is made, or brought up to date, with a notice."""
    from earmark.library.vectors import keep_index, read_vectors

    yield from keep_index(library, model)
    found = search()
    if read_vectors(library, model).damaged:
        yield from keep_index(library, model)
    return found


def _folder(name: str | None) -> Path | None:
    """The model folder that a name is of; None for a name of the library's models."""
    return Path(name) if name and (Path(name) / "card.json").is_file() else None


def _scoring(library: Library, folder: Path) -> Steps[LibraryModel]:
    """The model of a folder, once it has scored what the library holds embeddings of."""
    from earmark.library.records import LibraryModel
    from earmark.library.scan import score_stored
    from earmark.models.card import read_card

    card = read_card(folder)
    known = [model for model, _ in library.models() if not model.layer]
    model = next((one for one in known if one.is_of(card)), None) or LibraryModel.of(folder, card)
    if model.key and not library.unscored(model):
        return model
    if not any(one.backbone == card.backbone_digest for one in known):
        raise StorageError(
            f"{folder}: the library holds no embeddings of this model's network; `earmark scan -m {folder} --force` "
            "analyses the songs with it"
        )
    with library.change():
        model = library.add_model(LibraryModel.of(folder, card), in_use=False)
    yield from score_stored(library, model)
    return model


@use_case
def look_into_library(request: LibraryRequest, session: LibrarySession | None = None) -> Steps[Contents]:
    """What the library holds, and which files could not be analysed."""
    yield from ()
    with opened(request.library, session=session) as library:
        facts = library.facts()
        models: dict[str, int] = {}
        for model, count in library.models():
            name = model.title if model.title not in models else f"{model.title} {model.digest[:6]}"
            models[name] = count
        return Contents(
            library.file,
            facts.tracks,
            facts.seconds,
            facts.vanished,
            facts.copies,
            facts.silent,
            models,
            library.count_features(),
            tuple(library.roots()),
            tuple(library.failures()),
        )
