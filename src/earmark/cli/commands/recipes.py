"""``earmark recipes``: what there is to train by; ``recipes show NAME`` prints one to start from."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict

from earmark.app.models import list_recipes
from earmark.cli import arguments, console
from earmark.errors import EarmarkError

HELP = "list the recipes, or print one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("action", nargs="?", choices=("show",), help="print a recipe's TOML")
    parser.add_argument("name", nargs="?", metavar="NAME", help="a recipe's name, or a file")
    arguments.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """List them, or print one."""
    if args.action == "show":
        return _show(args.name, args.format)
    found = [asdict(one) for one in list_recipes().wait()]
    if console.wants_json(args):
        console.print_json(found)
        return 0
    rows = [(fact["name"], _count(fact["parameters"]), fact["about"]) for fact in found]
    console.print_table(("name", "parameters", "about"), rows)
    print("\n`earmark recipes show NAME` prints one; `earmark train DATASET -r FILE.toml` takes your own.")
    return 0


def _show(name: str | None, shape: str | None) -> int:
    """As it was written, notes and all: also in a pipe, since the way on is into a file of one's own."""
    if name is None:
        raise EarmarkError("recipes show: which? `earmark recipes` lists them")
    from earmark.recipe import load_recipe, recipe_text

    load_recipe(name)  # says what is wrong with it
    text = recipe_text(name)
    if shape == "json":
        import tomllib

        console.print_json(tomllib.loads(text))
    else:
        sys.stdout.write(text)
    return 0


def _count(parameters: int | None) -> str:
    return "-" if parameters is None else f"{parameters:,}"
