"""Verbs are the modules beside this one that say what they are for."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import re
from typing import Protocol, cast

import earmark.cli.commands
from earmark.errors import EarmarkError, UnknownName

__all__ = ["Command", "load", "names", "parse", "top_parser", "verb_parser"]


_GONE = {"distill": "distill is no verb any more: `make model` of a checkout makes the bundled model, by scripts/"}


class Command(Protocol):
    """What a verb's module holds."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verb's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it, and return the exit code."""


def names() -> dict[str, str]:
    """What each verb is for, by name; read from the sources, because importing all of them would be slow."""
    folder = os.path.dirname(earmark.cli.commands.__file__)  # noqa: PTH120 - pathlib takes longer to import
    modules = sorted(file[:-3] for file in os.listdir(folder) if file.endswith(".py"))  # noqa: PTH208
    helps = {name: _help_of(name, os.path.join(folder, f"{name}.py")) for name in modules}  # noqa: PTH118
    return {name.replace("_", "-"): text for name, text in helps.items() if text}


def _help_of(name: str, file: str) -> str | None:
    """A module's ``HELP``; None where it is no verb."""
    with open(file, encoding="utf-8") as source:  # noqa: PTH123
        line = re.search(r"^HELP = (?:\"([^\"\\]*)\"$)?", source.read(), re.MULTILINE)
    if line is None or line[1] is not None:
        return line and line[1]
    return getattr(importlib.import_module(f"earmark.cli.commands.{name}"), "HELP", None)


def load(verb: str) -> Command:
    """The module of a verb.

    Raises:
        SystemExit: 2, no such verb; the message names the nearest.
        EarmarkError: A verb that is gone; the message says what does its work.
    """
    module = f"earmark.cli.commands.{verb.replace('-', '_')}"
    if verb in _GONE:
        raise EarmarkError(_GONE[verb])
    known = verb.replace("-", "_").isidentifier() and "_" not in verb and importlib.util.find_spec(module)
    command = importlib.import_module(module) if known else None
    if not hasattr(command, "HELP"):
        top_parser().error(str(UnknownName("verb", verb, names())))
    return cast(Command, command)


def top_parser() -> argparse.ArgumentParser:
    """The parser of what stands before the verb; the verb's own arguments are left in ``rest``."""
    parser = _Top(prog="earmark", add_help=True, allow_abbrev=False, usage="earmark [-h] [--version] VERB ...")
    parser.description = "Hears your music and tells its genre, mood and tags. Offline, on a CPU."
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    parser.add_argument("--config", metavar="FILE", help="settings; default: earmark.toml in your configuration folder")
    parser.add_argument("verb", nargs="?", metavar="VERB", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def verb_parser(verb: str, command: Command) -> argparse.ArgumentParser:
    """The parser of a verb's arguments."""
    parser = argparse.ArgumentParser(
        prog=f"earmark {verb}", description=command.HELP, allow_abbrev=False, formatter_class=_Formatter
    )
    command.add_arguments(parser)
    parser.add_argument("--config", metavar="FILE", help="settings; default: earmark.toml in your configuration folder")
    return parser


def parse(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    """Read a verb's arguments; an argument that may be left out may stand behind options all the same.

    Python 3.11 takes it for left out as soon as an option stands before it (CPython issue 59317).
    """
    arguments = _with_minus(parser, arguments)
    optional = any(action.nargs == "?" and not action.option_strings for action in parser._actions)
    return parser.parse_intermixed_args(arguments) if optional else parser.parse_args(arguments)


def _with_minus(parser: argparse.ArgumentParser, arguments: list[str]) -> list[str]:
    """Words to search for may begin with a hyphen, for "not": a minus sign instead keeps them from being options."""
    from earmark.cli.arguments import words  # with dataclasses, which take as long as the rest of the help

    takers = [action for action in parser._actions if action.type is words]
    if not takers:
        return arguments
    alone = any(not action.option_strings for action in takers)  # as in `find calm -rock`
    options = {name for action in takers for name in action.option_strings}  # as in `playlist --like -rock`
    like = re.compile(r"-(?!f(?:table|json)$)[^\W\d_]+(?:[^\W\d_]{2}| )")
    return [
        "\u2212" + one[1:] if (alone or before in options) and like.match(one) else one
        for before, one in zip(["", *arguments], arguments, strict=False)
    ]


class _Top(argparse.ArgumentParser):
    """Lists the verbs only when somebody asks: it imports them."""

    def format_help(self) -> str:
        found = names()
        width = max(map(len, found), default=0)
        self.epilog = "\n".join(["verbs:", *(f"  {verb:{width}}  {text}" for verb, text in found.items())])
        self.epilog += "\n\n`earmark VERB -h` tells the rest."
        return super().format_help()


class _Formatter(argparse.HelpFormatter):
    """Shows a list among the defaults as it is typed: with commas."""

    def _expand_help(self, action: argparse.Action) -> str:
        if not isinstance(action.default, tuple):
            return super()._expand_help(action)
        default, action.default = action.default, ",".join(map(str, action.default))
        try:
            return super()._expand_help(action)
        finally:
            action.default = default


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"earmark {earmark.__version__}")
        parser.exit()
