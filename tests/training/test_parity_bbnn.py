"""Our BBNN with its authors' weights says what an independent forward pass over librosa's mel says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from earmark.audio.track import fit, load
from earmark.features.spectrogram import spectrogram
from earmark.recipe import load_recipe
from earmark.training.backbones import build
from published_weights import bbnn_state

SAMPLES = 661_794


@pytest.mark.slow
@pytest.mark.parametrize("fold", ["gtzan-fold0", "gtzan-fold1"])
def test_the_authors_weights_give_the_authors_logits(shared: Path, fold: str):
    frontend = load_recipe("bbnn").frontend
    network = build("bbnn", 647, 128)
    state, kernel, bias = bbnn_state(shared / "weights/bbnn-liu" / f"{fold}.hdf5")
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
    expected = np.load(shared / "weights/bbnn-liu" / f"{fold}.expected.npz")
    found = {path.stem: path for path in (shared / "data/gtzan-short/audio").rglob("*") if path.is_file()}
    right, worst = 0, 0.0
    network.eval()
    for track, logits in zip(expected["track_id"], expected["logits"], strict=True):
        sound = fit(load(found[track], frontend.sample_rate), SAMPLES, "zero")
        picture = torch.from_numpy(spectrogram(sound, frontend))[None]
        assert picture.shape == (1, 647, 128)
        with torch.inference_mode():
            ours = network(picture)[0].numpy() @ kernel + bias
        worst = max(worst, float(np.abs(ours - logits).max()))
        right += expected["labels"][int(ours.argmax())] == track.split(".")[0]
    assert worst < 1e-2
    assert right == 19


def test_it_has_the_published_number_of_values():
    """190,826 with the means and variances of batch norm and a linear head of ten labels."""
    network = build("bbnn", 647, 128)
    counted = [v for name, v in network.state_dict().items() if not name.endswith("num_batches_tracked")]
    assert sum(value.numel() for value in counted) + 32 * 10 + 10 == 190_826
