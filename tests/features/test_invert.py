"""Spectrograms come back as sound; from a sound to start from, an unchanged picture is that sound again."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.features.frontend import Frontend
from earmark.features.invert import invert
from earmark.features.spectrogram import spectrogram
from sounds import melody

MEL = Frontend(sample_rate=22050, n_fft=2048, win_length=2048, hop_length=512, bands=256, f_min=20, f_max=11025)
NATURAL = Frontend(log="ln", offset=0.01, power=1)
SOX = Frontend(kind="sox", sample_rate=22050, n_fft=256, win_length=256, hop_length=441, bands=128, f_max=11025)


@pytest.mark.parametrize("frontend", [MEL, NATURAL, SOX], ids=["db", "ln", "sox"])
def test_an_unchanged_picture_is_the_sound_that_it_starts_from(frontend: Frontend):
    sound = melody(2, frontend.sample_rate)
    found = invert(spectrogram(sound, frontend), frontend, start=sound)
    length = min(len(found), len(sound))
    assert np.corrcoef(found[:length], sound[:length])[0, 1] > (0.9 if frontend is SOX else 0.97)


def test_a_changed_picture_keeps_the_pitches_of_the_start_and_takes_the_bands_of_the_picture():
    """A wide band that is 20 dB louder becomes louder, and its partials stay where they are."""
    sound = melody(2, MEL.sample_rate)
    picture = spectrogram(sound, MEL)
    changed = picture.copy()
    changed[:, 128:] += 20
    again = spectrogram(invert(changed, MEL, start=sound), MEL)[: len(changed)]
    rise = again - picture
    loud = picture > picture.max() - 50
    low, high = (np.median(part[mask]) for part, mask in
                 ((rise[:, :120], loud[:, :120]), (rise[:, 136:], loud[:, 136:])))  # fmt: skip
    assert 17 < high - low < 23


def test_without_a_start_the_phases_are_drawn_by_the_seed():
    picture = spectrogram(melody(1, 16000), Frontend())
    one, two, other = (invert(picture, Frontend(), seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one, two) and not np.array_equal(one, other) and abs(one).max() <= 0.9001
