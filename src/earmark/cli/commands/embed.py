"""``earmark embed``: what the network makes of each track before it names anything, as arrays in a file."""

from __future__ import annotations

import argparse
import base64
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from earmark.cli import console, hearing
from earmark.cli.part import Part, Record, open_part
from earmark.cli.progress import Progress
from earmark.errors import EarmarkError
from earmark.inference.options import HearingOptions

if TYPE_CHECKING:
    from earmark.inference.records import Failure, Prediction

HELP = "embeddings of files and folders, as arrays in a .npz file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    hearing.add_hearing(parser, models="a model folder or a name")
    parser.add_argument(
        "-o", "--output", metavar="FILE.npz", required=True, help="arrays path (unicode) and embedding (float32)"
    )
    parser.add_argument("--layer", metavar="NAME", help="this layer of the network instead of its last")
    console.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Embed."""
    models = hearing.models_of(args.model)
    if len(models.folders) > 1:
        raise EarmarkError(f"-m {args.model}: embeddings of several models do not mix; give one")
    options = HearingOptions(excerpt=args.excerpt, embedding=True, layer=args.layer)
    found = hearing.wanted(args.paths)
    paths = [entry.path for entry in found.entries]
    part = open_part(Path(args.output), paths, hearing.settings_of(models, options))
    tally = hearing.Tally()
    progress = Progress(len(paths), part.kept)
    try:
        if part.notice:
            print(part.notice, file=sys.stderr)
        with closing(hearing.hear(models, found.entries[part.kept :], options, args.jobs)) as results:
            for result in results:
                part.append(_record(result))
                progress.step()
        progress.clear()
        failures = _count(part, tally)
        dimensions = _finish(part, tally.heard) if tally.heard else None
    finally:
        progress.clear()
        part.close()
    _report(args, tally, dimensions, failures)
    tally.tell("embedded", found.others, part.kept, progress.seconds)
    if dimensions is None:
        raise EarmarkError(f"not one track could be heard; {args.output} is not written")
    return tally.exit_code


def _record(result: Prediction | Failure) -> Record:
    from earmark.inference.records import Failure, path_fields

    if isinstance(result, Failure):
        return result.to_dict()
    assert result.embedding is not None
    vector = result.embedding.astype("<f4").tobytes()
    return {**path_fields(result.path), "embedding": base64.b64encode(vector).decode("ascii")}


def _count(part: Part, tally: hearing.Tally) -> list[Record]:
    """The failures; all are counted."""
    failures: list[Record] = []
    for record in part.records():
        tally.add(record)
        if "error" in record:
            failures.append(record)
    return failures


def _finish(part: Part, tracks: int) -> int:
    """Write the arrays, and return the length of an embedding."""
    import numpy as np

    heard = (record for record in part.records() if "error" not in record)
    paths: list[str] = []
    embedding = np.zeros((tracks, 0), np.float32)
    for row, record in enumerate(heard):
        vector = np.frombuffer(base64.b64decode(record["embedding"]), "<f4")
        if row == 0:
            embedding = np.zeros((tracks, len(vector)), np.float32)
        embedding[row] = vector
        paths.append(record["path"])
    arrays: dict[str, Any] = {"path": np.array(paths, dtype=np.str_), "embedding": embedding}

    def build(file: BinaryIO) -> None:
        np.savez(file, **arrays)

    part.finish(build)
    return int(embedding.shape[1])


def _report(args: argparse.Namespace, tally: hearing.Tally, dimensions: int | None, failures: list[Record]) -> None:
    if console.wants_json(args):
        written = args.output if dimensions else None
        facts = {"file": written, "tracks": tally.heard, "dimensions": dimensions, "failures": failures}
        console.print_json(facts)
        return
    if dimensions:
        print(f"{console.plain(args.output)}: {tally.heard} tracks, {dimensions} numbers each")
    if failures:
        rows = [(failure["path"], failure["error"]["kind"], failure["error"]["message"]) for failure in failures]
        console.print_table(("not heard", "kind", "message"), rows)
