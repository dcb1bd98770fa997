"""What holds for every network of the registry: shape, gradient, length, export, saving; and what sets each apart."""

from __future__ import annotations

import itertools
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from earmark.errors import ModelError, RecipeError, UnknownName
from earmark.inference.scores import raw_scores
from earmark.models.card import HeadCard
from earmark.models.network import run_network
from earmark.training.backbones import Backbone, build, names
from earmark.training.backbones.vggish import AutoPool
from earmark.training.module import TaggerModule, load_weights, save_weights, write_network

SIZES = {
    "choi-crnn": (192, 96), "choi-fcn": (320, 96), "musicnn": (100, 96), "multi-output": (24, 20), "slices": (32, 24),
    "bbnn": (40, 24), "time-axis": (64, 64), "vggish": (96, 64), "yamnet": (96, 64), "short-chunk-res": (70, 40),
    "zhang-nnet1": (40, 64),
}  # fmt: skip
"""Frames and bands, as small as the network takes them; others (96, 96)."""


def small(name: str, seed: int = 0) -> tuple[Backbone, torch.Tensor]:
    frames, bands = SIZES.get(name, (96, 96))
    torch.manual_seed(seed)
    return build(name, frames, bands), torch.randn(3, frames, bands) * 10 - 30


@pytest.mark.parametrize("name", names())
def test_every_network_gives_finite_embeddings_and_learns_with_all_its_weights(name: str):
    network, pictures = small(name)
    embedding = network(pictures)
    assert embedding.shape == (3, network.features) and torch.isfinite(embedding).all()
    (embedding * torch.randn_like(embedding)).sum().backward()
    still = [key for key, weight in network.named_parameters() if weight.grad is None]
    assert not still


@pytest.mark.parametrize("name", names())
def test_every_network_makes_nothing_on_another_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On PyTorch's device without memory, which refuses to meet a tensor of the processor as a GPU does."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # knows real devices alone
    network, pictures = small(name)
    embedding = network.train().to("meta")(pictures.to("meta"))
    embedding.sum().backward()
    assert embedding.device.type == "meta" and embedding.shape == (3, network.features)


@pytest.mark.parametrize("name", names())
def test_every_network_exports_to_what_it_is(name: str, tmp_path: Path):
    """ONNX Runtime agrees to 1e-4, at another number of clips, and of frames where the network takes any."""
    network, pictures = small(name)
    network(pictures)  # moves the statistics of batch norm away from their start
    module = TaggerModule(network, {"genre": nn.Linear(network.features, 4)}).eval()
    heads = write_network(module, tmp_path, pictures.numpy(), any_length=network.any_length)
    heard = torch.cat([pictures, pictures.flip(1), pictures[:1]], 0)
    if network.any_length:
        heard = torch.cat([heard, heard[:, :37]], 1)
    with torch.inference_mode():
        embedding, raw = module(heard)
    ours = run_network((tmp_path / "model.onnx").read_bytes(), heard.numpy(), ["embedding"])[0]
    assert np.abs(ours - embedding.numpy()).max() <= 1e-4 * max(1, embedding.abs().max())
    scores = raw_scores([HeadCard("genre", "multiclass")], heads, {"embedding": ours})["genre"]
    assert np.abs(scores - raw["genre"].numpy()).max() <= 1e-4 * max(1, raw["genre"].abs().max())


@pytest.mark.parametrize("name", names())
def test_every_network_comes_back_bit_by_bit(name: str, tmp_path: Path):
    network, pictures = small(name)
    network(pictures)
    save_weights(network, tmp_path)
    again, _ = small(name, seed=1)
    load_weights(again, tmp_path)
    with torch.inference_mode():
        assert torch.equal(network.eval()(pictures), again.eval()(pictures))


@pytest.mark.parametrize("name", names())
def test_clips_too_small_for_a_network_are_refused_with_a_word(name: str):
    try:
        network = build(name, 3, 3)
    except RecipeError as error:
        assert name in str(error) and any(sign.isdigit() for sign in str(error))
    else:  # takes any size
        assert torch.isfinite(network.eval()(torch.zeros(1, 3, 3))).all()


def test_names_and_options_are_checked():
    with pytest.raises(UnknownName, match="did you mean 'bbnn'"):
        build("bbn", 64, 64)
    with pytest.raises(UnknownName, match="did you mean 'filters'"):
        build("bbnn", 64, 64, {"filter": 3})
    with pytest.raises(RecipeError, match="must be one of average, autopool"):
        build("vggish", 96, 64, {"pooling": "maximum"})


