"""What a model can make no sense of is told: silence, the noise of an empty line, white noise; music never is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cases import make_case
from earmark.audio.track import Excerpts, Facts, open_track
from sounds import encode, melody, write

CODECS = [(44100, "", "wav"), (8000, "", "wav"), (44100, "libmp3lame", "mp3"), (48000, "libopus", "opus")]


def facts_of(path: Path) -> Facts:
    with open_track(path) as track:
        list(track.clips(Excerpts(3.0, 10), 16000))
        return track.facts


def white(seconds: float, rate: int, level: float) -> np.ndarray:
    return np.clip(np.random.default_rng(0).normal(0, level, round(seconds * rate)), -1, 1).astype(np.float32)


@pytest.mark.parametrize(("rate", "codec", "suffix"), CODECS)
@pytest.mark.parametrize(("level", "warning"), [(0.3, "noise"), (0.02, "noise"), (3e-4, "silence"), (1e-5, "silence")])
def test_noise_and_near_silence(tmp_path: Path, rate: int, codec: str, suffix: str, level: float, warning: str) -> None:
    wave, path = white(12, rate, level), tmp_path / f"a.{suffix}"
    _ = encode(path, wave, rate, codec, 64_000) if codec else write(path, wave, rate, "FLOAT")
    facts = facts_of(path)
    assert (facts.warning, facts.silent, facts.noise) == (warning, warning == "silence", warning == "noise")


def test_quiet_music_and_noisy_music_are_music(tmp_path: Path) -> None:
    wave = melody(12, 22050)
    for name, sound in {
        "quiet": wave * 0.02,
        "noisy": 0.3 * wave + white(12, 22050, 0.05),
        "bursts": white(12, 22050, 0.2) * (np.arange(12 * 22050) // 6000 % 4 == 0),
        "brown": np.cumsum(white(12, 22050, 0.001)),
    }.items():
        assert facts_of(write(tmp_path / f"{name}.wav", sound, 22050, "FLOAT")).warning is None, name


def test_music_behind_a_silence_is_heard(tmp_path: Path, shared: Path) -> None:
    folder = make_case(shared, "15", tmp_path / "made", songs=1)
    warnings = {path.name: facts_of(path).warning for path in folder.iterdir()}
    assert warnings == {"silence 30s.flac": "silence", "1.mp3": None, "2.mp3": None, "3.mp3": None}
