"""``earmark export``: everything that the library knows, for other programs."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

from earmark.app.export import ExportRequest, Form, as_jams, export
from earmark.app.library import LibraryRequest, look_into_library
from earmark.cli import arguments, drawing, records

HELP = "everything that your library knows, as CSV, JSON or JAMS"

_SUFFIXES = {".csv": "csv", ".json": "json", ".jams": "jams"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    text = "default: by the ending of -o, else json; jams is a file a song: -o is a folder, and a pipe gets one a line"
    parser.add_argument("-f", "--format", choices=("csv", "json", "jams"), help=text)
    parser.add_argument("-o", "--output", metavar="FILE", help="write there (default: standard output)")
    records.add_raw(parser)
    arguments.add_library(parser)
    arguments.defaults(parser, ExportRequest)


def run(args: argparse.Namespace) -> int:
    """Export."""
    from earmark.library.export import MORE

    target = None if args.output in (None, "-") else args.output
    shape = args.format or (_SUFFIXES.get(Path(target).suffix.lower()) if target else None) or "json"
    form: Form = records.json_pieces
    if shape == "csv":
        features = tuple(drawing.follow(look_into_library(arguments.request(args, LibraryRequest))).features)
        form = partial(records.csv_pieces, more=MORE, features=features, raw=args.raw)
    request = arguments.request(args, ExportRequest, output=target, jams=shape == "jams")
    if target is not None:
        found = drawing.follow(export(request, form))
        what = drawing.count_of(found.files, "JAMS file") if request.jams else "written"
        drawing.print_notice(f"{target}: {what}")
        return 0
    with closing(drawing.records(export(request))) as found_records:
        if request.jams:
            sys.stdout.writelines(f"{text}\n" for text in map(as_jams, found_records) if text)
        else:
            sys.stdout.writelines(piece.decode("utf-8") for piece in form(found_records))
    return 0
