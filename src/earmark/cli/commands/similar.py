"""``earmark similar``: the songs of the library that sound most like one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from earmark.app.search import SimilarRequest, similar
from earmark.cli import arguments, console
from earmark.cli.drawing import follow
from earmark.cli.records import name_of, song_fields
from earmark.inference.records import path_fields

if TYPE_CHECKING:
    from earmark.library.similar import Similar

HELP = "the songs of your library that sound most like one, and why"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("track", metavar="TRACK", help="a song of the library, or any audio file")
    text = "songs at most (default: %(default)s)"
    parser.add_argument("-n", "--count", type=arguments.above_zero, metavar="N", help=text)
    text = "at most so many of one artist (default: %(default)s; 0: all)"
    parser.add_argument("--per-artist", type=arguments.whole, metavar="N", help=text)
    parser.add_argument("--same-key", action=arguments.FLAG, help="only songs in its key")
    arguments.add_library(parser)
    arguments.add_format(parser)
    arguments.defaults(parser, SimilarRequest)


def run(args: argparse.Namespace) -> int:
    """Search."""
    found = follow(similar(arguments.request(args, SimilarRequest)))
    if console.wants_json(args):
        console.print_json({"seed": args.track, "tracks": [_fields(one) for one in found]})
        return 0
    rows = [(f"{one.distance:.3f}", name_of(one.track), _when(one), one.why) for one in found]
    console.print_table(("distance", "song", "alike at", "why"), rows)
    return 0


def _fields(one: Similar) -> dict[str, Any]:
    fields = song_fields(one.track) | {"distance": one.distance, "why": one.why}
    fields["seconds"] = list(one.seconds) if one.seconds else None
    fields["seed_seconds"] = list(one.seed_seconds) if one.seed_seconds else None
    return fields | {"copies": [path_fields(copy.path)["path"] for copy in one.copies]}


def _when(one: Similar) -> str:
    if one.seconds is None or one.seed_seconds is None:
        return ""
    return f"{_clock(one.seed_seconds)} ~ {_clock(one.seconds)}"


def _clock(bounds: tuple[float, float]) -> str:
    return "-".join(f"{int(second) // 60}:{int(second) % 60:02d}" for second in bounds)
