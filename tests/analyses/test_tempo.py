"""A tempo is right where there is a beat, and no number stands where there is none."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from earmark.analyses.facts import Tempo
from earmark.analyses.tempo import TempoMeter

RATE, CLIP = 16_000, 48_000


def strokes(times, sounds, seconds=30.0, seed=0) -> np.ndarray:
    """(samples,) of sounds that begin at the times, over a little noise."""
    wave = np.random.default_rng(seed).normal(0, 1e-4, round(seconds * RATE)).astype(np.float32)
    for time, sound in zip(times, sounds, strict=True):
        part = wave[round(time * RATE) :][: len(sound)]
        part += sound[: len(part)]
    return wave


def drum(kind: str) -> np.ndarray:
    t = np.arange(RATE // 5) / RATE
    hiss = np.random.default_rng(1).normal(0, 0.3, len(t))
    return {
        "click": np.sin(2 * np.pi * 1500 * t) * np.exp(-t * 250),
        "kick": np.sin(2 * np.pi * 60 * t) * np.exp(-t * 25),
        "snare": (hiss + 0.3 * np.sin(2 * np.pi * 190 * t)) * np.exp(-t * 30),
        "hat": 0.3 * np.diff(hiss, prepend=0) * np.exp(-t * 80),
    }[kind].astype(np.float32)


def clicks(tempo: float, seconds: float = 30.0) -> np.ndarray:
    times = np.arange(0.1, seconds - 0.1, 60 / tempo)
    return strokes(times, [drum("click")] * len(times), seconds)


def loop(tempo: float) -> np.ndarray:
    """Kick, snare, and hats on the eighths."""
    eighths = np.arange(0.05, 29.7, 30 / tempo)
    times, sounds = list(eighths), [drum("hat")] * len(eighths)
    for place, time in enumerate(eighths[::2]):
        times.append(time)
        sounds.append(drum("snare" if place % 2 else "kick"))
    return strokes(times, sounds)


def speech(seconds: float = 30.0) -> np.ndarray:
    """Syllables of uneven length and pitch with pauses, as in talk."""
    rng, times, sounds, now = np.random.default_rng(3), [], [], 0.1
    while now < seconds - 1:
        length = rng.uniform(0.08, 0.35)
        t = np.arange(round(length * RATE)) / RATE
        voice = sum(np.sin(2 * np.pi * rng.uniform(95, 180) * k * t) / k for k in range(1, 12))
        times.append(now)
        sounds.append((rng.uniform(0.05, 0.2) * voice * np.sin(np.pi * t / length)).astype(np.float32))
        now += length + (rng.uniform(0.3, 0.9) if rng.random() < 0.2 else rng.uniform(0.0, 0.08))
    return strokes(times, sounds, seconds)


def tempo_of(wave: np.ndarray) -> Tempo:
    meter = TempoMeter()
    for start in range(0, len(wave), CLIP):
        meter.add(wave[start : start + CLIP])
    return meter.result()


def octaves(value: float | None, tempo: float) -> float:
    """How far the value is from the nearest octave of the tempo, as a part of it."""
    assert value is not None
    return min(abs(value / tempo / ratio - 1) for ratio in (0.5, 1, 2))


@pytest.mark.parametrize("tempo", [60, 72.5, 90, 104.3, 120, 133.7, 150, 175, 200])
def test_clicks_have_their_tempo(tempo: float) -> None:
    found = tempo_of(clicks(tempo))
    assert found.value == pytest.approx(tempo, rel=0.005)
    assert found.confidence > 0.5 and found.value == round(found.value, 1)


@pytest.mark.parametrize("tempo", [60, 75, 90, 110, 128, 140, 160, 180, 200])
def test_a_drum_loop_has_its_tempo_or_an_octave_of_it(tempo: float) -> None:
    found = tempo_of(loop(tempo))
    assert octaves(found.value, tempo) < 0.005
    if 100 <= tempo <= 150:  # outside, hats on the eighths may be tapped as well
        assert found.value == pytest.approx(tempo, rel=0.005)


@pytest.mark.parametrize("tempo", [66, 95, 125, 170])
def test_the_alternative_is_half_or_double(tempo: float) -> None:
    found = tempo_of(clicks(tempo))
    assert found.value is not None and found.alternative is not None
    assert found.alternative / found.value == pytest.approx(0.5 if tempo > 120 else 2, rel=0.01)


def test_clips_with_steps_of_the_beat_between_them_do_not_matter() -> None:
    wave, meter = clicks(117.0, 240), TempoMeter()
    for start in range(0, len(wave) - CLIP, 370_123):
        meter.add(wave[start : start + CLIP])
    assert meter.result().value == pytest.approx(117.0, rel=0.005)


def noise(colour: float) -> np.ndarray:
    spectrum = np.fft.rfft(np.random.default_rng(2).normal(0, 1, 30 * RATE))
    spectrum /= np.maximum(1, np.arange(len(spectrum))) ** colour
    wave = np.fft.irfft(spectrum)
    return (0.5 * wave / np.abs(wave).max()).astype(np.float32)


def changing() -> np.ndarray:
    """A beat that quickens from 70 to 150."""
    times = np.cumsum(60 / np.geomspace(70, 150, 54))
    return strokes(times[times < 29.5], [drum("snare")] * int((times < 29.5).sum()))


def uneven() -> np.ndarray:
    times = np.cumsum(np.random.default_rng(4).uniform(0.15, 1.1, 60))
    return strokes(times[times < 29.5], [drum("snare")] * int((times < 29.5).sum()))


def cloud() -> np.ndarray:
    rng = np.random.default_rng(5)
    t = np.arange(2 * RATE) / RATE
    sounds = [0.2 * np.sin(2 * np.pi * rng.uniform(90, 3000) * t) * np.exp(-t * rng.uniform(1, 8)) for _ in range(120)]
    return strokes(rng.uniform(0, 28, 120), [sound.astype(np.float32) for sound in sounds])


NO_TEMPO = {
    "silence": lambda: np.zeros(30 * RATE, np.float32),
    "white noise": lambda: noise(0.0),
    "pink noise": lambda: noise(0.5),
    "brown noise": lambda: noise(1.0),
    "a tone": lambda: np.sin(2 * np.pi * 440 * np.arange(30 * RATE) / RATE).astype(np.float32),
    "speech": speech,
    "a tempo that changes": changing,
    "free rhythm": uneven,
    "a cloud of tones": cloud,
    "2 s": lambda: clicks(120, 2.0),
    "4.5 s": lambda: loop(120)[: round(4.5 * RATE)],
    "nothing": lambda: np.zeros(0, np.float32),
}


@pytest.mark.parametrize("kind", NO_TEMPO)
def test_what_has_no_steady_beat_has_no_number(kind: str) -> None:
    found = tempo_of(NO_TEMPO[kind]())
    assert found == Tempo(None, found.confidence, None)
    assert found.confidence < 0.4


@pytest.mark.parametrize("seed", [12, 18, 39, 58])
def test_a_beat_that_gets_slower_is_no_error(seed: int) -> None:
    """Its repeats are found later and later, beyond what is looked at."""
    rng, meter = np.random.default_rng(seed), TempoMeter()
    first, slower = rng.uniform(0.50, 0.56), rng.uniform(1.08, 1.12)
    for _ in range(10):
        times = rng.uniform(0, 0.2) + first * np.cumsum(np.append(0, slower ** np.arange(5)))
        clip = 1e-4 * rng.standard_normal(CLIP).astype(np.float32)
        for time in times[times < 2.95]:
            part = clip[int(time * RATE) :][:800]
            part += (0.5 * np.exp(-np.arange(len(part)) / 150) * rng.standard_normal(len(part))).astype(np.float32)
        meter.add(clip)
    tempo = meter.result()
    assert tempo.value is None or 60 / (first * slower**4) < tempo.value < 60 / first * 2


def test_a_clearer_beat_has_a_higher_confidence() -> None:
    beat, hiss = loop(118), noise(0.0)
    clear, buried = (tempo_of((beat + level * hiss).astype(np.float32)).confidence for level in (0.0, 30.0))
    assert clear > buried + 0.3


def test_the_level_does_not_matter() -> None:
    loud = tempo_of(loop(118))
    quiet = tempo_of(0.05 * loop(118))
    assert replace(quiet, confidence=0) == replace(loud, confidence=0)
    assert quiet.confidence == pytest.approx(loud.confidence, abs=0.1)


def test_the_same_clips_have_the_same_tempo() -> None:
    assert tempo_of(loop(97)) == tempo_of(loop(97))


def test_memory_does_not_grow_with_the_clips() -> None:
    meter, clip = TempoMeter(), loop(120)[:CLIP]
    for _ in range(3):
        meter.add(clip)
    tracemalloc.start()
    try:
        for _ in range(300):
            meter.add(clip)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100_000
    assert meter.result().value == pytest.approx(120, rel=0.01)
