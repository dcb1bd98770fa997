"""Published weights begin a recipe: VGGish's public layout, YAMNet's file, Won's networks; anything else is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from earmark.audio.track import load
from earmark.errors import ModelError
from earmark.features.spectrogram import mel_filterbank, spectrogram
from earmark.recipe import load_recipe
from earmark.training.backbones import build
from earmark.training.pretrained import load_pretrained, yamnet_classifier


def port_of_vggish() -> nn.Module:
    """The structure of the public PyTorch port: convolutions in ``features``, FC layers in ``embeddings``."""
    layers: list[nn.Module] = []
    inputs = 1
    for channels in (64, 0, 128, 0, 256, 256, 0, 512, 512, 0):
        layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU()] if channels else [nn.MaxPool2d(2, 2)]
        inputs = channels or inputs
    port = nn.Module()
    port.features = nn.Sequential(*layers)
    port.embeddings = nn.Sequential(
        nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)
    )  # the real ones have 70 million weights
    return port


@pytest.mark.parametrize("pooling", ["average", "autopool"])
def test_vggish_starts_from_the_public_port(tmp_path: Path, pooling: str):
    port = port_of_vggish()
    torch.save(port.state_dict(), tmp_path / "vggish.pth")
    network = build("vggish", 96, 64, {"pooling": pooling})
    load_pretrained(network, tmp_path / "vggish.pth")
    pictures = torch.randn(2, 96, 64)
    with torch.inference_mode():
        assert torch.equal(network.maps(pictures[:, None]), port.features(pictures[:, None]))


def test_the_first_mismatch_is_named(tmp_path: Path):
    file = tmp_path / "vggish.pth"
    state = port_of_vggish().state_dict()
    torch.save({key: value for key, value in state.items() if key != "features.6.weight"}, file)
    with pytest.raises(ModelError, match=r"vggish.pth: weights of another network: features.6.weight is missing"):
        load_pretrained(build("vggish", 96, 64), file)
    torch.save(state | {"features.3.bias": torch.zeros(64)}, file)
    with pytest.raises(ModelError, match=r"features.3.bias has shape \(64,\) instead of \(128,\)"):
        load_pretrained(build("vggish", 96, 64), file)
    torch.save([1, 2], file)
    with pytest.raises(ModelError, match="holds a list"):
        load_pretrained(build("vggish", 96, 64), file)
    file.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ModelError, match="not a PyTorch state dict, or damaged"):
        load_pretrained(build("vggish", 96, 64), file)
    with pytest.raises(ModelError, match="no such file"):
        load_pretrained(build("vggish", 96, 64), tmp_path / "none.pth")


def test_pickled_code_is_never_run(tmp_path: Path):
    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harmed",))

    torch.save({"features.0.weight": Harm()}, tmp_path / "vggish.pth")
    with pytest.raises(ModelError, match="damaged"):
        load_pretrained(build("vggish", 96, 64), tmp_path / "vggish.pth")
    assert not (tmp_path / "harmed").exists()


def test_yamnet_says_what_its_file_says(shared: Path):
    """On real songs against LiteRT, which rounds the spectrum and each layer's input to 8 bits on the way.

    That rounding moves single quiet examples (with its own log-mel our network agrees to 0.9999). On these songs each
    song's means correlate at 0.99, its examples on average at 0.98, and 95 % of the best classes agree; of twenty songs
    of emotify400 the means do so at 0.991 on average, a quiet one at 0.92 alone, examples at 0.978 (median 0.999).
    """
    interpreters = pytest.importorskip("ai_edge_litert.interpreter")
    file = shared / "weights/yamnet/yamnet-float.tflite"
    interpreter = interpreters.Interpreter(str(file))
    interpreter.allocate_tensors()
    entry, answer = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    recipe = load_recipe("yamnet")
    network = build(recipe.backbone.name, 96, 64)
    load_pretrained(network, file)
    network.train().eval()
    weight, bias = yamnet_classifier(file)
    samples = round(recipe.clip.seconds * recipe.frontend.sample_rate)
    songs, examples, same = [], [], []
    for path in sorted((shared / "data/moods900/audio").rglob("*.*"))[::90]:
        sound = load(path, recipe.frontend.sample_rate)
        clips = [np.ascontiguousarray(sound[i : i + samples]) for i in range(0, len(sound) - samples, 3 * samples)]
        theirs = []
        for clip in clips:
            interpreter.set_tensor(entry, clip)
            interpreter.invoke()
            theirs.append(interpreter.get_tensor(answer)[0].copy())
        pictures = torch.from_numpy(np.stack([spectrogram(clip, recipe.frontend) for clip in clips]))
        assert pictures.shape[1:] == (96, 64)
        with torch.inference_mode():
            ours = torch.sigmoid(network(pictures) @ weight.T + bias).numpy()
        songs.append(np.corrcoef(ours.mean(0), np.mean(theirs, axis=0))[0, 1])
        examples += [np.corrcoef(a, b)[0, 1] for a, b in zip(ours, theirs, strict=True)]
        same += list(ours.argmax(1) == np.argmax(theirs, axis=1))
    assert min(songs) >= 0.99 and np.mean(examples) >= 0.98 and np.mean(same) >= 0.95


def test_folded_batch_norm_stays_when_yamnet_is_trained_on(shared: Path):
    network = build("yamnet", 96, 64)
    load_pretrained(network, shared / "weights/yamnet/yamnet-float.tflite")
    pictures = torch.randn(2, 96, 64)
    with torch.inference_mode():
        assert torch.equal(network.train()(pictures), network.eval()(pictures))


def test_another_network_refuses_yamnets_file(shared: Path):
    with pytest.raises(ModelError, match=r"features.0.weight is missing"):
        load_pretrained(build("vggish", 96, 64), shared / "weights/yamnet/yamnet-float.tflite")


WON = [("choi-fcn", "msd-fcn"), ("choi-fcn", "mtat-fcn"), ("choi-crnn", "msd-crnn"), ("choi-crnn", "mtat-crnn"),
       ("musicnn", "mtat-musicnn"), ("musicnn", "jamendo-musicnn")]  # fmt: skip


@pytest.mark.parametrize(("recipe", "file"), WON)
def test_wons_weights_load_and_our_filterbank_is_theirs(shared: Path, recipe: str, file: str):
    chosen = load_recipe(recipe)
    network = build(chosen.backbone.name, 1813, 96, chosen.backbone.options)
    load_pretrained(network, shared / "weights/won2020" / f"{file}.pth")
    state = torch.load(shared / "weights/won2020" / f"{file}.pth", map_location="cpu", weights_only=True)
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name].to(value.dtype))
    theirs = state["spec.mel_scale.fb"].numpy().T
    assert np.abs(mel_filterbank(chosen.frontend) - theirs).max() < 1e-4


def normed(maps: torch.Tensor, state: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    """Batch norm by hand."""
    shape = (1, -1) + (1,) * (maps.ndim - 2)
    mean, variance, scale, shift = (
        state[f"{name}.{k}"].reshape(shape) for k in ("running_mean", "running_var", "weight", "bias")
    )
    return (maps - mean) / (variance + 1e-5).sqrt() * scale + shift


def fcn_by_hand(pictures: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    maps = normed(pictures.transpose(1, 2)[:, None], state, "spec_bn")
    for layer, pool in zip(range(1, 6), ((2, 4), (2, 4), (2, 4), (3, 5), (4, 1)), strict=True):
        maps = nn.functional.conv2d(
            maps, state[f"layer{layer}.conv.weight"], state[f"layer{layer}.conv.bias"], padding=1
        )
        maps = nn.functional.max_pool2d(normed(maps, state, f"layer{layer}.bn").clamp(min=0), pool)
    return maps.amax((2, 3))


def crnn_by_hand(pictures: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    maps = normed(pictures.transpose(1, 2)[:, None], state, "spec_bn")
    for layer, pool in zip(range(1, 5), ((2, 2), (3, 3), (4, 4), (4, 4)), strict=True):
        maps = nn.functional.conv2d(
            maps, state[f"layer{layer}.conv.weight"], state[f"layer{layer}.conv.bias"], padding=1
        )
        maps = nn.functional.max_pool2d(normed(maps, state, f"layer{layer}.bn").clamp(min=0), pool)
    steps = maps[:, :, 0].transpose(1, 2)
    for layer in range(2):
        gates = {k: state[f"layer5.{k}_l{layer}"] for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        hidden, outputs = torch.zeros(len(steps), 32), []
        for step in steps.unbind(1):
            one = (step @ gates["weight_ih"].T + gates["bias_ih"]).chunk(3, 1)
            two = (hidden @ gates["weight_hh"].T + gates["bias_hh"]).chunk(3, 1)
            reset, update = torch.sigmoid(one[0] + two[0]), torch.sigmoid(one[1] + two[1])
            hidden = (1 - update) * torch.tanh(one[2] + reset * two[2]) + update * hidden
            outputs.append(hidden)
        steps = torch.stack(outputs, 1)
    return steps[:, -1]


def musicnn_by_hand(pictures: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    picture = normed(pictures.transpose(1, 2)[:, None], state, "spec_bn")
    front = []
    for layer in range(5):
        weight, bias = state[f"layers.{layer}.conv.weight"], state[f"layers.{layer}.conv.bias"]
        if weight.ndim == 4:
            maps = nn.functional.conv2d(picture, weight, bias, padding=(0, weight.shape[3] // 2))
            front.append(normed(maps, state, f"layers.{layer}.bn").clamp(min=0).amax(2))
        else:
            maps = nn.functional.conv1d(picture.mean(2), weight, bias, padding=weight.shape[2] // 2)
            front.append(normed(maps, state, f"layers.{layer}.bn").clamp(min=0))
    steps = [torch.cat(front, 1)]
    for layer in range(1, 4):
        weight, bias = state[f"layer{layer}.conv.weight"], state[f"layer{layer}.conv.bias"]
        new = normed(nn.functional.conv1d(steps[-1], weight, bias, padding=3), state, f"layer{layer}.bn").clamp(min=0)
        steps.append(new + steps[-1] if layer > 1 else new)
    every = torch.cat(steps, 1)
    pooled = torch.cat([every.amax(2), every.mean(2)], 1) @ state["dense1.weight"].T + state["dense1.bias"]
    return normed(pooled, state, "bn").clamp(min=0)


@pytest.mark.parametrize(
    ("recipe", "file", "by_hand"),
    [
        ("choi-fcn", "mtat-fcn", fcn_by_hand),
        ("choi-crnn", "mtat-crnn", crnn_by_hand),
        ("musicnn", "mtat-musicnn", musicnn_by_hand),
    ],
)
def test_wons_networks_say_what_an_independent_pass_says(shared: Path, recipe: str, file: str, by_hand):
    chosen = load_recipe(recipe)
    network = build(chosen.backbone.name, 1813, 96, chosen.backbone.options)
    path = shared / "weights/won2020" / f"{file}.pth"
    load_pretrained(network, path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    sound = load(next(iter(sorted((shared / "data/moods900/audio").rglob("*.*")))), 16000)[: 6 * 16000]
    pictures = torch.from_numpy(spectrogram(sound, chosen.frontend))[None]
    with torch.inference_mode():
        ours, theirs = network.eval()(pictures), by_hand(pictures, state)
    assert (ours - theirs).abs().max() <= 1e-4 * max(1, theirs.abs().max())


@pytest.mark.slow
def test_wons_network_ranks_real_songs_sensibly(shared: Path):
    """``rock`` of the Million Song Dataset's CRNN lies higher for rock songs, ``sad`` for sad ones."""
    chosen = load_recipe("choi-crnn")
    network = build("choi-crnn", 1813, 96)
    path = shared / "weights/won2020/msd-crnn.pth"
    load_pretrained(network, path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    tags = (shared / "weights/won2020/msd-tags.txt").read_text().split("\n")
    folder = shared / "data/moods900"
    rows = [line.split("\t") for line in (folder / "tracks.tsv").read_text().splitlines()]
    header, rows = rows[0], rows[1::10]
    scores = {"rock": [], "sad": []}
    pictures = [spectrogram(load(folder / row[header.index("path")], 16000), chosen.frontend)[:1800] for row in rows]
    network.eval()
    for picture in pictures:
        with torch.inference_mode():
            raw = network(torch.from_numpy(picture)[None]) @ state["dense.weight"].T + state["dense.bias"]
        for tag, found in scores.items():
            found.append(float(raw[0, tags.index(tag)]))
    is_rock = np.array(["Rock" in row[header.index("genres")] for row in rows])
    is_sad = np.array([row[header.index("quadrant")] == "Q3" for row in rows])
    for tag, truth in (("rock", is_rock), ("sad", is_sad)):
        values = np.array(scores[tag])
        above = (values[truth][:, None] > values[~truth][None]).mean()
        assert above > 0.6, f"{tag}: {above:.2f} of the pairs are in order"


def test_a_recipe_starts_from_a_file(tmp_path: Path):
    """``backbone.init`` may be a published file; the heads begin at random."""
    from types import SimpleNamespace

    from earmark.datasets.core import HeadSpec
    from earmark.training.network import build_module

    port = port_of_vggish()
    torch.save(port.state_dict(), tmp_path / "vggish.pth")
    recipe = load_recipe("vggish", [f"backbone.init={tmp_path / 'vggish.pth'}"])
    dataset = SimpleNamespace(heads=(HeadSpec("genre", "multiclass", ("a", "b")),))
    job = SimpleNamespace(recipe=recipe, dataset=dataset, options=SimpleNamespace(init=None))
    module = build_module(job, 0)
    assert torch.equal(module.backbone.maps[0].weight, port.features[0].weight)
    job.recipe = load_recipe("musicnn", [f"backbone.init={tmp_path / 'vggish.pth'}"])
    with pytest.raises(ModelError, match="weights of another network"):
        build_module(job, 0)
