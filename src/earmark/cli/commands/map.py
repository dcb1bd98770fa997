"""``earmark map``: the library as a map, in one page to look at."""

from __future__ import annotations

import argparse

from earmark.app.map import MapRequest, draw_map
from earmark.cli import arguments, console
from earmark.cli.commands.cluster import add_rebuild
from earmark.cli.drawing import count_of, follow

HELP = "a map of your library, as one page that works offline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("-o", "--output", metavar="FILE.html", help="the page (default: %(default)s)")
    add_rebuild(parser, "place all songs again, instead of putting new ones in between")
    arguments.add_library(parser)
    arguments.add_format(parser)
    arguments.defaults(parser, MapRequest)


def run(args: argparse.Namespace) -> int:
    """Draw it."""
    found = follow(draw_map(arguments.request(args, MapRequest)))
    if console.wants_json(args):
        console.print_json(
            {"file": str(found.file), "tracks": found.tracks, "method": found.method, "joined": found.joined}
        )
    else:
        print(f"{console.plain(str(found.file))}: {count_of(found.tracks, 'song')}; open it in a browser")
    return 0
