"""``earmark undo``: what ``write-tags`` changed, back as it was, bit for bit."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.cli import console
from earmark.cli.drawing import Stopped
from earmark.cli.outcomes import Teller, files

if TYPE_CHECKING:
    from earmark.events import Event
    from earmark.filetags.journal import Run
    from earmark.filetags.outcomes import Outcome

HELP = "take back what write-tags changed: the last run, or another one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="the run to take back (default: the last one)")
    parser.add_argument("--all", action=argparse.BooleanOptionalAction, default=False, help="take back all runs")
    parser.add_argument(
        "--list", action=argparse.BooleanOptionalAction, default=False, help="only show the runs that there are"
    )
    parser.add_argument("--library", metavar="FILE", help="only runs that wrote from this library")
    console.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Take back."""
    from earmark.filetags.journal import journal_folder, locked

    folder = journal_folder()
    if args.list:
        return _list(args, _read(args, folder)[0])
    if not folder.is_dir():
        return _undo(args, [], [])
    with locked(folder):
        return _undo(args, *_read(args, folder))


def _read(args: argparse.Namespace, folder: Path) -> tuple[list[Run], list[Outcome]]:
    """All runs, the oldest first, or those of one library; and what cannot be read, unless another run is asked for."""
    from earmark.errors import StorageError
    from earmark.filetags.journal import read_run, run_names
    from earmark.filetags.outcomes import Outcome, Refusal

    runs, unread = [], []
    for name in run_names(folder):
        try:
            runs.append(read_run(folder, name))
        except StorageError as error:
            if args.run == name:
                raise
            if args.run is None:
                unread.append(Outcome.skipped(str(folder), Refusal("journal", str(error)), name))
    if args.library is not None:
        wanted = str(Path(args.library).absolute())
        runs = [run for run in runs if run.facts.get("library") == wanted]
    return runs, unread


def _list(args: argparse.Namespace, runs: Sequence[Run]) -> int:
    if console.wants_json(args):
        console.print_json({"runs": [_facts(run) for run in runs]})
        return 0
    rows = [
        (f["run"], str(f["changes"]), str(f["undone"]), f["policy"] or "-", f["library"] or "-")
        for f in map(_facts, runs)
    ]
    console.print_table(("run (UTC)", "files", "undone", "policy", "library"), rows)
    return 0


def _facts(run: Run) -> dict[str, Any]:
    return {
        "run": run.name,
        "changes": len(run.places),
        "undone": len(run.places) - run.left,
        "policy": run.facts.get("policy"),
        "library": run.facts.get("library"),
        "damage": list(run.damage.values()),
    }


def _undo(args: argparse.Namespace, runs: Sequence[Run], unread: Sequence[Outcome]) -> int:
    from earmark.errors import UnknownName

    chosen = list(runs) if args.all else [run for run in runs if not run.closed and (run.left or run.damage)][-1:]
    if args.run is not None:
        chosen = [run for run in runs if run.name == args.run]
        if not chosen:
            raise UnknownName("run", args.run, [run.name for run in runs])
    later = [run for run in runs if chosen and run.name > chosen[-1].name]
    total = len(unread) + sum(run.left + len(run.damage) for run in chosen)
    told = Teller(args, {"run": 15, "is": 24}, _rows, total)
    told.all(_events(unread, chosen, later), lambda: _counted(chosen))
    _tell(told, chosen)
    if told.stopped:
        raise Stopped if told.count["restored"] else KeyboardInterrupt
    return 3 if told.count["skipped"] else 0


def _counted(runs: Sequence[Run]) -> dict[str, Any]:
    return {"runs": [run.name for run in runs], "restored": 0, "untouched": 0, "skipped": 0}


def _events(unread: Sequence[Outcome], chosen: Sequence[Run], later: Sequence[Run]) -> Iterator[Event]:
    from earmark.events import Record
    from earmark.filetags.undo import undo

    yield from map(Record, unread)
    yield from undo(chosen, later)


def _rows(outcome: Outcome) -> list[tuple[str, str]]:
    says = "restored" if outcome.status == "restored" else "as it was: nothing to do"
    return [(outcome.run, says)]


def _tell(told: Teller, runs: Sequence[Run]) -> None:
    count = told.count
    if not count.total():
        print("nothing to undo", file=sys.stderr)
        return
    text = f"restored {files(count['restored'])}"
    if count["untouched"]:
        text += f"; {count['untouched']} were as before"
    print(text, file=sys.stderr)
    told.tell_skipped()
    if count["skipped"] and len(runs) == 1:
        print(f"`earmark undo {runs[0].name}` tries again what was skipped", file=sys.stderr)
