"""``earmark distill``: a small network from larger ones."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from earmark.cli import console, hearing
from earmark.errors import EarmarkError, MissingExtra

HELP = "a small network that learns from larger ones what they say of your audio"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("audio", nargs="+", metavar="AUDIO", help="files and folders; no labels are needed")
    parser.add_argument(
        "--teachers", required=True, metavar="KIND=FILE,...",
        help="won-fcn, won-crnn, won-musicnn, yamnet, efficientat-mn04 (published weights), earmark (a model folder)",
    )  # fmt: skip
    parser.add_argument("-o", "--output", required=True, metavar="MODEL", help="the model folder")
    parser.add_argument(
        "--copies", type=int, default=2, metavar="N", help="of each sound, all but one changed; default 2"
    )
    parser.add_argument("--steps", type=int, default=6000, metavar="N", help="of the training; default 6000")
    parser.add_argument("--backbone", default="patch-residual", metavar="NAME", help="default patch-residual")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights and changes")
    parser.add_argument("-j", "--jobs", type=int, default=1, metavar="N", help="processes and threads; default 1")
    parser.add_argument("--overwrite", action="store_true", help="begin anew where MODEL exists")
    console.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Distil."""
    try:
        from earmark.training.distillation import files as distilling
    except ImportError:
        raise MissingExtra("train", "distilling a model") from None
    teachers = _teachers(args.teachers)
    if args.copies < 1 or args.steps < 1:
        raise EarmarkError("--copies and --steps must be at least 1")
    output = Path(args.output)
    if args.overwrite:
        distilling.forget(output)
    plan = distilling.DistillPlan(teachers, args.copies)
    student = replace(plan.student, steps=args.steps, backbone=args.backbone, seed=args.seed)
    paths = [entry.path for entry in hearing.wanted(args.audio).entries]
    found = distilling.distill_files(paths, replace(plan, student=student), output, max(1, args.jobs), _tell)
    if found.card is None:
        print(f"{console.plain(args.output)} is finished; --overwrite begins anew", file=sys.stderr)
        return 0
    facts = {
        "model": args.output,
        "pieces": found.pieces,
        "unreadable": found.unreadable,
        "explained": round(found.explained, 4),
    }
    if console.wants_json(args):
        console.print_json({"distill": facts})
    else:
        share = f"{found.explained:.0%} of what the teachers say"
        print(f"{console.plain(args.output)}: learnt from {found.pieces} pieces, {share}")
        if found.unreadable:
            print(f"{found.unreadable} files could not be heard and were left out", file=sys.stderr)
    return 3 if found.unreadable else 0


def _teachers(text: str) -> dict[str, str]:
    """``KIND=FILE,...`` as a table."""
    found = {}
    for pair in text.split(","):
        kind, equals, file = pair.partition("=")
        if not equals or not kind.strip() or not file.strip():
            raise EarmarkError(f"--teachers {text}: {pair!r} is not KIND=FILE")
        if kind.strip() in found:
            raise EarmarkError(f"--teachers {text}: {kind.strip()} stands twice")
        found[kind.strip()] = file.strip()
    return found


def _tell(line: str) -> None:
    if sys.stderr.isatty():
        print(line, file=sys.stderr)
