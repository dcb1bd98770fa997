"""``earmark train``: a model from a data set by a recipe."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.cli import console, corrections
from earmark.cli.learning import Learning
from earmark.errors import DatasetError, MissingExtra, RecipeError

if TYPE_CHECKING:
    from earmark.cli.corrections import Corrections
    from earmark.datasets.core import Dataset
    from earmark.models.card import Card
    from earmark.training.job import TrainOptions

HELP = "train a model on your own labels"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    text = "folder of class folders, or with dataset.toml; may be left out with --from-library"
    parser.add_argument("dataset", metavar="DATASET", nargs="?", help=text)
    parser.add_argument("-o", "--output", metavar="MODEL", required=True, help="the model folder to be")
    parser.add_argument("-r", "--recipe", default="transfer", help="name or TOML file; `earmark recipes` lists them")
    parser.add_argument("--heads", metavar="A,B", help="only these heads of the data set")
    parser.add_argument("--exclude", metavar="HEAD=LABEL", action="append", default=[], help="leave a label out")
    parser.add_argument("--init", metavar="MODEL", help="start from this model")
    parser.add_argument("--epochs", metavar="N", type=int, help="at most; as --set training.epochs=N")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of split, weights and order")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="a setting of the recipe")
    parser.add_argument("--overwrite", action="store_true", help="begin anew where there is a model already")
    corrections.add_from_library(parser)
    console.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Train, and say how good the model is."""
    if importlib.util.find_spec("torch") is None:
        raise MissingExtra("train", "training")
    from earmark.models.card import read_card
    from earmark.recipe import load_recipe
    from earmark.training.job import is_finished, settings_of
    from earmark.training.run import prepare, train_job

    epochs = [] if args.epochs is None else [f"training.epochs={args.epochs}"]
    recipe = load_recipe(args.recipe, [*args.set, *epochs])
    out, line = Path(args.output).absolute(), Learning()
    dataset, said = _dataset(args, line)
    job = line.follow(prepare(dataset, recipe, out, _options(args)))
    for notice in job.notices:
        _say(notice)
    if is_finished(out, settings_of(job), args.overwrite):
        _say(f"{args.output} is finished already; --overwrite begins anew")
    else:
        line.follow(train_job(job, out))
    helped = line.follow(corrections.measure(said, job, out)) if said else None
    _print(args, read_card(out), helped)
    return 0


def _dataset(args: argparse.Namespace, line: Learning) -> tuple[Dataset, Corrections | None]:
    """What is to be learnt from, and the corrections in it where they are asked for."""
    from earmark.datasets import load_dataset

    heads = [name.strip() for name in args.heads.split(",")] if args.heads else None
    if args.dataset is None and not args.from_library:
        raise DatasetError("no data set: give a folder of class folders, or --from-library")
    dataset = load_dataset(args.dataset, heads=heads, training=True) if args.dataset is not None else None
    if not args.from_library:
        if args.library:
            raise DatasetError("--library: is for --from-library")
        return _without(dataset, args.exclude), None  # type: ignore[arg-type]
    said = corrections.corrections_of(args)
    found = corrections.alone(said, heads) if dataset is None else line.follow(corrections.join(dataset, said))
    return _without(found.dataset, args.exclude), found


def _without(dataset: Dataset, excluded: list[str]) -> Dataset:
    from earmark.datasets import without_label

    for item in excluded:
        head, equals, label = item.partition("=")
        if not equals:
            raise RecipeError(f"--exclude {item}: expected HEAD=LABEL, as in genre=pop")
        dataset = without_label(dataset, head, label)
    return dataset


def _options(args: argparse.Namespace) -> TrainOptions:
    from earmark.models.registry import find_model
    from earmark.training.job import TrainOptions

    init = find_model(args.init) if args.init else None
    return TrainOptions(seed=args.seed, device=args.device, init=init, overwrite=args.overwrite)


def _print(args: argparse.Namespace, card: Card, helped: dict[str, dict[str, Any]] | None) -> None:
    from earmark.training.readme import score_line

    if console.wants_json(args):
        facts = {"model": card.id, "folder": args.output, "heads": dict(card.scores)}
        console.print_json(facts if helped is None else facts | {"corrections": helped})
        return
    rows = [_row(head.name, card.scores.get(head.name, {})) for head in card.heads]
    console.print_table(("head", "score", "value", "95 % interval", "tracks", "part", "training", "validation"), rows)
    print()
    for head in card.heads:
        print(console.plain(score_line(head, card.scores.get(head.name, {}))))
    for name, one in (helped or {}).items():
        print(console.plain(corrections.told(name, one)))
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


def _say(text: str) -> None:
    print(console.plain(text), file=sys.stderr, flush=True)
