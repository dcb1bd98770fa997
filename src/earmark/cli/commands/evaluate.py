"""``earmark evaluate``: honest scores of a model on a data set."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.cli import arguments, console
from earmark.cli.drawing import follow
from earmark.cli.learning import Learning
from earmark.errors import MissingExtra, ModelError

if TYPE_CHECKING:
    from earmark.datasets.core import Dataset
    from earmark.engine import Engine
    from earmark.evaluation.evaluate import Evaluation
    from earmark.inference.tagger import Tagger

HELP = "honest scores of a model on a data set, with intervals"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", metavar="MODEL[,MODEL]", help="model folders or names; several are an ensemble")
    parser.add_argument("dataset", metavar="DATASET", help="a folder of class folders, or one with dataset.toml")
    parser.add_argument("--heads", metavar="A,B", help="only these heads (default: all that both have)")
    text = "test, valid, train or all (default: %(default)s; valid where the data set has no test rows)"
    parser.add_argument("--split", default="test", metavar="PART", help=text)
    flag = argparse.BooleanOptionalAction
    parser.add_argument(
        "--naive", action=flag, default=False, help="also train again on clips split at random: the leaking score"
    )
    parser.add_argument("--against", metavar="MODEL", help="a paired test against another model on the same tracks")
    text = "score tracks that the model was trained on, too"
    parser.add_argument("--allow-training-tracks", action=flag, default=False, help=text)
    parser.add_argument("--report", metavar="FOLDER", help="write a page with pictures there")
    arguments.add_jobs(parser)
    console.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate."""
    from earmark.datasets import load_dataset
    from earmark.engine import LocalEngine
    from earmark.evaluation.evaluate import Plan, evaluate
    from earmark.events import Run

    models = _taggers(args.model)
    against = _taggers(args.against) if args.against else []
    dataset = load_dataset(args.dataset)
    plan = Plan(heads=_names(args.heads), part=args.split, allow_training_tracks=args.allow_training_tracks)
    with LocalEngine(args.jobs) as engine:
        found = follow(Run(evaluate(models, dataset, plan, engine=engine, against=against)))
        if args.naive:
            found = _with_naive(found, models, dataset, engine)
    for notice in _notices(found):
        print(console.plain(notice), file=sys.stderr)
    if console.wants_json(args):
        console.print_json(found.to_dict())
    else:
        from earmark.cli.scores import print_evaluation

        print_evaluation(found)
    if args.report:
        from earmark.pages.report import write_report

        print(f"report: {console.plain(str(write_report(found, Path(args.report))))}", file=sys.stderr)
    return 3 if found.failures else 0


def _taggers(text: str) -> list[Tagger]:
    """The models of an argument; a folder whose name holds a comma is one model."""
    from earmark.inference.tagger import load_model

    names = [text] if Path(text).is_dir() else [name.strip() for name in text.split(",")]
    if "" in names:
        raise ModelError(f"{text}: a model's name is missing")
    return [load_model(name) for name in names]


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()


def _notices(found: Evaluation) -> Iterator[str]:
    yield from found.notices
    if found.left_out:
        yield f"{found.left_out} tracks left out: the model was trained on them"
    if found.failures:
        kinds = ", ".join(sorted({failure.kind for failure in found.failures}))
        yield f"{len(found.failures)} tracks could not be heard: {kinds}"


def _with_naive(found: Evaluation, models: Sequence[Tagger], dataset: Dataset, engine: Engine) -> Evaluation:
    """The evaluation with the leaking score of the (first) model's recipe beside it."""
    from dataclasses import replace

    try:
        from earmark.training.naive import NaivePlan, naive_figures
    except ModuleNotFoundError as error:
        raise MissingExtra("train", "--naive trains again, and") from error
    print("training again, on clips split at random", file=sys.stderr)
    line = Learning(epochs_stay=False)
    figures = line.follow(naive_figures(models[0], dataset, NaivePlan(tuple(found.figures)), engine))
    return replace(found, naive=figures)
