"""``earmark library``: what the library holds, and which files failed."""

from __future__ import annotations

import argparse

from earmark.app.library import LibraryRequest, look_into_library
from earmark.cli import arguments, console
from earmark.cli.drawing import count_of, duration, follow
from earmark.inference.records import path_fields

HELP = "what your library holds, and which files could not be analysed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    arguments.add_library(parser, model=False)
    arguments.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Print it."""
    found = follow(look_into_library(arguments.request(args, LibraryRequest)))
    failures = [
        {**path_fields(track.path), "error": {"kind": track.error, "message": track.message}}
        for track in found.failures
    ]
    if console.wants_json(args):
        console.print_json(
            {
                "tracks": found.tracks,
                "seconds": round(found.seconds, 3),
                "vanished": found.vanished,
                "copies": found.copies,
                "silent": found.silent,
                "models": found.models,
                "features": found.features,
                "folders": found.folders,
                "failures": failures,
            }
        )
        return 0
    counts = {"vanished": found.vanished, "silent": found.silent}
    gone = "".join(f", {count} {what}" for what, count in counts.items() if count)
    there = f"{count_of(found.tracks, 'song')}, {duration(found.seconds)} of music{gone}"
    print(f"{console.plain(str(found.file))}: {there}")
    for name, count in found.models.items():
        print(f"analysed by {console.plain(name)}: {count}")
    if found.features:
        print(f"songs with features: {', '.join(f'{name} {count}' for name, count in found.features.items())}")
    for folder in found.folders:
        print(f"folder: {console.plain(folder)}")
    if found.failures:
        rows = [(track.path, track.error or "", track.message) for track in found.failures]
        console.print_table(("not analysed", "kind", "message"), rows)
    return 0
