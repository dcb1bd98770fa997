"""New heads on a network that is there: surgery on the model folder's own ONNX graph.

The backbone is taken as it stands in ``model.onnx``, so that any model folder can be built upon, also one whose
backbone is not in the registry, and its embeddings stay the same to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from earmark.errors import ModelError
from earmark.training.heads import SMALLEST, Ensemble, Layers, Prototypes

__all__ = ["HeadRunner", "check_heads", "read_graph", "replace_heads", "widen_head", "write_graph"]

Array = NDArray[np.float32]

TOLERANCE = 1e-4


def read_graph(folder: Path) -> Any:
    """The ONNX model of a model folder (ModelError where it is damaged)."""
    file = folder / "model.onnx"
    try:
        return onnx.load(str(file))
    except Exception as error:  # protobuf's own classes
        raise ModelError(f"{file}: damaged: {error}") from error


def write_graph(model: Any, folder: Path) -> None:
    """Check the ONNX model and write it into a folder."""
    onnx.checker.check_model(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def replace_heads(model: Any, heads: Mapping[str, nn.Module]) -> Any:
    """The network with these heads in place of all its own; ``embedding`` and layers stay.

    Args:
        model: ONNX model with the output ``embedding``.
        heads: By name, from (batch, features) to raw scores; their dropout does not count. What the last hidden layer
            of a head holds is an output ``layer:HEAD``.

    Returns:
        A new ONNX model.
    """
    names = {output.name for output in model.graph.output}
    kept = [
        output
        for output in model.graph.output
        if output.name == "embedding"  # and layers, but not those of the old heads
        or (output.name.startswith("layer:") and output.name.removeprefix("layer:") not in names)
    ]
    model = _renamed(model, {name: f"{name}/of-base" for name in names - {output.name for output in kept}})
    writer = _Writer(model)
    outputs = []
    for name, head in heads.items():
        scores, width = _write(writer, head.eval(), "embedding")
        writer.rename(scores, name)
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["clips", width]))
        if isinstance(head, Layers) and (hidden := _hidden(writer, name)):
            writer.rename(writer.add("Identity", [hidden]), f"layer:{name}")
            width = next(layer.in_features for layer in reversed(head) if isinstance(layer, nn.Linear))
            outputs.append(helper.make_tensor_value_info(f"layer:{name}", TensorProto.FLOAT, ["clips", width]))
    return _joined(model, writer, [*kept, *outputs])


def widen_head(model: Any, head: str, weight: Array, bias: Array) -> Any:
    """The network with further labels of one head, whose old scores stay what they are but for a linear correction.

    Args:
        model: ONNX model.
        head: Name of an output (clips, old labels).
        weight: (labels, features), old labels first: what is added to the old scores, and the new ones.
        bias: (labels,).
    """
    old = next(o.type.tensor_type.shape.dim[1].dim_value for o in model.graph.output if o.name == head)
    inner = f"{head}/of-{old}"
    model = _renamed(model, {head: inner})
    writer = _Writer(model)
    columns = writer.add("Gemm", ["embedding", writer.hold(weight), writer.hold(bias)], transB=1)
    padded = writer.add("MatMul", [inner, writer.hold(np.eye(old, len(bias)))])
    writer.rename(writer.add("Add", [padded, columns]), head)
    outputs = [
        helper.make_tensor_value_info(head, TensorProto.FLOAT, ["clips", len(bias)]) if output.name == head else output
        for output in model.graph.output
    ]
    return _joined(model, writer, outputs)


def check_heads(model: Any, heads: Mapping[str, nn.Module], spectrograms: Array) -> float:
    """Compare the network's scores with PyTorch's on the same embeddings.

    Args:
        model: ONNX model.
        heads: The heads that it should have.
        spectrograms: (clips, frames, bands), real ones if possible.

    Returns:
        Largest difference, relative to the largest score where that is above 1.

    Raises:
        ModelError: It is above 1e-4.
    """
    session = _session(model)
    embedding, *scores = session.run(["embedding", *heads], {"spectrogram": spectrograms})
    worst = 0.0
    for (name, head), said in zip(heads.items(), scores, strict=True):
        with torch.no_grad():
            wanted = head.eval()(torch.from_numpy(embedding)).numpy()
        difference = float(np.abs(wanted - said).max(initial=0) / max(1.0, np.abs(wanted).max(initial=0)))
        if not difference <= TOLERANCE:
            raise ModelError(f"head {name!r}: the exported network differs from the trained one by {difference:.2g}")
        worst = max(worst, difference)
    return worst


class _Writer:
    """Collects nodes and weights under names that a model does not use yet."""

    def __init__(self, model: Any) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        used = {weight.name for weight in model.graph.initializer}
        used |= {name for node in model.graph.node for name in node.output}
        numbers = (number for number in range(len(used) + 1) if not any(u.startswith(f"heads-{number}/") for u in used))
        self._prefix = f"heads-{next(numbers)}"

    def hold(self, values: NDArray[Any]) -> str:
        """A constant."""
        name = f"{self._prefix}/weight-{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
        return name

    def add(self, kind: str, inputs: Sequence[str], **options: Any) -> str:
        """A node; gives the name of its output."""
        name = f"{self._prefix}/{kind.lower()}-{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **options))
        return name

    def rename(self, old: str, new: str) -> None:
        """Give an output its public name."""
        for node in self.nodes:
            _rename(node, {old: new})


def _rename(node: Any, names: Mapping[str, str]) -> None:
    for ends in (node.output, node.input):
        ends[:] = [names.get(name, name) for name in ends]


def _renamed(model: Any, names: Mapping[str, str]) -> Any:
    """A copy of the model with other names inside; those of the graph's outputs are the caller's to set."""
    copy = type(model)()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        _rename(node, names)
    return copy


def _write(writer: _Writer, head: nn.Module, source: str) -> tuple[str, int]:
    """Nodes of one head: the name of its scores and their number."""
    if isinstance(head, Ensemble):
        members = [_write(writer, member, source) for member in head.members]
        return _mean(writer, head, [name for name, _ in members]), members[0][1]
    if isinstance(head, Prototypes):
        weight, bias = (values.detach().numpy() for values in head.linear())
        return writer.add("Gemm", [source, writer.hold(weight), writer.hold(bias)], transB=1), len(bias)
    width = 0
    layers = [layer for layer in head.modules() if not list(layer.children()) and not isinstance(layer, nn.Dropout)]
    for i, layer in enumerate(layers):
        if isinstance(layer, nn.Linear):
            weight, bias = _folded(layer, layers[i + 1] if i + 1 < len(layers) else None)
            source, width = writer.add("Gemm", [source, writer.hold(weight), writer.hold(bias)], transB=1), len(bias)
        elif isinstance(layer, nn.ReLU):
            source = writer.add("Relu", [source])
        elif not isinstance(layer, nn.BatchNorm1d):
            raise ModelError(f"a head with {type(layer).__name__} cannot be written as ONNX here")
    return source, width


def _hidden(writer: _Writer, head: str) -> str | None:
    """What the last layer of a head takes, unless that is the embedding."""
    source = next(node.input[0] for node in writer.nodes if head in node.output)
    return None if source == "embedding" else str(source)


def _folded(layer: nn.Linear, following: nn.Module | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """A linear layer with the batch norm behind it as one: weight and bias, computed in float64."""
    weight = layer.weight.detach().double().numpy()
    bias = layer.bias.detach().double().numpy()
    if isinstance(following, nn.BatchNorm1d):
        assert following.running_mean is not None and following.running_var is not None
        gain = following.weight.detach().double().numpy() / np.sqrt(
            following.running_var.double().numpy() + following.eps
        )
        bias = (bias - following.running_mean.double().numpy()) * gain + following.bias.detach().double().numpy()
        weight = weight * gain[:, None]
    return weight, bias


def _mean(writer: _Writer, head: Ensemble, members: Sequence[str]) -> str:
    if head.task == "regression" or (head.task == "multilabel" and head.mean == "mean-log"):
        return writer.add("Mean", members)
    if head.mean == "mean-log":
        return writer.add("Mean", [writer.add("LogSoftmax", [name], axis=1) for name in members])
    if head.task == "multiclass":
        return _log(writer, [writer.add("Softmax", [name], axis=1) for name in members])
    yes = _log(writer, [writer.add("Sigmoid", [name]) for name in members])
    no = _log(writer, [writer.add("Sigmoid", [writer.add("Neg", [name])]) for name in members])
    return writer.add("Sub", [yes, no])


def _log(writer: _Writer, probabilities: Sequence[str]) -> str:
    smallest = writer.hold(np.array(SMALLEST))
    return writer.add("Log", [writer.add("Max", [writer.add("Mean", probabilities), smallest])])


def _joined(model: Any, writer: _Writer, outputs: Sequence[Any]) -> Any:
    """The model with what was written behind it."""
    nodes, weights = [*model.graph.node, *writer.nodes], [*model.graph.initializer, *writer.weights]
    return _assemble(model, nodes, weights, outputs)


def _assemble(
    model: Any, nodes: Sequence[Any], weights: Sequence[Any], outputs: Sequence[Any], inputs: Sequence[Any] = ()
) -> Any:
    """A model of the nodes that the outputs need, in their order."""
    wanted = {output.name for output in outputs}
    needed = []
    for node in reversed(nodes):
        if wanted & set(node.output):
            needed.append(node)
            wanted |= set(node.input)
    kept = [weight for weight in weights if weight.name in wanted]
    entries = list(inputs or model.graph.input)
    graph = helper.make_graph(needed[::-1], model.graph.name or "earmark", entries, list(outputs), kept)
    built = helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)
    built.functions.extend(model.functions)
    return built


class HeadRunner:
    """The heads of a model folder alone: raw scores of embeddings that are at hand."""

    def __init__(self, folder: Path, heads: Sequence[str]) -> None:
        """Cut the heads out of the graph.

        Raises:
            ModelError: A head that takes something else than the embedding.
        """
        model = read_graph(folder)
        outputs = [output for output in model.graph.output if output.name in heads]
        width = next(o.type.tensor_type.shape.dim[1].dim_value for o in model.graph.output if o.name == "embedding")
        entry = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["clips", width or None])
        nodes = [node for node in model.graph.node if "embedding" not in node.output]
        bare = _assemble(model, nodes, list(model.graph.initializer), outputs, [entry])
        try:
            self._session = _session(bare)
        except Exception as error:  # ONNX Runtime's own classes all derive straight from Exception
            raise ModelError(f"{folder}: a head takes more than the embedding: nothing can be added to it") from error
        self._heads = [output.name for output in outputs]

    def __call__(self, embedding: Array) -> dict[str, Array]:
        """Raw scores by head, (clips, labels), of embeddings (clips, dimensions)."""
        said = self._session.run(self._heads, {"embedding": np.ascontiguousarray(embedding, np.float32)})
        return dict(zip(self._heads, said, strict=True))


def _session(model: Any) -> Any:
    from earmark.offline import onnxruntime

    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
