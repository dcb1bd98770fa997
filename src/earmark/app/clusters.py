"""Cluster the library: groups of tracks, named by what tells them apart."""

from __future__ import annotations

from dataclasses import dataclass

from earmark.app.library import LibraryRequest, chosen_model, opened
from earmark.events import Notice, Steps, use_case

__all__ = ["ClusterRequest", "NamedCluster", "make_clusters"]


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


@use_case
def make_clusters(request: ClusterRequest) -> Steps[tuple[NamedCluster, ...]]:
    """All clusters, the largest first: made at the first call, kept from then on."""
    from earmark.library.cluster import cluster_tracks

    with opened(request.library, write=True) as library:
        model = yield from chosen_model(library, request.model)
        found = cluster_tracks(library, model, request.count, rebuild=request.rebuild)
        clusters = []
        for one in found.clusters:
            files = library.tracks_of(one.audio)
            tracks = tuple(track.path for audio in one.audio for track in files[audio])
            clusters.append(NamedCluster(one.name, tuple(one.tags), tracks, tuple(one.typical(library))))
    if request.count and len(clusters) < request.count:
        yield Notice(f"There are {len(clusters)} clusters: the library has no more different songs.")
    if found.joined and not found.made:
        yield Notice(f"{found.joined} songs joined since the clusters were made; --rebuild makes them again.")
    return tuple(clusters)
