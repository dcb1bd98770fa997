"""Backbone and heads as one PyTorch module, and its weights in the model folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch import nn

from earmark.errors import ModelError
from earmark.training.backbones import Backbone

__all__ = ["WEIGHTS", "TaggerModule", "load_matching", "load_weights", "read_weights", "save_weights", "write_weights"]

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
    (folder / WEIGHTS).write_bytes(save({name: np.asarray(value, order="C") for name, value in state.items()}))
