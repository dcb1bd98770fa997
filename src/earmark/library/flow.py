"""An order in which songs flow: small steps between neighbours, and no artist again too soon."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["flow"]

Array = NDArray[np.float32]

_PASSES = 40
_EPSILON = 1e-6


def flow(
    vectors: Array, artists: Sequence[str], artist_gap: int, *, first: int | None = None, last: int | None = None
) -> list[int]:
    """Greedy nearest neighbour, then 2-opt (Croes 1958) until no turn of a stretch makes the way shorter.

    Args:
        vectors: (songs, dimensions) of length 1.
        artists: (songs,) names to compare by; "" is nobody.
        artist_gap: No artist again within so many songs, as far as the songs allow.
        first: The song to begin with; where None, that which is farthest from the middle of all.
        last: The song to end with.

    Returns:
        (songs,) order.
    """
    count = len(vectors)
    if count < 2:
        return list(range(count))
    distance = np.maximum(0, 1 - vectors @ vectors.T)
    if first is None:
        middle = vectors.mean(axis=0)
        value = vectors @ middle
        if last is not None:
            value[last] = np.inf
        first = int(np.argmin(value))
    order = _greedy(distance, artists, artist_gap, first, last)
    songs = _two_opt(distance, artists, artist_gap, order, fixed_end=last is not None)
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
