"""``earmark config``: what holds for every verb, and where it came from."""

from __future__ import annotations

import argparse
from typing import Any

from earmark.cli import arguments, console, settings, verbs
from earmark.cli.arguments import Renamed
from earmark.errors import UnknownName

HELP = "print the settings that hold, and where each came from"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("verb", nargs="?", metavar="VERB", help="of this verb alone")
    arguments.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Print them."""
    file = settings.read(args.config)
    known = verbs.names()
    if args.verb is not None and args.verb not in known:
        raise UnknownName("verb", args.verb, known)
    held = {name: _held(name, file) for name in known if args.verb in (None, name)}
    if console.wants_json(args):
        console.print_json({"file": str(file.path), "found": file.found, "verbs": held})
        return 0
    print(f"settings: {console.plain(str(file.path))}{'' if file.found else ' (there is none)'}\n")
    rows = [
        (verb, f"--{option}", _shown(fact["value"]), fact["from"])
        for verb, facts in held.items()
        for option, fact in facts.items()
    ]
    console.print_table(("verb", "option", "value", "from"), rows)
    return 0


def _held(verb: str, file: settings.SettingsFile) -> dict[str, dict[str, Any]]:
    parser = verbs.verb_parser(verb, verbs.load(verb))
    came_from = settings.apply(parser, verb, file)
    return {
        option: {"value": parser.get_default(action.dest), "from": came_from.get(option, "default")}
        for option, action in settings.options(parser).items()
        if not isinstance(action, Renamed)
    }


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
