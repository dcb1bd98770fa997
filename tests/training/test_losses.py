"""Protects: a head learns only where a label is known, and from nothing that is not a number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from earmark.datasets.core import Dataset, HeadSpec, Track
from earmark.training.draws import chances
from earmark.training.loop import HeadTask, fold_scale, head_loss, head_task

SPECS = (HeadSpec("genre", "multiclass", ("a", "b")), HeadSpec("tags", "multilabel", ("x", "y")),
         HeadSpec("energy", "regression"))  # fmt: skip


def dataset() -> Dataset:
    labels = [("a", ("x",), 10.0), ("a", ("x",), 20.0), ("a", (), 30.0), ("b", ("y",), None), (None, None, 40.0)]
    tracks = [
        Track(Path(str(i)), str(i), str(i), None, {"genre": g, "tags": t, "energy": e})
        for i, (g, t, e) in enumerate(labels)
    ]
    return Dataset("d", Path(), SPECS, tuple(tracks))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.task)
def test_unlabelled_tracks_teach_nothing(spec: HeadSpec) -> None:
    data = dataset()
    task = head_task(data, spec, np.arange(5), balanced=False)
    raw = torch.randn(5, len(spec.labels) or 1, requires_grad=True)
    losses = head_loss(task, raw, task.targets)
    known = ~losses.isnan()
    assert known.tolist() == [True, True, True, spec.name != "energy", spec.name == "energy"]
    losses[known].mean().backward()
    assert raw.grad is not None and raw.grad.isfinite().all() and (raw.grad[~known] == 0).all()


def test_numbers_are_learnt_standardised_and_told_as_they_are() -> None:
    data = dataset()
    task = head_task(data, SPECS[2], np.arange(5), balanced=False)
    assert task.mean == 25 and task.scale == pytest.approx(np.std([10, 20, 30, 40]))
    head = nn.Linear(3, 1)
    inputs = torch.randn(4, 3)
    before = head(inputs)
    fold_scale(head, task)
    assert torch.allclose(head(inputs), before * task.scale + task.mean, atol=1e-4)
    fold_scale(head, task, backwards=True)
    assert torch.allclose(head(inputs), before, atol=1e-5)


def test_rare_classes_weigh_more_or_come_more_often() -> None:
    data = dataset()
    task = head_task(data, SPECS[0], np.arange(4), balanced=True)
    assert task.weight is not None and task.weight[1] == pytest.approx(3 * task.weight[0])
    often = chances(data, np.arange(4))
    assert often.sum() == pytest.approx(1) and often[3] > often[0]


def test_mistakes_are_weighed_by_the_confusion_table() -> None:
    task = HeadTask(SPECS[0], torch.zeros(2))
    raw = torch.tensor([[0.0, 0.0]])
    plain = head_loss(task, raw, torch.tensor([0.0]))
    dear = head_loss(task, raw, torch.tensor([0.0]), costs=torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
    assert float(dear - plain) == pytest.approx(0.5)
