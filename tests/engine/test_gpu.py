"""Whole verbs where ONNX Runtime has CUDA, by a stand-in: batches across files, the device told, the same answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import gpus
from commands import Earmark, environment, in_process
from sounds import melody

SONGS = 11


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven songs with a bad file among them."""
    folder = tmp_path_factory.mktemp("songs")
    for number in range(SONGS):
        soundfile.write(folder / f"{number:02}.wav", melody(7, 8000, seed=number), 8000)
    (folder / "05 bad.mp3").write_bytes(b"no audio at all" * 100)
    return folder


def gpu(folder: Path, fault: str = "") -> dict[str, str]:
    return environment() | gpus.install(folder, fault)


def without_device(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.items() if key != "device"} for record in records]


def test_tag(tiny_model: Path, songs: Path, tmp_path: Path, earmark: Earmark) -> None:
    """Songs share runs of the network; records are the same, in order, with the device; a bad file costs itself."""
    asked = ("tag", songs, "-m", tiny_model, "-f", "jsonl", "--taggram")
    plain, env = earmark(*asked), gpu(tmp_path)
    found = in_process(*asked, "-j", "1", env=env)
    assert (found.code, plain.code) == (3, 3)
    assert [record.get("device") for record in found.records] == [
        None if "error" in r else "cuda" for r in plain.records
    ]
    assert without_device(found.records) == plain.records and "device" not in plain.out
    # Twelve files, eight at a time, three clips each; the first run is the trial.
    assert gpus.runs(env)[1:] == [21, 12]
    assert found.err.count("The network ran on the GPU (CUDA).") == 1 and "GPU" not in plain.err
    alone = in_process(*asked, "-j", "1", "--device", "cpu", env=env)
    assert (alone.out, alone.code) == (plain.out, 3) and len(gpus.runs(env)) == 3


@pytest.fixture(scope="module")
def plain(tiny_model: Path, songs: Path) -> str:
    """What the processor says of the songs."""
    return in_process("tag", songs, "-m", tiny_model, "-f", "jsonl", "-j", "2").out


@pytest.mark.parametrize("fault", ["missing", "refuses", "memory"])
def test_a_gpu_that_does_not_work(tiny_model: Path, songs: Path, tmp_path: Path, plain: str, fault: str) -> None:
    """It is told once, whatever the number of workers, and the processor answers as ever."""
    found = in_process("tag", songs, "-m", tiny_model, "-f", "jsonl", "-j", "2", env=gpu(tmp_path, fault))
    assert found.out == plain and found.code == 3
    assert found.err.count("The network ran on the processor: ") == 1


def test_a_gpu_that_does_not_work_and_is_asked_for(tiny_model: Path, songs: Path, tmp_path: Path, plain: str) -> None:
    """By option or by the environment; the environment may as well say that it is not to be tried."""
    asked, env = ("tag", songs, "-m", tiny_model, "-f", "jsonl", "-j", "2"), gpu(tmp_path, "refuses")
    refused = in_process(*asked, "--device", "cuda", env=env)
    assert refused.code == 1 and not refused.out
    assert refused.err.startswith("earmark: error: --device cuda: ONNX Runtime has CUDA, but cannot use it here")
    assert in_process(*asked, env=env | {"EARMARK_DEVICE": "cuda"}).err == refused.err
    spared = in_process(*asked, env=env | {"EARMARK_DEVICE": "cpu"})
    assert spared.out == plain and "CUDA" not in spared.err


def test_by_name_where_there_is_none(
    tiny_model: Path, songs: Path, earmark: Earmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = in_process("tag", songs, "-m", tiny_model, "--device", "cuda")
    assert refused.code == 1 and "pip install 'onnxruntime-gpu[cuda,cudnn]'" in refused.err
    assert "Traceback" not in refused.err
    settings = songs.parent / "earmark.toml"
    settings.write_text('[all]\ndevice = "cuda"\n')
    assert earmark("tag", songs, "-m", tiny_model, "--config", settings).err == refused.err
    monkeypatch.setenv("EARMARK_DEVICE", "gpu")
    nonsense = earmark("tag", songs, "-m", tiny_model, "-j", 1)
    assert nonsense.code == 1 and "EARMARK_DEVICE=gpu: must be one of auto, cpu, cuda" in nonsense.err


def test_other_verbs(tiny_model: Path, songs: Path, tmp_path: Path, earmark: Earmark) -> None:
    """``embed`` and ``scan`` batch and tell as ``tag`` does, and find the same."""
    env = gpu(tmp_path)
    for where, run in (("cpu", earmark), ("gpu", lambda *asked: in_process(*asked, "-j", "1", env=env))):
        vectors, library = tmp_path / f"{where}.npz", tmp_path / f"{where}.db"
        embedded = run("embed", songs, "-m", tiny_model, "-o", vectors)
        scanned = run("scan", songs, "-m", tiny_model, "--library", library)
        for said in (embedded, scanned):
            assert said.code == 3 and ("on the GPU" in said.err) is (where == "gpu"), said.err
    with np.load(tmp_path / "cpu.npz") as plain, np.load(tmp_path / "gpu.npz") as found:
        assert plain["path"].tolist() == found["path"].tolist()
        np.testing.assert_allclose(plain["embedding"], found["embedding"], atol=1e-6)
    assert max(gpus.runs(env)) > 12, "clips of several files in one run"
    exported = [exports(earmark, tmp_path / f"{where}.db") for where in ("cpu", "gpu")]
    assert exported[0] == exported[1]


def exports(earmark: Earmark, library: Path) -> list[Mapping[str, Any]]:
    said = earmark("export", "--library", library, "-f", "json")
    return [{key: record.get(key) for key in ("path", "audio", "heads", "error")} for record in said.json]


@pytest.mark.parametrize("fault", [pytest.param("", marks=pytest.mark.slow), "refuses"])
def test_doctor(tmp_path: Path, fault: str) -> None:
    """It runs a network on the GPU, and says why where that fails."""
    facts = in_process("doctor", "-f", "json", env=gpu(tmp_path, fault)).json
    assert facts["devices"]["listening"] == (["cpu"] if fault else ["cpu", "cuda"])
    assert any("no CUDA-capable device" in line for line in facts["advice"]) is bool(fault) and facts["works"]


def test_an_ensemble(tiny_model: Path, songs: Path, tmp_path: Path, earmark: Earmark) -> None:
    asked = ("tag", songs, "-m", f"{tiny_model},{tiny_model}", "-f", "jsonl")
    assert without_device(in_process(*asked, "-j", "1", env=gpu(tmp_path)).records) == earmark(*asked).records
