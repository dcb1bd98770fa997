"""``earmark scan``: folders into the library; again, only what changed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.app.selection import find_models
from earmark.cli import console, shelf
from earmark.cli.drawing import Stopped
from earmark.cli.progress import Progress, duration, rate
from earmark.errors import EarmarkError

if TYPE_CHECKING:
    from earmark.library.records import LibraryModel
    from earmark.library.scan import Scanned
    from earmark.library.store import Library

HELP = "hear folders into your library; again: only what changed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    text = "folders of music (default: all that were scanned before)"
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help=text)
    shelf.add_library(parser, model=False)
    text = "a model folder or a name (default: %(default)s)"
    parser.add_argument("-m", "--model", default="default", metavar="MODEL", help=text)
    text = "files heard at a time (default: all cores)"
    parser.add_argument("-j", "--jobs", type=shelf.above_zero("a whole number"), metavar="N", help=text)
    text = "this layer of the network gives the embeddings, instead of its last"
    parser.add_argument("--layer", metavar="NAME", help=text)
    parser.add_argument("--labels", metavar="FILE", help="your names of labels (TOML, a table a head)")
    text = "hear unchanged songs again too (with a new model)"
    parser.add_argument("--rehear", action=argparse.BooleanOptionalAction, default=False, help=text)
    console.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Scan."""
    from earmark.library.scan import only_one

    model = _model(args)
    with shelf.opened(args, make=True) as library, only_one(library.file):
        done = _scan(args, library, model)
        failures = _tell(args, library, done)
    return 3 if failures else 0


def _model(args: argparse.Namespace) -> LibraryModel:
    from earmark.inference.labels import read_labels
    from earmark.library.records import LibraryModel

    models = find_models(args.model)
    if len(models.folders) > 1:
        raise EarmarkError(f"-m {args.model}: embeddings of several models do not mix; give one")
    card = models.card
    labels = read_labels(Path(args.labels), card) if args.labels else {}
    return LibraryModel.of(models.folders[0], card, args.layer or "", labels)


def _scan(args: argparse.Namespace, library: Library, model: LibraryModel) -> tuple[Scanned, Progress]:
    from earmark.library.scan import Scan

    scan = Scan(library, _roots(args, library), model, rehear=args.rehear)
    progress = Progress(scan.total)
    try:
        for _ in scan.run(args.jobs):
            progress.step()
    except KeyboardInterrupt:
        progress.clear()
        print(f"{scan.done.heard} songs are in the library; scan again to go on", file=sys.stderr)
        if scan.done.heard:
            raise Stopped from None
        raise
    finally:
        progress.clear()
    return scan.done, progress


def _roots(args: argparse.Namespace, library: Library) -> list[str]:
    """The folders asked for, or all known ones that can be seen; a folder that is not there changes nothing."""
    from earmark.library.survey import real_root

    if args.folders:
        return list(dict.fromkeys(map(real_root, args.folders)))
    known = library.roots()
    if not known:
        raise EarmarkError("nothing was scanned before: name a folder, `earmark scan FOLDER`")
    found = [root for root in known if Path(root).exists()]
    for root in known:
        if root not in found:
            print(f"{console.plain(root)}: not there just now; its songs stay as they are", file=sys.stderr)
    if not found:
        raise EarmarkError("none of the scanned folders is there just now; nothing is changed")
    return found


def _tell(args: argparse.Namespace, library: Library, result: tuple[Scanned, Progress]) -> int:
    done, progress = result
    held = library.facts()
    facts: dict[str, Any] = {
        "heard": done.heard,
        "known": done.known,
        "unchanged": done.unchanged,
        "moved": done.moved,
        "vanished": done.vanished,
        "failed": dict(sorted(done.failed.items())),
        "tracks": held.tracks,
        "seconds": round(progress.seconds, 3),
    }
    told = f"heard {done.heard} {'song' if done.heard == 1 else 'songs'} in {duration(progress.seconds)}"
    told += f" ({rate(done.heard, progress.seconds)})" if done.heard else ""
    more = [
        f"{count} {what}"
        for count, what in (
            (done.unchanged, "unchanged"),
            (done.known, "heard before"),
            (done.moved, "moved"),
            (done.vanished, "vanished"),
        )
        if count
    ]
    print("; ".join([told, *more]), file=sys.stderr)
    if done.unplugged:
        told = f"{done.unplugged} songs are on a drive or in a folder that is not to be seen just now; they stay"
        print(told, file=sys.stderr)
    if done.failed:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(done.failed.items()))
        print(f"{done.failed.total()} could not be heard: {kinds}; `earmark library` lists them", file=sys.stderr)
    if console.wants_json(args):
        console.print_json(facts)
    else:
        print(f"{facts['tracks']} songs in {console.plain(str(library.file))}")
    return held.failures
