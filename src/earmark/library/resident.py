"""A library in memory: what searches read of it, of one moment, brought up to date by what has changed since.

A snapshot answers while a scan writes; making the next one reads only the rows that are new.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.analyses.facts import ANALYSES
from earmark.library.find import LibraryNames, Search, vocabulary_key
from earmark.library.records import LibraryModel
from earmark.library.similar import common_names
from earmark.library.store import AllResults, Library
from earmark.library.vectors import Vectors, in_memory, large_vectors

__all__ = ["take_snapshot"]

Rows = NDArray[np.int64]

_CLOCK_STEP = 10.0  # seconds that a clock may be set back by without a result being overlooked


def take_snapshot(library: Library, model: LibraryModel, before: Library | None = None) -> Library:
    """The library as it is at this moment, with all that searches by a model's results need in memory.

    Args:
        library: An open one; the snapshot shares its connections.
        model: Whose results are searched.
        before: The snapshot before this one, of the same model: what has not changed is taken from it.
    """
    kept: dict[Hashable, Any] = {}
    with library.reading():
        old = None if before is None else before.remembered(("results", model.key))
        fresh = library.all_results(model, 0.0 if old is None else old.newest - _CLOCK_STEP)
        results = _results(library, model, old, fresh)
        kept["results", model.key] = results
        kept["analysed", model.key] = results.audio
        kept["predictions", model.key] = {}
        kept["vectors", model.key] = _vectors(library, model, fresh.audio, before)
        kept["names"] = LibraryNames.of(library, None if before is None else before.remembered("names"))
        kept.update(_features(library, before))
        kept["models"], kept["facts"], kept["labels"] = library.models(), library.facts(), library.labels()
        state = kept["clusters state", model.key] = library.clusters_state(model)
        if before is not None and state == before.remembered(("clusters state", model.key)):
            kept["clusters", model.key] = before.cluster_names(model)
        else:
            kept["clusters", model.key] = library.cluster_names(model)
    if before is not None:
        kept[vocabulary_key(model, before)] = Search(before, model).vocabulary
    snapshot = library.snapshot(kept)
    search = Search(snapshot, model)
    search.names.alike("a", range(1))  # puts them in order
    _ = search.vocabulary
    common_names(snapshot, model)
    return snapshot


def _results(library: Library, model: LibraryModel, old: AllResults | None, fresh: AllResults) -> AllResults:
    if old is None:
        return _by_label(fresh)
    audio = library.analysed(model)
    if not np.isin(audio, np.union1d(old.audio, fresh.audio), assume_unique=True).all():
        return _by_label(library.all_results(model))  # the clock was set back, or rows of audio were joined
    steps = _joined(audio, (old.audio, old.steps), (fresh.audio, fresh.steps))
    numbers = _joined(audio, (old.audio, old.numbers), (fresh.audio, fresh.numbers))
    return AllResults(audio, steps, numbers, max(old.newest, fresh.newest))


def _by_label(results: AllResults) -> AllResults:
    """With all scores of a label side by side in memory: searches ask for a label of all tracks."""
    return replace(results, steps=np.asfortranarray(results.steps))


def _vectors(library: Library, model: LibraryModel, changed: Rows, before: Library | None) -> Vectors:
    """Of a large library by its index; of others in memory, where a search is quicker still."""
    old: Vectors | None = None if before is None else before.remembered(("vectors", model.key))
    large = large_vectors(library, model, old)
    if large is not None or old is None or old.index is not None:
        return large or in_memory(library, model)
    audio = library.songs(model)
    missing = np.setdiff1d(audio, old.audio, assume_unique=True)
    fresh = library.embeddings_of(model, np.union1d(missing, changed))
    matrix = _joined(audio, (old.audio, old.matrix), fresh)
    return old if matrix is old.matrix else Vectors(audio, matrix)


def _features(library: Library, before: Library | None) -> dict[Hashable, Any]:
    """The features that searches have asked for; what has not changed is taken from the snapshot before."""
    state = library.features_state()
    kept: dict[Hashable, Any] = {"features state": state}
    if before is None:
        return kept
    same = before.remembered("features state") == state
    for name in ANALYSES:
        known = before.remembered(("feature", name))
        if known is not None:
            kept["feature", name] = known if same else library.stored_numbers(name)
    return kept


def _joined(audio: Rows, old: tuple[Rows, NDArray[Any]], fresh: tuple[Rows, NDArray[Any]]) -> NDArray[Any]:
    """Values of some audio, (n, ...): the fresh ones where there are such, and else the old ones."""
    if not len(fresh[0]) and np.array_equal(audio, old[0]):
        return old[1]
    found = np.empty_like(old[1], shape=(len(audio), *old[1].shape[1:]))  # as it lies in memory, too
    for rows, values in (old, fresh):
        inside = np.isin(rows, audio, assume_unique=True)
        found[np.searchsorted(audio, rows[inside])] = values[inside] if not inside.all() else values
    return found
