"""``earmark evaluate``: honest scores of a model on a data set."""

from __future__ import annotations

import argparse

from earmark.app.evaluate import EvaluateRequest, evaluate
from earmark.cli import arguments, console
from earmark.cli.drawing import follow

HELP = "honest scores of a model on a data set, with intervals"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", metavar="MODEL[,MODEL]", help="model folders or names; several are an ensemble")
    parser.add_argument("dataset", metavar="DATASET", help="a folder of class folders, or one with dataset.toml")
    text = "only these heads (default: all that both have)"
    parser.add_argument("--heads", type=arguments.names, metavar="A,B", help=text)
    text = "test, valid, train or all (default: %(default)s; valid where the data set has no test rows)"
    parser.add_argument("--split", metavar="PART", help=text)
    text = "also train again on clips split at random, for the leaky score"
    parser.add_argument("--naive", action=arguments.FLAG, help=text)
    parser.add_argument("--against", metavar="MODEL", help="a paired test against another model on the same tracks")
    text = "score tracks that the model was trained on, too"
    parser.add_argument("--allow-training-tracks", action=arguments.FLAG, help=text)
    text = "leave out songs by artists that the model was trained on"
    parser.add_argument("--unheard-artists", action=arguments.FLAG, help=text)
    parser.add_argument("--report", metavar="FOLDER", help="write a page with pictures there")
    arguments.add_engine(parser)
    arguments.add_exclude(parser, "--exclude-files")
    arguments.add_format(parser)
    arguments.defaults(parser, EvaluateRequest)


def run(args: argparse.Namespace) -> int:
    """Evaluate."""
    found = follow(evaluate(arguments.request(args, EvaluateRequest)), epochs_stay=False)
    if console.wants_json(args):
        console.print_json(found.to_dict())
    else:
        from earmark.cli.scores import print_evaluation

        print_evaluation(found)
    return 3 if found.failures else 0
