"""Protects: validation sees the network that was trained: batch norm's statistics keep up with its weights."""

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


def test_batch_norm_is_measured_with_the_weights_as_they_are(tmp_path: Path) -> None:
    recipe = lessons.recipe("training.learning_rate=0.05")
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
    state = loop._State(module, make_optimizer(module, recipe.training, False), 0.05)
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
