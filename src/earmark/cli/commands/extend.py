"""``earmark extend``: add classes to a trained model from a few songs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from earmark.datasets.core import Dataset
    from earmark.training.extend import Extension

HELP = "add classes to a trained model from 30 to 50 songs each, without the music that it was trained on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from earmark.cli.console import add_format
    from earmark.cli.corrections import add_from_library

    parser.add_argument("model", metavar="MODEL", help="a model folder, or a name that `earmark models` lists")
    text = "a data set with labels that the model does not know yet; with --label a folder of songs"
    text += "; may be left out with --from-library"
    parser.add_argument("songs", metavar="DATASET", nargs="?", help=text)
    parser.add_argument("-o", "--output", metavar="MODEL", required=True, help="folder of the new model")
    parser.add_argument("--label", metavar="NAME", help="the class that all songs of the folder belong to")
    parser.add_argument("--head", metavar="HEAD", help="the head that gains the classes")
    parser.add_argument("--test", metavar="DATASET", help="measure before and after on this data set, too")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of which artists are set aside (0)")
    add_from_library(parser)
    add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Add the classes."""
    _need_extra()
    from earmark.cli.console import print_json, wants_json
    from earmark.cli.learning import Learning
    from earmark.datasets import load_dataset
    from earmark.models.registry import find_model
    from earmark.training.extend import ExtendOptions, extend_model

    model = find_model(args.model)
    songs = _songs(args, model)
    test = load_dataset(args.test) if args.test else None
    options = ExtendOptions(head=args.head, test=test, seed=args.seed)
    found = Learning().follow(extend_model(model, songs, Path(args.output), options))
    for notice in (*songs.notices, *found.notices):
        print(f"earmark: {notice}", file=sys.stderr)
    if found.degraded:
        print(f"earmark: {_warning(found)}", file=sys.stderr)
    if wants_json(args):
        print_json(found.to_dict())
    else:
        _print(found, args.output)
    return 0


def _need_extra() -> None:
    from importlib.util import find_spec

    from earmark.errors import MissingExtra

    if not all(map(find_spec, ("torch", "sklearn", "onnx"))):
        raise MissingExtra("train", "extend")


def _songs(args: argparse.Namespace, model: Path) -> Dataset:
    from earmark.cli.corrections import corrections_of, join, unknown_to
    from earmark.cli.learning import Learning
    from earmark.errors import DatasetError
    from earmark.models.card import read_card

    if args.library and not args.from_library:
        raise DatasetError("--library: is for --from-library")
    if args.songs is not None:
        songs = _given(args, model)
        return Learning().follow(join(songs, corrections_of(args))).dataset if args.from_library else songs
    if args.label is not None:
        raise DatasetError(f"--label {args.label}: give the folder of its songs, too")
    if not args.from_library:
        raise DatasetError("no songs: give a data set, a folder with --label, or --from-library")
    return unknown_to(read_card(model), corrections_of(args), args.head)


def _given(args: argparse.Namespace, model: Path) -> Dataset:
    """The songs that were given by name."""
    from earmark.datasets import load_dataset
    from earmark.errors import DatasetError
    from earmark.models.card import read_card
    from earmark.training.additions import songs_of_class

    folder = Path(args.songs)
    if not folder.exists():
        raise DatasetError(f"{folder}: no such folder")
    if args.label is not None:
        return songs_of_class(folder, args.label, args.head, read_card(model))
    return load_dataset(folder)


def _warning(found: Extension) -> str:
    drifts = [("the stored validation songs", found.stored), ("--test", found.test)]
    told = [
        f"{head}: {100 * difference:+.1f} points on {where} (p = {p:.3f}, {tracks} songs)"
        for where, drift in drifts
        if drift is not None and drift.degraded
        for head, (difference, p, tracks) in drift.changes.items()
    ]
    return f"warning: old classes got worse: {'; '.join(told)}; the old model is unchanged"


def _print(found: Extension, output: str) -> None:
    from earmark.cli.console import print_table

    rows = []
    for where, drift in (("stored", found.stored), ("test", found.test)):
        if drift is not None:
            every = [*drift.classes.items(), *((f"{name} (new)", one) for name, one in drift.new.items())]
            rows += [[where, _share(one.before), _share(one.after), str(one.tracks), name] for name, one in every]
    print_table(["measured on", "before", "after", "songs", "class"], rows)
    if found.test is not None:
        print(f"\n{len(found.test.moved)} songs moved")
        if found.test.moved:
            print_table(["from", "to", "song"], [[m.before, m.after, m.path] for m in found.test.moved])
    print(f"\nadded {', '.join(found.added)}: {output}")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
