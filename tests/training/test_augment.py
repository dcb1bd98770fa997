"""Augmentations change what they say, keep shapes, come from the seed alone, and fill with quiet, not with noise."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.errors import RecipeError, UnknownName
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import spectrogram
from earmark.recipe import Augmentation
from earmark.training.augment import (
    augment_spectrogram,
    augment_waveform,
    check_augmentations,
    needs_waveform,
    shrink,
    zoom_factor,
)

SPECTRA = ["time-mask", "frequency-mask", "time-warp", "random-dropout", "frequency-stretch", "equalizer"]
WAVES = ["noise", "pitch", "gain"]


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def scene() -> np.ndarray:
    return seeded(3).normal(-30, 10, (400, 96)).astype(np.float32)


def tone(hertz: float, rate: int = 16000, seconds: float = 2.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("name", SPECTRA)
def test_spectrograms_change_by_the_seed_alone_and_keep_their_shape(name: str):
    before = scene()
    change = (Augmentation(name),)
    once, again, other = (augment_spectrogram(before, change, seeded(seed)) for seed in (1, 1, 2))
    assert once.shape == before.shape and once.dtype == np.float32
    assert np.array_equal(once, again) and not np.array_equal(once, other) and not np.array_equal(once, before)
    assert np.array_equal(before, scene()), "the clip itself must stay: it may be a memory map of the cache"


@pytest.mark.parametrize("name", ["time-mask", "frequency-mask", "random-dropout"])
def test_masks_fill_with_the_quietest_value(name: str):
    before = scene()
    after = augment_spectrogram(before, (Augmentation(name),), seeded())
    assert set(after[after != before]) == {before.min()}
    assert set((lower := augment_spectrogram(before, (Augmentation(name),), seeded(), -100.0))[lower != before]) == {
        -100
    }


def test_masks_are_as_wide_as_published():
    frames, bands, shares = [], [], []
    for seed in range(200):
        before = scene()
        frames.append((augment_spectrogram(before, (Augmentation("time-mask"),), seeded(seed)) != before).any(1).sum())
        changed = augment_spectrogram(before, (Augmentation("frequency-mask"),), seeded(seed)) != before
        bands.append(changed.any(0).sum())
        shares.append((augment_spectrogram(before, (Augmentation("random-dropout"),), seeded(seed)) != before).mean())
    assert min(frames) in range(9, 15) and max(frames) in range(95, 101)
    assert min(bands) in range(4, 7) and max(bands) in range(25, 28)
    assert np.mean(shares) == pytest.approx(0.005, rel=0.05)


def test_a_warp_keeps_both_ends_and_only_moves_what_lies_between():
    rising = np.repeat(np.arange(400, dtype=np.float32)[:, None], 4, axis=1)
    after = augment_spectrogram(rising, (Augmentation("time-warp"),), seeded())
    assert after[0, 0] == 0 and after[-1, 0] == pytest.approx(399, abs=1e-3)
    assert (np.diff(after[:, 0]) > 0).all() and 25 <= np.abs(after - rising).max() <= 80


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_a_stretch_multiplies_frequencies(factor: float):
    peak = np.exp(-0.5 * ((np.arange(96) - 40) / 2) ** 2).astype(np.float32)[None].repeat(10, 0)
    change = Augmentation("frequency-stretch", options={"factor": [factor, factor]})
    after = augment_spectrogram(peak, (change,), seeded())
    assert (after.argmax(1) == round(40 * factor)).all() and after.max() == pytest.approx(1, abs=0.05)


def test_an_equalizer_is_one_smooth_curve_for_all_frames():
    change = (Augmentation("equalizer", options={"deviation": 5.0}),)
    curves = np.stack([augment_spectrogram(scene(), change, seeded(i)) - scene() for i in range(200)])
    assert np.ptp(curves, axis=1).max() < 1e-4 and np.abs(np.diff(curves[:, 0], 2)).max() < 4
    assert curves[:, 0, 0].std() == pytest.approx(5, rel=0.2) and abs(curves.mean()) < 1


def test_short_clips_are_never_masked_whole():
    short = scene()[:6]
    for name in SPECTRA:
        after = augment_spectrogram(short, (Augmentation(name),), seeded())
        assert (after.shape == short.shape and np.isfinite(after).all() and (after == short).any()) or name in (
            "time-warp",
            "equalizer",
        )


@pytest.mark.parametrize("name", WAVES)
def test_sound_changes_by_the_seed_alone_and_keeps_its_length(name: str):
    before = tone(440)
    change = (Augmentation(name),)
    once, again, other = (augment_waveform(before, 16000, change, seeded(seed)) for seed in (1, 1, 2))
    assert once.shape == before.shape and once.dtype == np.float32
    assert np.array_equal(once, again) and not np.array_equal(once, other) and not np.array_equal(once, before)
    assert needs_waveform(change)


@pytest.mark.parametrize("semitones", [-3.0, 3.0, 1.5])
def test_pitch_moves_the_tone_and_not_its_speed(semitones: float):
    """A tone that stops half-way still stops half-way."""
    before = tone(440) * (np.arange(32000) < 16000)
    change = (Augmentation("pitch", options={"semitones": [semitones, semitones]}),)
    after = augment_waveform(before.astype(np.float32), 16000, change, seeded())
    heard = np.abs(np.fft.rfft(after[2000:14000] * np.hanning(12000)))
    assert np.argmax(heard) * 16000 / 12000 == pytest.approx(440 * 2 ** (semitones / 12), abs=2)
    assert np.abs(after[2000:14000]).max() == pytest.approx(0.3, rel=0.15) and np.abs(after[18500:]).max() < 0.03


def test_noise_is_uniform_and_as_loud_as_published():
    loudest = [np.abs(augment_waveform(np.zeros(4000, np.float32), 16000, (Augmentation("noise"),), seeded(i))).max()
               for i in range(100)]  # fmt: skip
    assert 0.0095 < min(loudest) < 0.02 and 0.13 < max(loudest) <= 0.15


def test_by_chance_and_in_order():
    never = (Augmentation("time-mask", 0.0), Augmentation("noise", 0.0), Augmentation("zoom-out", 0.0))
    assert augment_spectrogram(scene(), never, seeded()) is not None
    assert np.array_equal(augment_spectrogram(scene(), never, seeded()), scene())
    assert np.array_equal(augment_waveform(tone(440), 16000, never, seeded()), tone(440))
    assert zoom_factor(never, seeded()) == 1
    half = (Augmentation("zoom-out", 0.5),)
    assert 0.35 < np.mean([zoom_factor(half, seeded(i)) == 2 for i in range(200)]) < 0.65


def test_zooming_out_draws_what_sox_draws_at_half_the_columns():
    """5.12 s at 50 columns a second shrink to what 25 columns a second show."""
    sound = (0.2 * seeded().standard_normal(round(5.12 * 44100))).astype(np.float32) * np.linspace(0, 1, 225792)
    fine = Frontend(kind="sox", sample_rate=44100, n_fft=256, win_length=256, hop_length=882, bands=128)
    coarse = Frontend(kind="sox", sample_rate=44100, n_fft=256, win_length=256, hop_length=1764, bands=128)
    difference = shrink(spectrogram(sound.astype(np.float32), fine), 2, fine) - spectrogram(
        sound.astype(np.float32), coarse
    )
    assert difference.shape == (128, 128) and np.abs(difference).max() <= 1


@pytest.mark.parametrize("frontend", [Frontend(), Frontend(log="ln", offset=0.01), Frontend(kind="image", bands=96)])
def test_zooming_out_averages_power(frontend: Frontend):
    steady = np.full((8, 96), -20, np.float32)
    assert np.allclose(shrink(steady, 2, frontend), steady[:4])
    assert shrink(steady, 1, frontend) is steady


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Augmentation("time-masks"), "did you mean 'time-mask'"),
        (Augmentation("time-mask", 1.5), "probability = 1.5"),
        (Augmentation("time-mask", options={"frame": [1, 2]}), "did you mean 'frames'"),
        (Augmentation("time-mask", options={"frames": [20, 2]}), r"frames or bands = \[20, 2\]"),
        (Augmentation("time-warp", options={"frames": 3}), "augment time-warp"),
        (Augmentation("noise", options={"amplitude": [1]}), r"amplitude = \[1\]"),
        (Augmentation("zoom-out", options={"factor": 1}), "factor = 1"),
    ],
)
def test_what_makes_no_sense_is_refused_before_training(change: Augmentation, said: str):
    with pytest.raises((UnknownName, RecipeError), match=said):
        check_augmentations((change,))


def test_all_defaults_make_sense():
    check_augmentations(tuple(Augmentation(name) for name in (*SPECTRA, *WAVES, "zoom-out")))
