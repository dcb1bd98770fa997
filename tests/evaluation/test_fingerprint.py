"""A fingerprint stays the same under gain, codec noise and a shifted start; unrelated sounds agree in half the bits."""

import numpy as np
import pytest

from earmark.evaluation.duplicates import Fingerprint, bit_error, find_matches, of_image, of_waveform
from evaluation.sounds import music


def prints(count=6, seconds=12):
    return [of_waveform(music(seed, seconds)) for seed in range(count)]


def test_words_are_25_a_second_and_all_of_music_is_valid():
    one = of_waveform(music(0, 10))
    assert 225 < len(one.words) < 250 and one.words.dtype == np.uint32
    assert one.valid.all()


def test_gain_changes_nothing():
    wave = music(0, 8)
    quiet, loud = of_waveform(0.01 * wave), of_waveform(4 * wave)
    assert np.bitwise_count(quiet.words ^ loud.words).mean() < 0.1
    assert of_waveform(np.full(80_000, 0.25, np.float32) * 0).valid.sum() == 0


def test_noise_and_a_trimmed_start_are_seen_through():
    wave = music(3, 15)
    rng = np.random.default_rng(0)
    copy = np.clip(2 * wave[int(2.345 * 8000) :], -1, 1) + rng.normal(0, 0.02, len(wave) - int(2.345 * 8000))
    found = find_matches([*prints(3), of_waveform(wave), of_waveform(copy.astype(np.float32))])
    assert [(m.first, m.second) for m in found] == [(3, 4)]
    assert found[0].score > 0.5
    assert found[0].offset == pytest.approx(2.345 * 25, abs=2)


def test_unrelated_sounds_are_not_copies():
    assert find_matches(prints(12)) == ()


def test_a_song_that_repeats_itself_is_no_copy_of_another():
    """Two songs, one of which meets itself alone: nothing is compared, and nothing breaks."""
    assert find_matches([of_waveform(np.tile(music(0, 4), 3)), of_waveform(music(1, 12))]) == ()


def test_silence_hum_and_empty_files_are_copies_of_nothing():
    silence = of_waveform(np.zeros(80_000, np.float32))
    hum = [of_waveform(np.sin(2 * np.pi * 50 * np.arange(80_000) / 8000).astype(np.float32) * g) for g in (0.2, 0.5)]
    dither = [of_waveform(np.random.default_rng(i).normal(0, 1e-6, 80_000).astype(np.float32)) for i in range(3)]
    nothing = [of_waveform(np.zeros(n, np.float32)) for n in (0, 10, 2048)]
    assert find_matches([silence, silence, *dither, *nothing, *nothing]) == ()
    assert find_matches([*hum, silence]) in ((), find_matches(hum))
    assert find_matches([]) == ()


def test_a_part_in_common_is_no_copy():
    first, second = music(1, 20), music(2, 20)
    medley = np.concatenate([first[: 4 * 8000], second[4 * 8000 :]])
    pairs = {(m.first, m.second) for m in find_matches([of_waveform(w) for w in (first, second, medley)])}
    assert pairs == {(1, 2)}


def test_pictures_brighter_noisier_or_cut_are_copies():
    rng = np.random.default_rng(0)
    made = [
        np.clip(np.cumsum(rng.normal(0, 12, (300, 100)), axis=0) + 128, 0, 255).astype(np.float32) for _ in range(6)
    ]
    brighter = np.clip(made[0] * 0.8 + 40 + rng.normal(0, 2, made[0].shape), 0, 255).astype(np.float32)
    cut = made[1][37:]
    flat = np.full((300, 100), 77, np.float32)
    found = find_matches([of_image(p) for p in [*made, brighter, cut, flat, flat]])
    assert {(m.first, m.second) for m in found} == {(0, 6), (1, 7)}
    assert found[1].offset == 37


def test_small_pictures_have_a_fingerprint_too():
    one = of_image(np.random.default_rng(0).uniform(0, 255, (40, 5)).astype(np.float32))
    assert len(one.words) == 36
    assert len(of_image(np.zeros((2, 2), np.float32)).words) == 0


def test_short_overlaps_prove_nothing():
    words = np.random.default_rng(0).integers(0, 2**32, 200, dtype=np.uint32)
    whole = Fingerprint(words, np.ones(200, bool))
    assert bit_error(whole, whole, 0) == 0
    assert bit_error(whole, whole, 120) == 0.5
    assert bit_error(whole, whole, 500) == 0.5
    short = Fingerprint(words[:30], np.ones(30, bool))
    assert bit_error(whole, short, 0) == 0.5


def test_every_copy_of_one_recording_pairs_with_every_other():
    wave = music(5, 10)
    copies = [of_waveform((wave * g).astype(np.float32)) for g in (1, 0.5, 0.2, 0.1)]
    assert len(find_matches([*copies, *prints(3)])) == 6
