"""The library that a request is about, which model's results it goes by, and what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.errors import StorageError
from earmark.events import Notice, Steps, use_case

if TYPE_CHECKING:
    from earmark.library.records import LibraryModel, LibraryTrack
    from earmark.library.store import Library

__all__ = ["Contents", "LibraryRequest", "chosen_model", "look_into_library", "opened"]


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
    folders: tuple[str, ...]
    failures: tuple[LibraryTrack, ...]


@contextmanager
def opened(file: str | None, *, write: bool = False, make: bool = False) -> Iterator[Library]:
    """The library of a request; where ``make``, a missing one is made.

    Raises:
        StorageError: It cannot be used, or holds values that make no sense.
    """
    from earmark.library.store import default_file, open_library

    place = Path(file) if file else default_file()
    try:
        with open_library(place, write=write, make=make) as library:
            yield library
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise StorageError(
            f"{place}: a value in the library makes no sense ({reason}), as where a disk has damaged it; take it from a"
            " backup, or scan into a new one by --library (EARMARK_DEBUG=1 shows where)"
        ) from error


def chosen_model(library: Library, name: str | None) -> Steps[LibraryModel]:
    """The model whose results are used, with a notice where others analysed songs that it did not."""
    model = library.model(name)
    known = library.models()
    if len(known) > 1:
        count = next(count for one, count in known if one.key == model.key)
        total = library.facts().tracks
        if count < total:
            yield Notice(
                f"{model.title} analysed {count} of {total} songs; `earmark scan --force` lets it analyse the others."
            )
    return model


@use_case
def look_into_library(request: LibraryRequest) -> Steps[Contents]:
    """What the library holds, and which files could not be analysed."""
    yield from ()
    with opened(request.library) as library:
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
            tuple(library.roots()),
            tuple(library.failures()),
        )
