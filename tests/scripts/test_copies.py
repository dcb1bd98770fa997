"""Changed copies: reproducible, finite, and each change does what it says."""

import numpy as np
import pytest
from scripts.bundled.copies import Chances, band_limited, changed, mixed, through_codec

from sounds import melody, sine

RATE = 32000


def test_the_generator_decides_everything():
    sound, other = melody(2.0, RATE), melody(1.5, RATE, 1)
    first, again, another = (changed(sound, other, RATE, np.random.default_rng(s), Chances()) for s in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert first.shape != another.shape or not np.allclose(first, another)


def test_many_copies_stay_finite_and_of_about_the_length():
    sound = melody(1.0, RATE)
    for seed in range(20):
        copy = changed(sound, sound[::-1], RATE, np.random.default_rng(seed), Chances(silence=0.0))
        assert copy.dtype == np.float32
        assert np.isfinite(copy).all()
        assert 0.85 * len(sound) < len(copy) < 1.15 * len(sound)


def test_nothing_above_the_limit_is_left():
    both = sine(1.0, RATE, 1000.0) + sine(1.0, RATE, 9000.0)
    spectrum = np.abs(np.fft.rfft(band_limited(both, RATE, 5000.0)))
    assert spectrum[9000] < 1e-3 * spectrum[1000]
    assert spectrum[1000] == pytest.approx(0.25 * RATE, rel=0.05)


@pytest.mark.parametrize("codec", [0, 1, 2])
def test_codecs_keep_the_tune(codec: int):
    sound = sine(1.0, RATE, 440.0)
    back = through_codec(sound, RATE, codec, 1.0)
    assert len(back) <= len(sound)
    spectrum = np.abs(np.fft.rfft(back[4000:28000] * np.hanning(24000)))
    assert abs(np.argmax(spectrum) * RATE / 24000 - 440.0) < 2.0


def test_a_mix_has_both():
    spectrum = np.abs(np.fft.rfft(mixed(sine(1.0, RATE, 500.0), sine(0.5, RATE, 2000.0), np.random.default_rng(0))))
    assert min(spectrum[500], spectrum[2000]) > 20 * np.median(spectrum)
