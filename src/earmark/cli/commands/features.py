"""``earmark features``: what a recipe sees of songs, as pictures; and, on demand, how it sounds."""

from __future__ import annotations

import argparse

from earmark.app.features import FeaturesRequest, draw_features
from earmark.cli import arguments, console
from earmark.cli.drawing import count_of, follow
from earmark.errors import EarmarkError

HELP = "write what a recipe sees of each song as a picture, or as sound"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="audio files, or folders of them")
    parser.add_argument("-r", "--recipe", help="a name or a TOML file (default: %(default)s)")
    parser.add_argument("-o", "--output", metavar="FOLDER", required=True, help="gets a PNG a song, as a.mp3.png")
    parser.add_argument(
        "--augment", metavar="A,B", action=arguments.Collect, help="change every song by these, one after the other"
    )
    parser.add_argument("--seed", metavar="N", type=int, help="of the changes (default: %(default)s)")
    text = "a WAV beside each picture: the changed sound itself, or sound made from the picture"
    parser.add_argument("--audio", action="store_true", help=text)
    text = "a picture of each of the recipe's clips, as a.mp3/000.png (slices-best: 128 x 128), in place of one a song"
    parser.add_argument("--slices", action="store_true", help=text)
    arguments.add_jobs(parser)
    arguments.add_exclude(parser)
    arguments.add_format(parser)
    arguments.defaults(parser, FeaturesRequest)


def run(args: argparse.Namespace) -> int:
    """Write pictures, and sound."""
    found = follow(draw_features(arguments.request(args, FeaturesRequest)))
    failures = [failure.to_dict() for failure in found.failures]
    if console.wants_json(args):
        page = {} if found.page is None else {"page": found.page}
        console.print_json({"files": found.files, "failures": failures, **page})
    else:
        print(f"{console.plain(args.output)}: {count_of(len(found.files), 'file')}")
        if failures:
            rows = [(failure.path, failure.kind, failure.message) for failure in found.failures]
            console.print_table(("not drawn", "kind", "message"), rows)
    if not found.files:
        raise EarmarkError("not one song could be drawn")
    return 3 if failures else 0
