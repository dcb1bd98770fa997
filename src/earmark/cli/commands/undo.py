"""``earmark undo``: what ``write-tags`` changed, back as it was, bit for bit."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from earmark.app.write_tags import UndoRequest, list_runs, undo_tags
from earmark.cli import arguments, console
from earmark.cli.drawing import Stopped, count_of, follow, print_notice
from earmark.cli.outcomes import OutcomePrinter

if TYPE_CHECKING:
    from earmark.filetags.policy import Outcome

HELP = "take back what write-tags changed: the last run, one by name, or all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="the run to take back (default: the last one)")
    parser.add_argument("--all", action=arguments.FLAG, help="take back all runs")
    parser.add_argument("--list", action=arguments.FLAG, default=False, help="only show the runs that there are")
    parser.add_argument("--library", metavar="FILE", help="only runs that wrote from this library")
    arguments.add_format(parser)
    arguments.defaults(parser, UndoRequest)


def run(args: argparse.Namespace) -> int:
    """Take back."""
    if args.list:
        _list(args)
        return 0
    work = undo_tags(arguments.request(args, UndoRequest))
    printer = OutcomePrinter(args, {"run": 15, "is": 24}, _rows)

    def names() -> list[str]:
        return list(printer.runs if printer.stopped else work.result)

    printer.all(work, lambda: {"runs": names(), "restored": 0, "untouched": 0, "skipped": 0})
    _print_summary(printer, names())
    if printer.stopped:
        raise Stopped if printer.count["restored"] else KeyboardInterrupt
    return 3 if printer.count["skipped"] else 0


def _list(args: argparse.Namespace) -> None:
    facts: list[dict[str, Any]] = [
        {
            "run": one.name,
            "changes": one.changes,
            "undone": one.undone,
            "policy": one.facts.get("policy"),
            "library": one.facts.get("library"),
            "damage": list(one.damage),
        }
        for one in follow(list_runs(args.library))
    ]
    if console.wants_json(args):
        console.print_json({"runs": facts})
        return
    rows = [(f["run"], str(f["changes"]), str(f["undone"]), f["policy"] or "-", f["library"] or "-") for f in facts]
    console.print_table(("run (UTC)", "files", "undone", "policy", "library"), rows)


def _rows(outcome: Outcome) -> list[tuple[str, str]]:
    return [(outcome.run, "restored" if outcome.status == "restored" else "as it was: nothing to do")]


def _print_summary(printer: OutcomePrinter, names: list[str]) -> None:
    count = printer.count
    if not count.total():
        print_notice("nothing to undo")
        return
    untouched = f"; {count['untouched']} were as before" if count["untouched"] else ""
    print_notice(f"restored {count_of(count['restored'], 'file')}{untouched}")
    printer.print_skipped()
    if count["skipped"] and len(names) == 1:
        print_notice(f"`earmark undo {names[0]}` tries again what was skipped")
