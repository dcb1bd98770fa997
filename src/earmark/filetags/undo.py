"""Taking changes back, bit for bit, by the journals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from earmark.events import Progress, Record, Steps
from earmark.filetags.journal import Change, Journal, Run
from earmark.filetags.policy import Outcome, Refusal
from earmark.filetags.swap import (
    BLOCK,
    copy_beside,
    facts_of,
    hold,
    new_copy,
    put_in_place,
    real_file,
    rebuild,
    refusal_of,
    sha256_of,
)

__all__ = ["clear_copies", "undo"]

_ChangedBy = Callable[[], Mapping[str, str]]  # the later run that changed a file; read from the journals when needed


def undo(runs: Sequence[Run], later: Sequence[Run] = ()) -> Steps[Counter[str]]:
    """Take runs back, the last change first.

    A file is restored only where it is what the run made of it, and put in place only where it then is what it was
    before, both by SHA-256, with its old time of modification. A file that is left as it is spoils nothing: the others
    are restored, and the run counts as taken back.

    Args:
        runs: In the order in which they were made.
        later: Runs after them that stay; they explain why a file is another than expected.

    Yields:
        A Record with an Outcome for each change that was not taken back before, and for each lost line of a journal.

    Returns:
        How many there were of each status.

    Raises:
        StorageError: A journal cannot be written.
    """
    counts = Counter[str]()
    changed_by = cache(lambda: {change.path: run.name for run in later for change in run.changes()})
    total = sum(run.left + len(run.damage) for run in runs)
    for run in reversed(runs):
        clear_copies(run)
        journal = Journal(run.file.parent, run.name)
        try:
            for number, lost in run.damage.items():
                journal.undone(number)
                counts["skipped"] += 1
                yield Record(Outcome.skipped(str(run.file), Refusal("journal", lost), run.name))
            for change in run.changes():
                outcome = _undo_one(run, change, journal, changed_by)
                counts[outcome.status] += 1
                yield Record(outcome)
                yield Progress(counts.total(), total, unit="files")
            if run.places or run.damage:
                journal.closing()
        finally:
            journal.close()
    return counts


def clear_copies(run: Run) -> None:
    """Remove what a killed run left beside files; the caller holds the journals' lock."""
    last = next((change.path for change in run.changes()), "")
    for path in {run.last_copy, last} - {""}:
        with suppress(OSError, ValueError):
            copy_beside(Path(path)).unlink(missing_ok=True)


def _undo_one(run: Run, change: Change, journal: Journal, changed_by: _ChangedBy) -> Outcome:
    try:
        restored = _restore(run, change, changed_by)
    except Refusal as refusal:
        return Outcome.skipped(change.path, refusal, run.name)
    except OSError as error:
        return Outcome.skipped(change.path, refusal_of(error, replacing=True), run.name)
    journal.undone(change.number)
    return Outcome(change.path, "restored" if restored else "untouched", run=run.name)


def _restore(run: Run, change: Change, changed_by: _ChangedBy) -> bool:
    """Whether there was anything to do: a run may have been stopped between its record and its change."""
    real = real_file(change.path)
    facts = facts_of(real)
    with real.open("rb") as current:
        now = sha256_of(iter(lambda: current.read(BLOCK), b""))
    if now == change.before:
        return False
    if now != change.after:
        by = changed_by().get(change.path)
        why = f"by the later run {by}; undo that first" if by else "since, by another program"
        raise Refusal("changed", f"the file was changed {why}")
    copy = copy_beside(real)
    with hold(real) as handle:
        try:
            _rebuilt(run, change, handle, copy)
            put_in_place(copy, handle, real, facts, change.modified)
        finally:
            with suppress(OSError):
                copy.unlink(missing_ok=True)
    return True


def _rebuilt(run: Run, change: Change, handle: BinaryIO, copy: Path) -> None:
    try:
        with new_copy(copy) as target:
            for block in rebuild(handle, run.steps(change)):
                target.write(block)
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal("journal", "the journal's record is damaged") from error
    with copy.open("rb") as made:
        if sha256_of(iter(lambda: made.read(BLOCK), b"")) != change.before:
            raise Refusal("journal", "the journal's record is damaged: it does not give the old file")
