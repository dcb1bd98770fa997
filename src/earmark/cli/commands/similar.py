"""``earmark similar``: the songs of the library that sound most like one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from earmark.cli import console, shelf
from earmark.errors import EarmarkError

if TYPE_CHECKING:
    from earmark.library.similar import Similar

HELP = "the songs of your library that sound most like one, and why"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("track", metavar="TRACK", help="a song of the library, or any audio file")
    text = "songs wanted (default: %(default)s)"
    parser.add_argument("-n", "--count", type=shelf.above_zero("a whole number"), default=10, metavar="N", help=text)
    text = "at most so many of one artist (default: %(default)s; 0: all)"
    parser.add_argument("--per-artist", type=shelf.at_least_none, default=2, metavar="N", help=text)
    shelf.add_library(parser)
    console.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Search."""
    from earmark.library.similar import Wish, find_seed, similar_to

    with shelf.opened(args, write=False) as library:
        model = shelf.model_of(args, library)
        seed = find_seed(library, model, args.track)
        found = similar_to(library, model, seed, Wish(args.count, args.per_artist or None))
    if not found:
        raise EarmarkError("the library holds no other song to compare it with; `earmark scan FOLDER` adds some")
    if console.wants_json(args):
        console.print_json({"seed": args.track, "tracks": [_fields(one) for one in found]})
        return 0
    rows = [(f"{one.distance:.3f}", shelf.name_of(one.track), _when(one), one.why) for one in found]
    console.print_table(("distance", "song", "alike at", "why"), rows)
    return 0


def _fields(one: Similar) -> dict[str, Any]:
    fields = shelf.song_fields(one.track) | {"distance": one.distance, "why": one.why}
    fields["seconds"] = list(one.seconds) if one.seconds else None
    fields["seed_seconds"] = list(one.seed_seconds) if one.seed_seconds else None
    return fields | {"copies": [shelf.valid(path) for path in one.copies]}


def _when(one: Similar) -> str:
    if one.seconds is None or one.seed_seconds is None:
        return ""
    return f"{_clock(one.seed_seconds)} ~ {_clock(one.seconds)}"


def _clock(bounds: tuple[float, float]) -> str:
    return "-".join(f"{int(second) // 60}:{int(second) % 60:02d}" for second in bounds)
