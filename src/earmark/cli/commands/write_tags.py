"""``earmark write-tags``: what the library knows of songs, into their files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.app.library import chosen_model, opened
from earmark.audio.files import Entry, walk
from earmark.cli import arguments, console
from earmark.cli.drawing import Stopped, follow
from earmark.cli.outcomes import Teller, files
from earmark.events import Run

if TYPE_CHECKING:
    from earmark.app.tag_source import LibrarySource
    from earmark.filetags.journal import Journal
    from earmark.filetags.outcomes import Outcome
    from earmark.filetags.policy import WriteOptions
    from earmark.filetags.source import Known
    from earmark.filetags.write import Relabel

HELP = "genre and mood into the files, in the fields that players read"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help="files or folders (default: all of the library)")
    parser.add_argument(
        "--policy",
        choices=("empty", "merge", "overwrite"),
        default="empty",
        help="fill empty fields, add to what is there, or replace it (default: %(default)s)",
    )
    parser.add_argument(
        "--heads", default="genre,mood", metavar="A,B", help="whose labels are written (default: %(default)s)"
    )
    parser.add_argument(
        "--min-confidence",
        type=_share,
        metavar="P",
        help="0 to 1; in place of the model's own threshold: 0 writes the best label of every song",
    )
    for name, text in (
        ("--comment", 'also write "genre / mood / energy" into the comment, where DJ programs show it'),
        ("--keep-mtime", "keep the files' times of modification; players and backups then see no change"),
        ("--follow-links", "also change files that links out of the scanned folders lead to"),
    ):
        parser.add_argument(name, action=argparse.BooleanOptionalAction, default=False, help=text)
    parser.add_argument("--labels", metavar="FILE", help="your names of labels (TOML, a table a head)")
    parser.add_argument(
        "--dry-run",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="do everything but the last step, and show what would change",
    )
    arguments.add_library(parser)
    console.add_format(parser)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return share


def run(args: argparse.Namespace) -> int:
    """Write them."""
    from earmark.app.tag_source import LibrarySource
    from earmark.filetags.tagged import need_mutagen

    need_mutagen()
    with opened(args.library) as library:
        source = LibrarySource(library, follow(Run(chosen_model(library, args.model))))
        options, relabel = _options(args, source), _relabel(args.labels, source)
        if args.dry_run:
            return _write(args, source, options, relabel, None)
        return _with_journal(args, source, options, relabel)


def _with_journal(args: argparse.Namespace, source: LibrarySource, options: WriteOptions, relabel: Relabel) -> int:
    from earmark.filetags.journal import Journal, journal_folder, locked

    folder = journal_folder()
    with locked(folder):
        _clear_after_a_kill(folder)
        journal = Journal.new(folder, policy=options.policy, heads=list(options.heads), library=str(source.file))
        try:
            return _write(args, source, options, relabel, journal)
        finally:
            journal.close()


def _options(args: argparse.Namespace, source: LibrarySource) -> WriteOptions:
    from earmark.errors import EarmarkError, UnknownName
    from earmark.filetags.policy import WriteOptions, field_of

    heads = tuple(dict.fromkeys(name.strip() for name in args.heads.split(",") if name.strip()))
    if not heads:
        raise EarmarkError("--heads names no head")
    known = {head.name for head in source.heads}
    for name in heads:
        field_of(name)
    missing = [name for name in heads if name not in known]
    asked = args.heads != "genre,mood"
    if known and missing and (asked or len(missing) == len(heads)):
        raise UnknownName("head", missing[0], known)
    return WriteOptions(
        policy=args.policy,
        heads=heads,
        min_confidence=args.min_confidence,
        comment=args.comment,
        keep_mtime=args.keep_mtime,
        follow_links=args.follow_links,
        roots=(*source.roots, *(path for path in args.paths if Path(path).is_dir())),
    )


def _relabel(file: str | None, source: LibrarySource) -> Relabel:
    if file is None:
        return lambda prediction: prediction
    from earmark.filetags.source import card_of
    from earmark.inference.labels import read_labels, relabel

    card = card_of(source.heads)
    table = read_labels(Path(file), card)
    return lambda prediction: relabel(prediction, card, table)


def _clear_after_a_kill(folder: Path) -> None:
    from earmark.errors import StorageError
    from earmark.filetags.journal import read_run, run_names
    from earmark.filetags.undo import clear_copies

    for name in run_names(folder)[-1:]:
        with suppress(StorageError):  # a newer Earmark's
            clear_copies(read_run(folder, name))


def _write(
    args: argparse.Namespace, source: LibrarySource, options: WriteOptions, relabel: Relabel, journal: Journal | None
) -> int:
    from earmark.errors import EarmarkError
    from earmark.filetags.write import write_tags

    entries = [entry for entry in walk(args.paths) if entry.audio] if args.paths else None
    total = source.total if entries is None else len(entries)
    if not total:
        where = f"no audio file in {', '.join(args.paths[:3])}" if args.paths else "the library holds no songs"
        raise EarmarkError(f"{where}; `earmark scan FOLDER` hears them first")
    told = Teller(args, {"field": 6, "before": 18, "after": 24}, _rows, total)
    events = write_tags(_known(source, entries), options, journal, relabel, total)
    told.all(events, lambda: _facts(journal))
    _tell(told, journal)
    if told.stopped:
        raise Stopped if told.count["changed"] else KeyboardInterrupt
    return 3 if told.count["skipped"] else 0


def _facts(journal: Journal | None) -> dict[str, Any]:
    run = journal.name if journal is not None and journal.begun else None
    return {"run": run, "dry_run": journal is None, "changed": 0, "unchanged": 0, "skipped": 0}


def _known(source: LibrarySource, entries: Sequence[Entry] | None) -> Iterator[Known | Outcome]:
    """What the source says of the files, in their order; those that cannot be opened are told without it."""
    if entries is None:
        yield from source.predictions(None)
        return
    from earmark.filetags.outcomes import Outcome

    known = iter(source.predictions([entry.path for entry in entries if entry.error is None]))
    for entry in entries:
        if entry.error is None:
            yield next(known)
        else:
            yield Outcome(entry.path, "skipped", kind=entry.error.kind, message=entry.error.message)


def _rows(outcome: Outcome) -> list[tuple[str, str, str]]:
    """Scores are for programs: they get a row only where nothing else changes."""
    changes = {name: pair for name, pair in outcome.changes.items() if name != "scores"}
    if outcome.changes and not changes:
        return [("scores", "older ones", "new ones")]
    return [(name, _shown(before), _shown(after)) for name, (before, after) in changes.items()]


def _shown(texts: Sequence[str]) -> str:
    return "; ".join(texts) or "-"


def _tell(told: Teller, journal: Journal | None) -> None:
    verb = "would change" if journal is None else "changed"
    print(f"{verb} {files(told.count['changed'])}, {told.count['unchanged']} had nothing to change", file=sys.stderr)
    told.tell_skipped()
    if journal is not None and told.count["changed"]:
        print(f"`earmark undo {journal.name}` takes it back", file=sys.stderr)
