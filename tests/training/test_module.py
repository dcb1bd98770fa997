"""Protects: a checkpoint is whole or the one before, and a damaged one is said to be; what ONNX Runtime computes is
what PyTorch trained, and a difference ends the export; freed memory stays with the process for the next step.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from earmark.errors import ModelError, RecipeError, StorageError
from earmark.inference.scores import raw_scores
from earmark.models.card import HeadCard
from earmark.models.network import run_network
from earmark.recipe import Training
from earmark.training.backbones import Backbone, build
from earmark.training.module import (
    TaggerModule,
    autocast,
    device_notices,
    find_device,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    write_network,
)


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


CLIPS = -80 * np.random.default_rng(0).random((5, 40, 24), np.float32)


def test_onnx_and_weights_say_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = TaggerModule(build("time-axis", 40, 24, {"hidden": [16]}), {"type": nn.Linear(16, 3)})
    module.train()(torch.from_numpy(CLIPS))  # moves the running statistics
    heads = write_network(module, tmp_path, CLIPS)
    again = TaggerModule(build("time-axis", 40, 24, {"hidden": [16]}), {"type": nn.Linear(16, 3)}).eval()
    load_weights(again, tmp_path)
    with torch.inference_mode():
        embedding, raw = again(torch.from_numpy(CLIPS))
    ours = run_network((tmp_path / "model.onnx").read_bytes(), CLIPS[:3], ["embedding"])[0]
    assert np.abs(ours - embedding.numpy()[:3]).max() < 1e-4
    scores = raw_scores([HeadCard("type", "multiclass")], heads, {"embedding": ours})["type"]
    assert np.abs(scores - raw["type"].numpy()[:3]).max() < 1e-4
    first = (tmp_path / "model.onnx").read_bytes()
    write_network(again, tmp_path, CLIPS)
    assert (tmp_path / "model.onnx").read_bytes() == first and b"site-packages" not in first


class Fickle(Backbone):
    """Says something else every time, as no exported graph can."""

    features = 2

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        return spectrograms.mean(1)[:, :2] + float(torch.rand(()))


def test_a_network_that_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="differs from PyTorch"):
        write_network(TaggerModule(Fickle(), {"g": nn.Linear(2, 2)}), tmp_path, CLIPS)
    assert not (tmp_path / "model.onnx").exists()


MEASURE = """
import resource, sys
import numpy as np
from earmark.training.module import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
np.ones(15_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(15_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks glibc")
def test_large_blocks_are_fetched_once():
    def faults(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", MEASURE, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert faults("keep") < 0.1 * faults("return")


def test_the_device_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """``auto`` takes a GPU where there is one; without one a name alone is an error, with the remedy."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [find_device(name).type for name in ("auto", "cpu")] == ["cpu", "cpu"]
    with pytest.raises(RecipeError, match=r"--device cuda: .*; leave it out to train on the CPU"):
        find_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [find_device(name).type for name in ("auto", "cpu", "cuda")] == ["cuda", "cpu", "cuda"]


@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
@pytest.mark.parametrize("in_hardware", [True, False])
def test_half_precision_goes_by_the_device(monkeypatch: pytest.MonkeyPatch, in_hardware: bool) -> None:
    """bf16 on a GPU that has it in hardware, whatever the processor has; what older ones emulate is slower."""

    def supported(including_emulation: bool = True) -> bool:
        return in_hardware or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A Card")
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: not in_hardware, raising=False)
    gpu, cpu, plan = torch.device("cuda"), torch.device("cpu"), Training(mixed_precision=True)
    contexts = {device.type: autocast(plan, device) for device in (gpu, cpu)}
    there = contexts["cuda"] if in_hardware else contexts["cpu"]
    assert isinstance(there, torch.autocast) and there.device == ("cuda" if in_hardware else "cpu")
    assert there.fast_dtype == torch.bfloat16
    assert isinstance(contexts["cpu" if in_hardware else "cuda"], nullcontext)
    assert isinstance(autocast(Training(mixed_precision=False), gpu), nullcontext)
    (notice,) = device_notices(plan, gpu)
    numbers = "bfloat16 and float32" if in_hardware else "float32"
    assert notice == f"The network is trained on a GPU (A Card), in {numbers}." and device_notices(plan, cpu) == ()
