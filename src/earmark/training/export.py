"""A trained module as the files of a model folder: ``model.onnx``, checked against PyTorch, the weights, and the heads.

``model.onnx`` is the backbone alone: heads are arrays of their own (:mod:`earmark.models.network`).
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from earmark.errors import ModelError
from earmark.inference.scores import raw_scores
from earmark.models.card import NETWORK, HeadCard
from earmark.models.network import HeadWeights, run_network
from earmark.training.heads import weights_of
from earmark.training.module import TaggerModule, save_weights

__all__ = ["TOLERANCE", "plain_graph", "write_network"]

TOLERANCE = 1e-4
"""Greatest difference between what is written and PyTorch, beside the largest value (at least 1)."""

_OPSET = 17


def write_network(
    module: TaggerModule, folder: Path, clips: NDArray[np.float32], any_length: bool = False
) -> dict[str, HeadWeights]:
    """Write ``model.onnx`` and ``weights.safetensors``.

    Args:
        module: Trained; it is moved to the CPU and left in evaluation mode.
        folder: The model folder, which exists.
        clips: (clips, frames, bands) real ones, by which the export is checked.
        any_length: Whether the network takes clips of any number of frames.

    Returns:
        The heads' arrays, by name.

    Raises:
        ModelError: ONNX Runtime and PyTorch disagree by more than :data:`TOLERANCE`.
    """
    module.cpu().eval().float().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    axes = {"spectrogram": {0: "clips"}, "embedding": {0: "clips"}}
    if any_length:
        axes["spectrogram"][1] = "frames"
    buffer = io.BytesIO()
    clips = np.ascontiguousarray(clips, np.float32)
    example = torch.from_numpy(np.concatenate([clips[:1], clips[:1]]))
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.backbone, (example,), cast(Any, buffer), input_names=["spectrogram"], output_names=["embedding"],
            dynamic_axes=axes, opset_version=_OPSET, dynamo=False,
        )  # fmt: skip
    model = plain_graph(onnx.load_from_string(buffer.getvalue()))
    with torch.inference_mode():
        embedding, raw = module(torch.from_numpy(clips))
    ours = run_network(model, clips, ["embedding"])[0]
    _check("model.onnx: its output 'embedding'", ours, embedding.numpy())
    heads = {name: weights_of(head) for name, head in module.heads.items()}
    cards = [HeadCard(name, getattr(head, "task", "multiclass")) for name, head in module.heads.items()]
    for name, scores in raw_scores(cards, heads, {"embedding": embedding.numpy()}).items():
        _check(f"the head {name!r}", scores, raw[name].numpy())
    (folder / NETWORK).write_bytes(model)
    save_weights(module, folder)
    return heads


def plain_graph(model: onnx.ModelProto) -> bytes:
    """A graph as bytes, without the exporter's remarks: the same weights give the same bytes on every machine."""
    for node in model.graph.node:
        node.doc_string = ""
    model.doc_string = model.producer_version = ""
    del model.metadata_props[:]
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _check(what: str, ours: NDArray[Any], theirs: NDArray[Any]) -> None:
    difference = float(np.abs(ours - theirs).max(initial=0)) / max(1.0, float(np.abs(theirs).max(initial=0)))
    if not difference <= TOLERANCE:
        raise ModelError(
            f"{what} differs from PyTorch's by {difference:.2g} (at most {TOLERANCE:g} "
            "is allowed): the network cannot be exported as it is"
        )
