"""``earmark library``: what the library holds, and which files failed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from earmark.cli import console, shelf
from earmark.cli.progress import duration

if TYPE_CHECKING:
    from earmark.library.store import Library

HELP = "what your library holds, and which files could not be heard"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    shelf.add_library(parser, model=False)
    console.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Print it."""
    with shelf.opened(args, write=False) as library:
        facts = _facts(library)
        file = library.file
    if console.wants_json(args):
        console.print_json(facts)
        return 0
    there = f"{facts['tracks']} songs, {duration(facts['seconds'])} of music"
    gone = "".join(f", {facts[what]} {what}" for what in ("vanished", "silent") if facts[what])
    print(f"{console.plain(str(file))}: {there}{gone}")
    for name, heard in facts["models"].items():
        print(f"heard by {console.plain(name)}: {heard}")
    for folder in facts["folders"]:
        print(f"folder: {console.plain(folder)}")
    if facts["failures"]:
        rows = [(one["path"], one["error"]["kind"], one["error"]["message"]) for one in facts["failures"]]
        console.print_table(("not heard", "kind", "message"), rows)
    return 0


def _facts(library: Library) -> dict[str, Any]:
    from earmark.inference.records import path_fields

    held = library.facts()
    models: dict[str, int] = {}
    for model, count in library.models():
        name = model.shown if model.shown not in models else f"{model.shown} {model.digest[:6]}"
        models[name] = count
    return {
        "tracks": held.tracks,
        "seconds": round(held.seconds, 3),
        "vanished": held.vanished,
        "copies": held.copies,
        "silent": held.silent,
        "models": models,
        "folders": library.roots(),
        "failures": [
            {**path_fields(track.path), "error": {"kind": track.error, "message": track.message}}
            for track in library.failures()
        ],
    }
