"""``earmark models``: the models that there are, by the names that ``-m`` takes."""

from __future__ import annotations

import argparse
from typing import Any

from earmark.app.models import KnownModel, list_models, upgrade_model
from earmark.cli import arguments, console
from earmark.cli.drawing import follow
from earmark.errors import ModelError

HELP = "list the models that there are, or upgrade a model folder of an earlier format"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("action", nargs="?", choices=("upgrade",), help="what to do (default: list)")
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="a model folder, upgraded in its place")
    arguments.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """List them, or upgrade one."""
    if args.action is not None:
        if args.folder is None:
            raise ModelError("upgrade: name the model folder: earmark models upgrade FOLDER")
        folder, card = follow(upgrade_model(args.folder))
        print(f"{console.plain(str(folder))}: {card.id}, format {card.format}")
        return 0
    from earmark.paths import data_folder

    found = [_facts(model) for model in follow(list_models())]
    if console.wants_json(args):
        console.print_json(found)
        return 0
    rows = [
        (fact["name"], fact.get("model", "-"), f"{fact['megabytes']:.1f} MB", _heads_in_words(fact)) for fact in found
    ]
    console.print_table(("name", "model", "size", "heads"), rows)
    print(f"\nYour own go into {console.plain(str(data_folder() / 'models'))}; -m takes any model folder too.")
    return 0


def _facts(model: KnownModel) -> dict[str, Any]:
    facts = {"name": model.name, "folder": str(model.folder), "megabytes": round(model.bytes / 1e6, 2)}
    card = model.card
    if card is None:
        return facts | {"error": model.error}
    return facts | {
        "model": card.id,
        "backbone": card.backbone,
        "embedding": card.embedding,
        "heads": {head.name: {"task": head.task, "labels": list(head.labels)} for head in card.heads},
        "data": list(card.data),
        "scores": dict(card.scores),
        "licence": card.licence,
        "notes": list(card.notes),
    }


def _heads_in_words(fact: dict[str, Any]) -> str:
    if "error" in fact:
        return f"damaged: {fact['error']}"
    heads = fact["heads"].items()
    words = (f"{name} ({len(head['labels'])})" if head["labels"] else f"{name} (a number)" for name, head in heads)
    return ", ".join(words)
