"""``earmark train``: a model from a data set by a recipe."""

from __future__ import annotations

import argparse
from typing import Any

from earmark.app import own_tags
from earmark.app.corrections import in_words
from earmark.app.train import Trained, TrainRequest, describe, train
from earmark.cli import arguments, console
from earmark.cli.drawing import follow

HELP = "train a model on your own labels"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    text = (
        "a folder of class folders, or one with dataset.toml; with --from-tags a folder of music, or none for the "
        "library; may be left out with --from-library"
    )
    parser.add_argument("dataset", metavar="DATASET", nargs="?", help=text)
    text = "the model folder to be; run again, the training goes on where it stopped"
    parser.add_argument("-o", "--output", metavar="MODEL", required=True, help=text)
    text = "a name or a TOML file; `earmark recipes` lists them (default: %(default)s)"
    parser.add_argument("-r", "--recipe", help=text)
    parser.add_argument("--heads", type=arguments.names, metavar="A,B", help="only these heads of the data set")
    text = "leave a label out; may be given again"
    parser.add_argument("--exclude", metavar="HEAD=LABEL", action=arguments.Collect, help=text)
    parser.add_argument("--init", metavar="MODEL", help="start from this model")
    parser.add_argument("--epochs", metavar="N", type=arguments.whole, help="at most; as --set training.epochs=N")
    arguments.add_seed(parser)
    text = "a setting of the recipe; may be given again"
    parser.add_argument("--set", dest="settings", metavar="KEY=VALUE", action=arguments.Collect, help=text)
    parser.add_argument("--overwrite", action="store_true", help="begin again where there is a model already")
    _add_from_tags(parser)
    arguments.add_from_library(parser)
    arguments.add_engine(parser)
    arguments.add_exclude(parser, "--exclude-files")
    arguments.add_format(parser)
    arguments.defaults(parser, TrainRequest)


def _add_from_tags(parser: argparse.ArgumentParser) -> None:
    text = "learn from the files' own tags: of the library, without decoding anything, or of a folder"
    parser.add_argument("--from-tags", action="store_true", help=text)
    parser.add_argument("--field", metavar="NAME", help="the tag that --from-tags learns (default: %(default)s)")
    text = "of several labels of a song all count, not the first alone"
    parser.add_argument("--multi-label", action="store_true", help=text)
    parser.add_argument(
        "--labels", metavar="FILE", help="your names of labels (TOML, a table a field): joins spellings"
    )
    for name, what in (("tracks", "songs"), ("artists", "artists")):
        text = f"leave out labels of fewer {what} (default: %(default)s)"
        parser.add_argument(f"--min-{name}", type=arguments.above_zero, metavar="N", help=text)


def run(args: argparse.Namespace) -> int:
    """Train, and say how good the model is."""
    if not args.from_tags and "labels" in args.from_file:  # of every verb, in the settings file
        args.labels = None
    _print(args, follow(train(arguments.request(args, TrainRequest)), keeps=True))
    return 0


def _print(args: argparse.Namespace, found: Trained) -> None:
    from earmark.training.finish import score_line

    card, worth = found.card, found.corrections
    if console.wants_json(args):
        facts = describe(found)
        console.print_json({"model": facts.pop("model"), "folder": args.output, **facts})
        return
    rows = [_row(head.name, card.scores.get(head.name, {})) for head in card.heads]
    console.print_table(("head", "score", "value", "95 % interval", "tracks", "part", "training", "validation"), rows)
    print()
    for head in card.heads:
        print(console.plain(score_line(head, card.scores.get(head.name, {}))))
    for name, one in (worth or {}).items():
        print(console.plain(in_words(name, one)))
    for line in own_tags.in_words(found.tags, args.output) if found.tags else ():
        print(console.plain(line))
    print(console.plain(f"{args.output}: {card.id}"))


def _row(name: str, scores: dict[str, Any]) -> tuple[str, ...]:
    from earmark.evaluation.scores import main_figure

    key = main_figure(scores.get("task", "multiclass"))
    interval = scores.get(f"{key}_ci95")
    low_high = f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else "-"
    beside = [_figure(scores.get(f"{part}_{key}")) for part in ("train", "valid")]
    part, tracks = str(scores.get("part", "-")), str(scores.get("tracks", 0))
    return (name, key, _figure(scores.get(key)), low_high, tracks, part, *beside)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
