"""Protects: workers that train together learn what one would: the same gradients, batch norm, losses and scores."""

from __future__ import annotations

import copy
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import lessons
from earmark.datasets import load_dataset
from earmark.engine import InlineEngine
from earmark.events import Run
from earmark.training import loop
from earmark.training.draws import Draws, open_songs
from earmark.training.job import TrainOptions
from earmark.training.loop import FitPlan, fit, head_task, make_optimizer
from earmark.training.network import build_module
from earmark.training.run import prepare
from earmark.training.team import LinkedTeam, Team, share_batch_norm

CPU = torch.device("cpu")
# Adam would blow up what rounding leaves of gradients that are nothing, as of a bias before batch norm.
FEW = ("training.epochs=2", "training.optimizer=sgd", "backbone.options.dropout=0.0")


def together(size: int, work: Callable[[Team], Any]) -> list[Any]:
    """What each worker of a team returns; they are threads here, linked as processes are."""
    with socket.create_server(("127.0.0.1", 0)) as door, ThreadPoolExecutor(size) as pool:
        address = door.getsockname()

        def one(rank: int) -> Any:
            return work(LinkedTeam(rank, size, address, "127.0.0.1", CPU, None if rank else door))

        return list(pool.map(one, range(size)))


def test_every_item_is_one_worker_s() -> None:
    assert together(3, lambda team: list(range(8))[team.mine(8)]) == [[0, 1], [2, 3, 4], [5, 6, 7]]
    assert Team().mine(8) == slice(0, 8)


def test_what_workers_exchange() -> None:
    def work(team: Team) -> Any:
        one, two = torch.ones(2, 3) * team.rank, torch.tensor(1.0)
        team.add([one, two])
        ranks, agreed = team.stack(torch.tensor([team.rank])).tolist(), team.agree(lambda: {"a": team.rank})
        return one.tolist(), float(two), ranks, agreed, team.gather(["x"] * team.rank)

    expected = ([[1.0] * 3] * 2, 2.0, [[0], [1]], {"a": 0}, [[], ["x"]])
    assert together(2, work) == [expected, expected]


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_batch_norm_is_that_of_the_whole_batch(kind: torch.dtype) -> None:
    """Output, gradients and running statistics, also where shares are of one clip and there are no weights."""
    maps, goal = torch.randn(3, 5, 4, 6) * 3 - 4, torch.randn(3, 5, 4, 6)
    for layer in (nn.BatchNorm2d(5), nn.BatchNorm2d(5, affine=False, momentum=None)):
        if layer.affine:
            nn.init.normal_(layer.weight)
        found = []

        def learn(team: Team, linked: bool = True, layer: nn.BatchNorm2d = layer) -> Any:
            norm = type(layer)(5, affine=layer.affine, momentum=layer.momentum)
            norm.load_state_dict(layer.state_dict())
            if linked:
                share_batch_norm(norm, team)
            mine = team.mine(3)
            own = maps[mine].to(kind).requires_grad_()
            out = norm(own)
            (out * goal[mine]).sum().backward()
            grads = [p.grad for p in norm.parameters()]
            if grads:
                team.add(grads)
            assert torch.equal(norm.eval()(own), nn.BatchNorm2d.forward(norm, own))
            return out.detach().float(), own.grad.float(), [*grads, norm.running_mean, norm.running_var]

        whole, found = learn(Team(), linked=False), together(2, learn)
        close = {"rtol": 1e-4, "atol": 1e-5} if kind is torch.float32 else {"rtol": 0.05, "atol": 0.05}
        for part in (0, 1):
            joined = torch.cat([one[part] for one in found])
            torch.testing.assert_close(joined, whole[part], **close)
        for one in found:
            torch.testing.assert_close(one[2], whole[2], **close)


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., tuple[FitPlan, nn.Module]]:
    def made(*settings: str, **more: Any) -> tuple[FitPlan, nn.Module]:
        recipe = lessons.recipe(*FEW, *settings)
        data = load_dataset(lessons.make_songs(tmp_path / "songs"))
        job = Run(prepare(data, recipe, tmp_path / "m", TrainOptions(), InlineEngine())).wait()
        songs = Run(open_songs(job.dataset, job.hashes, job.recipe, job.engine)).wait()
        rows, training = np.arange(15), recipe.training
        draws = Draws(songs, rows, training.clips_per_track, training.batch_size, 0, streams=training.streams)
        task = head_task(job.dataset, job.dataset.heads[0], rows, training.balance == "loss")
        task.targets[::4] = torch.nan
        return FitPlan(draws=draws, tasks=(task,), valid=np.arange(15, 20), training=training, device=CPU,
                       pooling="mean", **more), build_module(job, 0)  # fmt: skip

    return made


@pytest.mark.parametrize(
    "settings",
    [(), ("training.streams=4",), ("training.loss=confusion-weighted", "training.balance=loss")],
)
def test_a_team_learns_what_one_worker_learns(plan: Any, tmp_path: Path, settings: tuple[str, ...]) -> None:
    """Weights, losses and scores of every epoch: to rounding, whatever the number of workers; unlabelled clips too."""
    learnt, module = plan(*settings)

    def train(team: Team) -> Any:
        own = copy.deepcopy(module)
        if team.size > 1:
            share_batch_norm(own, team)
        with_team = replace(learnt, team=team, draws=replace(learnt.draws, songs=learnt.draws.songs.apart()))
        result = Run(fit(own, with_team, tmp_path / f"{team.size}-{team.rank}")).wait()
        return result, own.state_dict()

    several = together(3, train)
    alone, weights = train(Team())
    for result, found in several:
        torch.testing.assert_close(found, weights, rtol=1e-3, atol=1e-4)
        for ours, theirs in zip(result.history, alone.history, strict=True):
            for name in ("train_loss", "train_score", "valid_loss", "valid_score", "gradient_norm"):
                assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-3, abs=1e-4), name
    assert [file.name for file in tmp_path.glob("3-*")] == ["3-0"], "the first worker alone keeps a checkpoint"


def test_blends_are_the_same_in_a_team(plan: Any) -> None:
    """A clip is mixed with any of the batch, whoever learns it; the parts of the loss add up to that of the batch."""
    learnt, module = plan("training.mixup=0.4")
    rows, clips = next(iter(learnt.draws.epoch(1)))
    module.eval()

    def part(team: Team) -> float:
        state = loop._State(module, make_optimizer(module, learnt.training, False), 0.0)
        if not team.rank:
            torch.manual_seed(5)
        loss, scores = loop._loss(state, replace(learnt, team=team), rows, clips)
        assert loss is not None and len(scores["genre"]) == len(range(*team.mine(len(rows)).indices(len(rows))))
        return float(loss.detach())

    assert sum(together(2, part)) == pytest.approx(part(Team()), rel=1e-4)
