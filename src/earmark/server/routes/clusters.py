"""Clusters of the library."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request

from earmark.app.clusters import known_clusters
from earmark.app.library import LibraryRequest
from earmark.app.summaries import Summary
from earmark.server.service import service_of

__all__ = ["router"]

router = APIRouter(prefix="/v1/clusters", tags=["clusters"])


@dataclass(frozen=True)
class ClusterInShort:
    """A cluster: its name, how many songs it has, its most telling labels, and a few songs from its middle."""

    name: str
    size: int
    tags: list[str]
    typical: list[Summary]


@dataclass(frozen=True)
class Clusters:
    """All clusters, the largest first; none before a job of the kind `clusters` has made them."""

    clusters: list[ClusterInShort]


@router.get("")
def clusters(request: Request) -> Clusters:
    """The clusters that there are."""
    service = service_of(request)
    found = known_clusters(LibraryRequest(), service.session).wait()
    return Clusters(
        [ClusterInShort(one.name, one.size, list(one.tags), service.summaries(one.typical)) for one in found]
    )
