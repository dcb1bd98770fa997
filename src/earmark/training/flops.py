"""How much arithmetic an exported network costs, counted from its graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from earmark.offline import onnxruntime

__all__ = ["count_flops"]

Shapes = Mapping[str, tuple[int, ...]]


def count_flops(model: Path | bytes, frames: int, bands: int) -> int:
    """Floating point operations for one clip: a multiplication and an addition count as two.

    Convolutions, matrix products and recurrent layers count; what they leave is a few per cent.

    Args:
        model: ``model.onnx``.
        frames: Of the clip.
        bands: Of the clip.
    """
    graph = onnx.load_from_string(model if isinstance(model, bytes) else model.read_bytes())
    counted = [node for node in graph.graph.node if node.op_type in _COUNTS]
    shapes = _shapes(graph, counted, np.zeros((1, frames, bands), np.float32))
    return sum(_COUNTS[node.op_type](node, shapes) for node in counted)


def _shapes(graph: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], clip: NDArray[np.float32]) -> Shapes:
    """Of all that goes into and comes out of some nodes, by running the graph: inference loses shapes on the way."""
    names = dict.fromkeys(name for node in nodes for name in (*node.input, *node.output) if name)
    known = {tensor.name: tuple(tensor.dims) for tensor in graph.graph.initializer}
    entry = graph.graph.input[0].name
    wanted = [name for name in names if name not in known and name != entry]
    present = {output.name for output in graph.graph.output}
    graph.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in wanted if name not in present)
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = session.run(wanted, {entry: clip})
    return known | {entry: clip.shape} | {name: value.shape for name, value in zip(wanted, found, strict=True)}


def _conv(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Each output value sees its kernel over the input channels of its group."""
    return 2 * math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])


def _product(node: onnx.NodeProto, shapes: Shapes) -> int:
    left = shapes[node.input[0]]
    turned = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    inner = left[0] if turned else left[-1]
    return 2 * math.prod(shapes[node.output[0]]) * inner


def _recurrent(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Weights of input and state are (directions, gates x hidden, width); the input is (steps, batch, width)."""
    steps = shapes[node.input[0]][0]
    return 2 * steps * (math.prod(shapes[node.input[1]]) + math.prod(shapes[node.input[2]]))


_COUNTS: Mapping[str, Callable[[onnx.NodeProto, Shapes], int]] = MappingProxyType(
    {"Conv": _conv, "Gemm": _product, "MatMul": _product, "GRU": _recurrent, "LSTM": _recurrent, "RNN": _recurrent}
)
