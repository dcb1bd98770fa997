"""``earmark playlist``: songs by seeds, a cluster or words, in an order that flows; and the playlists that are kept."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.app.library import LibraryRequest
from earmark.app.playlist import (
    ForgetRequest,
    KeptRequest,
    PlaylistRequest,
    forget_playlist,
    kept_playlist,
    kept_playlists,
    make_playlist,
)
from earmark.cli import arguments, console
from earmark.cli.drawing import count_of, duration, follow, print_notice
from earmark.cli.records import name_of, song_fields

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
        parser.add_argument(f"--{option}", dest=name, action=arguments.Collect, nargs="+", metavar=letter, help=text)
    text = "what words describe, as `earmark find` takes them"
    parser.add_argument("--like", type=arguments.words, metavar="WORDS", help=text)
    parser.add_argument("--cluster", metavar="NAME", help="from this cluster (`earmark cluster` lists them)")
    text = "so energetic, from 0 to 1: 0.6-0.9, 0.6- or -0.4"
    parser.add_argument("--energy", type=arguments.interval, metavar="A-B", help=text)
    text = "so fast, in beats a minute: 118-126, 118- or -90"
    parser.add_argument("--tempo", type=arguments.tempi, metavar="A-B", help=text)
    text = "each song in a key that goes with the one before: the same, a fifth apart, or relative"
    parser.add_argument("--key-compatible", action=arguments.FLAG, help=text)
    minutes = arguments.number("a number of minutes above 0", 0)
    parser.add_argument("--minutes", type=minutes, metavar="N", help="how long (default: %(default)g)")
    text = "no artist again within so many songs (default: %(default)s)"
    parser.add_argument("--artist-gap", type=arguments.whole, metavar="N", help=text)
    parser.add_argument("--apart", action=arguments.Renamed, now="--artist-gap")
    text = "keep it by this name: its songs are chosen anew after each scan"
    parser.add_argument("--keep", metavar="NAME", help=text)
    text = "list the playlists that are kept; with a name: the songs of that one"
    parser.add_argument("--kept", nargs="?", const="", metavar="NAME", help=text)
    parser.add_argument("--forget", metavar="NAME", help="keep this one no longer")
    add_output(parser)
    arguments.add_library(parser)
    arguments.defaults(parser, PlaylistRequest)


def add_output(parser: argparse.ArgumentParser) -> None:
    """Declare where a list of songs goes."""
    text = "write there: a playlist, or JSON by the ending .json"
    parser.add_argument("-o", "--output", metavar="FILE.m3u8", help=text)
    arguments.add_format(parser, ("table", "json", "m3u8"))


def run(args: argparse.Namespace) -> int:
    """Make one; or show, or forget, one that is kept."""
    if args.forget is not None:
        follow(forget_playlist(ForgetRequest(library=args.library, playlist=args.forget)))
        print_notice(f"{args.forget}: is kept no longer")
    elif args.kept == "":
        _list(args)
    elif args.kept is not None:
        _, tracks = follow(kept_playlist(KeptRequest(library=args.library, playlist=args.kept)))
        put(args, tracks)
    else:
        low, high = args.energy or (None, None)
        slow, fast = args.tempo or (None, None)
        bounds = {"energy_min": low, "energy_max": high, "tempo_min": slow, "tempo_max": fast}
        request = arguments.request(args, PlaylistRequest, **bounds)
        tracks = follow(make_playlist(request))
        put(args, tracks)
    return 0


def _list(args: argparse.Namespace) -> None:
    """The playlists that are kept."""
    found = follow(kept_playlists(LibraryRequest(library=args.library)))
    if console.wants_json(args):
        facts = [{"name": one.name, "tracks": one.tracks, "seconds": round(one.seconds, 3)} for one in found]
        console.print_json({"playlists": facts})
    elif found:
        rows = [(one.name, str(one.tracks), duration(one.seconds)) for one in found]
        console.print_table(("name", "songs", "length"), rows)
    else:
        print("No playlist is kept; `earmark playlist --genre Jazz --keep NAME` keeps one.")


def put(args: argparse.Namespace, tracks: Sequence[LibraryTrack]) -> None:
    """Songs to where they are to go, as they are to look."""
    from earmark.library.export import m3u_text
    from earmark.storage import write_file

    target = None if args.output in (None, "-") else Path(args.output)
    shape = _shape(args, target)
    if target is not None:
        write_file(target, m3u_text(tracks, target.parent.resolve()) if shape == "m3u8" else _json(tracks))
        seconds = sum(track.seconds for track in tracks)
        print_notice(f"{target}: {count_of(len(tracks), 'song')}, {duration(seconds)}")
    elif shape == "table":
        rows = [(str(place), duration(track.seconds), name_of(track)) for place, track in enumerate(tracks, 1)]
        console.print_table(("", "length", "song"), rows)
    else:
        sys.stdout.write(m3u_text(tracks, None) if shape == "m3u8" else _json(tracks))


def _shape(args: argparse.Namespace, target: Path | None) -> str:
    asked: str | None = args.format
    if target is not None:
        return "json" if asked == "json" or (asked is None and target.suffix.lower() == ".json") else "m3u8"
    return asked or ("table" if sys.stdout.isatty() else "json")


def _json(tracks: Sequence[LibraryTrack]) -> str:
    from earmark.text import json_text

    fields = [song_fields(track) | {"seconds": round(track.seconds, 3)} for track in tracks]
    return json_text({"tracks": fields}, indent=2) + "\n"
