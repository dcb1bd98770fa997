"""``earmark find``: search the library in words."""

from __future__ import annotations

import argparse

from earmark.app.search import FindRequest, find
from earmark.cli import arguments, console
from earmark.cli.drawing import follow
from earmark.cli.records import name_of, song_fields
from earmark.errors import EarmarkError

HELP = "search your library in words: artist, title, album, and how it sounds"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    text = 'for instance "calm piano, female voice, not classical"; quotation marks inside hold a name together'
    parser.add_argument("words", nargs="+", type=arguments.words, metavar="WORDS", help=text)
    text = "songs at most (default: %(default)s)"
    parser.add_argument("-n", "--count", type=arguments.above_zero, metavar="N", help=text)
    arguments.add_library(parser)
    arguments.add_format(parser)
    arguments.defaults(parser, FindRequest)


def run(args: argparse.Namespace) -> int:
    """Search."""
    found = follow(find(arguments.request(args, FindRequest, words=" ".join(args.words))))
    query = found.query
    if console.wants_json(args):
        console.print_json(
            {
                "understood": list(dict.fromkeys(map(str, query.terms))),
                "read_as": {term.typed: term.read_as for term in query.terms if term.read_as},
                "unknown": [one.typed for one in query.unknown],
                "nearest": {one.typed: list(one.nearest) for one in query.unknown if one.nearest},
                "tracks": [song_fields(one.track) | {"score": one.score, "why": one.why} for one in found.hits],
            }
        )
    elif found.hits:
        console.print_table(
            ("score", "song", "why"), [(f"{one.score:.3f}", name_of(one.track), one.why) for one in found.hits]
        )
    if found.remedy:
        raise EarmarkError(found.remedy)
    return 0 if found.hits else 1
