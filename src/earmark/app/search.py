"""Search the library: in words, by what sounds most like a track, and for a walk from one track to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from earmark.app.library import LibraryRequest, chosen_model, opened, searched
from earmark.errors import EarmarkError
from earmark.events import Notice, Steps, use_case

if TYPE_CHECKING:
    from earmark.app.session import LibrarySession
    from earmark.engine import Engine
    from earmark.library.find import Hit, Ranked, Search
    from earmark.library.records import LibraryModel, LibraryTrack
    from earmark.library.similar import Similar
    from earmark.library.store import Library
    from earmark.library.words import Query, Unknown

__all__ = [
    "FindRequest",
    "Found",
    "SimilarRequest",
    "WalkRequest",
    "described",
    "find",
    "similar",
    "walk",
]


@dataclass(frozen=True, kw_only=True)
class FindRequest(LibraryRequest):
    """What to search for.

    Attributes:
        words: Names, and words for genres, moods, instruments and voices; ``not`` turns one around.
        count: Songs at most.
    """

    words: str
    count: int = 10


@dataclass(frozen=True)
class Found:
    """What a search in words found.

    Attributes:
        query: The words that were understood and those that were not.
        hits: The best first.
        remedy: What to type instead, where nothing was understood.
    """

    query: Query
    hits: tuple[Hit, ...]
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class SimilarRequest(LibraryRequest):
    """What to search for.

    Attributes:
        track: A song of the library, or any audio file.
        count: Songs at most.
        per_artist: At most so many of one artist; 0 does not count them.
        same_key: Only songs in the key of ``track``.
    """

    track: str
    count: int = 10
    per_artist: int = 2
    same_key: bool = False


@dataclass(frozen=True, kw_only=True)
class WalkRequest(LibraryRequest):
    """Where to walk.

    Attributes:
        start: The first song: of the library, or any audio file.
        end: The last one.
        count: Songs in all, at least 2.
        key_compatible: Neighbours are of keys that go together, as far as the songs allow.
    """

    start: str
    end: str
    count: int = 10
    key_compatible: bool = False


@use_case
def find(request: FindRequest, session: LibrarySession | None = None) -> Steps[Found]:
    """The songs that words describe, the best first: by names, and by probabilities of labels.

    Raises:
        EarmarkError: There are no words, or there is no library.
    """
    from earmark.library.find import Search, best_hits

    with opened(request.library, session=session) as library:
        search = Search(library, (yield from chosen_model(library, request.model)))
        query = yield from _understood(search, request.words)
        if not query.terms:
            return Found(query, (), _remedy(search, query))
        ranked = yield from _ranked(search, query)
        hits = best_hits(library, query, ranked, request.count)
    if not hits:
        yield Notice("No song of the library is all of that; leave a part of it out.")
    return Found(query, tuple(hits))


def described(library: Library, model: LibraryModel, words: str) -> Steps[Ranked]:
    """The songs that words describe, for a use case that goes on with them.

    Raises:
        EarmarkError: There are no words, or nobody knows any of them.
    """
    from earmark.library.find import Search

    search = Search(library, model)
    query = yield from _understood(search, words)
    if not query.terms:
        raise EarmarkError(_remedy(search, query))
    return (yield from _ranked(search, query))


def _ranked(search: Search, query: Query) -> Steps[Ranked]:
    ranked = search.rank(query)
    if not ranked.likely:
        yield Notice("No song of the library is likely to be all of that; these come nearest.")
    return ranked


def _understood(search: Search, words: str) -> Steps[Query]:
    """What words mean in a library, with notices of what was understood and what was not.

    Raises:
        EarmarkError: There are no words.
    """
    query = search.understand(words)
    if not query.terms and not query.unknown:
        raise EarmarkError(f"{words[:80]!r} has no words to search for; try for instance: calm piano, not classical")
    if query.terms:
        read = (f"{term} (as {term.read_as})" if term.read_as else str(term) for term in query.terms)
        yield Notice(f"Understood {', '.join(read)}.")
    if query.terms and query.unknown:
        yield Notice(f"Did not understand {'; '.join(map(_unknown, query.unknown))}.")
    if query.left_out:
        yield Notice(f"Left out the last {query.left_out} words: a search has no use for so many.")
    return query


def _unknown(one: Unknown) -> str:
    if one.lacking:
        return f"{one.typed} (the model has no label for it)"
    return f"{one.typed} (nearest: {', '.join(one.nearest)})" if one.nearest else one.typed


def _remedy(search: Search, query: Query) -> str:
    unknown = "; ".join(map(_unknown, query.unknown))
    known = search.vocabulary.examples()
    labels = f", or by labels such as {', '.join(known)}" if known else ""
    return f"nothing is known of {unknown}; search by names of artists, titles and albums{labels}"


@use_case
def similar(
    request: SimilarRequest, engine: Engine | None = None, session: LibrarySession | None = None
) -> Steps[tuple[Similar, ...]]:
    """The tracks of the library that sound most like one, the nearest first.

    Raises:
        EarmarkError: The library holds nothing else, or the song cannot be analysed.
    """
    from earmark.library.harmony import songs_in_key
    from earmark.library.similar import find_seed, similar_to

    with opened(request.library, session=session) as library:
        model = yield from chosen_model(library, request.model)
        seed = find_seed(library, model, request.track, engine)
        count, per_artist = request.count, request.per_artist or None
        among = songs_in_key(library, seed.key) if request.same_key else None
        found = yield from searched(
            library, model, lambda: similar_to(library, model, seed, count, per_artist, among=among)
        )
    if not found and request.same_key:
        raise EarmarkError("the library holds no other song in its key")
    if not found:
        raise EarmarkError("the library holds no other song to compare it with; `earmark scan FOLDER` adds some")
    return tuple(found)


@use_case
def walk(
    request: WalkRequest, engine: Engine | None = None, session: LibrarySession | None = None
) -> Steps[tuple[LibraryTrack, ...]]:
    """Songs from one to another, each a small step nearer; both ends are part of it.

    Raises:
        EarmarkError: The count is below 2, or a song cannot be analysed.
    """
    from earmark.library.harmony import clashes
    from earmark.library.playlist import harmony_of, walk_between
    from earmark.library.similar import find_seed

    if request.count < 2:
        raise EarmarkError(f"-n {request.count}: a path has at least the two songs that it joins")
    with opened(request.library, session=session) as library:
        model = yield from chosen_model(library, request.model)
        start, end = (find_seed(library, model, path, engine) for path in (request.start, request.end))
        close = request.key_compatible
        tracks = yield from searched(
            library, model, lambda: walk_between(library, model, start, end, request.count, key_compatible=close)
        )
        if close and (steps := len(clashes(harmony_of(library, tracks, (start, end)).key))):
            which = "One step goes" if steps == 1 else f"{steps} steps go"
            yield Notice(f"{which} to a key that does not go with the one before: no song was nearer between them.")
    if len(tracks) < request.count:
        yield Notice(f"There are only {len(tracks)} songs: the library holds no more.")
    return tuple(tracks)
