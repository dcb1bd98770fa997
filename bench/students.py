"""Which small network learns best from the teachers: the same budget, scored on artists whose audio none has heard.

    python bench/students.py slim-residual patch-residual patch-residual:pooling=attention,seconds=10 --budget 130

A network may name options of its own (``pooling``, ``level``) and settings of :class:`StudentDesign`. Part A (two
thirds of the artists) is distilled and fits the classifiers; part B is heard for the first time when it is scored.
Prints a Markdown table: share of the teachers' variance explained on heard and unheard clips, and the mean of accuracy
and of ROC-AUC of the probes.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scripts.bundled import cache as distill_cache
from scripts.bundled import model as default_model
from scripts.bundled import students as distill
from scripts.bundled.cache import Heard
from scripts.bundled.probe import probe
from scripts.bundled.report import tasks
from scripts.bundled.students import StudentDesign

from earmark.datasets import load_dataset
from earmark.datasets.cache import cache_folder as user_cache


def chosen(heard: Heard, pieces: NDArray[np.bool_]) -> Heard:
    """Only some of the pieces."""
    frames, seconds = np.repeat(pieces, heard.frames), np.repeat(pieces, heard.seconds)
    return Heard(
        heard.spectrograms[frames], heard.series[seconds], heard.tags[pieces], heard.frames[pieces],
        heard.seconds[pieces], heard.piece[pieces], heard.copy[pieces],
    )  # fmt: skip


def planned(text: str, seed: int) -> StudentDesign:
    """``name:key=value,...`` as a plan without masks: keys of the design, all others are options of the network."""
    name, _, rest = text.partition(":")
    known = {field.name for field in dataclasses.fields(StudentDesign)}
    given: dict[str, Any] = {}
    for pair in filter(None, rest.split(",")):
        key, _, value = pair.partition("=")
        given[key] = value if value.isalpha() else float(value) if "." in value else int(value)
    options = {key: value for key, value in given.items() if key not in known}
    settings = {key: value for key, value in given.items() if key in known}
    plain = dataclasses.replace(default_model.STUDENT, backbone=name, options=options, mask=0.0, seed=seed)
    return dataclasses.replace(plain, **settings)


def affordable(part: Heard, targets: NDArray[np.float32], plan: StudentDesign, rate: float, budget: float) -> int:
    """Steps that take so much processor time, by the time of thirty."""
    distill.train(part, targets, dataclasses.replace(plan, steps=5), rate)
    spent = []
    for steps in (5, 35):
        began = time.process_time()
        distill.train(part, targets, dataclasses.replace(plan, steps=steps), rate)
        spent.append(time.process_time() - began)
    return max(30, round(30 * (budget - spent[0]) / (spent[1] - spent[0])))


def means(targets: NDArray[np.float32], seconds: NDArray[np.int64]) -> NDArray[np.float32]:
    """Targets of whole pieces."""
    return np.stack([rows.mean(0) for rows in np.split(targets, np.cumsum(seconds)[:-1])])


def main() -> None:
    """Train and score each network."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--work", type=Path, default=user_cache() / "default-model")
    parser.add_argument("--budget", type=float, default=130.0, help="seconds of processor time for each")
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-j", "--jobs", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.jobs)
    design = default_model.cache_design(given.shared.resolve())
    folder = distill_cache.cache_folder(design, given.work / "teachers")
    for left, _ in distill_cache.fill(design, folder, range(given.copies), given.jobs):
        print(f"teachers: {left} parts to go", flush=True)
    heard = distill_cache.load(design, folder, range(given.copies))
    rate = design.frontend.frames_per_second
    apart = np.array([piece.pool == 1 for piece in design.pieces])
    plain = chosen(heard, heard.copy == 0)
    reduction = distill.reduce_teachers(plain, default_model.teacher_widths(design))
    part_a = chosen(heard, ~apart[heard.piece])
    wanted = means(reduction(plain.series), plain.seconds)
    probes = tasks(*(load_dataset(given.shared / "data" / name, training=True) for name in ("moods900", "emotify400")))
    print("| network | steps | CPU s | parameters | R2 heard | R2 unheard | accuracy (4 tasks) | ROC-AUC (3 tasks) |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in given.networks:
        plan, targets = planned(name, given.seed), reduction(part_a.series)
        plan = dataclasses.replace(plan, steps=affordable(part_a, targets, plan, rate, given.budget))
        began = time.process_time()
        network = distill.train(part_a, targets, plan, rate)
        spent = time.process_time() - began
        answers = distill.embed_pieces(network, plain, rate)
        known = [distill.explained(answers[apart == side], wanted[apart == side]) for side in (False, True)]
        distill.rotate(network, 0)
        turned = distill.embed_pieces(network, plain, rate)
        fixed = {"svm": 2.0, "logistic": 1.0 / turned.shape[1]}
        scores: dict[str, list[float]] = {"accuracy": [], "roc-auc": []}
        for task in probes:
            side = apart[task.rows]
            scores[task.measure].append(probe(turned, task, np.flatnonzero(~side), np.flatnonzero(side), fixed))
        size = sum(value.numel() for value in network.parameters())
        cells = [*known, float(np.mean(scores["accuracy"])), float(np.mean(scores["roc-auc"]))]
        print(
            f"| {name} | {plan.steps} | {spent:.0f} | {size} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |",
            flush=True,
        )


if __name__ == "__main__":
    main()
