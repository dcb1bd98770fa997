"""Published weights as the beginning of a recipe: ``backbone.init`` names a file of the authors' or a port's.

PyTorch state dicts (``.pth``, ``.pt``) for VGGish in the layout of its public port and for Won's networks; YAMNet's
``.tflite`` with 8-bit weights and float arithmetic. What follows the backbone in such a file is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from earmark.errors import MissingExtra, ModelError
from earmark.training.backbones import Backbone
from earmark.training.backbones.yamnet import BLOCKS, CLASSES

__all__ = ["load_pretrained", "yamnet_classifier"]

State = dict[str, torch.Tensor]
Tensors = dict[str, NDArray[Any]]


def load_pretrained(backbone: Backbone, file: Path) -> None:
    """Load published weights into a backbone.

    What the backbone adds to the published network (``own_parts``) keeps its random weights.

    Raises:
        ModelError: The file is missing or damaged, or holds another network's weights; names the first mismatch.
        MissingExtra: A ``.tflite`` file, and LiteRT is not installed.
    """
    if not file.is_file():
        raise ModelError(f"{file}: no such file of weights")
    state = _yamnet_state(file) if file.suffix == ".tflite" else _torch_state(backbone, file)
    own = tuple(backbone.own_parts)
    merged = dict(backbone.state_dict())
    for name, value in merged.items():
        if (own and name.startswith(own)) or (name not in state and name.endswith("num_batches_tracked")):
            continue
        if name not in state:
            raise ModelError(f"{file}: weights of another network: {_published(backbone, name)} is missing")
        if state[name].shape != value.shape:
            shapes = f"{tuple(state[name].shape)} instead of {tuple(value.shape)}"
            raise ModelError(f"{file}: weights of another network: {_published(backbone, name)} has shape {shapes}")
        merged[name] = state[name].to(value.dtype)
    backbone.load_state_dict(merged)


def yamnet_classifier(file: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """YAMNet's last layer: weight (521, 1024) and bias (521,) from the embedding to AudioSet's logits."""
    tensors = _tflite_tensors(file)
    bias = next(v for n, v in tensors.items() if v.shape == (CLASSES,) and v.dtype == np.float32)
    return torch.from_numpy(tensors["dense/MatMul"]), torch.from_numpy(bias)


def _torch_state(backbone: Backbone, file: Path) -> State:
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for a damaged file
        reason = " ".join(str(error).split())[:120]
        raise ModelError(f"{file}: not a PyTorch state dict, or damaged: {reason}") from error
    if not isinstance(loaded, Mapping) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise ModelError(f"{file}: holds a {type(loaded).__name__}, not a state dict")
    state: State = dict(loaded)
    for theirs, ours in backbone.published_prefixes.items():
        state = {ours + k[len(theirs) :] if k.startswith(theirs) else k: v for k, v in state.items()}
    return state


def _published(backbone: Backbone, name: str) -> str:
    """The name of a weight as the published file has it."""
    for theirs, ours in backbone.published_prefixes.items():
        if name.startswith(ours):
            return theirs + name[len(ours) :]
    return name


def _yamnet_state(file: Path) -> State:
    """The flatbuffer's constants under the names of YAMNet's backbone; batch norm lies in convolution and bias."""
    tensors = _tflite_tensors(file)
    layers = [("layer1/conv/Conv2D", "layer1/conv/bn", "maps.0", False)]
    for index in range(len(BLOCKS)):
        layer = f"layer{index + 2}"
        deep = f"{layer}/depthwise_conv/bn"
        layers.append((f"{deep}/weight", deep, f"maps.{2 * index + 1}", True))
        point = f"{layer}/pointwise_conv"
        layers.append((f"{point}/Conv2D", f"{point}/bn", f"maps.{2 * index + 2}", False))
    state: State = {"folded": torch.ones(1)}
    for weight, bias, ours, depthwise in layers:
        for name in (weight, bias):
            if name not in tensors:
                raise ModelError(f"{file}: weights of another network: {name} is missing")
        order = (3, 0, 1, 2) if depthwise else (0, 3, 1, 2)  # to (outputs, inputs a group, height, width)
        values = torch.from_numpy(np.ascontiguousarray(tensors[weight].transpose(order)))
        shift = torch.from_numpy(tensors[bias])
        ones = torch.ones_like(shift)
        state |= {
            f"{ours}.conv.weight": values, f"{ours}.norm.weight": ones, f"{ours}.norm.bias": shift,
            f"{ours}.norm.running_mean": torch.zeros_like(shift), f"{ours}.norm.running_var": ones - 1e-4,
        }  # fmt: skip
    return state


def _tflite_tensors(file: Path) -> Tensors:
    """Constants by short name, 8-bit ones as the floats that they stand for."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise MissingExtra("train", "reading .tflite weights") from error
    try:
        interpreter = Interpreter(str(file))
        details = interpreter.get_tensor_details()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{file}: not a tflite model, or damaged") from error
    found: Tensors = {}
    for detail in details:
        short = detail["name"].split(";")[0].removeprefix("yamnet_frames/").replace("/FusedBatchNormV3", "")
        quantised = detail["quantization_parameters"]
        if len(detail["shape"]) in (2, 4) and short.endswith("depthwise_conv/bn"):
            short += "/weight"
        try:
            value = interpreter.get_tensor(detail["index"])
        except ValueError:  # not a constant
            continue
        if len(quantised["scales"]):
            shape = [1] * value.ndim
            shape[quantised["quantized_dimension"]] = -1
            zero, scale = (quantised[key].reshape(shape) for key in ("zero_points", "scales"))
            value = (value.astype(np.float32) - zero) * scale
        found.setdefault(short, np.array(value, np.float32 if value.dtype.kind == "f" else value.dtype))
    return found
