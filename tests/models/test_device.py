"""What a network runs on: chosen by what there is, the same scores as on the processor, and back to it with a reason.

No GPU is needed: a stand-in for ONNX Runtime offers CUDA, remembers what it is asked, and computes on the processor.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

import earmark
from earmark.errors import EarmarkError, ModelError
from earmark.models import device, network
from earmark.models.card import read_card
from earmark.models.device import CPU, CUDA
from earmark.models.network import Network
from gpus import FakeRuntime
from sounds import melody


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> FakeRuntime:
    """An ONNX Runtime with CUDA, in place of the installed one."""
    fake = FakeRuntime()
    monkeypatch.setattr(network, "onnxruntime", lambda: fake)
    monkeypatch.setattr(device, "_has_cuda", lambda: True)
    return fake


@pytest.mark.parametrize(
    ("asked", "has_cuda", "chosen"),
    [
        ("auto", False, "cpu"),
        ("cpu", False, "cpu"),
        ("auto", True, "cuda"),
        ("cuda", True, "cuda"),
        ("cpu", True, "cpu"),
    ],
)
def test_choice(asked: device.Device, has_cuda: bool, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_has_cuda", lambda: has_cuda)
    assert device.choose(asked) == chosen


def test_what_computes_otherwise_is_not_taken(
    tiny_model: Path, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CoreML computes in half precision, TensorRT in TF32; DirectML and ROCm were never compared."""
    others = ["TensorrtExecutionProvider", "CoreMLExecutionProvider", "DmlExecutionProvider", "ROCMExecutionProvider"]
    monkeypatch.setattr(runtime, "get_available_providers", lambda: [*others, CPU])
    monkeypatch.setattr(device, "_has_cuda", lambda: False)
    assert earmark.load_model(tiny_model).network.device == "cpu" and runtime.sessions == [[CPU]]


def test_by_name_but_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_has_cuda", lambda: False)
    with pytest.raises(EarmarkError, match=r"--device cuda: .*no CUDA.*pip install 'onnxruntime-gpu"):
        device.choose("cuda")


def test_the_environment_says_what_auto_means(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.asked() == "auto"
    monkeypatch.setenv("EARMARK_DEVICE", "cuda")
    assert device.asked() == "cuda" and device.may_use_gpu() and not device.may_use_gpu("cpu")
    assert device.asked("cpu") == "cpu", "what is asked for comes first"
    monkeypatch.setenv("EARMARK_DEVICE", "gpu")
    with pytest.raises(EarmarkError, match="EARMARK_DEVICE=gpu: must be one of auto, cpu, cuda"):
        device.asked()


def test_on_the_processor_nothing_is_asked_of_a_gpu(tiny_model: Path, runtime: FakeRuntime) -> None:
    tagger = earmark.load_model(tiny_model, device="cpu")
    assert tagger.network.device == "cpu" and tagger.network.batch == 8
    assert runtime.sessions == [[CPU]] and not runtime.preloaded
    assert "use_deterministic_compute" not in vars(runtime.options[0])


def test_the_same_scores_on_a_gpu(tiny_model: Path, runtime: FakeRuntime, caplog: pytest.LogCaptureFixture) -> None:
    """Float32 without TF32, kernels chosen by the shape, and one shape alone, whatever the number of clips."""
    sound = melody(9, 8000)
    plain = earmark.load_model(tiny_model, device="cpu").predict(sound, sample_rate=8000)
    with caplog.at_level(logging.INFO):
        tagger = earmark.load_model(tiny_model)
        found = tagger.predict(sound, sample_rate=8000)
    assert tagger.network.device == "cuda" and caplog.messages == ["The network ran on the GPU (CUDA)."]
    assert found.heads == plain.heads
    name, options = runtime.sessions[-1][0]
    assert name == CUDA[0] and options["use_tf32"] == "0" and options["cudnn_conv_algo_search"] != "EXHAUSTIVE"
    assert runtime.sessions[-1][1] == CPU and runtime.preloaded
    assert runtime.options[-1].use_deterministic_compute
    assert {len(clips) for clips in runtime.runs[-2:]} == {tagger.network.batch}


@pytest.mark.parametrize("count", [1, 63, 64, 65, 130])
def test_any_number_of_clips(tiny_model: Path, runtime: FakeRuntime, count: int) -> None:
    """A batch is filled up with zeros, and they leave no trace."""
    card, clips = read_card(tiny_model), np.random.default_rng(0).normal(size=(count, 50, 96)).astype(np.float32)
    ours, theirs = (Network(tiny_model, card, {"bands": 96}, device=where) for where in ("cuda", "cpu"))
    found, expected = (one.run(clips, ["embedding", "bands"]) for one in (ours, theirs))
    for name, vectors in expected.items():
        assert vectors.shape == found[name].shape == (count, 96)
        np.testing.assert_allclose(found[name], vectors, atol=1e-6)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("missing", "Failed to load libcudnn.so.9: no such file"),  # ONNX Runtime goes on without a word to us
        ("refuses", "CUDA failure 100: no CUDA-capable device is detected"),
        ("memory", "out of memory"),  # the session opens, and its first run fails
    ],
)
def test_a_gpu_that_is_offered_and_does_not_work(
    tiny_model: Path, runtime: FakeRuntime, fault: str, reason: str, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    runtime.fault = fault
    tagger = earmark.load_model(tiny_model)
    assert tagger.network.device == "cpu" and tagger.predict(melody(3, 8000), sample_rate=8000).heads
    (notice,) = caplog.messages
    assert notice.startswith("The network ran on the processor: ") and reason in notice and notice.endswith(".")
    assert capsys.readouterr().out == "", "what ONNX Runtime prints stands on nobody's standard output"
    with pytest.raises(EarmarkError, match=r"--device cuda: .*cannot use it here") as caught:
        earmark.load_model(tiny_model, device="cuda").check_layer(None)
    assert reason in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("where", ["auto", "cuda"])
def test_a_damaged_network_is_not_the_gpus_fault(tiny_model: Path, runtime: FakeRuntime, where: device.Device) -> None:
    with pytest.raises(ModelError, match="has no layer 'gone', which a head reads"):
        Network(tiny_model, read_card(tiny_model), {"gone": 3}, device=where)


def test_the_files_of_cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever hands out work looks for the library of CUDA, and imports nothing."""
    package = tmp_path / "onnxruntime"
    (package / "capi").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    for there in (False, True):
        if there:
            (package / "capi" / "libonnxruntime_providers_cuda.so").touch()
        device._has_cuda.cache_clear()
        try:
            assert device.may_use_gpu() is there
        finally:
            device._has_cuda.cache_clear()
