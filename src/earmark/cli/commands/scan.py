"""``earmark scan``: folders into the library; again, only what changed."""

from __future__ import annotations

import argparse

from earmark.app.scan import ScanRequest, ScanResult, scan
from earmark.cli import arguments, console
from earmark.cli.drawing import count_of, duration, follow, print_notice, rate

HELP = "analyse folders into your library; again: only what changed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    text = "folders of music (default: all that were scanned before)"
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help=text)
    arguments.add_library(parser, model=False)
    text = "a model folder or a name (default: %(default)s)"
    parser.add_argument("-m", "--model", metavar="MODEL", help=text)
    arguments.add_engine(parser)
    text = "this layer of the network gives the embeddings, instead of its last"
    parser.add_argument("--layer", metavar="NAME", help=text)
    parser.add_argument("--labels", metavar="FILE", help="your names of labels (TOML, a table a head)")
    parser.add_argument("--force", action=arguments.FLAG, help="analyse unchanged songs again (with a new model)")
    parser.add_argument("--rehear", action=arguments.Renamed, now="--force")
    arguments.add_features(parser)
    arguments.add_exclude(parser)
    arguments.add_format(parser)
    arguments.defaults(parser, ScanRequest)


def run(args: argparse.Namespace) -> int:
    """Scan."""
    found = follow(scan(arguments.request(args, ScanRequest)), keeps=True)
    _print_summary(found)
    if console.wants_json(args):
        console.print_json(
            {
                "heard": found.analysed,
                "known": found.known,
                "unchanged": found.unchanged,
                "scored": found.scored,
                "moved": found.moved,
                "features": found.measured,
                "vanished": found.vanished,
                "failed": found.failed,
                "tracks": found.tracks,
                "silent": found.silent,
                "seconds": round(found.seconds, 3),
            }
        )
    else:
        print(f"{count_of(found.tracks, 'song')} in {console.plain(str(found.file))}")
    return 3 if found.failures else 0


def _print_summary(found: ScanResult) -> None:
    line = f"analysed {count_of(found.analysed, 'song')} in {duration(found.seconds)}"
    line += f" ({rate(found.analysed, found.seconds)})" if found.analysed else ""
    counts = {
        "unchanged": found.unchanged,
        "known already": found.known,
        "scored by stored embeddings": found.scored,
        "moved": found.moved,
        "vanished": found.vanished,
        "silent in all": found.silent,
    }
    added = [f"features of {count_of(found.measured, 'song')} added"] if found.measured else []
    print_notice("; ".join([line, *added, *(f"{count} {what}" for what, count in counts.items() if count)]))
    if found.unplugged:
        print_notice(f"{found.unplugged} songs are on a drive or in a folder that cannot be seen just now; they stay.")
    if found.failed:
        kinds = ", ".join(f"{count} {kind}" for kind, count in found.failed.items())
        print_notice(f"{sum(found.failed.values())} could not be analysed: {kinds}; `earmark library` lists them")
