"""``earmark tag``: genre, mood and tags of files and folders."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from earmark.app.analyse import AnalyseRequest, Form, analyse
from earmark.cli import arguments, drawing, records
from earmark.errors import StorageError

HELP = "genre, mood and tags of files and folders"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    arguments.add_files(parser)
    text = "default: by the ending of -o, else table on a terminal and jsonl in a pipe"
    parser.add_argument("-f", "--format", choices=records.FORMATS, help=text)
    text = (
        "write there; run again, it goes on where it stopped; FOLDER.parquet and s3://BUCKET/FOLDER are Parquet data "
        "sets (extra ray)"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help=text)
    parser.add_argument("--labels", metavar="FILE", help="your names of labels (TOML, a table a head)")
    parser.add_argument("--taggram", action=arguments.FLAG, help="scores over time too (json, jsonl)")
    text = "the reason for each label: the seconds that speak most for it, and the nearest songs it was learned from"
    parser.add_argument("--why", action=arguments.FLAG, help=text)
    arguments.add_features(parser)
    records.add_raw(parser)
    arguments.defaults(parser, AnalyseRequest)


def run(args: argparse.Namespace) -> int:
    """Tag."""
    shape = _format(args)
    if args.taggram and shape in ("table", "csv"):
        drawing.print_notice("Taggrams are in json and jsonl only.")
    if args.why and shape == "csv":
        drawing.print_notice("Reasons are in the table, json and jsonl only.")
    target = None if args.output in (None, "-") else Path(args.output)
    form = _form(shape, raw=args.raw)
    if target is None or (target.exists() and not target.is_file() and not target.is_dir()):
        work = analyse(arguments.request(args, AnalyseRequest, output=None))
        with closing(drawing.records(work)) as found:
            _stream(target, form, found)
        result = work.result
    else:
        result = drawing.follow(analyse(arguments.request(args, AnalyseRequest), form), keeps=True)
    drawing.print_summary("tagged", result)
    return 3 if result.failed else 0


def _format(args: argparse.Namespace) -> str:
    """The command line before the ending of ``-o``, that before the settings file."""
    by_ending = records.format_of(args.output) if args.output else None
    asked: str | None = args.format
    if asked and not (by_ending and "format" in args.from_file):
        return asked
    if by_ending or args.output:
        return by_ending or "jsonl"
    return "table" if sys.stdout.isatty() else "jsonl"


def _form(shape: str, *, raw: bool) -> Form:
    if shape == "table":
        from earmark.cli.table import table_pieces

        return partial(table_pieces, stream=sys.stdout)
    if shape == "csv":
        return partial(records.csv_pieces, raw=raw)
    return records.json_pieces if shape == "json" else records.jsonl_pieces


def _stream(target: Path | None, form: Form, found: Generator[Any]) -> None:
    """Records go out as they come: to standard output, or to a device or a pipe, which has no part.

    Ctrl-C ends the format properly.
    """
    stopped: list[KeyboardInterrupt] = []

    def until_stopped() -> Iterator[Any]:
        try:
            yield from found
        except KeyboardInterrupt as stop:
            stopped.append(stop)

    if target is None:
        for piece in form(until_stopped()):
            sys.stdout.write(piece.decode("utf-8"))
            sys.stdout.flush()
    else:
        try:
            with target.open("wb", buffering=0) as file:
                for piece in form(until_stopped()):
                    file.write(piece)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StorageError(f"{target}: cannot write there: {error.strerror}") from error
    if stopped:
        raise stopped[0]
