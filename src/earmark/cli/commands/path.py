"""``earmark path``: a walk through the library from one song to another."""

from __future__ import annotations

import argparse
import sys

from earmark.cli import shelf
from earmark.cli.commands import playlist
from earmark.errors import EarmarkError

HELP = "a walk through your library from one song to another, in small steps"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("start", metavar="A", help="the first song: of the library, or any audio file")
    parser.add_argument("end", metavar="B", help="the last song")
    text = "songs in all (default: %(default)s)"
    parser.add_argument("-n", "--count", type=shelf.above_zero("a whole number"), default=10, metavar="N", help=text)
    playlist.add_output(parser)
    shelf.add_library(parser)


def run(args: argparse.Namespace) -> int:
    """Walk."""
    from earmark.library.playlist import walk_between

    if args.count < 2:
        raise EarmarkError("-n 1: a path has at least the two songs that it joins")
    with shelf.opened(args, write=False) as library:
        model = shelf.model_of(args, library)
        tracks = walk_between(library, model, args.start, args.end, args.count)
    if len(tracks) < args.count:
        print(f"only {len(tracks)} songs: the library has no more", file=sys.stderr)
    playlist.put(args, tracks)
    return 0
