"""Options that several verbs share, and the way from what was typed to a request of :mod:`earmark.app`."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar, get_args

from earmark.models.device import Device

__all__ = [
    "FLAG",
    "Collect",
    "Renamed",
    "above_zero",
    "add_device",
    "add_engine",
    "add_exclude",
    "add_features",
    "add_files",
    "add_format",
    "add_from_library",
    "add_jobs",
    "add_library",
    "add_seed",
    "defaults",
    "interval",
    "names",
    "number",
    "request",
    "share",
    "tempi",
    "whole",
    "words",
]

R = TypeVar("R")

FLAG = argparse.BooleanOptionalAction


class Collect(argparse.Action):
    """Values that add up, as of ``append``; those of the command line take the place of those of the settings file."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Add what stands behind one option."""
        typed: set[str] = vars(namespace).setdefault("_typed", set())
        before = getattr(namespace, self.dest) if self.dest in typed else ()
        typed.add(self.dest)
        setattr(namespace, self.dest, (*before, *(values if isinstance(values, list) else [values])))


class Renamed(argparse.Action):
    """An option that has another name now: using it is an error that says the new one.

    Args:
        option_strings: The old name.
        dest: Not used.
        now: The new name.
    """

    def __init__(self, option_strings: Sequence[str], dest: str, now: str) -> None:
        super().__init__(
            option_strings, argparse.SUPPRESS, nargs="*", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        self.now = now

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Refuse it."""
        parser.error(f"{self.option_strings[0]} is called {self.now} now")


def defaults(parser: argparse.ArgumentParser, kind: type) -> None:
    """Give every option that is called as a field of a request the default of that field."""
    known = {f.name: f.default for f in dataclasses.fields(kind) if f.default is not dataclasses.MISSING}
    parser.set_defaults(**{action.dest: known[action.dest] for action in parser._actions if action.dest in known})


def request(args: argparse.Namespace, kind: type[R], **more: Any) -> R:
    """The request that was typed: every field as the option of its name, unless ``more`` says otherwise."""
    given = vars(args) | more
    values = {f.name: given[f.name] for f in dataclasses.fields(kind) if f.name in given}  # type: ignore[arg-type]
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def add_files(parser: argparse.ArgumentParser, models: str = "a model folder or a name; A,B is an ensemble") -> None:
    """Declare what to analyse, by which model, and how much of it."""
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="audio files, or folders of them; also s3://BUCKET/FOLDER"
    )
    parser.add_argument("-m", "--model", metavar="MODEL", help=f"{models} (default: %(default)s)")
    add_engine(parser)
    text = "how much of a song is analysed (default: as the model plans)"
    parser.add_argument("--excerpt", type=_excerpt, metavar="SECONDS|whole", help=text)
    add_exclude(parser)


def add_exclude(parser: argparse.ArgumentParser, option: str = "--exclude") -> None:
    """Declare the option that leaves files out: ``--exclude-files`` where ``--exclude`` means a label."""
    text = "leave out files and folders of this name (with *, ? and [...]); may be given again"
    parser.add_argument(option, action=Collect, metavar="PATTERN", help=text)


def add_features(parser: argparse.ArgumentParser) -> None:
    """Declare the options that ask for tempo, key, loudness and further numbers."""
    text = "tempo, key, loudness, and energy, danceability and the like from 0 to 1 too; loudness decodes all of a song"
    parser.add_argument("--features", action=FLAG, help=text)
    text = "these of the features alone, with commas between: tempo,key"
    parser.add_argument("--only-features", type=names, metavar="A,B", help=text)


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """Declare ``-j``."""
    text = "files that are analysed at a time (default: as many as there are cores)"
    parser.add_argument("-j", "--jobs", type=above_zero, metavar="N", help=text)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Declare ``--device``."""
    text = "auto takes a GPU where there is one (default: %(default)s)"
    parser.add_argument("--device", choices=get_args(Device), default="auto", help=text)


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Declare ``-j``, ``--engine``, ``--address`` and ``--device``."""
    add_jobs(parser)
    text = "processes on this machine, or a Ray cluster (default: %(default)s)"
    parser.add_argument("--engine", choices=("local", "ray"), help=text)
    text = (
        "the cluster's head, or auto for the Ray that runs on this machine (default: RAY_ADDRESS, or a Ray of this "
        "machine alone)"
    )
    parser.add_argument("--address", metavar="HOST:PORT", help=text)
    add_device(parser)


def add_library(parser: argparse.ArgumentParser, *, model: bool = True) -> None:
    """Declare ``--library``, and ``-m`` where a verb goes by the results of one model."""
    parser.add_argument("--library", metavar="FILE", help="the library (default: library.db in your data folder)")
    if model:
        text = "use the results of this model (default: the one that analysed most songs)"
        parser.add_argument("-m", "--model", metavar="MODEL", help=text)


def add_format(parser: argparse.ArgumentParser, formats: Sequence[str] = ("table", "json")) -> None:
    """Declare ``-f``."""
    text = "default: a table on a terminal, a machine format in a pipe"
    parser.add_argument("-f", "--format", choices=formats, help=text)


def add_from_library(parser: argparse.ArgumentParser) -> None:
    """Declare ``--from-library`` and ``--library``."""
    text = "learn from your labels of `earmark review`"
    parser.add_argument("--from-library", action="store_true", help=text)
    add_library(parser, model=False)


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Declare ``--seed``."""
    parser.add_argument("--seed", metavar="N", type=int, help="of split, weights and order (default: %(default)s)")


def above_zero(text: str) -> int:
    """A type of argument: a whole number above 0."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def whole(text: str) -> int:
    """A type of argument: a whole number, 0 too."""
    if not text.strip().isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def number(what: str, low: float, high: float = math.inf) -> Callable[[str], float]:
    """A type of argument: a number above ``low``, at most ``high`` and finite; ``what`` names it in the error."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low < value <= high or value == math.inf:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return value

    return parse


def words(text: str) -> str:
    """A type of argument: words to search for, which may begin with a hyphen (:func:`earmark.cli.verbs.parse`)."""
    return text


def share(text: str) -> float:
    """A type of argument: a number from 0 to 1."""
    return number("a number from 0 to 1", -math.ulp(0.0), 1)(text)


def interval(text: str) -> tuple[float | None, float | None]:
    """A type of argument: two numbers from 0 to 1 with a hyphen between, of which one may be missing."""
    return _ends(text, share, 1.0, "two numbers from 0 to 1, as in 0.6-0.9, 0.6- or -0.4")


def tempi(text: str) -> tuple[float | None, float | None]:
    """A type of argument: two numbers of beats a minute, the same way."""
    return _ends(
        text, number("beats a minute", 0), math.inf, "two numbers of beats a minute, as in 118-126, 118- or -90"
    )


def _ends(text: str, kind: Callable[[str], float], most: float, what: str) -> tuple[float | None, float | None]:
    low, hyphen, high = text.partition("-")
    wrong = argparse.ArgumentTypeError(f"{text!r} is not {what}")
    try:
        ends = (kind(low) if low else None, kind(high) if high else None)
    except argparse.ArgumentTypeError:
        raise wrong from None
    if not hyphen or ends == (None, None) or (ends[0] or 0.0) > (most if ends[1] is None else ends[1]):
        raise wrong
    return ends


def names(text: str) -> tuple[str, ...]:
    """A type of argument: names with commas between, each once."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _excerpt(text: str) -> float | Literal["whole"]:
    return "whole" if text == "whole" else number("a number of seconds above 0, or 'whole'", 0)(text)
