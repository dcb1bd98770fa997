"""A trained module as the files of a model folder: ``model.onnx``, checked against PyTorch, and the weights."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from earmark.errors import ModelError
from earmark.offline import onnxruntime
from earmark.training.heads import hidden_vector
from earmark.training.module import TaggerModule, save_weights

__all__ = ["TOLERANCE", "run_onnx", "write_network"]

TOLERANCE = 1e-4
"""Greatest difference between ONNX Runtime and PyTorch, beside the largest value of the output (at least 1)."""

_OPSET = 17


class _Flat(nn.Module):
    """The module with its outputs in one tuple, as an ONNX graph has them; ``names`` are theirs."""

    def __init__(self, module: TaggerModule, heads: Sequence[str]) -> None:
        super().__init__()
        self.module, self.heads = module, tuple(heads)
        probe = torch.zeros(1, module.backbone.features)
        deep = [name for name in heads if hidden_vector(module.heads[name].eval(), probe) is not None]
        self.deep = tuple(deep)
        self.names = ["embedding", *heads, *(f"layer:{name}" for name in deep)]

    def forward(self, spectrogram: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Embedding, raw scores of each head, then the last hidden layer of each head that has one."""
        embedding, raw = self.module(spectrogram)
        hidden = [cast(torch.Tensor, hidden_vector(self.module.heads[name], embedding)) for name in self.deep]
        return (embedding, *(raw[name] for name in self.heads), *hidden)


def write_network(
    module: TaggerModule, folder: Path, clips: NDArray[np.float32], heads: Sequence[str], any_length: bool = False
) -> None:
    """Write ``model.onnx`` and ``weights.safetensors``.

    Outputs are ``embedding``, one a head named after it, and ``layer:HEAD`` for heads with hidden layers.

    Args:
        module: Trained; it is moved to the CPU and left in evaluation mode.
        folder: The model folder, which exists.
        clips: (clips, frames, bands) real ones, by which the export is checked.
        heads: Names of the outputs, in the card's order.
        any_length: Whether the network takes clips of any number of frames.

    Raises:
        ModelError: ONNX Runtime and PyTorch disagree by more than :data:`TOLERANCE`.
    """
    module.cpu().eval().float().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    flat = _Flat(module, heads).eval()
    names = flat.names
    axes = {name: {0: "clips"} for name in ("spectrogram", *names)}
    if any_length:
        axes["spectrogram"][1] = "frames"
    buffer = io.BytesIO()
    example = torch.from_numpy(np.ascontiguousarray(np.concatenate([clips[:1], clips[:1]])))
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            flat, (example,), cast(Any, buffer), input_names=["spectrogram"], output_names=names,
            dynamic_axes=axes, opset_version=_OPSET, dynamo=False,
        )  # fmt: skip
    model = _plain(onnx.load_from_string(buffer.getvalue()))
    _check(model, flat, clips)
    (folder / "model.onnx").write_bytes(model)
    save_weights(module, folder)


def run_onnx(model: bytes, clips: NDArray[np.float32], names: Sequence[str]) -> list[NDArray[np.float32]]:
    """Outputs of an ONNX graph for (clips, frames, bands)."""
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return list(session.run(list(names), {"spectrogram": np.ascontiguousarray(clips, np.float32)}))


def _plain(model: onnx.ModelProto) -> bytes:
    """The graph without the exporter's remarks: the same weights give the same bytes on every machine."""
    for node in model.graph.node:
        node.doc_string = ""
    model.doc_string = model.producer_version = ""
    del model.metadata_props[:]
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _check(model: bytes, flat: _Flat, clips: NDArray[np.float32]) -> None:
    with torch.inference_mode():
        wanted = [output.numpy() for output in flat(torch.from_numpy(np.ascontiguousarray(clips, np.float32)))]
    for name, ours, theirs in zip(flat.names, run_onnx(model, clips, flat.names), wanted, strict=True):
        difference = float(np.abs(ours - theirs).max(initial=0)) / max(1.0, float(np.abs(theirs).max(initial=0)))
        if not difference <= TOLERANCE:
            raise ModelError(
                f"model.onnx: its output {name!r} differs from PyTorch's by {difference:.2g} (at most {TOLERANCE:g} "
                "is allowed): the network cannot be exported as it is"
            )
