"""Protects: a network that learns on several machines is the one that one machine would have made, whatever is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import lessons
from clusters import clustered
from earmark import offline
from earmark.app.train import TrainRequest, train
from earmark.datasets import cache
from earmark.engine.cluster import Member
from earmark.errors import EarmarkError, RecipeError
from earmark.events import Notice, Progress
from earmark.training.cluster import check_members

slow = pytest.mark.slow
VERSION = torch.__version__
EXACT = ("training.optimizer=sgd", "training.learning_rate=0.05", "backbone.options.dropout=0.0")
"""Without what only chance and Adam's blowing up of rounding would change."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with clustered({}) as cluster:
        yield cluster


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, Any]:
    """Of the use case, but for output and cluster."""
    songs, recipe = lessons.make_songs(tmp_path / "songs"), lessons.recipe_file(tmp_path / "tiny.toml")
    return {"dataset": str(songs), "recipe": str(recipe), "settings": EXACT}


def there(cluster: Any) -> dict[str, Any]:
    return {"engine": "ray", "address": cluster.address}


def notices(events: list[Any]) -> str:
    return "\n".join(event.message for event in events if isinstance(event, Notice))


def is_epoch(event: Any) -> bool:
    return isinstance(event, Progress) and event.stage == "epochs"


def curves(model: Path) -> list[float]:
    """Losses and scores of all epochs, row by row."""
    lines = (model / "history.csv").read_text().splitlines()[1:]
    return [float(cell) for line in lines for cell in line.split(",")[:4]]


def here(asked: dict[str, Any], output: Path) -> list[float]:
    """Curves of the same training on one machine."""
    train(TrainRequest(**asked, output=str(output))).wait()
    return curves(output)


@slow
def test_two_workers_learn_what_one_learns(cluster: Any, asked: dict[str, Any], tmp_path: Path) -> None:
    """And tell of it as one does."""
    events = list(train(TrainRequest(**asked, **there(cluster), output=str(tmp_path / "there"))))
    assert "The network trains on 2 workers" in notices(events)
    steps = [event for event in events if isinstance(event, Progress) and event.stage == "training"]
    assert [event.done for event in steps] == [*range(1, steps[0].total + 1)] * 3
    assert [event.done for event in events if is_epoch(event)] == [1, 2, 3]
    found = curves(tmp_path / "there")
    assert found == pytest.approx(here(asked, tmp_path / "here"), rel=1e-3, abs=1e-3)


@slow
def test_the_score_is_that_of_one_worker(cluster: Any, asked: dict[str, Any], tmp_path: Path) -> None:
    """Dropout and Adam differ; what is learnt does not."""
    asked = asked | {"settings": (), "epochs": 6}
    train(TrainRequest(**asked, **there(cluster), output=str(tmp_path / "there"))).wait()
    loss, score = curves(tmp_path / "there")[-2:]
    expected = here(asked, tmp_path / "here")[-2:]
    assert (loss, score) == pytest.approx(expected, abs=0.2) and score >= 0.75


@slow
def test_a_node_that_is_lost(cluster: Any, asked: dict[str, Any], tmp_path: Path) -> None:
    """The others go on after the last epoch; what is learnt is the same."""
    node = cluster.add_node(num_cpus=2, object_store_memory=80 * 2**20)
    events: list[Any] = []
    for event in train(TrainRequest(**asked, **there(cluster), output=str(tmp_path / "there"))):
        events.append(event)
        if is_epoch(event) and event.done == 1:
            cluster.remove_node(node, allow_graceful=False)
    assert "trains on 3 workers" in notices(events) and "The training goes on after epoch" in notices(events)
    assert [event.done for event in events if is_epoch(event)] == [1, 2, 3]
    assert curves(tmp_path / "there") == pytest.approx(here(asked, tmp_path / "here"), rel=1e-3, abs=1e-3)


@slow
def test_a_run_that_was_stopped_goes_on(cluster: Any, asked: dict[str, Any], tmp_path: Path) -> None:
    """By the same command, on the cluster or on this machine; stopped, its workers end."""
    output = tmp_path / "there"
    run = iter(train(TrainRequest(**asked, **there(cluster), output=str(output))))
    while not is_epoch(next(run)):
        pass
    run.close()
    events = list(train(TrainRequest(**asked, **there(cluster), output=str(output))))
    assert [event.done for event in events if is_epoch(event)] == [2, 3] and "trains on 2 workers" in notices(events)
    assert curves(output) == pytest.approx(here(asked, tmp_path / "here"), rel=1e-3, abs=1e-3)


@slow
def test_a_machine_that_does_not_see_the_cache(
    asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets the features, once, and keeps them in a cache of its own."""
    monkeypatch.setattr(cache, "_begun", lambda folder: 1)  # here alone: for the nodes it is another folder
    own = tmp_path / "own"
    with clustered({"env_vars": {"EARMARK_CACHE": str(own)}}) as cluster:
        events = list(train(TrainRequest(**asked, **there(cluster), output=str(tmp_path / "there"))))
    copied = [event for event in events if isinstance(event, Progress) and "copying features" in event.stage]
    assert copied and copied[-1].done == copied[-1].total == len(list(own.glob("features/*/*/*.npy")))
    assert curves(tmp_path / "there") == pytest.approx(here(asked, tmp_path / "here"), rel=1e-3, abs=1e-3)


class Busy:
    def ping(self) -> None:
        pass


@slow
def test_one_cpu_is_free(cluster: Any, asked: dict[str, Any], tmp_path: Path) -> None:
    """One worker trains then, and that is told."""
    events: list[Any] = []
    others: list[Any] = []
    for event in train(TrainRequest(**asked, **there(cluster), jobs=1, output=str(tmp_path / "there"))):
        if not others:  # the run is connected to the cluster, and holds one CPU
            ray = offline.ray()
            others = [ray.remote(num_cpus=1)(Busy).remote() for _ in range(3)]
            ray.get([other.ping.remote() for other in others])
        events.append(event)
    assert "The network trains on one worker" in notices(events) and "1 CPU" in notices(events)


@slow
def test_another_pytorch(asked: dict[str, Any], tmp_path: Path) -> None:
    facts = tmp_path / "other" / "torch-2.0.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.0.0\n")
    with (
        clustered({"env_vars": {"PYTHONPATH": f"{facts.parent}:{Path('src').absolute()}"}}) as cluster,
        pytest.raises(EarmarkError, match=r"has PyTorch 2.0.0, this machine .*: install the same version"),
    ):
        train(TrainRequest(**asked, **there(cluster), output=str(tmp_path / "there"))).wait()


def test_machines_that_cannot_train() -> None:
    def member(gpu: bool = False, **facts: str) -> Member:
        return Member(None, None, "127.0.0.1", 2, gpu, {"host": "n1", **facts})

    check_members([member(torch=VERSION), member(torch=VERSION.partition("+")[0] + "+cu128", gpu=True)], "auto")
    check_members([member(torch=VERSION, gpu=True)], "cuda")
    with pytest.raises(EarmarkError, match=r"n1 has no PyTorch: pip install 'earmark\[train\]'"):
        check_members([member(torch=VERSION), member()], "auto")
    with pytest.raises(RecipeError, match="no machine of the cluster has a GPU"):
        check_members([member(torch=VERSION)], "cuda")
