"""``earmark models``: the models that there are, by the names that ``-m`` takes."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from earmark.cli import arguments, console
from earmark.errors import MissingExtra, ModelError

HELP = "list the models that there are, or upgrade a model folder of an earlier format"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("action", nargs="?", choices=("upgrade",), help="what to do (default: list)")
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="a model folder, upgraded in its place")
    arguments.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """List them, or upgrade one."""
    if args.action is not None:
        return _upgrade(args.folder)
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


def _upgrade(name: str | None) -> int:
    if name is None:
        raise ModelError("upgrade: name the model folder: earmark models upgrade FOLDER")
    if not all(map(find_spec, ("torch", "onnx", "scipy"))):
        raise MissingExtra("train", "upgrading a model")
    from earmark.models.registry import find_model
    from earmark.models.writer import work_folder
    from earmark.training.upgrade import upgrade_model

    stopped = work_folder(Path(name).absolute()).is_dir()  # a run ended between the old folder and the new one
    folder = Path(name) if stopped else find_model(name)
    card = upgrade_model(folder)
    print(f"{console.plain(str(folder))}: {card.id}, format {card.format}")
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
