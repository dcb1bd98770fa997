"""``earmark compare``: several recipes or settings on one split, and which of them is worth its cost."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from earmark.app.compare import CompareRequest, compare
from earmark.cli import arguments, console
from earmark.cli.drawing import duration, follow

if TYPE_CHECKING:
    from earmark.evaluation.comparison import Comparison, Row

HELP = "train several recipes or settings on one split, and tell which is worth its cost"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dataset", metavar="DATASET", help="a folder of class folders, or one with dataset.toml")
    text = "names or files; `earmark recipes` lists them"
    parser.add_argument("-r", "--recipes", type=arguments.names, metavar="A,B,C", required=True, help=text)
    parser.add_argument("--heads", type=arguments.names, metavar="A,B", help="only these heads of the data set")
    text = "a setting of every recipe; RECIPE:KEY=VALUE: of that one"
    parser.add_argument("--set", dest="settings", metavar="KEY=VALUE", action=arguments.Collect, help=text)
    text = "try these values, chosen on the validation part; may be given again: every combination is tried"
    parser.add_argument("--sweep", metavar="KEY=V1,V2", action=arguments.Collect, help=text)
    text = "models and the page; what is finished there is kept (default: %(default)s)"
    parser.add_argument("--report", metavar="FOLDER", help=text)
    text = "shares of the tracks, where the data set assigns no parts (default: %(default)s)"
    parser.add_argument("--split", metavar="TRAIN,VALID,TEST", help=text)
    text = "how many points behind the best still count as no worse, in the advice (default: %(default)g)"
    parser.add_argument("--margin", metavar="POINTS", type=float, help=text)
    text = "train every row once more on clips split at random, and show that leaky score beside the honest one"
    parser.add_argument("--naive", action=arguments.FLAG, help=text)
    arguments.add_seed(parser)
    arguments.add_device(parser)
    arguments.add_exclude(parser, "--exclude-files")
    arguments.add_format(parser)
    arguments.defaults(parser, CompareRequest)


def run(args: argparse.Namespace) -> int:
    """Compare."""
    found = follow(compare(arguments.request(args, CompareRequest)), keeps=True, epochs_stay=False)
    if console.wants_json(args):
        console.print_json(found.to_dict())
    else:
        _print(found)
    failed = [row for row in found.rows if row.error]
    return 1 if len(failed) == len(found.rows) else 3 if failed else 0


def _print(found: Comparison) -> None:
    from earmark.evaluation.scores import main_figure

    heads = {head: figures["task"] for row in found.table for head, figures in row.heads.items()}
    names = [f"{head} {main_figure(task).replace('_', ' ')}" for head, task in heads.items()]
    header = ("recipe", *names, "parameters", "GFLOP", "songs/s", "training", "")
    console.print_table(header, [_cells(row, heads) for row in found.table])
    for head in heads:
        for row in found.table:
            text = _parts(row, head)
            if text:
                print(console.plain(f"{head}, {row.title}: {text}"))
    print(f"\n{console.plain(found.advice.text)}")


def _cells(row: Row, heads: dict[str, str]) -> tuple[str, ...]:
    from earmark.evaluation.scores import main_figure

    figures = [_figure(row.heads.get(head, {}), main_figure(task)) for head, task in heads.items()]
    return (
        row.title,
        *figures,
        "-" if row.parameters is None else f"{row.parameters:,}",
        "-" if row.gflop is None else f"{row.gflop:.3g}",
        "-" if row.songs_per_second is None else f"{row.songs_per_second:.3g}",
        "-" if row.train_seconds is None else duration(row.train_seconds),
        row.error or ("" if row.chosen else "not chosen"),
    )


def _figure(figures: dict[str, Any], key: str) -> str:
    value, between = figures.get(key), figures.get(f"{key}_ci95")
    if value is None:
        return "-"
    return f"{value:.3f}" + (f" ({between[0]:.3f} to {between[1]:.3f})" if between else "")


def _parts(row: Row, head: str) -> str:
    """Training, validation and leaky figures in words."""
    from earmark.evaluation.scores import main_figure

    figures = row.heads.get(head)
    if not figures:
        return ""
    key = main_figure(figures["task"])
    parts = [f"training {_figure(figures, f'train_{key}')}", f"validation {_figure(figures, f'valid_{key}')}"]
    leaking = row.naive.get(head)
    return ", ".join([*parts, f"random split {_figure(leaking, key)}"] if leaking else parts)
