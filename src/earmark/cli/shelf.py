"""What the verbs of the library share: which file it is, which model's ears, and how a track is shown."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from earmark.library.records import LibraryModel, LibraryTrack
    from earmark.library.store import Library

__all__ = ["above_zero", "add_library", "at_least_none", "model_of", "name_of", "opened", "song_fields", "valid"]


def add_library(parser: argparse.ArgumentParser, *, model: bool = True) -> None:
    """Declare ``--library``, and ``-m`` where a verb goes by what one model heard."""
    parser.add_argument("--library", metavar="FILE", help="the library (default: library.db in your data folder)")
    if model:
        text = "by what this model heard (default: the one that heard most songs)"
        parser.add_argument("-m", "--model", metavar="MODEL", help=text)


@contextmanager
def opened(args: argparse.Namespace, *, write: bool = True, make: bool = False) -> Iterator[Library]:
    """The library that is asked for; where ``make``, a missing one is made.

    Raises:
        StorageError: It cannot be used.
    """
    from earmark.library.store import open_library

    with open_library(Path(args.library) if args.library else None, write=write, make=make) as library:
        yield library


def model_of(args: argparse.Namespace, library: Library) -> LibraryModel:
    """The model whose results are used; says on standard error how many songs others heard alone."""
    model = library.model(args.model)
    known = library.models()
    if len(known) > 1:
        heard = next(count for one, count in known if one.key == model.key)
        total = library.facts().tracks
        if heard < total:
            told = f"{heard} of {total} songs were heard by {model.shown}; `earmark scan --rehear` hears the others"
            print(told, file=sys.stderr)
    return model


def above_zero(what: str) -> Callable[[str], int]:
    """A type of argument: a whole number above 0."""

    def parse(text: str) -> int:
        if not text.strip().isdecimal() or int(text) < 1:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what} above 0")
        return int(text)

    return parse


def at_least_none(text: str) -> int:
    """A type of argument: a whole number, 0 too."""
    if not text.strip().isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def name_of(track: LibraryTrack) -> str:
    """A track for people: artist and title, or its path."""
    if track.title:
        return f"{track.artist} - {track.title}" if track.artist else track.title
    return track.path


def song_fields(track: LibraryTrack) -> dict[str, Any]:
    """A track in a record: path (and its bytes, where it is not valid text), artist and title."""
    from earmark.inference.records import path_fields

    return {**path_fields(track.path), "artist": track.artist, "title": track.title}


def valid(path: str) -> str:
    """A path as text that is always valid UTF-8."""
    from earmark.inference.records import path_fields

    return path_fields(path)["path"]
