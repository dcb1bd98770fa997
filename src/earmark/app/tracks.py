"""Tracks of the library as lists show them: filtered by probabilities, sorted, in pages; and one of them whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from earmark.analyses.facts import ANALYSES, key_named
from earmark.app.library import LibraryRequest, chosen_model, opened
from earmark.errors import EarmarkError, UnknownName
from earmark.events import Steps, use_case

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from earmark.app.session import LibrarySession
    from earmark.inference.records import Prediction
    from earmark.library.labels import LabelProbabilities
    from earmark.library.records import LibraryModel, LibraryTrack, Page
    from earmark.library.store import Library
    from earmark.library.words import Query

    Rows = NDArray[np.int64]

__all__ = ["TracksRequest", "list_tracks", "scores_over_time", "track_record"]


@dataclass(frozen=True, kw_only=True)
class TracksRequest(LibraryRequest):
    """Which tracks; what is left empty is not asked for.

    Attributes:
        words: As `find` takes them.
        genre: A name that may well hold.
        mood: The same of moods.
        instrument: The same of instruments.
        voice: The same of voices.
        cluster: The name of their cluster.
        energy_min: At least so energetic, 0..1.
        energy_max: At most so energetic, 0..1.
        tempo_min: At least so fast, in beats a minute.
        tempo_max: At most so fast.
        key: Their key: ``A minor``, ``Am`` or ``8A``.
        confidence_max: The model is at most so sure of their genre.
        state: ``present``, ``failed`` (there, but could not be analysed) or ``vanished``.
        sort: ``path``, ``artist``, ``title``, ``album``, ``year``, ``length``, ``energy``, ``confidence``, or a
            feature, by its number (those without one last); by how well the words fit where None and there are words.
        reverse: The last first.
        cursor: Of the page before; 0 is the first.
        limit: Tracks at most.
    """

    words: str = ""
    genre: str | None = None
    mood: str | None = None
    instrument: str | None = None
    voice: str | None = None
    cluster: str | None = None
    energy_min: float | None = None
    energy_max: float | None = None
    tempo_min: float | None = None
    tempo_max: float | None = None
    key: str | None = None
    confidence_max: float | None = None
    state: str = "present"
    sort: str | None = None
    reverse: bool = False
    cursor: int = 0
    limit: int = 100


_KEPT_WORDS = 16  # searches in words whose order is kept
_KINDS = {"instrument": ("instrument",), "voice": ("voice", "vocal")}


@use_case
def list_tracks(request: TracksRequest, session: LibrarySession | None = None) -> Steps[tuple[Page, Query | None]]:
    """A page of tracks, and what the words were understood as.

    Raises:
        UnknownName: No head knows a name that is asked for, or there is no such cluster or key.
        EarmarkError: There is no library, or the model tells no energy.
    """
    import numpy as np

    from earmark.library.store import Listing

    with opened(request.library, session=session) as library:
        sort = request.sort or ("given" if request.words else "path")
        by_number = sort == "confidence" or sort in ANALYSES
        if by_number and request.state == "failed":
            sort, by_number = "path", False  # they have no numbers
        listing = Listing(sort=sort, reverse=request.reverse, state=request.state)
        if not library.models():
            return library.page(request.cursor, request.limit, listing), None
        model = yield from chosen_model(library, request.model)
        audio, query = _chosen(library, model, request)
        if by_number:
            listing = Listing(sort="given", state=request.state)
            ranked = _ranked(library, model, sort, reverse=request.reverse)
            audio = ranked if audio is None else ranked[np.isin(ranked, audio)]
        return library.page(request.cursor, request.limit, listing, audio), query


def _chosen(library: Library, model: LibraryModel, request: TracksRequest) -> tuple[Rows | None, Query | None]:
    """The audio that is asked for, of words the best first; None where all is."""
    import numpy as np

    from earmark.library.labels import GENRE, MOOD

    labels, query, keep = _labels(library, model), None, list[Any]()
    for field, kinds in {"genre": GENRE, "mood": MOOD, **_KINDS}.items():
        if (name := getattr(request, field)) is not None:
            keep.append(_likely(library, model, labels, name, kinds))
    if request.cluster is not None:
        clusters = library.cluster_names(model)
        if request.cluster not in clusters.values():
            raise UnknownName("cluster", request.cluster, set(clusters.values()))
        keep.append(np.isin(labels.audio, [audio for audio, name in clusters.items() if name == request.cluster]))
    keep += _bounded(library, model, request)
    audio = labels.audio[np.all(keep, axis=0)] if keep else None
    if request.words:
        found, query = _described(library, model, request.words)
        audio = found if audio is None else found[np.isin(found, audio)]
    return audio, query


def _bounded(library: Library, model: LibraryModel, request: TracksRequest) -> list[NDArray[np.bool_]]:
    """Which of all that the model has analysed are within each bound that is set."""
    bounds = (
        ("energy", request.energy_min, 1),
        ("energy", request.energy_max, -1),
        ("tempo", request.tempo_min, 1),
        ("tempo", request.tempo_max, -1),
        ("confidence", request.confidence_max, -1),
    )
    keep = [sign * _numbers(library, model, what) >= sign * bound for what, bound, sign in bounds if bound is not None]
    if request.key is not None:
        keep.append(_numbers(library, model, "key") == key_named(request.key).number)
    return keep


def _labels(library: Library, model: LibraryModel) -> LabelProbabilities:
    from earmark.library.labels import LabelProbabilities

    return LabelProbabilities(library, model, library.analysed(model))


def _likely(
    library: Library, model: LibraryModel, labels: LabelProbabilities, name: str, kinds: tuple[str, ...]
) -> NDArray[np.bool_]:
    """(n,) whether a name may well hold, of all that the model has analysed; worked out once."""
    import numpy as np

    found = labels.find(name, kinds)
    if not found:
        raise UnknownName(kinds[0], name, sorted({one for head in labels.about(kinds) for one in head.names}))
    key = ("likely", tuple(found), model.key, repr(model.aliases))
    return library.remember(key, lambda: np.any([labels.likely(*one) for one in found], axis=0))


def _numbers(library: Library, model: LibraryModel, what: str) -> Any:
    """(n,) a feature, or the confidence in the genre, of all that the model has analysed; worked out once."""

    def read() -> Any:
        labels, others = _labels(library, model), {"energy": _energy, "confidence": _confidence}
        return others[what](labels) if what in others else labels.feature(what)

    return library.remember((what, model.key, repr(model.aliases)), read)


def _energy(labels: LabelProbabilities) -> Any:
    if "energy" not in labels.heads or labels.heads["energy"].task != "regression":
        raise EarmarkError("the model that analysed the library tells no energy")
    return labels.numbers("energy")


def _confidence(labels: LabelProbabilities) -> Any:
    from earmark.library.labels import GENRE, main_head

    head = main_head(labels.heads.values(), GENRE)
    if head is None:
        raise EarmarkError("the model that analysed the library tells no genre")
    return labels.scores(head.name).max(axis=1)


def _ranked(library: Library, model: LibraryModel, sort: str, *, reverse: bool) -> Rows:
    """All that the model has analysed, by a number, what has none last; worked out once."""
    import numpy as np

    def order() -> Rows:
        numbers = _numbers(library, model, sort)
        return library.analysed(model)[np.argsort(-numbers if reverse else numbers, kind="stable")]

    return library.remember(("ranked", sort, reverse, model.key, repr(model.aliases)), order)


def _described(library: Library, model: LibraryModel, words: str) -> tuple[Rows, Query]:
    """The audio that words describe, the best first; kept for the next pages."""
    key = (words, model.key, repr(model.aliases))
    kept: dict[Any, tuple[Rows, Query]] = library.remember("described", dict)
    found = kept.get(key)
    if found is None:
        if len(kept) >= _KEPT_WORDS:
            kept.clear()
        found = kept[key] = _search(library, model, words)
    return found


def _search(library: Library, model: LibraryModel, words: str) -> tuple[Rows, Query]:
    import numpy as np

    from earmark.library.find import Search

    search = Search(library, model)
    query = search.understand(words)
    if not query.terms:
        return np.zeros(0, np.int64), query
    ranked = search.rank(query)
    hits = ranked.audio[ranked.hits]
    return hits[np.argsort(-ranked.score[ranked.hits], kind="stable")], query


@use_case
def track_record(track: LibraryTrack, session: LibrarySession | None = None) -> Steps[dict[str, Any]]:
    """Everything that is known of a track, as `export -f json` has it; and ``copies``: rows of the same recording."""
    from earmark.library.export import record_of

    yield from ()
    with opened(None, session=session) as library:
        model = library.model() if library.models() else None
        same = library.tracks_of([track.audio])[track.audio] if track.audio is not None else []
        return record_of(library, model, track) | {"copies": [one.id for one in same if one.id != track.id]}


@use_case
def scores_over_time(track: LibraryTrack, session: LibrarySession | None = None) -> Steps[Prediction | None]:
    """The prediction of a track with scores over time, from stored embeddings alone; None where there are none.

    Raises:
        ModelError: The model that analysed the library is not there any more.
    """
    from earmark.inference.options import HearingOptions
    from earmark.library.similar import tagger_of

    yield from ()
    with opened(None, session=session) as library:
        if track.audio is None or not library.models():
            return None
        model = library.model()
        clips = library.clips(model, [track.audio], exact=True).get(track.audio)
        if clips is None or model.layer or not len(clips.vectors):
            return None
        return tagger_of(model).predict_embeddings(clips, HearingOptions(taggram=True, labels=model.aliases))
