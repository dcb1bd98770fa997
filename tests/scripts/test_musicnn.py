"""musicnn of its authors gives their tags and penultimate layer, by an independent forward pass over librosa's mel."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scripts.bundled.musicnn import FRAMES, SAMPLE_RATE, load_musicnn, load_vgg, patches

from earmark.audio.track import load
from earmark.errors import ModelError


@pytest.mark.parametrize("corpus", ["msd", "mtt"])
def test_parity_with_the_published_network(shared: Path, corpus: str) -> None:
    expected = np.load(shared / "weights/musicnn/expected.npz")
    network = load_musicnn(shared / f"weights/musicnn/{corpus}-musicnn.safetensors")
    for song in (0, 7, 19):
        sound = patches(load(str(shared / "data/moods900" / str(expected["path"][song])), SAMPLE_RATE))
        with torch.inference_mode():
            deep = network(torch.from_numpy(sound))
            tags = torch.sigmoid(network.tags(deep)).mean(0).numpy()
        np.testing.assert_allclose(tags, expected[corpus][song], atol=1e-3)
        if corpus == "msd":
            np.testing.assert_allclose(deep.mean(0).numpy(), expected["msd_penultimate"][song], atol=1e-3)


@pytest.mark.parametrize("corpus", ["msd", "mtt"])
def test_vgg_hears_what_musicnn_hears(shared: Path, corpus: str) -> None:
    """Two networks of one vocabulary, learnt from the same annotations: the tags of one song stand in a like order."""
    expected = np.load(shared / "weights/musicnn/expected.npz")
    network = load_vgg(shared / f"weights/musicnn/{corpus}-vgg.safetensors")
    for song in (0, 7):
        sound = patches(load(str(shared / "data/moods900" / str(expected["path"][song])), SAMPLE_RATE))[::3]
        with torch.inference_mode():
            tags = network.tags(network(torch.from_numpy(sound))).mean(0).numpy()
        theirs = np.log(expected[corpus][song] / (1 - expected[corpus][song]))
        assert np.corrcoef(tags, theirs)[0, 1] > 0.8


def test_short_sounds_make_one_patch() -> None:
    assert patches(np.zeros(8000, np.float32)).shape == (1, FRAMES, 96)
    assert patches(np.zeros(3 * SAMPLE_RATE * 4, np.float32)).shape == (4, FRAMES, 96)


def test_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(b"\0" * 64)
    with pytest.raises(ModelError, match="does not hold the arrays of musicnn"):
        load_musicnn(file)
    with pytest.raises(ModelError, match="does not hold the arrays of VGG"):
        load_vgg(file)
