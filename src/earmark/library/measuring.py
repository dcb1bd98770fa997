"""Features that a scan adds to known songs, from what is stored of them or from their files; no network is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from earmark.analyses.facts import ANALYSES, Feature
from earmark.engine import Engine
from earmark.errors import ModelError
from earmark.events import Notice, Progress, Record, Steps
from earmark.inference.answers import has_number
from earmark.inference.options import HearingOptions
from earmark.inference.records import ClipEmbeddings, Failure, Prediction
from earmark.inference.tagger import Tagger, load_model
from earmark.library.opening import PASSING, Measure, ToMeasure, gone
from earmark.library.records import LibraryModel, LibraryTrack
from earmark.library.store import Library, Stamp

__all__ = ["Added", "add_features"]

_AT_ONCE = 500  # songs whose stored vectors are read together


@dataclass(slots=True)
class Added:
    """What became of the songs that lacked features.

    Attributes:
        audio: Recordings (rows) that got some.
        failed: Files that could not be measured, by kind.
    """

    audio: set[int] = field(default_factory=set)
    failed: Counter[str] = field(default_factory=Counter)


def add_features(
    library: Library, model: LibraryModel, engine: Engine, names: Iterable[str], met: Mapping[str, Stamp]
) -> Steps[Added]:
    """Give known songs the features that they lack, or have of an older version.

    Args:
        library: Open for writing.
        model: By whose stored vectors estimates are made.
        engine: Measures files.
        names: Of the features.
        met: The files of the scan; others are left as they are.

    Yields:
        A record (its path) and the progress after each file that was measured.
    """
    added, estimates = Added(), _needing(names, "embedding")
    tagger = load_model(model.folder) if estimates and not model.layer else None
    told = _told_at_all(tagger, estimates)
    lacking = library.lacking(names, told)
    files = _files(library, lacking, met)
    stored = {one: _needing(lacking[one], "heads", "embedding") for one in files}
    asked = {one: names for one, names in stored.items() if names}
    yield from _from_vectors(library, model, tagger if told else None, asked, added)
    opened = {one: _needing(lacking[one], "clips", "track") for one in files}
    todo = [_Todo(one, *files[one], asked) for one, asked in opened.items() if asked]
    yield from _from_files(library, engine, todo, added)
    return added


def _needing(names: Iterable[str], *needs: str) -> tuple[str, ...]:
    return tuple(name for name in names if ANALYSES[name].needs in needs)


@dataclass(frozen=True, slots=True)
class _Todo:
    """A file to measure: the rows of its audio and of the track, where it is, and the features asked for."""

    audio: int
    track: int
    path: str
    features: tuple[str, ...]


def _files(library: Library, lacking: Iterable[int], met: Mapping[str, Stamp]) -> dict[int, tuple[int, str]]:
    """Of each audio the first file (row, path) of the scan that holds it, and is as the library knows it."""
    found: dict[int, tuple[int, str]] = {}
    rows = iter(lacking)
    while part := list(islice(rows, _AT_ONCE)):
        for audio, tracks in library.tracks_of(part).items():
            fitting = (track for track in tracks if _is_known(track, met.get(track.path)))
            if track := next(fitting, None):
                found[audio] = track.id, track.path
    return found


def _is_known(track: LibraryTrack, stamp: Stamp | None) -> bool:
    """Whether a file was met that holds what the library knows of it."""
    same = stamp is not None and (stamp.size, stamp.modified) == (track.size, track.modified)
    return same and track.state != "analyse" and track.error not in PASSING


def _told_at_all(tagger: Tagger | None, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of some features of which the model's vectors tell a number, whatever the song."""
    if tagger is None:
        return ()
    nothing = ClipEmbeddings(np.zeros((1, 2), np.float32), np.zeros((1, tagger.card.embedding), np.float32))
    found = _told(tagger, nothing, names, None) or {}
    return tuple(name for name, feature in found.items() if feature.number is not None)


def _from_vectors(
    library: Library, model: LibraryModel, tagger: Tagger | None, asked: Mapping[int, tuple[str, ...]], added: Added
) -> Steps[None]:
    """Those of heads, and those that the stored vectors of clips tell: nothing is opened."""
    rows, without = list(asked), 0
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        vectors = library.clips(model, part, exact=True) if tagger else {}
        warnings, known = library.warnings(part), library.features(part)
        with library.change():
            for one in part:
                before, estimated = known.get(one, {}), _needing(asked[one], "embedding")
                told = _told(tagger, vectors.get(one), estimated, warnings.get(one))
                without += told is None and bool(estimated and tagger)
                told = _untold(name for name in estimated if name not in before) | (told or {})
                told |= _untold(_needing(asked[one], "heads"))
                library.put_features(one, told)
                if any(before.get(name) != feature for name, feature in told.items()):
                    added.audio.add(one)
        yield Progress(start + len(part), len(rows), "reading stored embeddings")
    if without:
        songs = "1 song has" if without == 1 else f"{without} songs have"
        text = f"{songs} no stored embeddings that estimates can be made of"
        yield Notice(f"{text}; `earmark scan --force --features` with the bundled model makes some.")


def _untold(names: Iterable[str]) -> dict[str, Feature]:
    return {name: ANALYSES[name].untold for name in names}


def _told(
    tagger: Tagger | None, vectors: ClipEmbeddings | None, names: tuple[str, ...], warning: str | None
) -> dict[str, Feature] | None:
    """What stored vectors tell, whatever the heads; None where there are none, or the heads read another layer."""
    if tagger is None or vectors is None:
        return None
    try:
        found = tagger.predict_embeddings(vectors, options=HearingOptions(features=names))
    except ModelError:
        return None
    features = replace(found, warning=warning).settled().features
    return {name: feature for name, feature in features.items() if not has_number(tagger.card.heads, name)}


def _from_files(library: Library, engine: Engine, todo: Sequence[_Todo], added: Added) -> Steps[None]:
    """Those that are measured: each file is opened once, in any order, and what it gives is kept at once."""
    warnings = library.warnings([one.audio for one in todo])
    items = (ToMeasure(one.path, one.features) for one in todo)
    with closing(engine.map(Measure(), items, ordered=False)) as results:
        for count, result in enumerate(results, 1):
            one = todo[result.index or 0]
            with library.change():
                if isinstance(result, Failure):
                    _fail(library, one.track, result, added)
                else:
                    found = Prediction("", 0.0, "", {}, warning=warnings.get(one.audio), features=result.value)
                    library.put_features(one.audio, found.settled().features)
                    library.put_failure(one.track, None)
                    added.audio.add(one.audio)
            yield Record(one.path)
            yield Progress(count, len(todo), "measuring")


def _fail(library: Library, track: int, failure: Failure, added: Added) -> None:
    """Why features are missing is kept beside all that is known of the song; a file that went away says nothing."""
    failure = gone(failure)
    added.failed[failure.kind] += 1
    if failure.kind not in PASSING or failure.passing:
        library.put_failure(track, failure)
