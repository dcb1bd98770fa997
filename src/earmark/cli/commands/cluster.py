"""``earmark cluster``: the library in groups that have names."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from earmark.cli import console, shelf

if TYPE_CHECKING:
    from earmark.library.cluster import Cluster
    from earmark.library.store import Library

HELP = "your library in groups, named by what tells them apart"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    text = "clusters wanted (default: as many as the music has; those made before are kept)"
    parser.add_argument("-k", "--count", type=shelf.above_zero("a whole number"), metavar="N", help=text)
    text = "make them afresh, instead of letting new songs join the old clusters"
    parser.add_argument("--anew", action=argparse.BooleanOptionalAction, default=False, help=text)
    shelf.add_library(parser)
    console.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Cluster."""
    from earmark.library.cluster import cluster_tracks

    with shelf.opened(args) as library:
        model = shelf.model_of(args, library)
        found = cluster_tracks(library, model, args.count, anew=args.anew)
        facts = [_fields(library, one) for one in found.clusters]
    if args.count and len(facts) < args.count:
        print(f"{len(facts)} clusters: the library has no more different songs", file=sys.stderr)
    if found.joined and not found.made:
        told = f"{found.joined} songs joined since the clusters were made; --anew makes them afresh"
        print(told, file=sys.stderr)
    if console.wants_json(args):
        console.print_json({"clusters": facts})
        return 0
    rows = [
        (one["name"], str(one["size"]), ", ".join(one["tags"]), "; ".join(_short(path) for path in one["typical"][:3]))
        for one in facts
    ]
    console.print_table(("cluster", "songs", "tags", "typical"), rows)
    return 0


def _fields(library: Library, cluster: Cluster) -> dict[str, Any]:
    files = library.tracks_of(cluster.audio)
    tracks = [shelf.valid(track.path) for one in cluster.audio for track in files[one]]
    return {
        "name": cluster.name,
        "size": len(tracks),
        "typical": [shelf.valid(path) for path in cluster.typical(library)],
        "tags": list(cluster.tags),
        "tracks": tracks,
    }


def _short(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]
