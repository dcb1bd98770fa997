"""Every recipe that comes with Earmark fits together, says its source, and learns tones in two epochs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from earmark.datasets import load_dataset
from earmark.features.spectrogram import spectrogram
from earmark.recipe import list_recipes, load_recipe, recipe_parameters
from earmark.training.augment import check_augmentations
from earmark.training.backbones import build
from earmark.training.job import TrainOptions
from earmark.training.scoring import count_parameters
from lessons import train

NETWORKS = [name for name in list_recipes() if load_recipe(name).training.method == "network"]
SYSTEMS = {
    "slices-deep", "slices-fusion", "slices-wd", "slices-best", "slices-plus", "multi-output", "time-axis", "bbnn",
    "bbnn-augmented", "vggish", "vggish-autopool", "choi-fcn", "choi-crnn", "musicnn", "short-chunk-res", "zhang-nnet1",
    "zhang-nnet2", "transfer",
}  # fmt: skip


def test_all_systems_and_those_they_compare_with_are_there():
    assert set(list_recipes()) >= SYSTEMS


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_says_what_it_is(name: str):
    recipe = load_recipe(name)
    assert recipe.name == name and recipe.about and recipe.source and recipe.notes
    check_augmentations(recipe.augment)


@pytest.mark.parametrize("name", NETWORKS)
def test_frontend_and_network_of_a_recipe_fit(name: str):
    """A clip of silence passes through; the frontend gives as many frames as it promises."""
    recipe = load_recipe(name)
    frontend, samples = recipe.frontend, round(recipe.clip.seconds * recipe.frontend.sample_rate)
    picture = spectrogram(np.zeros(samples, np.float32), frontend)
    assert picture.shape == (frontend.frames(samples), frontend.bands)
    network = build(recipe.backbone.name, *picture.shape, recipe.backbone.options).eval()
    if network.any_length:  # the full clip of a large network takes seconds
        picture = picture[: max(320, len(picture) // 8)]
    with torch.inference_mode():
        assert network(torch.from_numpy(picture)[None]).shape == (1, network.features)


@pytest.mark.parametrize("name", list_recipes())
def test_the_stored_number_of_parameters_is_the_networks(name: str):
    """`earmark recipes` prints what is kept in recipes/parameters.json, without building a network."""
    assert recipe_parameters()[name] == count_parameters(load_recipe(name))
    assert set(recipe_parameters()) == set(list_recipes())


@pytest.mark.parametrize("name", ["slices-best", "bbnn", "vggish", "zhang-nnet1"])
def test_published_shapes_are_met(name: str):
    recipe = load_recipe(name)
    frames = recipe.frontend.frames(round(recipe.clip.seconds * recipe.frontend.sample_rate))
    shapes = {"slices-best": (128, 128), "bbnn": (647, 128), "vggish": (96, 64), "zhang-nnet1": (129, 512)}
    assert (frames, recipe.frontend.bands) == shapes[name]


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen songs of 6 s with a tone of any pitch, steady or beaten twice a second, in noise."""
    folder, random = tmp_path_factory.mktemp("tones"), np.random.default_rng(0)
    time = np.arange(6 * 22050) / 22050
    for label in ("steady", "beaten"):
        (folder / label).mkdir()
        for song in range(8):
            sound = 0.3 * np.sin(2 * np.pi * 300 * 2 ** (3 * random.random()) * time)
            if label == "beaten":
                sound *= (2 * time + random.random()) % 1 < 0.5
            soundfile.write(folder / label / f"{song}.wav", sound + 0.01 * random.standard_normal(len(time)), 22050)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_recipe_learns_tones_in_two_epochs(name: str, tones: Path, tmp_path: Path, monkeypatch):
    """Through training, export and scoring; with steps enough for so few songs, and clips no longer than they."""
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path / "cache"))
    recipe = load_recipe(name)
    clips = 36 if recipe.clip.seconds < 1 else 12  # of an example of 0.96 s a network sees little
    settings = ["training.epochs=2", f"training.clips_per_track={clips}", "training.batch_size=6", "clip.count=3",
                "training.patience=0", "training.learning_rate=1e-3", "training.schedule=constant"]  # fmt: skip
    if recipe.clip.seconds > 6 and build(recipe.backbone.name, 400, recipe.frontend.bands).any_length:
        settings.append("clip.seconds=6.0")
    out = train(load_dataset(tones), load_recipe(name, settings), tmp_path / "model", TrainOptions())
    scores = json.loads((out / "card.json").read_text())["scores"]["genre"]
    assert scores["train_accuracy"] >= 0.9, scores["train_accuracy"]
