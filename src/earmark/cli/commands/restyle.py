"""``earmark restyle``: an experiment, one song in the style of another or of a folder's songs."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from earmark.app.restyle import RestyleRequest, restyle_song
from earmark.cli import arguments, console
from earmark.cli.drawing import count_of, follow

HELP = "an experiment: one song with the sound of another, or of all songs of a folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = f"{HELP}. What the rough result is worth: docs/experiments-restyle.md."
    parser.add_argument("content", metavar="CONTENT", help="the song that is to be kept")
    parser.add_argument("style", metavar="STYLE", help="the song whose style it takes on, or a folder of such")
    parser.add_argument("-o", "--output", metavar="OUT.wav", required=True, help="mono; replaced where it is there")
    text = "of each song, from its middle, at most 60 (default: %(default)g)"
    seconds = arguments.number("a number of seconds above 0, at most 60", 0, 60)
    parser.add_argument("--seconds", metavar="S", type=seconds, help=text)
    text = "of the style against the content: 1 keeps most of the song, 10 little (default: %(default)g)"
    strength = arguments.number("a number above 0, at most 1000", 0, 1000)
    parser.add_argument("--strength", metavar="S", type=strength, help=text)
    text = "take the features of this model's network, or of random filters: random (default: %(default)s)"
    parser.add_argument("-m", "--model", metavar="MODEL", help=text)
    text = "a page with players and pictures of content, style, result, and two plain ways to the same end"
    parser.add_argument("--report", metavar="FOLDER", help=text)
    arguments.add_exclude(parser)
    arguments.add_format(parser)
    arguments.defaults(parser, RestyleRequest)


def run(args: argparse.Namespace) -> int:
    """Restyle."""
    found = follow(restyle_song(arguments.request(args, RestyleRequest)), keeps=True)
    if console.wants_json(args):
        console.print_json(asdict(found))
        return 0
    print(console.plain(f"{found.output}: {found.seconds:.1f} s in the style of {count_of(found.songs, 'song')}"))
    header = ("an experiment: distances", "to the style", "to the content's harmony", "to its onsets")
    console.print_table(header, [(name, *map("{:.3f}".format, one.values())) for name, one in found.distances.items()])
    return 0
