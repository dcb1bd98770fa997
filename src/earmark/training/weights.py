"""``weights.safetensors``: a network's state as arrays by name, in the model folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from earmark.errors import ModelError

__all__ = ["WEIGHTS", "read_weights", "write_weights"]

WEIGHTS = "weights.safetensors"


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
