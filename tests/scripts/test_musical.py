"""Musical targets: pitch classes, mode, onsets and tempo of sounds whose answers are known."""

import numpy as np
from scripts.bundled.musical import SAMPLE_RATE, WIDTHS, musical

ENDS = np.cumsum(list(WIDTHS.values()))[:-1]


def _chord(*semitones: int) -> np.ndarray:
    time = np.arange(8 * SAMPLE_RATE) / SAMPLE_RATE
    return sum(np.sin(2 * np.pi * 220 * 2 ** (s / 12) * time) for s in semitones).astype(np.float32) / 4


def _clicks(a_minute: float) -> np.ndarray:
    sound = np.zeros(12 * SAMPLE_RATE, np.float32)
    rng = np.random.default_rng(0)
    for start in np.arange(0, len(sound) - 400, SAMPLE_RATE * 60 / a_minute).astype(int):
        sound[start : start + 400] += rng.normal(0, 0.3, 400)
    return sound


def test_a_chord_shows_in_its_pitch_classes_and_mode():
    major, minor = musical(_chord(0, 4, 7)), musical(_chord(0, 3, 7))
    assert major.shape == (8, sum(WIDTHS.values()))
    chroma, mode, _, _ = np.split(major, ENDS, 1)
    assert set(np.argsort(-chroma.mean(0))[:3]) == {0, 4, 7}
    assert mode.mean() > np.split(minor, ENDS, 1)[1].mean() + 0.1


def test_clicks_show_in_onsets_and_tempo():
    slow, fast = (np.split(musical(_clicks(bpm)).mean(0), ENDS) for bpm in (60, 120))
    np.testing.assert_allclose([slow[2][0], fast[2][0]], [1.0, 2.0], atol=0.2)
    column = int(np.log(120 / 57) / np.log(212 / 57) * 12)
    assert fast[3][column] > 0.5 > slow[3][column]
    assert min(slow[3][0], fast[3][0]) > 0.5, "two beats are a beat as well"


def test_silence_and_moments_of_sound_have_finite_targets():
    for sound in (np.zeros(3 * SAMPLE_RATE, np.float32), np.full(100, 0.1, np.float32)):
        found = musical(sound)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found[:, -12:], 0, atol=1.1)
