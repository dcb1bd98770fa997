"""A folder of format 1 is refused with the way out, and upgraded to the same scores."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import earmark
from earmark.cli import main
from earmark.errors import ModelError
from earmark.inference.scores import pool, probabilities
from earmark.models.card import Card, card_facts, read_card
from earmark.models.network import run_network
from earmark.models.registry import check_files, sha256
from earmark.recipe import ClipPlan, HeadDesign
from earmark.training.backbones import Backbone
from earmark.training.heads import build_head
from earmark.training.upgrade import upgrade_model
from made import HEADS
from sounds import melody

DESIGNS = {
    "linear": HeadDesign(),
    "hidden": HeadDesign(hidden=(12, 6), dropout=0.4),
    "ensemble": HeadDesign(ensemble=("linear", "mlp-8"), mean="mean"),
    "logs": HeadDesign(ensemble=("linear", "mlp-8"), mean="mean-log"),
}


class Mean(Backbone):
    features = 96

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        return spectrograms.mean(1) / 20


class Extended(torch.nn.Module):
    """A head that gained a class: as format 1 computed it, and kept its weights."""

    def __init__(self, before: torch.nn.Module, labels: int) -> None:
        super().__init__()
        self.before, self.added, self.old = before, torch.nn.Linear(96, labels), labels - 1
        self.added.weight.data[: self.old] = 0
        self.added.bias.data[: self.old] = 0

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(self.before(embedding), (0, 1)) + self.added(embedding)


class Flat(torch.nn.Module):
    """The network of format 1: embedding, a layer, and the heads, in one graph."""

    def __init__(self, heads: dict[str, torch.nn.Module]) -> None:
        super().__init__()
        self.backbone, self.heads = Mean(), torch.nn.ModuleDict(heads)

    def forward(self, spectrogram: torch.Tensor) -> tuple[torch.Tensor, ...]:
        embedding = self.backbone(spectrogram)
        return (embedding, spectrogram.mean(1), *(head(embedding) for head in self.heads.values()))


def format_1(folder: Path, design: HeadDesign, extended: bool = False) -> Path:
    torch.manual_seed(0)
    heads = {}
    for head in HEADS:
        labels = head.labels[:-1] if extended and head.task == "multiclass" else head.labels
        made = build_head(design, 96, dataclasses.replace(head, labels=labels), 1)
        made.train()(torch.randn(64, 96) * 3)
        heads[head.name] = Extended(made, len(head.labels)) if len(labels) < len(head.labels) else made
    flat = Flat(heads).eval()
    names = ["embedding", "layer:bands", *heads]
    axes = {name: {0: "clips"} for name in ("spectrogram", *names)}
    folder.mkdir()
    example = torch.zeros(2, 101, 96)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            flat, (example,), str(folder / "model.onnx"), input_names=["spectrogram"], output_names=names,
            dynamic_axes=axes, opset_version=17, dynamo=False,
        )  # fmt: skip
    save_file({name: value.numpy() for name, value in flat.state_dict().items()}, str(folder / "weights.safetensors"))
    (folder / "run.json").write_text('{"seed": 3}')
    files = {file.name: sha256(file) for file in folder.iterdir()}
    frontend = earmark.load_model().frontend
    recipe = {"heads": dataclasses.asdict(design)}
    card = Card("old", "1", "made", frontend, ClipPlan(2.0, 3), HEADS, 96, recipe=recipe, files=files)
    facts = card_facts(card) | {"format": 1}
    keys = ("name", "task", "labels", "temperature", "threshold", "thresholds", "aliases")
    facts["heads"] = [{key: head[key] for key in keys} for head in facts["heads"]]
    (folder / "card.json").write_text(json.dumps(facts))
    return folder


@pytest.mark.parametrize("extended", [False, True], ids=["", "extended"])
@pytest.mark.parametrize("design", DESIGNS)
def test_scores_stay_what_they_were(design: str, extended: bool, tmp_path: Path) -> None:
    folder = format_1(tmp_path / "m", DESIGNS[design], extended)
    old = (folder / "model.onnx").read_bytes()
    card = upgrade_model(folder)
    tagger = earmark.load_model(folder)
    assert tagger.card == check_files(folder, *card.files) == card
    assert "run.json" in card.files and json.loads((folder / "run.json").read_text()) == {"seed": 3}
    assert tagger.network.layers == ("bands",)
    seen = tagger.see(write_melody(tmp_path))
    for head, raw in zip(HEADS, run_network(old, seen, [head.name for head in HEADS]), strict=True):
        expected = pool(probabilities(raw, head), "mean", head.task)
        found = tagger.predict(tmp_path / "a.wav").heads[head.name]
        ours = list(found.scores.values()) or [found.value]
        assert np.abs(np.array(ours, float) - expected).max() <= 1e-4
    assert [file.name for file in tmp_path.iterdir() if file.is_dir()] == ["m"]


def write_melody(folder: Path) -> Path:
    import soundfile

    soundfile.write(folder / "a.wav", melody(9, 16000), 16000)
    return folder / "a.wav"


def test_format_1_is_refused_with_the_remedy_and_upgraded_by_it(tmp_path: Path, capsys) -> None:
    folder = format_1(tmp_path / "m", HeadDesign())
    with pytest.raises(ModelError, match=rf"format 1, .*; upgrade it: earmark models upgrade {folder}$"):
        earmark.load_model(folder)
    assert main(["models", "upgrade", str(folder)]) == 0
    assert "old@1, format 2" in capsys.readouterr().out
    assert read_card(folder).format == 2
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert main(["models", "upgrade", str(folder)]) == 0
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert main(["models", "upgrade"]) == 1


def test_what_cannot_be_upgraded_stays_as_it_is(tmp_path: Path) -> None:
    """No weights of a head, a head of another form, a damaged graph: one line, and nothing is written."""
    folder = format_1(tmp_path / "m", HeadDesign())
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    weights = {name: np.zeros((1, 96), np.float32) for name in ("heads.genre.weight", "heads.tags.odd")}
    for name, content, why in (
        ("weights.safetensors", None, "weights"),
        ("weights.safetensors", weights, "head"),
        ("model.onnx", b"no graph", "damaged"),
    ):
        if content is None:
            (folder / name).unlink()
        elif isinstance(content, dict):
            save_file(content, str(folder / name))
        else:
            (folder / name).write_bytes(content)
        with pytest.raises(ModelError, match=why):
            upgrade_model(folder)
        for file, known in before.items():
            (folder / file).write_bytes(known)
