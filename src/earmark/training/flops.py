"""How much arithmetic an exported network costs, counted from its graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import onnx
from onnx import numpy_helper, shape_inference

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
    for entry in graph.graph.input:
        for place, size in enumerate((1, frames, bands)):
            entry.type.tensor_type.shape.dim[place].ClearField("dim_param")
            entry.type.tensor_type.shape.dim[place].dim_value = size
    for output in graph.graph.output:
        output.type.tensor_type.ClearField("shape")
    inferred = shape_inference.infer_shapes(graph, data_prop=True).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in inferred.initializer}
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        shapes[value.name] = tuple(dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim)
    for node in inferred.node:  # weights that the exporter left as constants
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            shapes[node.output[0]] = numpy_helper.to_array(node.attribute[0].t).shape
    return sum(_COUNTS[node.op_type](node, shapes) for node in inferred.node if node.op_type in _COUNTS)


def _conv(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Each output value sees its kernel over the input channels of its group."""
    return 2 * math.prod(shapes.get(node.output[0], ())) * math.prod(shapes[node.input[1]][1:])


def _product(node: onnx.NodeProto, shapes: Shapes) -> int:
    left, right = shapes.get(node.input[0], ()), shapes.get(node.input[1], ())
    if not left or not right:
        return 0
    turned = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    inner = left[0] if turned else left[-1]
    return 2 * math.prod(shapes.get(node.output[0], ())) * inner


def _recurrent(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Weights of input and state are (directions, gates x hidden, width); the input is (steps, batch, width)."""
    steps = shapes.get(node.input[0], (1,))[0]
    return 2 * steps * (math.prod(shapes[node.input[1]]) + math.prod(shapes[node.input[2]]))


_COUNTS: Mapping[str, Callable[[onnx.NodeProto, Shapes], int]] = MappingProxyType(
    {"Conv": _conv, "Gemm": _product, "MatMul": _product, "GRU": _recurrent, "LSTM": _recurrent, "RNN": _recurrent}
)
