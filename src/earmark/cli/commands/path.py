"""``earmark path``: a walk through the library from one song to another."""

from __future__ import annotations

import argparse

from earmark.app.search import WalkRequest, walk
from earmark.cli import arguments
from earmark.cli.commands import playlist
from earmark.cli.drawing import follow

HELP = "a walk through your library from one song to another, in small steps"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("start", metavar="A", help="the first song: of the library, or any audio file")
    parser.add_argument("end", metavar="B", help="the last song")
    text = "songs in all (default: %(default)s)"
    parser.add_argument("-n", "--count", type=arguments.above_zero, metavar="N", help=text)
    text = "neighbours in keys that go together, as far as the songs allow"
    parser.add_argument("--key-compatible", action=arguments.FLAG, help=text)
    playlist.add_output(parser)
    arguments.add_library(parser)
    arguments.defaults(parser, WalkRequest)


def run(args: argparse.Namespace) -> int:
    """Walk."""
    tracks = follow(walk(arguments.request(args, WalkRequest)))
    playlist.put(args, tracks)
    return 0
