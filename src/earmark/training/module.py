"""Backbone and heads as one PyTorch module: where it computes, its checkpoint, its weights, and ``model.onnx``.

A checkpoint is one file that is whole or not there: safetensors, with the rest as JSON in its header. ``model.onnx``,
checked against PyTorch, is the backbone alone: heads are arrays of their own (:mod:`earmark.models.network`).
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import sys
import warnings
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file
from safetensors.numpy import save as save_arrays
from safetensors.torch import save as save_tensors
from torch import nn

from earmark.errors import ModelError, RecipeError, StorageError
from earmark.inference.scores import raw_scores
from earmark.models.card import NETWORK, HeadCard
from earmark.models.device import Device
from earmark.models.network import HeadWeights, run_network
from earmark.recipe import Training
from earmark.storage import write_file
from earmark.training.backbones import Backbone
from earmark.training.heads import weights_of

__all__ = [
    "TOLERANCE",
    "WEIGHTS",
    "TaggerModule",
    "autocast",
    "device_notices",
    "find_device",
    "keep_freed_memory",
    "load_checkpoint",
    "load_matching",
    "load_weights",
    "on_device",
    "plain_graph",
    "read_weights",
    "return_freed_memory",
    "save_checkpoint",
    "save_weights",
    "write_network",
    "write_weights",
]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of glibc's mallopt
_ALL = 2**31 - 1
_LARGEST = 144 * 2**20
"""Larger blocks are few, and leave holes that nothing fits into: kept, they double what large maps take."""


def find_device(name: Device, *, elsewhere: bool = False) -> torch.device:
    """The device that is asked for; ``auto`` takes a GPU where there is one, and so does ``cuda`` where others train.

    Args:
        name: What is asked for.
        elsewhere: Whether other machines do the training.

    Raises:
        RecipeError: ``cuda``, but PyTorch finds no GPU.
    """
    there = torch.cuda.is_available()
    if name == "cuda" and not there and not elsewhere:
        why = "PyTorch was installed without CUDA" if torch.version.cuda is None else "PyTorch finds no GPU"
        raise RecipeError(f"--device cuda: {why} on this machine; leave it out to train on the CPU")
    return torch.device("cuda" if there and name != "cpu" else "cpu")


def device_notices(plan: Training, device: torch.device) -> tuple[str, ...]:
    """A sentence for the model's card on the GPU that it is trained on; none of the processor."""
    if device.type != "cuda":
        return ()
    numbers = "bfloat16 and float32" if plan.mixed_precision and _has_bf16(device) else "float32"
    return (f"The network is trained on a GPU ({torch.cuda.get_device_name(device)}), in {numbers}.",)


def on_device(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """An array as a tensor where it is needed: to a GPU from pinned memory, so that nobody waits for the copy."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def autocast(plan: Training, device: torch.device) -> AbstractContextManager[object]:
    """bf16 where the device multiplies it in hardware (AMX, GPUs from Ampere on); elsewhere it would only be slower.

    It has the range of float32, so that no loss needs scaling, as in half precision.
    """
    if plan.mixed_precision and _has_bf16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cpu":
        return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def keep_freed_memory() -> None:
    """Ask glibc not to return large blocks to the system; elsewhere nothing happens.

    Maps of a hundred megabytes come and go in every step. Returned and taken again, each page is cleared by the
    system anew, which costs a convolutional network on a CPU up to 45 % of its time.
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError):  # another C library
        glibc = ctypes.CDLL(None)
        for option, value in ((_MMAP_THRESHOLD, _LARGEST), (_TRIM_THRESHOLD, _ALL), (_TOP_PAD, 2**26)):
            glibc.mallopt(option, value)


_MUCH = 3 * 2**30


