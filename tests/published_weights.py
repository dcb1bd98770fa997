"""Published weights as tests read them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import torch


def bbnn_state(file: Path, filters: int = 32) -> tuple[dict[str, torch.Tensor], np.ndarray, np.ndarray]:
    """Keras' numbered layers in the order of the network, under our names; and the last layer's weight and bias."""
    with h5py.File(file) as stored:
        weights = stored["model_weights"]
        layers = {
            name: {k.split(":")[0]: v[()] for k, v in weights[name][name].items()}
            for name in weights
            if len(weights[name])
        }
    numbered = sorted(layers, key=lambda name: (name.rsplit("_", 1)[0], int(name.rsplit("_", 1)[1])))
    convolutions = iter([layers[name] for name in numbered if name.startswith("conv2d")])
    norms = iter([layers[name] for name in numbered if name.startswith("batch_normalization")])
    dense = next(layers[name] for name in numbered if name.startswith("dense"))
    state: dict[str, torch.Tensor] = {}

    def conv(name: str) -> None:
        layer = next(convolutions)
        state[f"{name}.weight"] = torch.from_numpy(layer["kernel"].transpose(3, 2, 0, 1).copy())
        state[f"{name}.bias"] = torch.from_numpy(layer["bias"])

    def norm(name: str) -> None:
        layer = next(norms)
        theirs = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
        state.update({f"{name}.{ours}": torch.from_numpy(layer[key]) for ours, key in theirs.items()})

    def unit(name: str) -> None:
        norm(f"{name}.0")
        conv(f"{name}.2")

    conv("stem.0")
    norm("stem.1")
    for block in range(3):
        for part in ("one", "three.0", "three.1", "five.0", "five.1", "pooled.1"):
            unit(f"blocks.{block}.{part}")
    unit("transition.0")
    norm("transition.2")
    assert next(convolutions, None) is next(norms, None) is None
    return state, dense["kernel"], dense["bias"]
