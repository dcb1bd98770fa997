"""Write what the library knows into files' tags, and take it back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.app.library import LibraryRequest, chosen_model, opened
from earmark.app.selection import EngineOptions, find_files, opened_engine
from earmark.errors import EarmarkError, StorageError, UnknownName
from earmark.events import Notice, Record, Steps, use_case

if TYPE_CHECKING:
    from earmark.app.tag_source import LibrarySource
    from earmark.audio.files import Entry
    from earmark.filetags.journal import Journal, Run
    from earmark.filetags.policy import FilePrediction, KeyNotation, Outcome, Policy, WriteOptions
    from earmark.inference.records import Prediction
    from earmark.models.card import HeadCard

__all__ = ["TagRun", "UndoRequest", "WriteTagsRequest", "list_runs", "undo_tags", "write_tags"]


@dataclass(frozen=True, kw_only=True)
class WriteTagsRequest(LibraryRequest):
    """What to write, and where.

    Attributes:
        paths: Files and folders; all of the library where there are none.
        policy: ``empty`` fills empty fields, ``merge`` adds to what is there, ``overwrite`` replaces it.
        heads: Whose labels are written.
        fields: What is written: ``genre`` and ``mood`` (labels of ``heads``), ``bpm``, ``key``, ``replaygain``,
            ``energy`` (in the comment).
        key_notation: ``musical`` (Am) or ``camelot`` (8A).
        min_confidence: In place of the model's own thresholds: 0 writes the best label of every song. Also the least
            confidence of tempo and key.
        labels: A file with the user's own names of labels.
        comment: Also write "genre / mood / energy" into the comment.
        keep_mtime: Keep the files' times of modification.
        follow_links: Also change files that links out of the scanned folders lead to.
        dry_run: Do everything but the last step.
    """

    paths: tuple[str, ...] = ()
    policy: Policy = "empty"
    heads: tuple[str, ...] = ("genre", "mood")
    fields: tuple[str, ...] = ("genre", "mood")
    key_notation: KeyNotation = "musical"
    min_confidence: float | None = None
    labels: str | None = None
    comment: bool = False
    keep_mtime: bool = False
    follow_links: bool = False
    dry_run: bool = False


@dataclass(frozen=True, kw_only=True)
class UndoRequest:
    """What to take back.

    Attributes:
        run: This run; the last one that is not taken back yet where None.
        all: Every run.
        library: Only runs that wrote from this library.
    """

    run: str | None = None
    all: bool = False
    library: str | None = None


@dataclass(frozen=True)
class TagRun:
    """A run of ``write-tags`` as its journal tells it.

    Attributes:
        name: Its time (UTC).
        changes: Files that it changed.
        undone: How many of them are as they were again.
        facts: Library, policy and the like.
        damage: What cannot be read of the journal.
    """

    name: str
    changes: int
    undone: int
    facts: Mapping[str, Any]
    damage: tuple[str, ...]


@use_case
def write_tags(request: WriteTagsRequest) -> Steps[str | None]:
    """Write; returns the run's name, None where nothing was changed.

    Yields:
        An :class:`earmark.filetags.policy.Outcome` a file.

    Raises:
        EarmarkError: mutagen is not installed, a head has no field, there is no such field, or nothing to write.
    """
    from earmark.app.tag_source import LibrarySource
    from earmark.filetags.journal import Journal, journal_folder, locked
    from earmark.filetags.tagged import need_mutagen
    from earmark.filetags.write import write_tags as write

    need_mutagen()
    with ExitStack() as stack:
        library = stack.enter_context(opened(request.library))
        source = LibrarySource(library, (yield from chosen_model(library, request.model)))
        options, relabel = _options(request, source), _relabel(request.labels, source)
        entries = find_files(request.paths).entries if request.paths else None
        total = source.total if entries is None else len(entries)
        if not total:
            raise EarmarkError("the library holds no songs; `earmark scan FOLDER` adds some")
        journal: Journal | None = None
        if not request.dry_run:
            folder = journal_folder()
            stack.enter_context(locked(folder))
            _clear_after_a_kill(folder)
            facts = {name: getattr(options, name) for name in ("policy", "heads", "fields")}
            facts["library"] = str(source.file)
            journal = stack.enter_context(closing(Journal.new(folder, **facts)))
        engine = stack.enter_context(opened_engine(None, EngineOptions(jobs=1)))
        lacking = Counter[str]()
        known = _counted(_known(source, entries), options.fields, lacking)
        yield from write(known, options, journal, relabel, total, engine)
        if lacking:
            songs = f"{max(lacking.values()):,} of {total:,} files"
            yield Notice(f"the library has no {' or '.join(lacking)} for {songs}; `earmark scan --features` adds it")
        return journal.name if journal is not None and journal.begun else None


@use_case
def undo_tags(request: UndoRequest) -> Steps[tuple[str, ...]]:
    """Take back what runs changed, bit for bit; returns the names of the runs.

    Yields:
        An :class:`earmark.filetags.policy.Outcome` a file.

    Raises:
        UnknownName: There is no such run.
    """
    from earmark.filetags.journal import journal_folder, locked
    from earmark.filetags.undo import undo

    folder = journal_folder()
    if not folder.is_dir():
        if request.run is not None:
            raise UnknownName("run", request.run, ())
        return ()
    with locked(folder):
        runs, unread = _read(request, folder)
        mine = _of_library(runs, request.library)
        chosen = mine if request.all else [run for run in mine if not run.closed and (run.left or run.damage)][-1:]
        if request.run is not None:
            chosen = [run for run in mine if run.name == request.run]
            if not chosen:
                raise UnknownName("run", request.run, [run.name for run in mine])
        later = [run for run in runs if chosen and run.name > chosen[-1].name]
        yield from map(Record, unread)
        yield from undo(chosen, later)
        return tuple(run.name for run in chosen)


@use_case
def list_runs(library: str | None = None) -> Steps[tuple[TagRun, ...]]:
    """All runs that there are journals of, the oldest first."""
    from earmark.filetags.journal import journal_folder

    yield from ()
    runs, _ = _read(UndoRequest(), journal_folder())
    return tuple(
        TagRun(run.name, len(run.places), len(run.places) - run.left, run.facts, tuple(run.damage.values()))
        for run in _of_library(runs, library)
    )


def _options(request: WriteTagsRequest, source: LibrarySource) -> WriteOptions:
    from earmark.filetags.policy import NEEDS, WriteOptions, field_of

    if not request.heads:
        raise EarmarkError("--heads names no head")
    if not request.fields:
        raise EarmarkError("--fields names no field")
    for name in request.fields:
        if name not in NEEDS:
            raise UnknownName("field", name, NEEDS)
    known = {head.name for head in source.heads}
    needed = [name for name in request.heads if field_of(name) in request.fields]
    missing = [name for name in needed if name not in known]
    asked = request.heads != WriteTagsRequest.heads
    if known and missing and (asked or len(missing) == len(needed)):
        raise UnknownName("head", missing[0], known)
    return WriteOptions(
        policy=request.policy,
        heads=request.heads,
        fields=request.fields,
        key_notation=request.key_notation,
        min_confidence=request.min_confidence,
        trees=_trees(request.labels, source),
        comment=request.comment,
        keep_mtime=request.keep_mtime,
        follow_links=request.follow_links,
        roots=(*source.roots, *(path for path in request.paths if Path(path).is_dir())),
    )


def _trees(file: str | None, source: LibrarySource) -> dict[str, HeadCard]:
    """Heads with a tree, in the user's names."""
    from earmark.filetags.policy import card_of
    from earmark.inference.labels import read_labels, renamed

    table = {} if file is None else read_labels(Path(file), card_of(source.heads))
    return {head.name: renamed(head, table.get(head.name, {})) for head in source.heads if head.parents}


