"""Protects: a checkpoint is whole or the one before, and a damaged one is said to be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from earmark.errors import StorageError
from earmark.training.checkpoint import load_checkpoint, save_checkpoint


def test_tensors_and_facts_come_back_bit_by_bit(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 2).to(memory_format=torch.contiguous_format), "b": torch.tensor(7)}
    facts = {"rate": 0.1, "best": float("inf"), "history": [{"epoch": 1}]}
    save_checkpoint(tmp_path / "c.safetensors", tensors, facts)
    found = load_checkpoint(tmp_path / "c.safetensors")
    assert found is not None and found[1] == facts
    assert all(torch.equal(found[0][name], value) for name, value in tensors.items())


def test_none_damaged_and_unwritable(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "none") is None
    (tmp_path / "bad").write_bytes(b"12345678 not a checkpoint")
    with pytest.raises(StorageError, match="damaged"):
        load_checkpoint(tmp_path / "bad")
    with pytest.raises(StorageError, match="cannot write there"):
        save_checkpoint(tmp_path / "no" / "c", {"a": torch.zeros(1)}, {})
