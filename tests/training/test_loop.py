"""Protects: validation sees the network that was trained, batch norm included; mixed clips count for both labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import lessons
from earmark.datasets import load_dataset
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
