"""Cluster the library: groups of tracks, named by what tells them apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from earmark.app.library import LibraryRequest, chosen_model, opened, searched
from earmark.events import Notice, Steps, use_case

if TYPE_CHECKING:
    from earmark.app.session import LibrarySession
    from earmark.library.records import LibraryTrack

__all__ = ["ClusterRequest", "KnownCluster", "NamedCluster", "known_clusters", "make_clusters"]


@dataclass(frozen=True, kw_only=True)
class ClusterRequest(LibraryRequest):
    """How to cluster.

    Attributes:
        count: Clusters wanted; as many as the music has where None, or those that there are.
        rebuild: Make them again, instead of letting new songs join the old clusters.
    """

    count: int | None = None
    rebuild: bool = False


@dataclass(frozen=True)
class NamedCluster:
    """One cluster.

    Attributes:
        name: No two are the same.
        tags: Its most telling labels, the most telling first.
        tracks: Paths, nearest to its centre first.
        typical: Paths of a few near its centre, of different artists.
    """

    name: str
    tags: tuple[str, ...]
    tracks: tuple[str, ...]
    typical: tuple[str, ...]


@dataclass(frozen=True)
class KnownCluster:
    """One cluster as it stands: its name, how many songs it has, its most telling labels, and typical songs."""

    name: str
    size: int
    tags: tuple[str, ...]
    typical: tuple[LibraryTrack, ...]


@use_case
def known_clusters(request: LibraryRequest, session: LibrarySession | None = None) -> Steps[tuple[KnownCluster, ...]]:
    """The clusters that were made, the largest first; nothing is written."""
    from earmark.library.cluster import known_clusters as known

    with opened(request.library, session=session) as library:
        model = yield from chosen_model(library, request.model)
        return tuple(
            KnownCluster(one.name, len(one.audio), one.tags, tuple(one.typical(library)))
            for one in known(library, model)
        )


@use_case
def make_clusters(request: ClusterRequest) -> Steps[tuple[NamedCluster, ...]]:
    """All clusters, the largest first: made at the first call, kept from then on."""
    from earmark.library.cluster import cluster_tracks

    with opened(request.library, write=True) as library:
        model = yield from chosen_model(library, request.model)
        found = yield from searched(
            library, model, lambda: cluster_tracks(library, model, request.count, rebuild=request.rebuild)
        )
        clusters = []
        for one in found.clusters:
            files = library.tracks_of(one.audio)
            tracks = tuple(track.path for audio in one.audio for track in files[audio])
            clusters.append(
                NamedCluster(one.name, tuple(one.tags), tracks, tuple(track.path for track in one.typical(library)))
            )
    if request.count and len(clusters) < request.count:
        yield Notice(f"There are {len(clusters)} clusters: the library has no more different songs.")
    if found.joined and not found.made:
        yield Notice(f"{found.joined} songs joined since the clusters were made; --rebuild makes them again.")
    return tuple(clusters)
