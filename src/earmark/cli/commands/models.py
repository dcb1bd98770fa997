"""``earmark models``: the models that there are, by the names that ``-m`` takes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from earmark.cli import console
from earmark.errors import ModelError

HELP = "list the models that there are"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    console.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """List them."""
    from earmark.models.registry import list_models
    from earmark.paths import data_folder

    found = [_facts(name, folder) for name, folder in sorted(list_models().items())]
    if console.wants_json(args):
        console.print_json(found)
        return 0
    rows = [(fact["name"], fact.get("model", "-"), f"{fact['megabytes']:.1f} MB", _told(fact)) for fact in found]
    console.print_table(("name", "model", "size", "says"), rows)
    print(f"\nYour own go into {console.plain(str(data_folder() / 'models'))}; -m takes any model folder too.")
    return 0


def _facts(name: str, folder: Path) -> dict[str, Any]:
    from earmark.models.card import read_card

    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    facts: dict[str, Any] = {"name": name, "folder": str(folder), "megabytes": round(size / 1e6, 2)}
    try:
        card = read_card(folder)
    except ModelError as error:
        return facts | {"error": str(error)}
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


def _told(fact: dict[str, Any]) -> str:
    if "error" in fact:
        return f"damaged: {fact['error']}"
    heads = fact["heads"].items()
    told = (f"{name} ({len(head['labels'])})" if head["labels"] else f"{name} (a number)" for name, head in heads)
    return ", ".join(told)
