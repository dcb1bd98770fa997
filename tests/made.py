"""Things that tests make for themselves: networks, model folders, sound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from earmark.features.frontend import Frontend
from earmark.models.card import HEADS as HEAD_ARRAYS
from earmark.models.card import NETWORK, Card, HeadCard, write_card
from earmark.models.network import HeadWeights, write_heads
from earmark.models.registry import sha256
from earmark.recipe import ClipPlan

HEADS = (
    HeadCard("genre", "multiclass", ("Rock", "Jazz", "Pop"), threshold=0.34),
    HeadCard("tags", "multilabel", ("guitar", "piano"), thresholds={"guitar": 0.4}),
    HeadCard("energy", "regression"),
)


def make_model(
    folder: Path,
    heads: tuple[HeadCard, ...] = HEADS,
    seed: int = 0,
    name: str = "tiny",
    frontend: Frontend | None = None,
) -> Path:
    """A model folder: mean over time of the spectrogram, then one random linear layer a head."""
    frontend = frontend or Frontend()
    random = np.random.default_rng(seed)
    nodes = [
        helper.make_node("ReduceMean", ["spectrogram"], ["raw"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["raw", "scale"], ["embedding"]),
        helper.make_node("Identity", ["raw"], ["layer:bands"]),
    ]
    weights = [numpy_helper.from_array(np.float32([0.05]), "scale")]
    shape = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["clips", frontend.bands])]
    shape.append(helper.make_tensor_value_info("layer:bands", TensorProto.FLOAT, ["clips", frontend.bands]))
    arrays = {}
    for head in heads:
        matrix = random.standard_normal((frontend.bands, head.width)).astype(np.float32)
        scale, middle = (0.002, 0.5) if head.task == "regression" else (1, 0)  # numbers from 0 to 1, as features are
        arrays[head.name] = HeadWeights.linear(scale * matrix.T, np.full(head.width, middle, np.float32))
    entry = helper.make_tensor_value_info("spectrogram", TensorProto.FLOAT, ["clips", "frames", frontend.bands])
    graph = helper.make_graph(nodes, "tiny", [entry], shape, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(folder / "model.onnx"))
    write_heads(arrays, folder)
    card = Card(name, "1", "made", frontend, ClipPlan(seconds=2.0, count=3), heads, frontend.bands)
    write_card(replace(card, files={name: sha256(folder / name) for name in (NETWORK, HEAD_ARRAYS)}), folder)
    return folder
