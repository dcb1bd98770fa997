"""Every error that Earmark raises on purpose.

    EarmarkError
    ├── AudioError      a file that cannot be heard; carries the kind of failure
    ├── DatasetError    a data set that cannot be read or used as asked
    ├── RecipeError     a recipe or a setting that makes no sense
    ├── ModelError      a model folder that is missing, damaged, newer, or does not fit
    ├── UnknownName     a name that is not in a list of known ones; names the nearest
    ├── MissingExtra    an optional part that is not installed; names the command
    ├── StorageError    a disk that is full, read-only or refuses
    │   ├── Locked      something that another process is just changing
    │   └── NoLibrary   a library that is not there
    └── Cancelled       work that was asked to end before it was done

Catch ``EarmarkError`` to catch them all. A message is one line that says what is wrong, where, and what to do.
In a batch a bad file is a value (:class:`earmark.inference.Failure`), never an exception.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Literal, get_args

__all__ = [
    "FAILURE_KINDS",
    "NO_MUSIC",
    "TOO_SHORT",
    "AudioError",
    "Cancelled",
    "DatasetError",
    "EarmarkError",
    "FailureKind",
    "Locked",
    "MissingExtra",
    "ModelError",
    "NoLibrary",
    "RecipeError",
    "StorageError",
    "UnknownName",
    "failure_kind",
    "nearest",
]

FailureKind = Literal[
    "missing", "permission", "empty", "not-audio", "decode", "too-short", "crash", "timeout", "vanished", "io"
]
FAILURE_KINDS: tuple[str, ...] = get_args(FailureKind)

NO_MUSIC, TOO_SHORT = ("silence", "noise", "speech", "clicks"), "too short to judge"
"""Warnings of a track that gets no labels: why it is no music, or that it may well be."""


class EarmarkError(Exception):
    """Root of all errors that Earmark raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel from worker processes as they are, whatever arguments made them."""
        return _remade, (type(self), self.args, self.__dict__)


class AudioError(EarmarkError):
    """A file that cannot be heard.

    Attributes:
        path: The file, as it was given.
        kind: One of :data:`FAILURE_KINDS`.
        message: One line for people, without the path.
    """

    def __init__(self, path: object, kind: FailureKind, message: str) -> None:
        super().__init__(path, kind, message)
        self.path = str(path)
        self.kind: FailureKind = kind
        self.message = " ".join(message.split())

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def failure_kind(error: OSError) -> FailureKind:
    """The kind of failure that an operating system's error stands for."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return "missing"
    return "permission" if isinstance(error, PermissionError) else "io"


class DatasetError(EarmarkError):
    """A data set that cannot be read or used as asked."""


class RecipeError(EarmarkError):
    """A recipe or a setting that makes no sense."""


class ModelError(EarmarkError):
    """A model folder that is missing, damaged, of a newer format, or does not fit what is asked of it."""


class StorageError(EarmarkError):
    """A disk that is full, read-only or refuses."""


class Locked(StorageError):
    """Something that another process is just changing; try again when that is done."""


class NoLibrary(StorageError):
    """A library that is not there, yet or any more."""


class Cancelled(EarmarkError):
    """Work that was asked to end before it was done; what is done is kept."""


class UnknownName(EarmarkError):
    """A name that is not in a list of known ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(known)
        hint = nearest(name, self.known)
        listed = ", ".join(sorted(self.known)[:12]) + (", ..." if len(self.known) > 12 else "")
        advice = f"did you mean {hint!r}?" if hint else f"known: {listed or 'none'}"
        super().__init__(f"unknown {kind} {name!r}; {advice}")


class MissingExtra(EarmarkError):
    """An optional part that is not installed."""

    def __init__(self, extra: str, purpose: str) -> None:
        self.extra = extra
        super().__init__(
            f"{purpose} needs the extra {extra!r}: pip install 'earmark[{extra}]' "
            f"(in a checkout: pip install -c constraints.txt '.[{extra}]')"
        )


def _remade(kind: type[EarmarkError], args: tuple[Any, ...], facts: dict[str, Any]) -> EarmarkError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(facts)
    return error


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like ``name``, or None where none is near."""
    by_fold = {k.casefold(): k for k in known}
    found = difflib.get_close_matches(name.casefold(), by_fold, n=1, cutoff=0.55)
    return by_fold[found[0]] if found else None
