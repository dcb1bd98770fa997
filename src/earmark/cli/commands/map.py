"""``earmark map``: the library as a map, in one page to look at."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from earmark.cli import console, shelf

HELP = "a map of your library, as one page that works offline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    text = "the page (default: %(default)s)"
    parser.add_argument("-o", "--output", metavar="FILE.html", default="map.html", help=text)
    text = "place all songs again, instead of putting new ones in between"
    parser.add_argument("--anew", action=argparse.BooleanOptionalAction, default=False, help=text)
    shelf.add_library(parser)
    console.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Draw it."""
    from earmark.library.cluster import cluster_tracks
    from earmark.library.layout import has_tsne, lay_out
    from earmark.library.map import map_data
    from earmark.pages.map import map_page
    from earmark.storage import write_file

    with shelf.opened(args) as library:
        model = shelf.model_of(args, library)
        layout = lay_out(library, model, anew=args.anew, report=lambda line: print(line, file=sys.stderr))
        cluster_tracks(library, model)  # for their colours
        target = Path(args.output)
        write_file(target, map_page(map_data(library, model, layout)))
    if not has_tsne():
        print("the extra 'map' draws neighbourhoods better: pip install 'earmark[map]'", file=sys.stderr)
    if layout.joined:
        print(
            f"{layout.joined} songs were put in between since the map was made; --anew makes it afresh", file=sys.stderr
        )
    if console.wants_json(args):
        facts = {"file": str(target), "tracks": len(layout.audio), "method": layout.method, "joined": layout.joined}
        console.print_json(facts)
    else:
        print(f"{console.plain(str(target))}: {len(layout.audio)} songs; open it in a browser")
    return 0
