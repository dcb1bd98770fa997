"""``earmark audit``: what is wrong with a data set, before anybody learns from it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from earmark.app.audit import AuditRequest, audit
from earmark.cli import arguments, console
from earmark.cli.drawing import follow

if TYPE_CHECKING:
    from earmark.evaluation.audit import Audit

HELP = "duplicates, leaks, suspicious labels and bad files of a data set"

_ROWS = 25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dataset", metavar="DATASET", help="a folder of class folders, or one with dataset.toml")
    text = "whose embeddings the quick model learns from (default: %(default)s)"
    parser.add_argument("-m", "--model", metavar="MODEL", help=text)
    arguments.add_jobs(parser)
    arguments.add_exclude(parser, "--exclude-files")
    arguments.add_format(parser)
    arguments.defaults(parser, AuditRequest)


def run(args: argparse.Namespace) -> int:
    """Look it over."""
    found = follow(audit(arguments.request(args, AuditRequest)))
    if console.wants_json(args):
        console.print_json(found.to_dict())
    else:
        _print(found)
    return 3 if found.failures else 0


def _print(found: Audit) -> None:
    style = console.style_of(sys.stdout)
    tracks, groups = len(found.dataset.tracks), len({track.group for track in found.dataset.tracks})
    kind = found.dataset.group_by
    title = f"{found.dataset.name}: {tracks} tracks" + ("" if kind == "track" else f" of {groups} {kind}s")
    print(style(console.plain(title), "bold"))
    names = [track.name for track in found.dataset.tracks]
    _section("files that cannot be analysed", ("why", "file"), [(f.kind, f.path) for f in found.failures])
    pairs = [(d.kind, f"{d.score:.2f}", names[d.first], names[d.second]) for d in found.duplicates]
    _section("duplicates", ("kind", "score", "one", "other"), pairs)
    torn = [(c.head, *c.labels, names[c.first], names[c.second]) for c in found.conflicts]
    _section("one recording under two labels", ("head", "label", "other", "one", "other"), torn)
    leaks = [
        (" and ".join(leak.parts), " = ".join(names[row] for row in leak.rows) or leak.group) for leak in found.leaks
    ]
    _section("in two parts of the split", ("parts", "what"), leaks)
    issues = [(d.head, d.given, d.predicted, f"{d.confidence:.2f}", names[d.row]) for d in found.label_issues]
    _section("labels that a quick model disagrees with", ("head", "given", "predicted", "confidence", "track"), issues)
    for head, counts in found.balance.items():
        _section(f"balance of {head}", ("tracks", "", "label"), _bars(counts))


def _section(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    style = console.style_of(sys.stdout)
    print(f"\n{style(console.plain(title), 'bold')}: {len(rows) or 'none'}")
    if rows:
        console.print_table(header, rows[:_ROWS])
    if len(rows) > _ROWS:
        print(f"... and {len(rows) - _ROWS} more (-f json has them all)")


def _bars(counts: dict[str, int]) -> list[tuple[str, str, str]]:
    most = max(counts.values(), default=0) or 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(str(count), console.bar(count / most, 20), label) for label, count in ranked]
