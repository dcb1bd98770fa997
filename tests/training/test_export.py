"""Protects: what ONNX Runtime computes is what PyTorch trained, and a difference ends the export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from earmark.errors import ModelError
from earmark.inference.scores import raw_scores
from earmark.models.card import HeadCard
from earmark.models.network import run_network
from earmark.training.backbones import Backbone, build
from earmark.training.export import write_network
from earmark.training.module import TaggerModule, load_weights

CLIPS = -80 * np.random.default_rng(0).random((5, 40, 24), np.float32)


def test_onnx_and_weights_say_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = TaggerModule(build("time-axis", 40, 24, {"hidden": [16]}), {"type": nn.Linear(16, 3)})
    module.train()(torch.from_numpy(CLIPS))  # moves the running statistics
    heads = write_network(module, tmp_path, CLIPS)
    again = TaggerModule(build("time-axis", 40, 24, {"hidden": [16]}), {"type": nn.Linear(16, 3)}).eval()
    load_weights(again, tmp_path)
    with torch.inference_mode():
        embedding, raw = again(torch.from_numpy(CLIPS))
    ours = run_network((tmp_path / "model.onnx").read_bytes(), CLIPS[:3], ["embedding"])[0]
    assert np.abs(ours - embedding.numpy()[:3]).max() < 1e-4
    scores = raw_scores([HeadCard("type", "multiclass")], heads, {"embedding": ours})["type"]
    assert np.abs(scores - raw["type"].numpy()[:3]).max() < 1e-4
    first = (tmp_path / "model.onnx").read_bytes()
    write_network(again, tmp_path, CLIPS)
    assert (tmp_path / "model.onnx").read_bytes() == first and b"site-packages" not in first


class Fickle(Backbone):
    """Says something else every time, as no exported graph can."""

    features = 2

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        return spectrograms.mean(1)[:, :2] + float(torch.rand(()))


def test_a_network_that_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="differs from PyTorch"):
        write_network(TaggerModule(Fickle(), {"g": nn.Linear(2, 2)}), tmp_path, CLIPS)
    assert not (tmp_path / "model.onnx").exists()
