"""``earmark export``: everything that the library knows, for other programs."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from earmark.cli import console, records, shelf
from earmark.errors import StorageError

HELP = "everything that your library knows, as CSV, JSON or JAMS"

_SUFFIXES = {".csv": "csv", ".json": "json", ".jams": "jams"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    text = "default: by the ending of -o, else json; jams is a file a song: -o is a folder, and a pipe gets one a line"
    parser.add_argument("-f", "--format", choices=("csv", "json", "jams"), help=text)
    parser.add_argument("-o", "--output", metavar="FILE", help="write there (default: standard output)")
    shelf.add_library(parser)


def run(args: argparse.Namespace) -> int:
    """Export."""
    from earmark.library.export import MORE, everything

    target = None if args.output in (None, "-") else Path(args.output)
    shape = args.format or (_SUFFIXES.get(target.suffix.lower()) if target else None) or "json"
    with shelf.opened(args, write=False) as library:
        found = everything(library, shelf.model_of(args, library))
        if shape == "jams":
            return _write_jams(found, target)
        pieces = records.csv_pieces(found, MORE) if shape == "csv" else records.json_pieces(found)
        if target is None:
            for piece in pieces:
                sys.stdout.write(piece.decode("utf-8"))
        else:
            from earmark.storage import write_file

            write_file(target, pieces)
            print(f"{console.plain(str(target))}: written", file=sys.stderr)
    return 0


def _write_jams(found: Iterable[dict[str, Any]], target: Path | None) -> int:
    """One JAMS a song that could be heard: a line each, or a file each in a folder."""
    from earmark.library.export import jams
    from earmark.storage import write_file

    pairs = (
        (record["path"], json.dumps(jams(record), ensure_ascii=False)) for record in found if "error" not in record
    )
    if target is None:
        for _, text in pairs:
            sys.stdout.write(text.encode("utf-8", "backslashreplace").decode() + "\n")
        return 0
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{target}: is to be a folder of JAMS files, and cannot be made: {error.strerror}"
        ) from error
    count = 0
    for name, text in _named(pairs):
        write_file(target / name, text + "\n")
        count += 1
    print(f"{console.plain(str(target))}: {count} JAMS files", file=sys.stderr)
    return 0


def _named(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """File names of songs' own, each once."""
    seen: set[str] = set()
    for path, text in pairs:
        stem = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", Path(path).name)[:150]
        name, number = f"{stem}.jams", 1
        while name.casefold() in seen:
            number += 1
            name = f"{stem} ({number}).jams"
        seen.add(name.casefold())
        yield name, text
