"""Protects: validation sees the network that was trained, batch norm included; mixed clips count for both labels."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import lessons
from earmark.datasets import load_dataset
from earmark.datasets.core import HeadSpec
from earmark.engine import InlineEngine
from earmark.events import Run
from earmark.training import loop
from earmark.training.draws import Draws, open_songs
from earmark.training.job import TrainOptions
from earmark.training.loop import head_task, make_optimizer
from earmark.training.network import build_module
from earmark.training.run import prepare


def begun(tmp_path: Path, *settings: str) -> tuple[loop.FitPlan, loop._State]:
    """A plan over twenty songs, and a network that has learnt nothing."""
    recipe = lessons.recipe(*settings)
    job = Run(
        prepare(
            load_dataset(lessons.make_songs(tmp_path / "songs")), recipe, tmp_path / "m", TrainOptions(), InlineEngine()
        )
    ).wait()
    songs = Run(open_songs(job.dataset, job.hashes, job.recipe, job.engine)).wait()
    rows = np.arange(20)
    draws = Draws(songs, rows, 4, 20, 0)
    task = head_task(job.dataset, job.dataset.heads[0], rows, False)
    plan = loop.FitPlan(draws=draws, tasks=(task,), valid=rows, training=recipe.training,
                        device=torch.device("cpu"), pooling="mean")  # fmt: skip
    module = build_module(job, 0)
    return plan, loop._State(module, make_optimizer(module, recipe.training, False), recipe.training.learning_rate)


def test_batch_norm_is_measured_with_the_weights_as_they_are(tmp_path: Path) -> None:
    plan, state = begun(tmp_path, "training.learning_rate=0.05")
    module, draws = state.module, plan.draws
    Run(loop._train_epoch(state, plan, 1, loop._Pace(plan, 0))).wait()
    norm = module.backbone.norm
    lagging, momentum = norm.running_mean.clone(), norm.momentum
    loop._settle(state, plan, 1)
    maps = []
    norm.register_forward_pre_hook(lambda _, inputs: maps.append(inputs[0].mean((0, 2, 3))))
    with torch.no_grad():
        module.eval()(torch.from_numpy(np.concatenate([clips for _, clips in draws.epoch(1)])))
    assert torch.allclose(norm.running_mean, maps[0], atol=1e-4) and norm.momentum == momentum
    assert not torch.allclose(lagging, maps[0], atol=1e-3)


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "regression"])
def test_the_loss_is_where_the_network_is(tmp_path: Path, task: str) -> None:
    """Labels and the weights of classes follow clips to a device; one without memory refuses others, as a GPU does."""
    plan, state = begun(tmp_path, "training.mixup=0.4", "training.balance=loss", "training.label_smoothing=0.1")
    spec = HeadSpec("genre", task, ("hiss", "tone"))  # type: ignore[arg-type]
    targets = torch.tensor([0.0, 1.0] * 10) if task != "multilabel" else torch.eye(2).repeat(10, 1)
    targets[3:5] = torch.nan
    weight = None if task == "regression" else torch.tensor([1.0, 2.0])
    state.module.heads["genre"] = torch.nn.Linear(state.module.backbone.features, 1 if task == "regression" else 2)
    state.module.to("meta")
    state.costs = {"genre": torch.ones(2, 2, device="meta")}
    nowhere = replace(plan, tasks=(loop.HeadTask(spec, targets, weight),), device=torch.device("meta"))
    loss, raw = loop._loss(state, nowhere, *next(iter(plan.draws.epoch(1))))
    assert loss is not None and loss.device.type == raw["genre"].device.type == "meta"
    loss.backward()


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")
def test_a_checkpoint_goes_on_where_it_is_told_to(tmp_path: Path) -> None:
    """What was written on one device is taken up on another: weights, the optimiser's memory, costs of mistakes."""
    plan, state = begun(tmp_path)
    Run(loop._train_epoch(state, plan, 1, loop._Pace(plan, 0))).wait()
    state.costs, file = {"genre": torch.ones(2, 2)}, tmp_path / "c.safetensors"
    loop._save(state, file)
    module = copy.deepcopy(state.module).to("meta")
    later = loop._State(module, make_optimizer(module, plan.training, False), 0.0)
    loop._resume(later, file, torch.device("meta"))
    memory = [value for kept in later.optimizer.state.values() for key, value in kept.items() if key != "step"]
    assert len(memory) > 4 and {value.device.type for value in (*memory, *later.costs.values())} == {"meta"}
    assert later.rate == state.rate and later.weights.keys() == state.weights.keys()


def test_mixed_clips_are_learnt_for_both_of_their_labels(tmp_path: Path) -> None:
    """The loss of a blend is the blend of the losses against either label."""
    plan, state = begun(tmp_path, "training.mixup=0.4")
    state.module.eval()
    rows, clips = next(iter(plan.draws.epoch(1)))
    torch.manual_seed(5)
    found, _ = loop._loss(state, plan, rows, clips)
    torch.manual_seed(5)
    share, order = float(torch.distributions.Beta(0.4, 0.4).sample()), torch.randperm(len(rows))
    blend = share * torch.from_numpy(clips) + (1 - share) * torch.from_numpy(clips)[order]
    task = plan.tasks[0]
    with torch.no_grad(), loop.autocast(plan.training, plan.device):
        embedding = state.module.backbone(blend)
    chosen = torch.from_numpy(rows)
    raw = state.module.heads["genre"](embedding.float())
    losses = [loop.head_loss(task, raw, task.targets[part]) for part in (chosen, chosen[order])]
    assert 0.01 < share < 0.99 and found is not None
    assert torch.allclose(found, (share * losses[0] + (1 - share) * losses[1]).mean(), atol=1e-4)
    task.targets[chosen] = torch.nan
    assert loop._loss(state, plan, rows, clips)[0] is None