TONES = ["bbnn", "choi-crnn", "choi-fcn", "multi-output", "musicnn", "short-chunk-res", "slices", "vggish", "yamnet",
         "zhang-nnet1", "zhang-nnet2"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", TONES)
def test_every_network_tells_a_steady_tone_from_a_beaten_one_after_two_epochs(name: str):
    """A bright stripe in noise, at one of four heights, whole or broken: what tells them apart has no place."""
    network, _ = small(name)
    frames, bands = SIZES.get(name, (96, 96))
    random = torch.Generator().manual_seed(0)
    heard = 192 if name == "yamnet" else 96  # its fourteen layers of batch norm want more steps
    beaten = torch.arange(heard + 32) % 2
    pictures = torch.randn(heard + 32, frames, bands, generator=random)
    for picture, broken in zip(pictures, beaten, strict=True):
        start = int(torch.randint(0, 4, (1,), generator=random)) * ((bands - 6) // 4)
        picture[:, start : start + 6] += 6.0
        if broken:
            picture[torch.arange(frames) % 16 < 8, start : start + 6] -= 6.0
    module = nn.Sequential(network, nn.Linear(network.features, 2))
    optimizer = torch.optim.Adam(module.parameters(), 2e-3)
    for _, start in itertools.product(range(2), range(0, heard, 4)):
        loss = nn.functional.cross_entropy(module(pictures[start : start + 4]), beaten[start : start + 4])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        for start in [*range(0, heard, 32)] * 6:
            module(pictures[start : start + 32])  # the statistics of batch norm catch up
        right = (module.eval()(pictures[heard:]).argmax(1) == beaten[heard:]).float().mean()
    assert right >= 0.9


def test_musicnn_trains_through_the_convolution_that_is_exported():
    """The faster way to the same sums: values, and gradients of filters and picture."""
    tall = next(layer for layer in build("musicnn", 100, 96).layers if layer.conv.weight.ndim == 4)
    picture = torch.randn(2, 1, 96, 100, requires_grad=True)
    ways = []
    for way in (tall.conv, tall.sliding):
        maps = way(picture)
        ways.append((maps, *torch.autograd.grad(maps.square().mean(), (tall.conv.weight, tall.conv.bias, picture))))
    for plain, sliding in zip(*ways, strict=True):
        assert torch.allclose(plain, sliding, rtol=1e-4, atol=1e-5)


def test_autopool_lies_between_mean_and_maximum():
    steps = torch.randn(2, 5, 6)
    pool = AutoPool(5)
    for alpha, wanted in ((0.0, steps.mean(2)), (1000.0, steps.amax(2))):
        nn.init.constant_(pool.alpha, alpha)
        assert torch.allclose(pool(steps), wanted, atol=1e-3)


def test_the_slices_network_is_the_published_one():
    """128 x 128 to 256 maps of 16 x 16, a fully connected layer of 256."""
    network = build("slices", 128, 128)
    shapes = [tuple(layer.weight.shape) for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert shapes == [(64, 1, 3, 3), (128, 64, 3, 3), (256, 128, 3, 3), (256, 256 * 16 * 16)]


def test_fifteen_nodes_can_be_shared():
    assert build("multi-output", 65, 64).features == 8 * 31 * 30
    assert build("multi-output", 65, 64, {"nodes": 15}).features == 15


def test_short_chunks_shrink_to_one_place():
    network = build("short-chunk-res", 231, 128)
    with torch.inference_mode():
        assert network.blocks(torch.zeros(1, 1, 128, 231)).shape == (1, 512, 1, 2)


def test_nnet1_sees_26_steps_of_3_seconds():
    with torch.inference_mode():
        assert build("zhang-nnet1", 128, 512).steps(torch.zeros(1, 512, 128)).shape == (1, 256, 26)


def test_weights_of_another_network_are_refused_by_name(tmp_path: Path):
    save_weights(build("zhang-nnet1", 40, 64), tmp_path)
    with pytest.raises(ModelError, match=r"another network: first\.0\.weight is missing"):
        load_weights(build("zhang-nnet2", 40, 64), tmp_path)
    with pytest.raises(ModelError, match=r"norm.weight has shape \(64,\) instead of \(96,\)"):
        load_weights(build("zhang-nnet1", 40, 96), tmp_path)
