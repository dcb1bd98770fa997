"""``earmark extend``: add classes to a trained model from a few songs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from earmark.app.extend import ExtendRequest, extend
from earmark.cli import arguments, console
from earmark.cli.drawing import follow

if TYPE_CHECKING:
    from earmark.training.extend import Extension

HELP = "add classes to a trained model from 30 to 50 songs each, without the music that it was trained on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", metavar="MODEL", help="a model folder, or a name that `earmark models` lists")
    text = "a data set with labels that the model does not know yet; with --label a folder of songs"
    text += "; may be left out with --from-library"
    parser.add_argument("songs", metavar="DATASET", nargs="?", help=text)
    parser.add_argument("-o", "--output", metavar="MODEL", required=True, help="folder of the new model")
    parser.add_argument("--label", metavar="NAME", help="the class that all songs of the folder belong to")
    parser.add_argument("--head", metavar="HEAD", help="the head that gains the classes")
    parser.add_argument("--test", metavar="DATASET", help="measure before and after on this data set, too")
    text = "of which artists are set aside (default: %(default)s)"
    parser.add_argument("--seed", metavar="N", type=int, help=text)
    arguments.add_from_library(parser)
    arguments.add_exclude(parser, "--exclude-files")
    arguments.add_format(parser)
    arguments.defaults(parser, ExtendRequest)


def run(args: argparse.Namespace) -> int:
    """Add the classes."""
    found = follow(extend(arguments.request(args, ExtendRequest)))
    if console.wants_json(args):
        console.print_json(found.to_dict())
    else:
        _print(found, args.output)
    return 0


def _print(found: Extension, output: str) -> None:
    rows = []
    for where, drift in (("stored", found.stored), ("test", found.test)):
        if drift is not None:
            every = [*drift.classes.items(), *((f"{name} (new)", one) for name, one in drift.new.items())]
            rows += [[where, _share(one.before), _share(one.after), str(one.tracks), name] for name, one in every]
    console.print_table(["measured on", "before", "after", "songs", "class"], rows)
    if found.test is not None:
        print(f"\n{len(found.test.moved)} songs moved")
        if found.test.moved:
            console.print_table(["from", "to", "song"], [[m.before, m.after, m.path] for m in found.test.moved])
    print(f"\nadded {', '.join(found.added)}: {output}")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
