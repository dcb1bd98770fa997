"""Styles tell songs apart, and a picture moves towards one, in the features of random filters and of every network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from earmark.errors import ModelError
from earmark.features.blend import levelled
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import spectrogram
from earmark.models.card import Card, HeadCard, write_card
from earmark.recipe import ClipPlan, load_recipe
from earmark.training.backbones import build
from earmark.training.module import TaggerModule, save_weights
from earmark.training.restyle import Features, model_features, random_features, restyle
from made import make_model
from sounds import melody

Model = Callable[[str], Path]


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """A model folder of a recipe's network with random weights, as far as its features need it."""

    def make(name: str) -> Path:
        torch.manual_seed(0)
        recipe, folder = load_recipe(name), tmp_path / name
        folder.mkdir()
        frontend, clip = recipe.frontend, replace(recipe.clip, seconds=min(recipe.clip.seconds, 5.0))
        frames = frontend.frames(round(clip.seconds * frontend.sample_rate))
        network = build(recipe.backbone.name, frames, frontend.bands, recipe.backbone.options)
        save_weights(TaggerModule(network, {}), folder)
        facts = {"backbone": {"options": dict(recipe.backbone.options)}}
        head = HeadCard("genre", "multiclass", ("a", "b"))
        write_card(Card(name, "1", recipe.backbone.name, frontend, clip, (head,), network.features, facts), folder)
        return folder

    return make


def _pictures(features: Features) -> tuple[np.ndarray, np.ndarray]:
    rate = features.frontend.sample_rate
    hiss = levelled(np.random.default_rng(0).standard_normal(2 * rate).astype(np.float32))
    return tuple(spectrogram(one, features.frontend) for one in (levelled(melody(2, rate)), hiss))


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earmark.training.restyle.STEPS", 8)


@pytest.fixture
def four_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earmark.training.restyle.STEPS", 4)


@pytest.mark.usefixtures("few_steps")
def test_a_picture_moves_towards_the_style_as_far_as_its_strength_says():
    features = random_features()
    content, other = _pictures(features)
    style = features.style(other)
    assert features.distance(other, style) < 1e-9 and features.distance(content, style) > 0.1
    weak, strong = (list(restyle(content, style, features, strength)) for strength in (0.1, 10))
    assert [state.step for state in strong] == list(range(1, 9)) and strong[0].style == pytest.approx(1, abs=1e-4)
    assert strong[0].change == 0 and strong[-1].style < 0.9 and strong[-1].style < weak[-1].style
    assert weak[-1].change < strong[-1].change
    assert features.distance(strong[-1].picture, style) < 0.9 * features.distance(content, style)


@pytest.mark.usefixtures("few_steps")
def test_the_picture_stays_as_loud_as_the_content():
    features = random_features()
    content, other = _pictures(features)
    last = list(restyle(content, features.style(other + 12), features, 10))[-1].picture
    power = [(10 ** (one / 10)).sum() for one in (content, other, last)]
    assert abs(10 * np.log10(power[2] / power[0])) < 6, "a style that is 12 dB louder makes no song louder"


@pytest.mark.usefixtures("four_steps")
@pytest.mark.parametrize(
    "name",
    ["slices-best", "time-axis", "bbnn", "vggish", "zhang-nnet1", "transfer"]
    + [pytest.param(name, marks=pytest.mark.slow) for name in ("multi-output", "musicnn", "short-chunk-res", "yamnet")],
)
def test_convolutions_of_every_family_make_a_style(name: str, model: Model):
    """Networks of any and of one length, of SoX's pictures, of dB below the maximum and of natural logarithms."""
    from earmark.models.registry import find_model

    features = model_features(find_model("default") if name == "transfer" else model(name))
    content, other = _pictures(features)
    layers = features.layers(torch.from_numpy(content))
    assert layers and all(layer.shape[0] <= 1024 and layer.shape[1] >= 1 for layer in layers)
    states = list(restyle(content, features.style(other), features, 10))
    assert states[0].style == pytest.approx(1, abs=1e-3) and states[-1].style < 0.95


def test_a_model_without_convolution_features_is_one_line(tmp_path: Path):
    with pytest.raises(ModelError, match=r"no convolution features.*give -m random"):
        model_features(make_model(tmp_path / "made"))
    with pytest.raises(ModelError, match="trained on images"):
        model_features(make_model(tmp_path / "image", frontend=Frontend(kind="image", sample_rate=1, hop_length=1)))
    card = Card("x", "1", "time-axis", Frontend(), ClipPlan(), (HeadCard("genre", "multiclass", ("a", "b")),), 256)
    (tmp_path / "bare").mkdir()
    write_card(card, tmp_path / "bare")
    with pytest.raises(ModelError, match="cannot read the weights"):
        model_features(tmp_path / "bare")
