"""Songs a second: of the same songs in turns, and of those alone that all models can hear."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.inference.tagger import Tagger
from earmark.training.speeds import songs_per_second


@pytest.fixture
def songs(tmp_path: Path) -> list[Path]:
    names = [tmp_path / f"{number:02}.wav" for number in range(20)]
    for name in names:
        soundfile.write(name, np.zeros(16000, np.float32), 16000)
    return names


def test_models_take_turns_over_songs_of_all_parts(songs: list[Path], monkeypatch: pytest.MonkeyPatch):
    heard: list[str] = []
    monkeypatch.setattr(Tagger, "predict", lambda self, song: heard.append(song.stem))
    found = songs_per_second({"a": Path("default"), "b": Path("default")}, songs)
    assert set(found) == {"a", "b"}
    assert heard[:4] == ["00", "00", "00", "00"] and heard[-2:] == ["19", "19"] and len(heard) == 18


def test_a_slower_model_is_said_to_be_slower(songs: list[Path], monkeypatch: pytest.MonkeyPatch):
    """By processor time: sleeping would not count."""
    times = iter(np.cumsum([0.0] + [0.5, 0.0, 1.0, 0.0] * 3).tolist())
    monkeypatch.setattr("earmark.training.speeds.time.process_time", lambda: next(times))
    monkeypatch.setattr(Tagger, "predict", lambda self, song: None)
    assert songs_per_second({"a": Path("default"), "b": Path("default")}, songs[:2]) == {"a": 2.0, "b": 1.0}


def test_a_damaged_song_is_left_out_for_all(songs: list[Path]):
    songs[0].write_bytes(b"no sound")
    assert songs_per_second({"a": Path("default")}, songs[:2])["a"] > 0
    assert songs_per_second({"a": Path("default")}, songs[:1]) == {}
    assert songs_per_second({}, songs) == {}
