"""Protects: the fast first layer is S2's convolution, and the sizes are those of its code."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from earmark.errors import RecipeError
from earmark.recipe import load_recipe
from earmark.training.backbones import build


def as_s2_writes_it(network, spectrograms: torch.Tensor) -> torch.Tensor:
    """Layer by layer, in the order of the source."""
    picture = (spectrograms / spectrograms.mean((1, 2), keepdim=True)).transpose(1, 2)[:, None]
    along = nn.Conv2d(1, 20, (323, 1), padding=2)
    along.load_state_dict({"weight": network.along.weight.transpose(2, 3), "bias": network.along.bias})
    local = nn.Conv2d(20, 40, 5, padding=2)
    local.load_state_dict({"weight": network.local.weight.transpose(2, 3), "bias": network.local.bias})
    maps = nn.functional.max_pool2d(torch.relu(along(picture)), 2)
    maps = nn.functional.max_pool2d(torch.relu(network.norm(local(maps))), 2)
    assert maps.shape[1:] == (40, 1, 81)
    return network.connected(maps.flatten(1))


def test_it_is_the_network_of_the_source() -> None:
    torch.manual_seed(0)
    recipe = load_recipe("time-axis")
    network = build("time-axis", 323, 323, recipe.backbone.options).eval()
    assert [tuple(p.shape) for p in network.connected.parameters() if p.ndim == 2] == [(1024, 3240), (256, 1024)]
    spectrograms = -80 * torch.rand(2, 323, 323)
    with torch.no_grad():
        ours, theirs = network(spectrograms), as_s2_writes_it(network, spectrograms)
    assert network.features == 256 and torch.allclose(ours, theirs, atol=1e-5)


def test_its_recipe_gives_323_frames() -> None:
    frontend = load_recipe("time-axis").frontend
    assert (frontend.frames(30 * 22050), frontend.bands) == (323, 323)


def test_other_sizes_layers_and_silence() -> None:
    network = build("time-axis", 40, 24, {"filters": [3, 5], "hidden": [32, 16, 8], "batch_norm": True}).eval()
    assert network(torch.zeros(2, 40, 24)).shape == (2, 8) and network(torch.zeros(2, 40, 24)).isfinite().all()
    assert build("time-axis", 40, 24, {"hidden": []}).features == 40 * 11
    with pytest.raises(RecipeError, match="at least 4"):
        build("time-axis", 3, 24)
