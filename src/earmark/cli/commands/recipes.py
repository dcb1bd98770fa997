"""``earmark recipes``: what there is to train by; ``recipes show NAME`` prints one to start from."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from typing import Any

from earmark.cli import console
from earmark.errors import EarmarkError, MissingExtra, UnknownName

HELP = "list the recipes, or print one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("action", nargs="?", choices=("show",), help="print a recipe's TOML")
    parser.add_argument("name", nargs="?", metavar="NAME", help="a recipe's name, or a file")
    console.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """List them, or print one."""
    if args.action == "show":
        return _show(args.name, args.format)
    from earmark.recipe import list_recipes

    found = [_facts(name) for name in list_recipes()]
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


def _facts(name: str) -> dict[str, Any]:
    from earmark.recipe import load_recipe

    recipe = load_recipe(name)
    return {"name": name, "about": recipe.about, "source": recipe.source, "parameters": _parameters(recipe)}


def _parameters(recipe: Any) -> int | None:
    """Numbers in the weights with one head of ten labels, as ``compare`` counts them; None without PyTorch."""
    if importlib.util.find_spec("torch") is None:
        return None
    from earmark.datasets.core import HeadSpec

    try:
        build = importlib.import_module("earmark.training.backbones").build
        frontend, clip = recipe.frontend, recipe.clip
        frames = frontend.frames(round(clip.seconds * frontend.sample_rate))
        network = build(recipe.backbone.name, frames, frontend.bands, recipe.backbone.options)
        spec = HeadSpec("genre", "multiclass", tuple("0123456789"))
        head = importlib.import_module("earmark.training.heads").build_head(recipe.heads, network.features, spec, 0)
    except (ImportError, MissingExtra, UnknownName):  # unknown: the network of a trained model, whichever it is
        return None
    states = {**network.state_dict(prefix="backbone."), **head.state_dict(prefix="head.")}
    return sum(int(value.numel()) for name, value in states.items() if not name.endswith("num_batches_tracked"))


def _count(parameters: int | None) -> str:
    return "-" if parameters is None else f"{parameters:,}"
