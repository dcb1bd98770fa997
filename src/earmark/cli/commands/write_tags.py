"""``earmark write-tags``: what the library knows of songs, into their files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from earmark.app.write_tags import WriteTagsRequest, list_runs, write_tags
from earmark.cli import arguments
from earmark.cli.drawing import Stopped, count_of, print_notice
from earmark.cli.outcomes import OutcomePrinter

if TYPE_CHECKING:
    from earmark.events import Run
    from earmark.filetags.policy import Outcome

HELP = "genre, mood, tempo and key into the files, in the fields that players read"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help="files or folders (default: all of the library)")
    text = "fill empty fields, add to what is there, or replace it (default: %(default)s)"
    parser.add_argument("--policy", choices=("empty", "merge", "overwrite"), help=text)
    text = "whose labels are written (default: %(default)s)"
    parser.add_argument("--heads", type=arguments.names, metavar="A,B", help=text)
    text = "of genre, mood, bpm, key, replaygain, energy (default: %(default)s)"
    parser.add_argument("--fields", type=arguments.names, metavar="A,B", help=text)
    text = "the key as Am or as 8A (default: %(default)s)"
    parser.add_argument("--key-notation", choices=("musical", "camelot"), help=text)
    text = "0 to 1; in place of the model's own threshold: 0 writes the best label of every song"
    parser.add_argument("--min-confidence", type=arguments.share, metavar="P", help=text)
    for name, text in (
        ("--comment", 'also write "genre / mood / energy" into the comment, where DJ programs show it'),
        ("--keep-mtime", "keep the files' times of modification; players and backups then see no change"),
        ("--follow-links", "also change files that links out of the scanned folders lead to"),
        ("--dry-run", "do everything but the last step, and show what would change"),
    ):
        parser.add_argument(name, action=arguments.FLAG, help=text)
    parser.add_argument("--labels", metavar="FILE", help="your names of labels (TOML, a table a head)")
    arguments.add_library(parser)
    arguments.add_format(parser)
    arguments.defaults(parser, WriteTagsRequest)


def run(args: argparse.Namespace) -> int:
    """Write them."""
    work = write_tags(arguments.request(args, WriteTagsRequest))
    printer = OutcomePrinter(args, {"field": 21, "before": 18, "after": 24}, _rows)

    def facts() -> dict[str, Any]:
        return {"run": _name(work, printer), "dry_run": args.dry_run, "changed": 0, "unchanged": 0, "skipped": 0}

    printer.all(work, facts)
    changed = printer.count["changed"]
    verb = "would change" if args.dry_run else "changed"
    print_notice(f"{verb} {count_of(changed, 'file')}, {printer.count['unchanged']} had nothing to change")
    printer.print_skipped()
    if changed and not args.dry_run:
        print_notice(f"`earmark undo {_name(work, printer)}` takes it back")
    if printer.stopped:
        raise Stopped if changed and not args.dry_run else KeyboardInterrupt
    return 3 if printer.count["skipped"] else 0


def _name(work: Run[str | None], printer: OutcomePrinter) -> str | None:
    """The run's; that of a stopped one is the last that there is."""
    if not printer.stopped:
        return work.result
    return list_runs().wait()[-1].name if printer.count["changed"] else None


def _rows(outcome: Outcome) -> list[tuple[str, str, str]]:
    """Scores are for programs: they get a row only where nothing else changes."""
    changes = {name: pair for name, pair in outcome.changes.items() if name != "scores"}
    if outcome.changes and not changes:
        return [("scores", "older ones", "new ones")]
    return [(name, _joined(before), _joined(after)) for name, (before, after) in changes.items()]


def _joined(texts: Sequence[str]) -> str:
    return "; ".join(texts) or "-"
