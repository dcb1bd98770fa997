"""The baselines and the distances that an experiment is measured by do what their names say."""

from __future__ import annotations

import numpy as np

from earmark.features.blend import (
    LEVEL,
    chroma_distance,
    cross_fade,
    levelled,
    match_spectrum,
    mean_spectrum,
    onset_distance,
)
from sounds import melody, sine

RATE = 22050


def _noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(3 * RATE).astype(np.float32) * 0.1


def test_the_equaliser_gives_one_sound_the_spectrum_of_another():
    dull = np.convolve(_noise(), np.ones(8) / 8, "same").astype(np.float32)
    aim = mean_spectrum(_noise(1), RATE)
    before, after = (10 * np.log10(mean_spectrum(one, RATE) / aim) for one in (dull, match_spectrum(dull, aim, RATE)))
    assert abs(before).mean() > 10 and abs(after).mean() < 0.7
    assert len(match_spectrum(dull[:-1], aim, RATE)) == len(dull) - 1


def test_a_cross_fade_holds_both_at_one_level_and_repeats_a_shorter_style():
    both = cross_fade(0.01 * sine(2, RATE, 440), sine(1, RATE, 1000))
    spectrum = abs(np.fft.rfft(both))
    assert abs(spectrum[880] / spectrum[2000] - 1) < 0.05 and abs(np.sqrt(np.mean(both**2)) - LEVEL) < 1e-4
    assert not levelled(np.zeros(100, np.float32)).any()


def test_chroma_hears_harmony_and_neither_octave_nor_loudness():
    a, octave, fourth = (sine(2, RATE, hertz) for hertz in (440, 880, 440 * 2 ** (5 / 12)))
    assert chroma_distance(a, 0.1 * a, RATE) < 0.01 and chroma_distance(a, octave, RATE) < 0.05
    assert chroma_distance(a, fourth, RATE) > 0.5


def test_onsets_hear_rhythm_and_neither_pitch_nor_loudness():
    gate = (np.arange(3 * RATE) % RATE < RATE // 4).astype(np.float32)
    steady, other = (np.roll(gate, shift) for shift in (0, RATE // 2))
    high, low = sine(3, RATE, 1500), sine(3, RATE, 500)
    assert onset_distance(high * steady, 0.2 * high * steady, RATE) < 0.01
    assert onset_distance(high * steady, low * steady, RATE) < 0.5 < onset_distance(high * steady, low * other, RATE)
    assert onset_distance(melody(3, RATE), melody(3, RATE), RATE) < 1e-6
