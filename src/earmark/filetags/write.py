"""Writing predictions into files: a changed copy, checked in every way, takes the file's place."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from earmark.engine import Each, Engine, InlineEngine
from earmark.events import Progress, Record, Steps
from earmark.filetags.fields import Values, differences
from earmark.filetags.journal import Journal
from earmark.filetags.policy import FilePrediction, Outcome, Refusal, WriteOptions, new_values
from earmark.filetags.swap import (
    copy_and_hash,
    copy_beside,
    facts_of,
    hold,
    must_be_inside,
    must_sound_the_same,
    new_copy,
    put_in_place,
    real_file,
    rebuild,
    refusal_of,
    sha256_of,
    way_back,
)
from earmark.filetags.tagged import TaggedFile, need_mutagen, open_tags
from earmark.inference.records import Failure, Prediction

__all__ = ["write_tags"]

Relabel = Callable[[Prediction], Prediction]


def write_tags(
    known: Iterable[FilePrediction | Outcome],
    options: WriteOptions,
    journal: Journal | None,
    relabel: Relabel = lambda prediction: prediction,
    total: int | None = None,
    engine: Engine | None = None,
) -> Steps[Counter[str]]:
    """Write what is known of files into them.

    Every file is the old one or the new one at every moment, and the journal can make the old one of the new one
    before the new one is there. A file that stands in the way of that is left as it is, and its Outcome says why.

    Args:
        known: Predictions; Outcomes are handed through.
        options: What is written.
        journal: None does everything but the last step, to show what would change.
        relabel: From the model's labels to the user's.
        total: How many there are, for the progress.
        engine: Compares the audio before and after; this process where None.

    Yields:
        A Record with an Outcome for each; a file that is met again under another name is written once and then
        unchanged.

    Returns:
        How many there were of each status.

    Raises:
        MissingExtra: mutagen is not installed.
        StorageError: The journal cannot be written.
    """
    need_mutagen()
    counts, seen, engine = Counter[str](), set[Path](), engine or InlineEngine()
    for one in known:
        if isinstance(one, Outcome):
            outcome = one
        else:
            path = one.prediction.path
            try:
                outcome = _write_one(one, relabel, options, journal, seen, engine)
            except Refusal as refusal:
                outcome = Outcome.skipped(path, refusal)
            except OSError as error:
                outcome = Outcome.skipped(path, refusal_of(error))
        counts[outcome.status] += 1
        yield Record(outcome)
        yield Progress(counts.total(), total, unit="files")
    return counts


def _write_one(
    known: FilePrediction,
    relabel: Relabel,
    options: WriteOptions,
    journal: Journal | None,
    seen: set[Path],
    engine: Engine,
) -> Outcome:
    path = known.prediction.path
    real = real_file(path)
    if not options.follow_links:
        must_be_inside(path, real, options.roots)
    if real in seen:
        return Outcome(path, "unchanged")
    seen.add(real)
    facts = facts_of(real)
    tagged = open_tags(real)
    present = tagged.values
    values = new_values(relabel(known.prediction), present, options)
    changes = differences(present, tagged.as_held(values, present))
    written = {name: values[name] for name in changes}
    if not any(tagged.changes(written)):
        return Outcome(path, "unchanged")
    _must_be_the_audio(known, real, facts, engine)
    with hold(real) as handle:
        _change(_Change(handle, tagged, written, facts, options.keep_mtime, engine), journal)
    return Outcome(path, "changed", changes)


def _must_be_the_audio(known: FilePrediction, real: Path, facts: os.stat_result, engine: Engine) -> None:
    """Other tags do not matter, other audio does."""
    if not known.content or (known.size, known.modified) == (facts.st_size, facts.st_mtime_ns):
        return
    from earmark.audio.identity import content_hash

    (result,) = engine.map(Each(content_hash, lively=True), [real])
    if isinstance(result, Failure):
        raise Refusal("audio", result.message)
    if result.value != known.content:
        raise Refusal("changed", "its audio was changed since it was scanned; scan it again")


@dataclass(frozen=True, slots=True)
class _Change:
    """One file, held open, and what becomes of it."""

    handle: BinaryIO
    tagged: TaggedFile
    values: Values
    facts: os.stat_result
    keep_mtime: bool
    engine: Engine


def _change(change: _Change, journal: Journal | None) -> None:
    real, facts = change.tagged.path, change.facts
    copy = copy_beside(real)
    if journal is not None:
        journal.copying(real)
    try:
        with new_copy(copy) as target:
            before = copy_and_hash(change.handle, target)
        change.tagged.write(change.values, copy)
        must_sound_the_same(real, copy, change.engine)
        steps = way_back(real, copy)
        with copy.open("rb") as new:
            after = sha256_of(iter(lambda: new.read(1 << 20), b""))
            if sha256_of(rebuild(new, steps)) != before:
                raise Refusal("changed", "the file was changed by another program just now")
        if journal is None:
            return
        record = {
            "before": {"sha256": before, "size": facts.st_size, "modified": facts.st_mtime_ns},
            "after": {"sha256": after, "size": copy.stat().st_size},
        }
        journal.changing(real, record, steps)
        put_in_place(copy, change.handle, real, facts, facts.st_mtime_ns if change.keep_mtime else None)
    except OSError as error:
        raise refusal_of(error, replacing=True) from error
    finally:
        with suppress(OSError):
            copy.unlink(missing_ok=True)
