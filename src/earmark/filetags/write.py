"""Writing predictions into files: a changed copy, checked in every way, takes the file's place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from earmark.errors import AudioError
from earmark.filetags.fields import Tagged, changes_between, need_mutagen, open_tags, stated_elsewhere
from earmark.filetags.journal import Journal
from earmark.filetags.outcomes import Outcome, Refusal
from earmark.filetags.policy import Wish, wanted
from earmark.filetags.ranges import copy_and_hash, rebuild, sha256_of, way_back
from earmark.filetags.sound import must_sound_the_same
from earmark.filetags.source import Known
from earmark.filetags.swap import copy_beside, facts_of, hold, new_copy, put_in_place, real_file, refusal_of
from earmark.inference.records import Prediction

__all__ = ["write_tags"]

Relabel = Callable[[Prediction], Prediction]


def write_tags(
    known: Iterable[Known | Outcome],
    wish: Wish,
    journal: Journal | None,
    relabel: Relabel = lambda said: said,
) -> Iterator[Outcome]:
    """Write what is known of files into them.

    Every file is the old one or the new one at every moment, and the journal can make the old one of the new one
    before the new one is there. A file that stands in the way of that is left as it is, and is told.

    Args:
        known: Predictions; Outcomes are handed through.
        wish: What shall be written.
        journal: None only tells what would change.
        relabel: From the model's labels to the user's.

    Yields:
        One Outcome for each; a file that is met again under another name is written once and then unchanged.

    Raises:
        MissingExtra: mutagen is not installed.
        StorageError: The journal cannot be written.
    """
    need_mutagen()
    seen: set[Path] = set()
    for one in known:
        if isinstance(one, Outcome):
            yield one
            continue
        path = one.prediction.path
        try:
            real = real_file(path)
            if real in seen:
                yield Outcome(path, "unchanged")
                continue
            seen.add(real)
            yield _write_one(one, real, lambda said: relabel(said), wish, journal)
        except Refusal as refusal:
            yield Outcome.skipped(path, refusal)


def _write_one(known: Known, real: Path, relabel: Relabel, wish: Wish, journal: Journal | None) -> Outcome:
    path, facts = known.prediction.path, facts_of(real)
    try:
        tagged = open_tags(real)
    except OSError as error:
        raise refusal_of(error) from error
    present = stated_elsewhere(real, tagged.fields)
    changes = changes_between(present, wanted(relabel(known.prediction), present, wish))
    if not changes:
        return Outcome(path, "unchanged")
    _must_be_what_was_heard(known, real, facts)
    with hold(real) as handle:
        if journal is not None:
            journal.copying(real)
            copy = copy_beside(real)
            try:
                _change(handle, tagged, {name: after for name, (_, after) in changes.items()}, facts, journal)
            except OSError as error:
                raise refusal_of(error, replacing=True) from error
            finally:
                with suppress(OSError):
                    copy.unlink(missing_ok=True)
    return Outcome(path, "changed", changes)


def _must_be_what_was_heard(known: Known, real: Path, facts: os.stat_result) -> None:
    """Other tags do not matter, other audio does."""
    if not known.content or (known.size, known.modified) == (facts.st_size, facts.st_mtime_ns):
        return
    from earmark.audio.identity import content_hash

    try:
        content = content_hash(real)
    except AudioError as error:
        raise Refusal("audio", error.message) from error
    if content != known.content:
        raise Refusal("changed", "its audio was changed since it was scanned; scan it again")


def _change(
    handle: BinaryIO, tagged: Tagged, values: dict[str, tuple[str, ...]], facts: os.stat_result, journal: Journal
) -> None:
    real, copy = tagged.path, copy_beside(tagged.path)
    with new_copy(copy) as target:
        before = copy_and_hash(handle, target)
    tagged.write(values, copy)
    _check(real, copy, tagged, values)
    steps = way_back(real, copy)
    with copy.open("rb") as new:
        after = sha256_of(iter(lambda: new.read(1 << 20), b""))
        if sha256_of(rebuild(new, steps)) != before:
            raise Refusal("changed", "the file was changed by another program just now")
    record = {
        "before": {"sha256": before, "size": facts.st_size, "modified": facts.st_mtime_ns},
        "after": {"sha256": after, "size": copy.stat().st_size},
    }
    journal.changing(real, record, steps)
    put_in_place(copy, handle, real, facts, facts.st_mtime_ns)


def _check(real: Path, copy: Path, tagged: Tagged, values: dict[str, tuple[str, ...]]) -> None:
    """The copy says what it shall, has lost nothing else, and sounds the same."""
    now = open_tags(copy, tagged)
    if any(getattr(now.fields, name) != texts for name, texts in values.items()):
        raise Refusal("format", "its tags do not keep what is written into them")
    if now.others != tagged.others:
        raise Refusal("format", "its other tags would not stay as they are")
    must_sound_the_same(real, copy)
