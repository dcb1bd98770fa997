"""What ``write-tags`` and ``undo`` print: a file at a time, so that 500,000 of them need no memory."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from earmark.app.part import encode
from earmark.cli import console
from earmark.cli.drawing import count_of, records

if TYPE_CHECKING:
    from earmark.events import Run
    from earmark.filetags.policy import Outcome

__all__ = ["OutcomePrinter", "Row"]

Row = Callable[["Outcome"], Sequence[Sequence[str]]]
"""The lines of a table for one outcome, without its name."""

_GAP = 2
_NAME = 24  # columns that a file's name gets at least


class OutcomePrinter:
    """Prints outcomes as they come: rows of a table, or the list ``files`` of a JSON object.

    Args:
        args: Says which.
        header: Of the table, with the width of each column; the file's name comes before them and takes what is left.
        row: The other columns.

    Attributes:
        count: Outcomes by status.
        skipped: Skipped files by kind.
        runs: The runs that outcomes name.
        stopped: Whether Ctrl-C ended it.
    """

    def __init__(self, args: argparse.Namespace, header: Mapping[str, int], row: Row) -> None:
        self.count: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.runs: dict[str, None] = {}
        self.stopped = False
        self._json, self._row = console.wants_json(args), row
        self._header, self._widths = tuple(header), tuple(header.values())
        self._name = max(_NAME, console.columns() - sum(self._widths) - _GAP * len(header))

    def all(self, run: Run[Any], facts: Callable[[], Mapping[str, Any]]) -> None:
        """Print all, then ``facts`` with the counts over them; Ctrl-C ends the list properly (``stopped``)."""
        ended = False
        try:
            with closing(records(run)) as found:
                for outcome in found:
                    self._one(outcome)
            ended = True
        except KeyboardInterrupt:
            self.stopped = ended = True
        finally:
            if self._json and (ended or self.count):
                start = "" if self.count else '{"files": ['
                end = json.dumps({**facts(), **self.count}, ensure_ascii=False)
                print(f"{start}\n], {end[1:]}")

    def print_skipped(self) -> None:
        """Say on standard error how many were left as they are, and why."""
        if self.count["skipped"]:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.skipped.items()))
            print(f"skipped {count_of(self.count['skipped'], 'file')}: {kinds}", file=sys.stderr)

    def _one(self, outcome: Outcome) -> None:
        if self._json:
            before = ",\n" if self.count else '{"files": [\n'
            sys.stdout.write(before + encode(outcome.to_dict()).decode().rstrip("\n"))
        else:
            self._rows(outcome)
        sys.stdout.flush()
        self.count[outcome.status] += 1
        if outcome.status == "skipped":
            self.skipped[outcome.kind] += 1
        if outcome.run:
            self.runs[outcome.run] = None

    def _rows(self, outcome: Outcome) -> None:
        style = console.style_of(sys.stdout)
        if outcome.status == "skipped":
            lines: list[tuple[str, ...]] = [(style(console.plain(f"{outcome.kind}: {outcome.message}"), "yellow"),)]
        else:
            lines = [self._cells(row) for row in self._row(outcome)]
        if lines and self._header:
            print(style(self._line("file", self._cells(self._header)), "dim"))
            self._header = ()
        for place, line in enumerate(lines):
            print(self._line("" if place else outcome.path, line))

    def _line(self, name: str, line: Sequence[str]) -> str:
        gap = " " * _GAP
        return gap.join([console.fit(console.plain(name), self._name, keep_end=True), *line]).rstrip()

    def _cells(self, row: Sequence[str]) -> tuple[str, ...]:
        return tuple(console.fit(console.plain(cell), width) for cell, width in zip(row, self._widths, strict=True))
