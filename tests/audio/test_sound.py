"""What a model can make no sense of is told: silence, noise, speech, clicks, a moment of sound; music never is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cases import make_case
from earmark.audio.track import Excerpts, Facts, open_track
from earmark.errors import NO_MUSIC, TOO_SHORT
from earmark.inference.records import HeadPrediction, Prediction, is_song
from sounds import encode, melody, write

CODECS = [(44100, "", "wav"), (8000, "", "wav"), (44100, "libmp3lame", "mp3"), (48000, "libopus", "opus")]


def facts_of(path: Path, seconds: float = 3.0, count: int = 10) -> Facts:
    with open_track(path) as track:
        list(track.clips(Excerpts(seconds, count), 16000))
        return track.facts


def white(seconds: float, rate: int, level: float) -> np.ndarray:
    return np.clip(np.random.default_rng(0).normal(0, level, round(seconds * rate)), -1, 1).astype(np.float32)


@pytest.mark.parametrize(("rate", "codec", "suffix"), CODECS)
@pytest.mark.parametrize(("level", "warning"), [(0.3, "noise"), (0.02, "noise"), (3e-4, "silence"), (1e-5, "silence")])
def test_noise_and_near_silence(tmp_path: Path, rate: int, codec: str, suffix: str, level: float, warning: str) -> None:
    wave, path = white(12, rate, level), tmp_path / f"a.{suffix}"
    _ = encode(path, wave, rate, codec, 64_000) if codec else write(path, wave, rate, "FLOAT")
    assert facts_of(path).warning == warning


def test_quiet_music_and_noisy_music_are_music(tmp_path: Path) -> None:
    wave = melody(12, 22050)
    for name, sound in {
        "quiet": wave * 0.02,
        "noisy": 0.3 * wave + white(12, 22050, 0.05),
        "bursts": white(12, 22050, 0.2) * (np.arange(12 * 22050) // 6000 % 4 == 0),
        "brown": np.cumsum(white(12, 22050, 0.001)),
    }.items():
        assert facts_of(write(tmp_path / f"{name}.wav", sound, 22050, "FLOAT")).warning is None, name


def voice(seconds: float, rate: int, pitch: float, seed: int) -> np.ndarray:
    """Syllables of gliding overtones under formants that move, with pauses between words, as speech has them."""
    rng, parts = np.random.default_rng(seed), [np.zeros(0)]
    while sum(map(len, parts)) < seconds * rate:
        for _ in range(rng.integers(2, 5)):
            length = round(rng.uniform(0.12, 0.25) * rate)
            t = np.arange(length) / length
            f0 = pitch * (rng.uniform(0.8, 1.2) + rng.uniform(-0.35, 0.35) * t)
            phase = 2 * np.pi * np.cumsum(f0) / rate
            tones = np.zeros(length)
            for formant in rng.uniform((300, 900, 2200), (800, 2000, 3200)):
                for k in range(1, int(4000 / pitch)):
                    tones += np.sin(k * phase) * np.exp(-(((k * f0 - formant) / 150) ** 2)) / 3
            parts.append(tones * np.hanning(length) ** 0.5 * rng.uniform(0.2, 0.5))
        parts.append(np.zeros(round(rng.uniform(0.25, 0.5) * rate)))
    wave = np.concatenate(parts)[: round(seconds * rate)]
    return (wave + rng.normal(0, 3e-4, len(wave))).astype(np.float32)


@pytest.mark.parametrize(("pitch", "seed"), [(110, 0), (140, 1), (210, 2)])
@pytest.mark.parametrize(("rate", "codec", "suffix"), [CODECS[0], CODECS[1], CODECS[3]])
def test_speech(tmp_path: Path, rate: int, codec: str, suffix: str, pitch: float, seed: int) -> None:
    wave, path = voice(20, rate, pitch, seed), tmp_path / f"a.{suffix}"
    _ = encode(path, wave, rate, codec, 64_000) if codec else write(path, wave, rate, "FLOAT")
    assert facts_of(path).warning == "speech"


@pytest.mark.parametrize(("per_minute", "seconds", "pitch"), [(120, 0.002, 0), (90, 0.05, 1000), (240, 0.03, 800)])
def test_a_click_track(tmp_path: Path, per_minute: float, seconds: float, pitch: float) -> None:
    rate, wave = 22050, np.zeros(22050 * 12)
    t = np.arange(round(seconds * rate)) / rate
    click = (np.sin(2 * np.pi * pitch * t) if pitch else np.ones(len(t))) * np.exp(-4 * t / seconds)
    for start in np.arange(0, 11.5, 60 / per_minute):
        wave[round(start * rate) :][: len(click)] = click
    assert facts_of(write(tmp_path / "a.wav", wave, rate, "FLOAT")).warning == "clicks"


def test_a_moment_is_too_short(tmp_path: Path) -> None:
    for seconds, warning in ((0.5, TOO_SHORT), (1.1, TOO_SHORT), (1.3, None), (2.5, None)):
        path = write(tmp_path / f"{seconds}.wav", melody(4, 22050)[: round(seconds * 22050)], 22050)
        assert facts_of(path).warning == warning, seconds


@pytest.mark.parametrize(("seconds", "count"), [(0.975, 1), (0.3, 3)])
def test_a_song_of_which_a_plan_takes_a_moment_is_not_too_short(tmp_path: Path, seconds: float, count: int) -> None:
    """VGGish hears clips of a second, and of a song as few as it is asked to."""
    path = write(tmp_path / "a.wav", melody(12, 22050), 22050)
    assert facts_of(path, seconds, count).warning is None
    moment = write(tmp_path / "b.wav", melody(4, 22050)[: round(0.5 * 22050)], 22050)
    assert facts_of(moment, seconds, count).warning == TOO_SHORT


def test_what_resembles_speech_or_clicks_is_music(tmp_path: Path) -> None:
    """Staccato notes, a plucked string with rests, drums with rests, a voice over a chord."""
    rate, rng = 22050, np.random.default_rng(3)
    t = np.arange(12 * rate) / rate
    gate = (t % 0.5 < 0.25) * np.minimum(1, 20 * (t % 0.5))
    plucked = sum(np.sin(2 * np.pi * 220 * 2 ** (np.floor(t / 0.6) % 5 / 6) * k * t) / k for k in (1, 2, 3))
    kick = np.sin(2 * np.pi * 60 * (t % 0.5)) * np.exp(-12 * (t % 0.5)) + rng.normal(0, 0.1, len(t)) * (t % 0.25 < 0.1)
    chord = sum(np.sin(2 * np.pi * f * t) for f in (220, 277, 330)) / 6
    sounds = {
        "staccato": melody(12, rate) * gate,
        "plucked": 0.2 * plucked * np.exp(-6 * (t % 0.6)),
        "drums": 0.5 * kick,
        "voice over a chord": voice(12, rate, 140, 5) + 0.3 * chord,
    }
    for name, sound in sounds.items():
        assert facts_of(write(tmp_path / f"{name}.wav", sound, rate, "FLOAT")).warning is None, name


def test_every_reason_leaves_a_track_without_labels() -> None:
    """What is too short to judge may well be music: it stays in lists of songs."""
    assert not any(is_song(f"cut off; {why}") for why in NO_MUSIC)
    assert all(is_song(warning) for warning in ("cut off", TOO_SHORT, None))
    head = HeadPrediction("multiclass", "Rock", 0.9, scores={"Rock": 0.9})
    for why in (*NO_MUSIC, TOO_SHORT):
        settled = Prediction("a", 1.0, "m", {"genre": head}, warning=f"cut off; {why}").settled().heads["genre"]
        assert (settled.label, settled.guesses, settled.scores) == (None, (), {"Rock": 0.9})


def test_music_behind_a_silence_is_heard(tmp_path: Path, shared: Path) -> None:
    folder = make_case(shared, "15", tmp_path / "made", songs=1)
    warnings = {path.name: facts_of(path).warning for path in folder.iterdir()}
    assert warnings == {"silence 30s.flac": "silence", "1.mp3": None, "2.mp3": None, "3.mp3": None}
