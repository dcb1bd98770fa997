"""``earmark tag``: genre, mood and tags of files and folders."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from earmark.cli import hearing, records
from earmark.cli.part import Part, Record, open_part
from earmark.cli.progress import Progress
from earmark.errors import StorageError
from earmark.inference.options import HearingOptions

HELP = "genre, mood and tags of files and folders"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    hearing.add_hearing(parser)
    text = "default: by the ending of -o, else table on a terminal and jsonl in a pipe"
    parser.add_argument("-f", "--format", choices=records.FORMATS, help=text)
    parser.add_argument("-o", "--output", metavar="FILE", help="write there; run again, it goes on where it stopped")
    parser.add_argument("--labels", metavar="FILE", help="your names of labels (TOML, a table a head)")
    parser.add_argument(
        "--taggram", action=argparse.BooleanOptionalAction, default=False, help="scores over time too (json, jsonl)"
    )


def run(args: argparse.Namespace) -> int:
    """Tag."""
    models = hearing.models_of(args.model)
    options = HearingOptions(excerpt=args.excerpt, taggram=args.taggram, labels=_labels(args.labels, models))
    found = hearing.wanted(args.paths)
    shape = _format(args)
    if args.taggram and shape in ("table", "csv"):
        print("taggrams are in json and jsonl only", file=sys.stderr)
    job = _Job(models, found, options, args.jobs)
    target = None if args.output in (None, "-") else Path(args.output)
    if target is None:
        return job.stream(_to_stdout, shape)
    if target.exists() and not target.is_file() and not target.is_dir():
        return job.stream(_to_device(target), shape)
    return job.write(target, shape)


def _labels(file: str | None, models: hearing.Models) -> Any:
    if file is None:
        return {}
    from earmark.inference.labels import read_labels

    return read_labels(Path(file), models.card)


def _format(args: argparse.Namespace) -> str:
    """The command line before the ending of ``-o``, that before the settings file."""
    by_ending = records.format_of(args.output) if args.output else None
    asked: str | None = args.format
    if asked and not (by_ending and "format" in args.from_file):
        return asked
    if by_ending or args.output:
        return by_ending or "jsonl"
    return "table" if sys.stdout.isatty() else "jsonl"


class _Job:
    """One run: what to hear, how, and what became of it."""

    def __init__(
        self, models: hearing.Models, found: hearing.Wanted, options: HearingOptions, jobs: int | None
    ) -> None:
        self._models, self._found, self._options, self._jobs = models, found, options, jobs
        self._tally = hearing.Tally()
        self._stopped = False

    def stream(self, put: Callable[[Iterable[bytes], Progress], None], shape: str) -> int:
        """Records go out as they come; Ctrl-C ends the format properly."""
        progress = Progress(len(self._found.entries))
        with closing(self._results(0, progress)) as results:
            put(_pieces(self._until_stopped(results), shape), progress)
        return self._end(progress, 0)

    def write(self, target: Path, shape: str) -> int:
        """Records go to a part first, which becomes FILE at the end."""
        paths = [entry.path for entry in self._found.entries]
        part = open_part(target, paths, hearing.settings_of(self._models, self._options))
        try:
            if part.notice:
                print(part.notice, file=sys.stderr)
            progress = Progress(len(paths), part.kept)
            self._fill(part, progress)
            part.finish(None if shape == "jsonl" else lambda file: file.writelines(_pieces(part.records(), shape)))
        finally:
            part.close()
        return self._end(progress, part.kept)

    def _fill(self, part: Part, progress: Progress) -> None:
        for kept in part.records():
            self._tally.add(kept)
        try:
            with closing(self._results(part.kept, progress)) as results:
                for record in results:
                    part.append(record)
        finally:
            progress.clear()

    def _results(self, start: int, progress: Progress) -> Generator[Record]:
        entries = self._found.entries[start:]
        if not entries:
            return
        with closing(hearing.hear(self._models, entries, self._options, self._jobs)) as results:
            for result in results:
                record = result.to_dict()
                self._tally.add(record)
                yield record
                progress.step()

    def _until_stopped(self, results: Iterator[Record]) -> Iterator[Record]:
        try:
            yield from results
        except KeyboardInterrupt:
            self._stopped = True

    def _end(self, progress: Progress, kept: int) -> int:
        progress.clear()
        self._tally.tell("tagged", self._found.others, kept, progress.seconds)
        if self._stopped:
            raise KeyboardInterrupt
        return self._tally.exit_code


def _pieces(found: Iterable[Record], shape: str) -> Iterator[bytes]:
    if shape == "table":
        from earmark.cli.table import table_pieces

        return table_pieces(found, sys.stdout)
    return {"json": records.json_pieces, "jsonl": records.jsonl_pieces, "csv": records.csv_pieces}[shape](found)


def _to_stdout(pieces: Iterable[bytes], progress: Progress) -> None:
    for piece in pieces:
        progress.clear()
        sys.stdout.write(piece.decode("utf-8"))
        sys.stdout.flush()
        progress.draw()


def _to_device(target: Path) -> Callable[[Iterable[bytes], Progress], None]:
    """What is there and no file (``/dev/stdout``, a pipe) is written as it is: it has no part."""

    def put(pieces: Iterable[bytes], progress: Progress) -> None:
        try:
            with target.open("wb", buffering=0) as file:
                for piece in pieces:
                    file.write(piece)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StorageError(f"{target}: cannot write there: {error.strerror}") from error

    return put