def return_freed_memory(above: int = _MUCH) -> None:
    """Let glibc return what is freed, where this process holds more bytes than ``above``; elsewhere nothing happens.

    Blocks of other sizes in another order leave holes, so that what :func:`keep_freed_memory` keeps grows step by step.
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError, ValueError, IndexError):
        held = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        if held > above:
            ctypes.CDLL(None).malloc_trim(0)


Tensors = dict[str, torch.Tensor]


def save_checkpoint(file: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
    """Replace a checkpoint in one step: killed at any moment, the file is the old or the new one.

    Raises:
        StorageError: No space, or no permission.
    """
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_file(file, save_tensors(plain, {"facts": json.dumps(facts)}))


def load_checkpoint(file: Path) -> tuple[Tensors, dict[str, Any]] | None:
    """Tensors and facts of a checkpoint; None where there is none.

    Raises:
        StorageError: The file is damaged.
    """
    if not file.is_file():
        return None
    try:
        with safe_open(str(file), "pt") as stored:
            facts = json.loads((stored.metadata() or {})["facts"])
            return {name: stored.get_tensor(name) for name in stored.keys()}, facts  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise StorageError(f"{file}: the checkpoint is damaged: {error}; begin anew with --overwrite") from error


WEIGHTS = "weights.safetensors"


class TaggerModule(nn.Module):
    """A backbone and one head a vocabulary; names of its state are ``backbone.*`` and ``heads.NAME.*``.

    Heads take the embedding (batch, features) and give raw scores (batch, labels): logits, or (batch, 1) values.
    """

    def __init__(self, backbone: Backbone, heads: Mapping[str, nn.Module]) -> None:
        """Put a backbone and its heads together."""
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict()
        self.heads._modules.update(heads)  # a head may be called "type" or "train", which ModuleDict would refuse

    def forward(self, spectrograms: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Embedding (batch, features) and raw scores by head, of spectrograms (batch, frames, bands)."""
        embedding = self.backbone(spectrograms)
        return embedding, {name: head(embedding) for name, head in self.heads.items()}


def save_weights(module: nn.Module, folder: Path) -> None:
    """Write the module's state into the model folder."""
    write_weights({name: value.detach().cpu().numpy() for name, value in module.state_dict().items()}, folder)


def load_weights(module: nn.Module, folder: Path) -> None:
    """Read the model folder's weights into a module of the same shape.

    Raises:
        ModelError: The file is missing or damaged, or belongs to another network; the first mismatch is named.
    """
    file, state, expected = folder / WEIGHTS, _read(folder), module.state_dict()
    _check(file, state, expected)
    for name in state:
        if name not in expected:
            raise ModelError(f"{file}: weights of another network: {name} is not in it")
    module.load_state_dict(state)


def load_matching(module: TaggerModule, folder: Path, heads: Iterable[str]) -> None:
    """Read the backbone's weights, and those of the named heads where they have the same layers.

    Raises:
        ModelError: The file is missing or damaged, or its backbone is another network.
    """
    file, state, expected = folder / WEIGHTS, _read(folder), module.state_dict()
    backbone = {name: value for name, value in expected.items() if name.startswith("backbone.")}
    _check(file, state, backbone)
    taken = {name: state[name] for name in backbone}
    for head in heads:
        names = [name for name in expected if name.startswith(f"heads.{head}.")]
        if all(name in state and state[name].shape == expected[name].shape for name in names):
            taken |= {name: state[name] for name in names}
    module.load_state_dict(taken, strict=False)


def _read(folder: Path) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in read_weights(folder).items()}


def _check(file: Path, state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    for name, value in expected.items():
        if name not in state:
            raise ModelError(f"{file}: weights of another network: {name} is missing")
        if state[name].shape != value.shape:
            shapes = f"{tuple(state[name].shape)} instead of {tuple(value.shape)}"
            raise ModelError(f"{file}: weights of another network: {name} has shape {shapes}")


def read_weights(folder: Path) -> dict[str, NDArray[Any]]:
    """The state in a model folder, by name.

    Raises:
        ModelError: The file is missing or damaged.
    """
    try:
        return load_file(str(folder / WEIGHTS))
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{folder / WEIGHTS}: cannot read the weights: {error}") from error


def write_weights(state: Mapping[str, NDArray[Any]], folder: Path) -> None:
    """Write the state into a model folder, readable by whoever may read the folder; shapes stay, () too."""
    (folder / WEIGHTS).write_bytes(save_arrays({name: np.asarray(value, order="C") for name, value in state.items()}))


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
    _check_close("model.onnx: its output 'embedding'", ours, embedding.numpy())
    heads = {name: weights_of(head) for name, head in module.heads.items()}
    cards = [HeadCard(name, getattr(head, "task", "multiclass")) for name, head in module.heads.items()]
    for name, scores in raw_scores(cards, heads, {"embedding": embedding.numpy()}).items():
        _check_close(f"the head {name!r}", scores, raw[name].numpy())
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


def _check_close(what: str, ours: NDArray[Any], theirs: NDArray[Any]) -> None:
    difference = float(np.abs(ours - theirs).max(initial=0)) / max(1.0, float(np.abs(theirs).max(initial=0)))
    if not difference <= TOLERANCE:
        raise ModelError(
            f"{what} differs from PyTorch's by {difference:.2g} (at most {TOLERANCE:g} "
            "is allowed): the network cannot be exported as it is"
        )
