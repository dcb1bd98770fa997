"""``earmark compare``: several recipes or settings on one split, and which of them is worth its cost."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.cli import console
from earmark.cli.learning import Learning
from earmark.cli.progress import duration
from earmark.errors import MissingExtra, RecipeError

if TYPE_CHECKING:
    from earmark.evaluation.comparison import Comparison, Row
    from earmark.recipe import SplitPlan
    from earmark.training.compare import ComparePlan

HELP = "train several recipes or settings on one split, and tell which is worth its cost"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dataset", metavar="DATASET", help="folder of class folders, or with dataset.toml")
    parser.add_argument(
        "-r", "--recipes", metavar="A,B,C", required=True, help="names or files; `earmark recipes` lists"
    )
    parser.add_argument("--heads", metavar="A,B", help="only these heads of the data set")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a setting of every recipe; RECIPE:KEY=VALUE: of that one",
    )
    text = "try these values, chosen on the validation part; may be given again: every combination is tried"
    parser.add_argument("--sweep", metavar="KEY=V1,V2", action="append", default=[], help=text)
    text = "models and the page; what is finished there is kept (default: %(default)s)"
    parser.add_argument("--report", metavar="FOLDER", default="comparison", help=text)
    text = "shares of the tracks, where the data set assigns no parts (default: %(default)s)"
    parser.add_argument("--split", metavar="TRAIN,VALID,TEST", default="0.8,0.1,0.1", help=text)
    text = "train every row once more on clips split at random, and show that leaking score beside the honest one"
    parser.add_argument("--naive", action=argparse.BooleanOptionalAction, default=False, help=text)
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of split, weights and order")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    console.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Compare."""
    if importlib.util.find_spec("torch") is None:
        raise MissingExtra("train", "training")
    from earmark.datasets import load_dataset
    from earmark.pages.comparison import write_comparison
    from earmark.training.compare import compare, variants

    plan = _plan(args)
    variants(plan)  # names and settings are checked before anything is read
    heads = _names(args.heads) if args.heads else None
    dataset = load_dataset(args.dataset, heads=heads, training=True)
    folder = Path(args.report)
    found = Learning(epochs_stay=False).follow(compare(dataset, plan, folder))
    page = write_comparison(found, folder)
    for notice in found.notices:
        print(console.plain(notice), file=sys.stderr)
    if console.wants_json(args):
        console.print_json(found.to_dict())
    else:
        _print(found)
    print(f"report: {console.plain(str(page))}", file=sys.stderr)
    failed = [row for row in found.rows if row.error]
    return 1 if len(failed) == len(found.rows) else 3 if failed else 0


def _plan(args: argparse.Namespace) -> ComparePlan:
    from earmark.training.compare import ComparePlan

    sweep: dict[str, tuple[str, ...]] = {}
    for item in args.sweep:
        key, equals, values = item.partition("=")
        if not equals or not key.strip() or not _names(values):
            raise RecipeError(f"--sweep {item}: expected KEY=V1,V2, as in heads.dropout=0.5,0.6")
        sweep[key.strip()] = _values(values)
    return ComparePlan(
        recipes=_names(args.recipes),
        settings=tuple(args.set),
        sweep=sweep,
        seed=args.seed,
        device=args.device,
        split=_split(args.split),
        naive=args.naive,
    )


def _split(text: str) -> SplitPlan:
    from earmark.recipe import SplitPlan

    try:
        train, valid, test = (float(share) for share in text.split(","))
    except ValueError:
        train = valid = test = -1.0
    if min(train, valid, test) < 0 or not 0.999 < train + valid + test < 1.001:
        raise RecipeError(f"--split {text}: expected three shares that add up to 1, as in 0.6,0.1,0.3")
    return SplitPlan(train, valid, test)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _values(text: str) -> tuple[str, ...]:
    """Values between commas; a list in brackets is one value."""
    found, depth = [""], 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if character == "," and not depth:
            found.append("")
        else:
            found[-1] += character
    return tuple(value.strip() for value in found if value.strip())


def _print(found: Comparison) -> None:
    from earmark.evaluation.scores import main_figure

    heads = {head: figures["task"] for row in found.table for head, figures in row.heads.items()}
    names = [f"{head} {main_figure(task).replace('_', ' ')}" for head, task in heads.items()]
    header = ("recipe", *names, "parameters", "GFLOP", "songs/s", "training", "")
    console.print_table(header, [_cells(row, heads) for row in found.table])
    for head in heads:
        for row in found.table:
            told = _parts(row, head)
            if told:
                print(console.plain(f"{head}, {row.title}: {told}"))
    print(f"\n{console.plain(found.advice)}")


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
    """Training, validation and naive figures in words."""
    from earmark.evaluation.scores import main_figure

    figures = row.heads.get(head)
    if not figures:
        return ""
    key = main_figure(figures["task"])
    parts = [f"training {_figure(figures, f'train_{key}')}", f"validation {_figure(figures, f'valid_{key}')}"]
    leaking = row.naive.get(head)
    return ", ".join([*parts, f"naive {_figure(leaking, key)}"] if leaking else parts)
