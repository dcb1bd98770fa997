"""Where a training stands, in one file that is whole or not there: safetensors, with the rest as JSON in its header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from earmark.errors import StorageError
from earmark.storage import write_file

__all__ = ["load_checkpoint", "save_checkpoint"]

Tensors = dict[str, torch.Tensor]


def save_checkpoint(file: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
    """Replace a checkpoint in one step: killed at any moment, the file is the old or the new one.

    Raises:
        StorageError: No space, or no permission.
    """
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_file(file, save(plain, {"facts": json.dumps(facts)}))


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
