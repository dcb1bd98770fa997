"""Taking changes back, bit for bit, by the journals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from earmark.filetags.journal import Change, Journal, Run, steps_of
from earmark.filetags.outcomes import Outcome, Refusal
from earmark.filetags.ranges import BLOCK, Step, rebuild, sha256_of
from earmark.filetags.swap import copy_beside, facts_of, hold, new_copy, put_in_place, real_file, refusal_of

__all__ = ["clear_copies", "undo"]


def undo(runs: Sequence[Run], later: Sequence[Run] = ()) -> Iterator[Outcome]:
    """Take runs back, the last change first.

    A file is restored only where it is what the run made of it, and put in place only where it then is what it was
    before, both by SHA-256.

    Args:
        runs: In the order in which they were made.
        later: Runs after them that stay; they explain why a file is another than expected.

    Yields:
        One Outcome a change that was not taken back before; and one for each lost line of a journal.

    Raises:
        StorageError: A journal cannot be written.
    """
    blocking = {change.path: run.name for run in later for change in run.left}
    for run in reversed(runs):
        clear_copies(run)
        journal = Journal(run.file.parent, run.name)
        try:
            for number, told in run.damage.items():
                yield Outcome.skipped(str(run.file), Refusal("journal", told), run.name)
                journal.undone(number)
            for change in reversed(run.left):
                yield _undo_one(run, change, journal, blocking.get(change.path, ""))
        finally:
            journal.close()


def clear_copies(run: Run) -> None:
    """Remove what a killed run left beside files; the caller holds the journals' lock."""
    for path in {*run.copying[-1:], *(change.path for change in run.left[-1:])}:
        with suppress(OSError, ValueError):
            copy_beside(Path(path)).unlink(missing_ok=True)


def _undo_one(run: Run, change: Change, journal: Journal, later: str) -> Outcome:
    try:
        restored = _restore(run, change, later)
    except Refusal as refusal:
        return Outcome.skipped(change.path, refusal, run.name)
    except OSError as error:
        return Outcome.skipped(change.path, refusal_of(error, replacing=True), run.name)
    journal.undone(change.number)
    return Outcome(change.path, "restored" if restored else "untouched", run=run.name)


def _restore(run: Run, change: Change, later: str) -> bool:
    """Whether there was anything to do: a run may have been stopped between its record and its change."""
    real = real_file(change.path)
    facts = facts_of(real)
    with real.open("rb") as current:
        now = sha256_of(iter(lambda: current.read(BLOCK), b""))
    if now == change.before:
        return False
    if now != change.after:
        by = f"by the later run {later}; undo that first" if later else "since, by another program"
        raise Refusal("changed", f"the file was changed {by}")
    copy = copy_beside(real)
    with hold(real) as handle:
        try:
            with new_copy(copy) as target:
                for block in rebuild(handle, _steps(run, change)):
                    target.write(block)
            with copy.open("rb") as made:
                if sha256_of(iter(lambda: made.read(BLOCK), b"")) != change.before:
                    raise Refusal("journal", "the journal's record is damaged: it does not give the old file")
            put_in_place(copy, handle, real, facts, change.modified)
        finally:
            with suppress(OSError):
                copy.unlink(missing_ok=True)
    return True


def _steps(run: Run, change: Change) -> list[Step]:
    try:
        return steps_of(run, change)
    except (ValueError, KeyError) as error:
        raise Refusal("journal", "the journal's record is damaged") from error
