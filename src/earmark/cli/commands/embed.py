"""``earmark embed``: what the network makes of each track before it names anything, as arrays in a file."""

from __future__ import annotations

import argparse

from earmark.app.embed import Embedded, EmbedRequest, embed
from earmark.cli import arguments, console, drawing
from earmark.errors import EarmarkError

HELP = "embeddings of files and folders, as arrays in a .npz file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    arguments.add_files(parser, models="a model folder or a name")
    text = "arrays path (unicode) and embedding (float32); run again, it goes on where it stopped"
    parser.add_argument("-o", "--output", metavar="FILE.npz", required=True, help=text)
    parser.add_argument("--layer", metavar="NAME", help="this layer of the network instead of its last")
    arguments.add_format(parser)
    arguments.defaults(parser, EmbedRequest)


def run(args: argparse.Namespace) -> int:
    """Embed."""
    found = drawing.follow(embed(arguments.request(args, EmbedRequest)), keeps=True)
    _print(args, found)
    drawing.print_summary("embedded", found)
    if not found.tracks:
        raise EarmarkError(f"not one track could be analysed; {args.output} is not written")
    return 3 if found.failures else 0


def _print(args: argparse.Namespace, found: Embedded) -> None:
    if console.wants_json(args):
        file, dimensions = (args.output, found.dimensions) if found.tracks else (None, None)
        console.print_json(
            {"file": file, "tracks": found.tracks, "dimensions": dimensions, "failures": list(found.failures)}
        )
        return
    if found.tracks:
        print(f"{console.plain(args.output)}: {found.tracks} tracks, {found.dimensions} numbers each")
    if found.failures:
        rows = [(one["path"], one["error"]["kind"], one["error"]["message"]) for one in found.failures]
        console.print_table(("not analysed", "kind", "message"), rows)