def _relabel(file: str | None, source: LibrarySource) -> Callable[[Prediction], Prediction]:
    if file is None:
        return lambda prediction: prediction
    from earmark.filetags.policy import card_of
    from earmark.inference.labels import read_labels, relabel

    card = card_of(source.heads)
    table = read_labels(Path(file), card)
    return lambda prediction: relabel(prediction, card, table)


def _clear_after_a_kill(folder: Path) -> None:
    from earmark.filetags.journal import read_run, run_names
    from earmark.filetags.undo import clear_copies

    for name in run_names(folder)[-1:]:
        with suppress(StorageError):  # a newer Earmark's
            clear_copies(read_run(folder, name))


def _known(source: LibrarySource, entries: Sequence[Entry] | None) -> Iterator[FilePrediction | Outcome]:
    """What the source knows of the files, in their order; those that cannot be opened pass without it."""
    from earmark.filetags.policy import Outcome

    if entries is None:
        yield from source.predictions(None)
        return
    known = iter(source.predictions([entry.path for entry in entries if entry.error is None]))
    for entry in entries:
        if entry.error is None:
            yield next(known)
        else:
            yield Outcome(entry.path, "skipped", kind=entry.error.kind, message=entry.error.message)


def _counted(
    known: Iterable[FilePrediction | Outcome], fields: Sequence[str], lacking: Counter[str]
) -> Iterator[FilePrediction | Outcome]:
    """The same; counts the songs that lack a feature that shall be written."""
    from earmark.filetags.policy import NEEDS, FilePrediction

    measured = [feature for name in fields if (feature := NEEDS[name]) and feature != "energy"]  # which a head gives
    for one in known:
        if isinstance(one, FilePrediction):
            lacking.update(feature for feature in measured if feature not in one.prediction.features)
        yield one


def _read(request: UndoRequest, folder: Path) -> tuple[list[Run], list[Outcome]]:
    """All runs, the oldest first; and what cannot be read, unless one run is asked for."""
    from earmark.filetags.journal import read_run, run_names
    from earmark.filetags.policy import Outcome, Refusal

    runs, unread = [], []
    for name in run_names(folder):
        try:
            runs.append(read_run(folder, name))
        except StorageError as error:
            if request.run == name:
                raise
            if request.run is None:
                unread.append(Outcome.skipped(str(folder), Refusal("journal", str(error)), name))
    return runs, unread


def _of_library(runs: list[Run], library: str | None) -> list[Run]:
    """Those that wrote from one library; all where None."""
    file = None if library is None else str(Path(library).absolute())
    return [run for run in runs if file in (None, run.facts.get("library"))]
