"""``earmark playlist``: songs by seeds, a cluster or words, in an order that flows."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.cli import console, shelf
from earmark.cli.progress import duration

if TYPE_CHECKING:
    from earmark.library.records import LibraryTrack

HELP = "a playlist by songs, a cluster or words, in an order that flows"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    for option, name, letter, text in (
        ("from", "seeds", "TRACK", "like this song, or these"),
        ("genre", "genres", "X", "of one of these genres"),
        ("mood", "moods", "Y", "of one of these moods"),
        ("tag", "tags", "Z", "with all of these labels, of any head"),
        ("not", "without", "Z", "with none of these labels"),
    ):
        parser.add_argument(f"--{option}", dest=name, action="extend", nargs="+", default=[], metavar=letter, help=text)
    parser.add_argument("--cluster", metavar="NAME", help="from this cluster (`earmark cluster` lists them)")
    parser.add_argument("--minutes", type=_minutes, default=60.0, metavar="N", help="how long (default: 60)")
    text = "no artist again within so many songs (default: %(default)s)"
    parser.add_argument("--apart", type=shelf.at_least_none, default=5, metavar="N", help=text)
    add_output(parser)
    shelf.add_library(parser)


def add_output(parser: argparse.ArgumentParser) -> None:
    """Declare where a list of songs goes."""
    text = "write there: a playlist, or JSON by the ending .json"
    parser.add_argument("-o", "--output", metavar="FILE.m3u8", help=text)
    console.add_format(parser, ("table", "json", "m3u8"))


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes above 0")
    return minutes


def run(args: argparse.Namespace) -> int:
    """Make one."""
    from earmark.library.playlist import PlaylistWish, make_playlist

    wish = PlaylistWish(
        seeds=tuple(args.seeds),
        cluster=args.cluster,
        genres=tuple(args.genres),
        moods=tuple(args.moods),
        tags=tuple(args.tags),
        without=tuple(args.without),
        minutes=args.minutes,
        apart=args.apart,
    )
    # A cluster that was never made is made now.
    with shelf.opened(args, write=args.cluster is not None) as library:
        tracks = make_playlist(library, shelf.model_of(args, library), wish)
    seconds = sum(track.seconds for track in tracks)
    if seconds < 0.9 * 60 * args.minutes:
        print(f"only {duration(seconds)} of music meet the wish", file=sys.stderr)
    put(args, tracks)
    return 0


def put(args: argparse.Namespace, tracks: Sequence[LibraryTrack]) -> None:
    """Songs to where they are wanted, as they are wanted."""
    from earmark.library.m3u import m3u_text
    from earmark.storage import write_file

    target = None if args.output in (None, "-") else Path(args.output)
    shape = _shape(args, target)
    if target is not None:
        folder = target.parent.resolve()
        text = m3u_text(tracks, folder) if shape == "m3u8" else _json(tracks)
        write_file(target, text)
        seconds = sum(track.seconds for track in tracks)
        print(f"{console.plain(str(target))}: {len(tracks)} songs, {duration(seconds)}", file=sys.stderr)
    elif shape == "table":
        rows = [(str(place), duration(track.seconds), shelf.name_of(track)) for place, track in enumerate(tracks, 1)]
        console.print_table(("", "length", "song"), rows)
    else:
        sys.stdout.write(m3u_text(tracks, None) if shape == "m3u8" else _json(tracks))


def _shape(args: argparse.Namespace, target: Path | None) -> str:
    asked: str | None = args.format
    if target is not None:
        return "json" if asked == "json" or (asked is None and target.suffix.lower() == ".json") else "m3u8"
    return asked or ("table" if sys.stdout.isatty() else "json")


def _json(tracks: Sequence[LibraryTrack]) -> str:
    import json

    fields = [shelf.song_fields(track) | {"seconds": round(track.seconds, 3)} for track in tracks]
    return json.dumps({"tracks": fields}, ensure_ascii=False, indent=2) + "\n"
