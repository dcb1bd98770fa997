"""The level is taken off inside the network: a song is the same song when it is louder."""

from __future__ import annotations

import pytest
import torch

from earmark.training.backbones import build
from earmark.training.backbones.patch_residual import FLOOR, Level


@pytest.fixture
def music() -> torch.Tensor:
    """Two clips of 4 s, in dB: bands fall with frequency, frames come and go."""
    torch.manual_seed(0)
    return 10 - 0.6 * torch.arange(96.0) + 12 * torch.randn(2, 200, 96)


@pytest.mark.parametrize("gain", [-6.0, 6.0])
def test_louder_and_softer_music_has_the_same_embedding(gain: float, music: torch.Tensor):
    network = build("patch-residual", 200, 96, {"level": 8.0}).eval()
    plain = build("patch-residual", 200, 96).eval()
    plain.load_state_dict(network.state_dict())
    for layer in (*plain.modules(), *network.modules()):
        if isinstance(layer, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            layer.running_var.fill_(0.01)  # untrained weights shrink what they are given
    with torch.inference_mode():
        moved, kept = ((model(music + gain) - model(music)).abs().max() for model in (plain, network))
    assert kept < 0.02 * moved, (kept, moved)


def test_the_level_is_that_of_the_loudest_frames(music: torch.Tensor):
    """Half a clip of silence does not move the other half, as it would move a mean."""
    level = Level(8.0)
    half = music.clone()
    half[:, 100:] = FLOOR
    half[:, 0] = music.amax(1)
    found = level(half) * 20 - 30
    assert found.amax(1).mean(1) == pytest.approx([8.0, 8.0], abs=0.01)
    assert found.min() >= FLOOR


def test_silence_is_not_raised_to_music():
    found = Level(8.0)(torch.full((1, 50, 96), FLOOR)) * 20 - 30
    assert found.max() < -30


def test_without_a_level_numbers_are_only_scaled(music: torch.Tensor):
    torch.testing.assert_close(Level(None)(music), (music + 30) / 20)
