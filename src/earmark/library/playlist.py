"""Playlists: songs by seeds, a cluster or words, in an order that flows; and a walk from one song to another.

An order flows where the steps between neighbours are small, in sound and in what is known of tempo and key, and no
artist comes again too soon.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from earmark.engine import Engine
from earmark.errors import EarmarkError, UnknownName
from earmark.library.cluster import cluster_named
from earmark.library.find import Ranked
from earmark.library.harmony import Harmony, clashes, goes_with, step_costs
from earmark.library.labels import GENRE, MOOD, LabelProbabilities
from earmark.library.options import PlaylistOptions
from earmark.library.records import LibraryModel, LibraryTrack, direction
from earmark.library.similar import Seed, find_seed
from earmark.library.store import Library
from earmark.library.vectors import Vectors, read_vectors
from earmark.text import fold

__all__ = ["flow", "harmony_of", "make_playlist", "walk_between"]

Array = NDArray[np.float32]
Rows = NDArray[np.int64]

_PASSES = 40
_STARTS, _FEW = 6, 200  # songs that an order is begun with, to take the best; of so many songs at most
_EPSILON = 1e-6
_POOL, _LONG = 4, 300  # times as many songs to take those from whose keys go together, but for so many minutes


def flow(
    vectors: Array,
    artists: Sequence[str],
    artist_gap: int,
    *,
    first: int | None = None,
    last: int | None = None,
    costs: Array | float = 0.0,
) -> list[int]:
    """Greedy nearest neighbour; then no turn of a stretch (Croes 1958), nor move of a song makes the way shorter.

    Args:
        vectors: (songs, dimensions) of length 1.
        artists: (songs,) names to compare by; "" is nobody.
        artist_gap: No artist again within so many songs, as far as the songs allow.
        first: The song to begin with; where None, one of those farthest from the middle of all.
        last: The song to end with.
        costs: (songs, songs) what a step costs beside its distance; see :func:`earmark.library.harmony.step_costs`.

    Returns:
        (songs,) order.
    """
    count = len(vectors)
    if count < 2:
        return list(range(count))
    distance = np.asarray(np.maximum(0, 1 - vectors @ vectors.T) + costs, np.float32)
    if first is not None:
        starts = [first]
    else:
        value = vectors @ vectors.mean(axis=0)
        if last is not None:
            value[last] = np.inf
        most = _STARTS if count <= _FEW else 1
        starts = np.argsort(value, kind="stable")[: min(most, count - (last is not None))].tolist()
    ways = [_way(distance, artists, artist_gap, start, last) for start in starts]
    return min(
        ways, key=lambda way: (_clashes(np.asarray(way), artists, artist_gap), distance[way[:-1], way[1:]].sum())
    )


def _way(distance: Array, artists: Sequence[str], artist_gap: int, first: int, last: int | None) -> list[int]:
    """A short way through all songs from one of them."""
    order = _greedy(distance, artists, artist_gap, first, last)
    songs = _two_opt(distance, artists, artist_gap, order, fixed_end=last is not None)
    songs = _moved(distance, artists, artist_gap, songs, fixed_end=last is not None)
    return _parted(distance, artists, artist_gap, songs, fixed_end=last is not None)


def _greedy(distance: Array, artists: Sequence[str], artist_gap: int, first: int, last: int | None) -> list[int]:
    left = np.ones(len(distance), bool)
    left[first] = False
    if last is not None:
        left[last] = False
    order = [first]
    while left.any():
        recent = {
            artists[song]: place
            for place, song in enumerate(order[-artist_gap:] if artist_gap else [])
            if artists[song]
        }
        near = np.flatnonzero(left)
        # Those whose artist was not met lately; else the one met longest ago.
        lateness = np.asarray([recent.get(artists[song], -1) for song in near.tolist()])
        near = near[lateness == lateness.min()]
        song = int(near[np.argmin(distance[order[-1], near])])
        order.append(song)
        left[song] = False
    return order if last is None else [*order, last]


def _two_opt(
    distance: Array, artists: Sequence[str], artist_gap: int, order: list[int], *, fixed_end: bool
) -> NDArray[np.intp]:
    songs = np.asarray(order)
    clashes = _clashes(songs, artists, artist_gap)
    for _ in range(_PASSES):
        turned = False
        for i in range(1, len(songs) - 1):
            # Turning i..j replaces the steps into i and out of j; at an open end there is no step out.
            stop = len(songs) - 1 if fixed_end else len(songs)
            j = np.arange(i + 1, stop)
            if not len(j):
                continue
            before, here, after = songs[i - 1], songs[j], songs[np.minimum(j + 1, len(songs) - 1)]
            inner = j + 1 < len(songs)
            out = np.where(inner, distance[songs[i], after] - distance[here, after], 0)
            gain = distance[before, here] - distance[before, songs[i]] + out
            best = int(np.argmin(gain))
            if gain[best] >= -_EPSILON:
                continue
            tried = songs.copy()
            tried[i : j[best] + 1] = tried[i : j[best] + 1][::-1]
            if (fresh := _clashes(tried, artists, artist_gap)) <= clashes:
                songs, clashes, turned = tried, fresh, True
        if not turned:
            break
    return songs


def _moved(
    distance: Array, artists: Sequence[str], artist_gap: int, songs: NDArray[np.intp], *, fixed_end: bool
) -> NDArray[np.intp]:
    """Single songs go where the way becomes shortest by it (Or 1976)."""
    clashes = _clashes(songs, artists, artist_gap)
    for _ in range(_PASSES):
        before = songs
        for i in range(1, len(songs) - fixed_end):
            rest, song = np.delete(songs, i), songs[i]
            k = np.arange(1, len(rest) + (not fixed_end))
            left, right, inner = rest[k - 1], rest[np.minimum(k, len(rest) - 1)], k < len(rest)
            cost = distance[left, song] + np.where(inner, distance[song, right] - distance[left, right], 0)
            best = int(np.argmin(cost))
            if cost[best] >= cost[i - 1] - _EPSILON:
                continue
            tried = np.insert(rest, k[best], song)
            if (fresh := _clashes(tried, artists, artist_gap)) <= clashes:
                songs, clashes = tried, fresh
        if songs is before:
            break
    return songs


def _parted(
    distance: Array, artists: Sequence[str], artist_gap: int, songs: NDArray[np.intp], *, fixed_end: bool
) -> list[int]:
    """Songs of one artist that are still too near each other change places, at the least cost, as far as that helps."""
    stop = len(songs) - 1 if fixed_end else len(songs)
    clashes = _clashes(songs, artists, artist_gap)
    for place in range(1, stop):
        if not clashes:
            break
        if not _clashes(songs[max(0, place - artist_gap) : place + 1], artists, artist_gap):
            continue
        tries = []
        for other in range(1, stop):
            tried = songs.copy()
            tried[place], tried[other] = songs[other], songs[place]
            if (left := _clashes(tried, artists, artist_gap)) < clashes:
                tries.append((left, float(distance[tried[:-1], tried[1:]].sum()), other))
        if tries:
            clashes, _, other = min(tries)
            songs = songs.copy()
            songs[place], songs[other] = songs[other], songs[place]
    return [int(song) for song in songs]


def _clashes(order: NDArray[np.intp], artists: Sequence[str], artist_gap: int) -> int:
    """How often an artist comes again within ``artist_gap`` songs."""
    seen: dict[str, int] = {}
    count = 0
    for place, song in enumerate(order.tolist()):
        artist = artists[song]
        if artist and place - seen.get(artist, -artist_gap - 1) <= artist_gap:
            count += 1
        seen[artist] = place
    return count


def make_playlist(
    library: Library,
    model: LibraryModel,
    request: PlaylistOptions,
    like: Ranked | None = None,
    engine: Engine | None = None,
) -> list[LibraryTrack]:
    """Songs that meet a request, best ones first chosen, then put in an order that flows.

    ``engine`` analyses seeds that the library does not know.

    Raises:
        EarmarkError: No song meets it; the line says how many meet each part.
        UnknownName: A label or a cluster that there is not.
    """
    vectors = read_vectors(library, model)
    seeds = [find_seed(library, model, path, engine) for path in request.seeds]
    fits, value = _matching(library, model, vectors, request, like)
    if seeds:
        value = vectors.closest(np.stack([seed.vector for seed in seeds]))
    ranked = np.flatnonzero(fits)
    ranked = ranked[np.argsort(-value[ranked], kind="stable")]
    if request.key_compatible:
        tracks = _in_keys(library, vectors, ranked, seeds, request)
    else:
        chosen = _chosen(library, vectors, ranked, seeds, request)
        tracks = _in_order(library, chosen, seeds, request.artist_gap) if chosen else []
    if not tracks:
        raise EarmarkError("no song has all that is asked for")
    return tracks


def _in_order(
    library: Library, chosen: Sequence[tuple[LibraryTrack, Array]], seeds: Sequence[Seed], artist_gap: int,
    last: int | None = None, *, strict: bool = False,
) -> list[LibraryTrack]:  # fmt: skip
    """Songs in an order that flows, from the first seed on; ``strict`` where keys must go together."""
    tracks = [track for track, _ in chosen]
    harmony = harmony_of(library, tracks, seeds)
    costs = step_costs(harmony, harmony, strict=strict)
    matrix, artists = np.stack([vector for _, vector in chosen]), [fold(track.artist) for track in tracks]
    first = 0 if seeds else None
    return [tracks[song] for song in flow(matrix, artists, artist_gap, first=first, last=last, costs=costs)]


def harmony_of(library: Library, tracks: Sequence[LibraryTrack], seeds: Sequence[Seed]) -> Harmony:
    """Tempo and key of songs, of which seeds may be files that the library does not know."""
    return Harmony.of_tracks(library, tracks, {seed.where: seed.features for seed in seeds})


def walk_between(
    library: Library, model: LibraryModel, start: Seed, end: Seed, count: int, *, key_compatible: bool = False
) -> list[LibraryTrack]:
    """A walk in ``count`` songs from one to another, each a small step nearer; both ends are part of it.

    Args:
        library: The library.
        model: Whose embeddings are compared.
        start: From :func:`~earmark.library.similar.find_seed`.
        end: The same.
        count: Songs in all, at least 2; fewer where the library has no more.
        key_compatible: Neighbours are of keys that go together, as far as the songs allow.
    """
    vectors = read_vectors(library, model)
    before = Harmony.of_track(start.features)

    def costs(audio: Rows) -> Array:
        return np.asarray(step_costs(before, Harmony.of(library, audio), strict=key_compatible)[0])

    taken = {start.audio, end.audio}
    artists = Counter(fold(_track(seed).artist) for seed in (start, end))
    between: list[tuple[LibraryTrack, Array]] = []
    for place in range(1, count - 1):
        target = direction(_on_the_way(start.vector, end.vector, place / (count - 1)))
        step = _next_step(library, vectors, target, taken, artists, costs)
        if step is None:
            break
        between.append(step)
        before = Harmony.of(library, np.asarray([step[0].audio or 0]))
    songs = [(_track(start), start.vector), *between, (_track(end), end.vector)]
    return _in_order(library, songs, (start, end), 1, len(songs) - 1, strict=key_compatible)


def _matching(
    library: Library, model: LibraryModel, vectors: Vectors, request: PlaylistOptions, like: Ranked | None
) -> tuple[NDArray[np.bool_], Array]:
    """Which songs meet the request, and how well each does: the product of the probabilities of the labels asked for.

    Raises:
        EarmarkError: None does.
    """
    fits, value = np.ones(len(vectors), bool), np.ones(len(vectors), np.float32)
    parts: list[tuple[str, int]] = []
    if request.cluster is not None:
        inside = np.isin(vectors.audio, cluster_named(library, model, request.cluster).audio)
        parts.append((f"in {request.cluster}", int(inside.sum())))
        fits &= inside
    labels = LabelProbabilities(library, model, vectors.audio)
    kinds_of = [("genre", request.genres, GENRE), ("mood", request.moods, MOOD)]
    for what, words, kinds in [*kinds_of, *(("tag", (tag,), ()) for tag in request.tags)]:
        if words:
            given, score = _any_of(labels, what, words, kinds)
            parts.append((f"{what} {' or '.join(words)}", int(given.sum())))
            fits, value = fits & given, value * score
    if request.energy_min is not None or request.energy_max is not None:
        low, high = request.energy_min or 0.0, 1.0 if request.energy_max is None else request.energy_max
        inside = _energy(labels, low, high)
        parts.append((f"energy {low:g} to {high:g}", int(inside.sum())))
        fits &= inside
    if request.tempo_min is not None or request.tempo_max is not None:
        low, high = request.tempo_min or 0.0, np.inf if request.tempo_max is None else request.tempo_max
        inside = _in_tempo(_harmony(library, vectors, "tempo"), low, high)
        parts.append((f"{low:g} to {high:g} beats a minute", int(inside.sum())))
        fits &= inside
    if request.key_compatible:
        known = _harmony(library, vectors, "key").key >= 0
        parts.append(("with a key", int(known.sum())))
        fits &= known
    for word in request.without:
        given, _ = _any_of(labels, "label", (word,))
        parts.append((f"not {word}", int((~given).sum())))
        fits &= ~given
    if like is not None:
        hits, score = like.of(vectors.audio)
        parts.append(("like the words", int(hits.sum())))
        fits, value = fits & hits, value * score
    if not fits.any():
        met = ", ".join(f"{name}: {count}" for name, count in parts)
        raise EarmarkError(
            f"no song has all that is asked for ({met or 'the library is empty'}); leave a part of it out"
        )
    return fits, value


def _energy(labels: LabelProbabilities, low: float, high: float) -> NDArray[np.bool_]:
    """Which songs are so energetic, both ends included.

    Raises:
        EarmarkError: The model gives no number of it, or the numbers are no range.
    """
    if not 0 <= low <= high <= 1:
        raise EarmarkError(f"energy {low:g} to {high:g}: expected two numbers from 0 to 1, the lower one first")
    if (head := labels.heads.get("energy")) is None or head.task != "regression":
        raise EarmarkError("the model in use gives songs no energy; `earmark scan` with the bundled model does")
    energy = labels.numbers("energy")
    return np.asarray((energy >= low) & (energy <= high))


def _in_tempo(harmony: Harmony, low: float, high: float) -> NDArray[np.bool_]:
    """Which songs are so fast, both ends included (EarmarkError where the numbers are no range)."""
    if not 0 <= low <= high:
        raise EarmarkError(f"tempo {low:g} to {high:g}: expected two numbers of beats a minute, the lower one first")
    return np.asarray((harmony.tempo >= low) & (harmony.tempo <= high))


def _harmony(library: Library, vectors: Vectors, name: str) -> Harmony:
    """Tempo and key of all songs (EarmarkError where no song has what is asked for)."""
    harmony = Harmony.of(library, vectors.audio)
    if not (harmony.key >= 0 if name == "key" else harmony.tempo > 0).any():
        raise EarmarkError(f"no song of the library has a {name} yet; `earmark scan --features` finds them")
    return harmony


def _any_of(
    labels: LabelProbabilities, what: str, words: Sequence[str], kinds: Sequence[str] = ()
) -> tuple[NDArray[np.bool_], Array]:
    """Which songs may well be one of some words, and how probable that is, by any head that knows the word.

    Raises:
        UnknownName: No head does.
    """
    count = len(labels.audio)
    fits, value = np.zeros(count, bool), np.zeros(count, np.float32)
    for word in words:
        heads = labels.find(word, kinds)
        if not heads:
            raise UnknownName(what, word, sorted({name for head in labels.about(kinds) for name in head.names}))
        for head, name in heads:
            fits |= labels.likely(head, name)
            value = np.maximum(value, labels.of(head, name))
    return fits, value


def _in_keys(
    library: Library, vectors: Vectors, ranked: NDArray[np.intp], seeds: Sequence[Seed], request: PlaylistOptions
) -> list[LibraryTrack]:
    """Songs of which each goes with the one before in key: of several times as many, put in order, those that do.

    Raises:
        EarmarkError: Nobody knows the first seed's key.
    """
    if seeds:
        _ = seeds[0].key
    many = request.minutes * (_POOL if request.minutes <= _LONG else 1)
    chosen = _chosen(library, vectors, ranked, seeds, replace(request, minutes=many))
    if not chosen:
        return []
    tracks = _in_order(library, chosen, seeds, request.artist_gap, strict=True)
    keys = harmony_of(library, tracks, seeds).key
    starts = [0] if seeds else [0, *clashes(keys)]
    return max((_chain(tracks, keys, start, request) for start in starts), key=_seconds)


def _chain(tracks: Sequence[LibraryTrack], keys: Rows, start: int, request: PlaylistOptions) -> list[LibraryTrack]:
    """Songs of a row from one on, up to the length asked for: those whose key goes with the one before, and whose
    artist does not come again too soon.
    """
    kept = [start]
    for place in range(start + 1, len(tracks)):
        recent = kept[max(0, len(kept) - request.artist_gap) :] if request.artist_gap else []
        artist = fold(tracks[place].artist)
        again = bool(artist) and artist in {fold(tracks[one].artist) for one in recent}
        if goes_with(keys[kept[-1]], keys[place]) and not again:
            kept.append(place)
        if _seconds([tracks[one] for one in kept]) >= request.minutes * 60:
            break
    return [tracks[place] for place in kept]


def _seconds(tracks: Sequence[LibraryTrack]) -> float:
    return sum(track.seconds for track in tracks)


def _chosen(
    library: Library, vectors: Vectors, ranked: NDArray[np.intp], seeds: Sequence[Seed], request: PlaylistOptions
) -> list[tuple[LibraryTrack, Array]]:
    """The best songs up to the length asked for: seeds first, copies once, and no artist too often to be kept apart."""
    chosen = [(_track(seed), seed.vector) for seed in seeds]
    titles = {_title(track) for track, _ in chosen}
    taken = {seed.audio for seed in seeds}
    seconds = sum(track.seconds for track, _ in chosen)
    mean = float(np.mean([track.seconds for track, _ in chosen] or [240.0])) or 240.0
    most = max(2, round(request.minutes * 60 / mean / (request.artist_gap + 1)))
    artists = Counter(fold(track.artist) for track, _ in chosen)
    for start in range(0, len(ranked), 500):
        rows = ranked[start : start + 500]
        files = library.tracks_of(vectors.audio[rows].tolist())
        for row in rows:
            if seconds >= request.minutes * 60:
                return chosen
            audio = int(vectors.audio[row])
            if not files[audio] or audio in taken:
                continue
            track = files[audio][0]
            artist, title = fold(track.artist), _title(track)
            if (title[0] and title[1] and title in titles) or (artist and artists[artist] >= most):
                continue
            titles.add(title)
            artists[artist] += 1
            seconds += track.seconds
            chosen.append((track, vectors.of(vectors.audio[[row]])[0]))
    return chosen


def _next_step(
    library: Library, vectors: Vectors, target: Array, taken: set[int | None], artists: Counter[str],
    costs: Callable[[Rows], Array],
) -> tuple[LibraryTrack, Array] | None:  # fmt: skip
    """The song nearest to a point that is not taken; of those about as near, one that the step to costs least.

    An artist met before comes again only where no other is about as near.
    """
    count = 64
    while True:
        near, distances = vectors.nearest(target, count)
        files = library.tracks_of(near.tolist())
        free = [place for place, audio in enumerate(near.tolist()) if audio not in taken and files[audio]]
        if free or count >= len(vectors):
            break
        count *= 8
    if not free:
        return None
    near, distances = near[free], distances[free]
    tracks, value = [files[audio][0] for audio in near.tolist()], costs(near)
    apart = distances + value - value.min()
    met = np.asarray([bool(fold(track.artist)) and artists[fold(track.artist)] > 0 for track in tracks])
    best = min(np.flatnonzero(apart <= 1.5 * apart.min() + 0.02), key=lambda place: (met[place], apart[place]))
    track = tracks[best]
    taken.add(track.audio)
    artists[fold(track.artist)] += 1
    return track, vectors.of(near[[best]])[0]


def _on_the_way(start: Array, end: Array, share: float) -> Array:
    """The point on the great circle between two directions (Shoemake 1985)."""
    angle = float(np.arccos(np.clip(start @ end, -1, 1)))
    if angle < 1e-4 or angle > np.pi - 1e-4:
        return np.asarray((1 - share) * start + share * end, np.float32)
    weights = np.sin([(1 - share) * angle, share * angle]) / np.sin(angle)
    return np.asarray(weights[0] * start + weights[1] * end, np.float32)


def _track(seed: Seed) -> LibraryTrack:
    """The seed as a track, whether the library has it or not."""
    if seed.track is not None:
        return seed.track
    from earmark.library.opening import tags_of
    from earmark.library.store import absolute

    plain = LibraryTrack(0, absolute(seed.path), 0, 0, seed.audio, "", seed.seconds)
    tags = tags_of(seed.path)
    return replace(plain, artist=tags["artist"], title=tags["title"], album=tags["album"], year=tags["year"])


def _title(track: LibraryTrack) -> tuple[str, str]:
    return fold(track.artist), fold(track.title)
