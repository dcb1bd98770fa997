"""Protects: slices-plus hears what is in a picture and not how bright it is; its parts are networks of their own."""

from __future__ import annotations

import pytest
import torch

from earmark.errors import RecipeError
from earmark.recipe import load_recipe
from earmark.training.backbones import build
from earmark.training.backbones.patch_residual import WIDTH


def test_a_brighter_picture_is_the_same_and_a_part_is_one_network() -> None:
    torch.manual_seed(0)
    network = build("slices-plus", 64, 64, {"kept": 32, "towers": 1}).eval()
    picture = torch.rand(2, 64, 64) * 200
    with torch.inference_mode():
        plain, brighter = network(picture), network(picture + 40)
    assert torch.allclose(plain, brighter, atol=1e-3) and plain.shape == (2, 3 * WIDTH)
    network(picture)[:, WIDTH : 2 * WIDTH].sum().backward()
    learning = {
        name.split(".")[1]
        for name, weight in network.named_parameters()
        if weight.grad is not None and weight.grad.any()
    }
    assert learning == {"1"}, "the second part of the embedding is the second network alone"


def test_the_recipes_heads_are_the_parts_of_its_network() -> None:
    recipe = load_recipe("slices-plus")
    options = recipe.backbone.options
    assert len(recipe.heads.ensemble) == options["statistics"] + options["towers"]


@pytest.mark.parametrize("options", [{"kept": 20}, {"kept": 256}, {"statistics": 0, "towers": 0}, {"towers": -1}])
def test_shapes_that_make_no_sense_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(RecipeError, match="backbone slices-plus"):
        build("slices-plus", 64, 64, options)
