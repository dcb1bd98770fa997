"""Songs a second: of the same songs in turns, and of those alone that all models can hear; arithmetic, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from earmark.engine import InlineEngine
from earmark.inference.tagger import Tagger, load_model
from earmark.training.backbones import Backbone, build
from earmark.training.scoring import count_flops, gflop_of, parameters_of, songs_per_second


@pytest.fixture
def songs(tmp_path: Path) -> list[Path]:
    names = [tmp_path / f"{number:02}.wav" for number in range(20)]
    for name in names:
        soundfile.write(name, np.zeros(16000, np.float32), 16000)
    return names


def test_models_take_turns_over_songs_of_all_parts(songs: list[Path], monkeypatch: pytest.MonkeyPatch):
    heard: list[str] = []
    monkeypatch.setattr(Tagger, "predict", lambda self, song: heard.append(song.stem))
    found = songs_per_second({"a": Path("default"), "b": Path("default")}, songs, InlineEngine())
    assert set(found) == {"a", "b"}
    assert heard[:4] == ["00", "00", "00", "00"] and heard[-2:] == ["19", "19"] and len(heard) == 18


def test_a_slower_model_is_said_to_be_slower(songs: list[Path], monkeypatch: pytest.MonkeyPatch):
    """By processor time: sleeping would not count."""
    times = iter(np.cumsum([0.0] + [0.5, 0.0, 1.0, 0.0] * 3).tolist())
    monkeypatch.setattr("earmark.training.scoring.time.process_time", lambda: next(times))
    monkeypatch.setattr(Tagger, "predict", lambda self, song: None)
    models = {"a": Path("default"), "b": Path("default")}
    assert songs_per_second(models, songs[:2], InlineEngine()) == {"a": 2.0, "b": 1.0}


def test_a_damaged_song_is_left_out_for_all(songs: list[Path]):
    songs[0].write_bytes(b"no sound")
    assert songs_per_second({"a": Path("default")}, songs[:2], InlineEngine())["a"] > 0
    assert songs_per_second({"a": Path("default")}, songs[:1], InlineEngine()) == {}
    assert songs_per_second({}, songs, InlineEngine()) == {}


def test_arithmetic_is_counted_on_the_network():
    """One 3 x 3 convolution of 8 filters by hand; a GRU by its matrices."""

    class One(Backbone):
        features = 8

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 8, 3, padding=1)

        def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
            return self.conv(spectrograms[:, None]).mean((2, 3))

    assert count_flops(One(), 20, 10) == 2 * 20 * 10 * 8 * 9
    assert count_flops(One(), 40, 10) == 2 * 40 * 10 * 8 * 9
    along = build("time-axis", 323, 323)  # computes its kernel's shape
    assert count_flops(along, 323, 323) > 2 * (3240 * 1024 + 1024 * 256) + 2 * 20 * 323 * 323
    convolutions = [(192 * 96, 1, 64), (96 * 48, 64, 128), (32 * 16, 128, 128), (8 * 4, 128, 128)]
    wanted = sum(2 * places * 9 * inputs * outputs for places, inputs, outputs in convolutions)
    recurrent = 2 * 2 * 3 * 32 * (128 + 32 + 32 + 32)
    assert count_flops(build("choi-crnn", 192, 96), 192, 96) == wanted + recurrent


def test_the_bundled_model_costs_what_its_clips_cost():
    """Ten clips of 3 s at most: a song of a minute costs ten of them, heads and all; 0.87 million numbers."""
    tagger = load_model("default")
    one, ten = (gflop_of(tagger.folder, tagger.card, seconds) for seconds in (3.0, 60.0))
    assert one and ten == pytest.approx(10 * one, rel=1e-3) and 0.02 < one < 0.2
    assert 800_000 < parameters_of(tagger.folder) < 950_000
