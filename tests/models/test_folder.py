"""A model folder that is incomplete, damaged or of another shape is refused with one line; loading runs no code."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import earmark
from earmark.errors import EarmarkError, ModelError, UnknownName
from earmark.models.card import read_card
from earmark.models.network import Network
from earmark.models.registry import check_files, find_model, list_models
from earmark.paths import data_folder
from made import make_model


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        earmark.load_model(folder).check_layer(None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_file(model: Path) -> None:
    (model / "model.onnx").unlink()
    assert "missing model.onnx" in refusal(model)
    (model / "card.json").unlink()
    assert "card.json is missing" in refusal(model)


def test_a_damaged_file(model: Path) -> None:
    network = model / "model.onnx"
    network.write_bytes(network.read_bytes()[:-100])
    assert "checksum" in refusal(model)


def test_a_network_that_is_none(model: Path) -> None:
    """Where the card states no checksum the network itself must be refused."""
    card = model / "card.json"
    card.write_text(card.read_text().replace('"model.onnx"', '"other"'))
    (model / "model.onnx").write_bytes(b"not a network")
    assert "ONNX Runtime cannot load it" in refusal(model)


def test_heads_of_another_card(model: Path, tmp_path: Path) -> None:
    other = make_model(tmp_path / "other", heads=make_heads("mood"))
    shutil.copy(other / "heads.safetensors", model)
    card = model / "card.json"
    card.write_text(card.read_text().replace('"heads.safetensors"', '"other"'))
    assert "genre/0/0/weight is missing" in refusal(model)


def make_heads(name: str) -> tuple:
    from earmark.models.card import HeadCard

    return (HeadCard(name, "multiclass", ("sad", "happy")),)


def test_names(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model is found by folder or by a name in the user's data folder."""
    assert find_model(model) == model
    home = data_folder() / "models"
    shutil.copytree(model, home / "mine")
    assert list_models()["mine"] == home / "mine"
    assert find_model("mine") == home / "mine"
    with pytest.raises(UnknownName, match="did you mean 'mine'"):
        find_model("mime")
    with pytest.raises(ModelError, match="no such model folder"):
        find_model(tmp_path / "nowhere")
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(EarmarkError):
        find_model(file)


def test_check_files(model: Path) -> None:
    assert check_files(model, "model.onnx").name == "tiny"
    with pytest.raises(ModelError, match=r"missing weights.safetensors"):
        check_files(model, "weights.safetensors")


def test_network_outputs(model: Path) -> None:
    network = Network(model, read_card(model), {"bands": 96})
    assert network.layers == ("bands",)
    given = network.run(np.random.default_rng(0).normal(size=(3, 50, 96)).astype(np.float32), ["embedding", "bands"])
    assert given["embedding"].shape == (3, 96)
    assert given["bands"].shape == (3, 96)
