"""``earmark cluster``: the library in groups that have names."""

from __future__ import annotations

import argparse

from earmark.app.clusters import ClusterRequest, make_clusters
from earmark.cli import arguments, console
from earmark.cli.drawing import follow
from earmark.inference.records import path_fields

HELP = "your library in groups, named by what tells them apart"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    text = "clusters (default: as many as the music has; those made before are kept)"
    parser.add_argument("-k", "--count", type=arguments.above_zero, metavar="N", help=text)
    add_rebuild(parser, "make them again, instead of letting new songs join the old clusters")
    arguments.add_library(parser)
    arguments.add_format(parser)
    arguments.defaults(parser, ClusterRequest)


def add_rebuild(parser: argparse.ArgumentParser, text: str) -> None:
    """Declare ``--rebuild``."""
    parser.add_argument("--rebuild", action=arguments.FLAG, help=text)
    parser.add_argument("--anew", action=arguments.Renamed, now="--rebuild")


def run(args: argparse.Namespace) -> int:
    """Cluster."""
    found = follow(make_clusters(arguments.request(args, ClusterRequest)))
    if console.wants_json(args):
        facts = [
            {
                "name": one.name,
                "size": len(one.tracks),
                "typical": _valid(one.typical),
                "tags": one.tags,
                "tracks": _valid(one.tracks),
            }
            for one in found
        ]
        console.print_json({"clusters": facts})
        return 0
    rows = [
        (one.name, str(len(one.tracks)), ", ".join(one.tags), "; ".join(_short(path) for path in one.typical[:3]))
        for one in found
    ]
    console.print_table(("cluster", "songs", "tags", "typical"), rows)
    return 0


def _valid(paths: tuple[str, ...]) -> list[str]:
    return [path_fields(path)["path"] for path in paths]


def _short(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]
