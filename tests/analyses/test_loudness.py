"""Loudness is that of the standard: EBU's signals, another program's, every rate, and whatever stands in files."""

from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import pyloudnorm
import pytest
import soxr

from earmark.analyses.facts import Loudness
from earmark.analyses.loudness import LoudnessMeter
from sounds import melody, sine


def loudness(sound, rate=48_000, block=30_011):
    """Of (samples,) or (samples, channels), in blocks whose seams fall anywhere."""
    meter = LoudnessMeter(rate)
    sound = np.asarray(sound, np.float32).reshape(len(sound), -1)
    for start in range(0, len(sound), block):
        meter.add(sound[start : start + block])
    return meter.result()


def standard(sound, rate):
    """LUFS by pyloudnorm, at the rate for which the standard gives its filter; whole blocks alone."""
    studio = soxr.resample(np.asarray(sound, np.float32), rate, 48_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        meter = pyloudnorm.Meter(48_000, filter_class="DeMan")
        return meter.integrated_loudness(studio[: len(studio) // 4800 * 4800])


def tone(decibels, seconds, channels=2):
    return np.repeat(sine(seconds, 48_000, 1000.0, 10 ** (decibels / 20))[:, None], channels, axis=1)


@pytest.mark.parametrize(
    ("stretches", "lufs"),
    [
        ([(-23, 20)], -23),
        ([(-33, 20)], -33),
        ([(-36, 10), (-23, 60), (-36, 10)], -23),
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23),
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23),
    ],
)  # fmt: skip
def test_signals_of_ebu_tech_3341(stretches, lufs) -> None:
    found = loudness(np.concatenate([tone(*stretch) for stretch in stretches]))
    assert found.lufs == pytest.approx(lufs, abs=0.1)
    assert found.gain == pytest.approx(-18 - lufs, abs=0.1)


@pytest.mark.parametrize("bass", [None, 0.9])
def test_surround_counts_channels_at_the_side_more_and_the_low_one_not(bass) -> None:
    left, right, centre, left_side, right_side = (tone(level, 20, 1) for level in (-28, -28, -24, -30, -30))
    low = [] if bass is None else [np.full_like(left, bass) * sine(20, 48_000, 60.0)[:, None]]
    found = loudness(np.concatenate([left, right, centre, *low, left_side, right_side], axis=1))
    assert found.lufs == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize(
    ("part", "degrees", "level", "peak"),
    [(4, 0, 0.5, -6), (4, 45, 0.5, -6), (6, 60, 0.5, -6), (8, 67.5, 0.5, -6), (4, 45, 1.41, 3)],
)
def test_true_peaks_of_ebu_tech_3341(part, degrees, level, peak) -> None:
    turns = np.arange(48_000) / part + degrees / 360
    fade = np.minimum(1, np.minimum(np.arange(48_000), np.arange(48_000)[::-1]) / 2000)
    found = loudness(level * fade * np.sin(2 * np.pi * turns)).true_peak
    assert peak - 0.4 <= found <= peak + 0.2


@pytest.mark.parametrize("offset", range(4))
def test_a_peak_between_samples_is_the_same_wherever_it_falls(offset) -> None:
    at_four_times = np.zeros(40_000)
    at_four_times[20_000 + offset] = 3.0
    pulse = soxr.resample(at_four_times, 4, 1, quality="VHQ")
    whole = float(np.abs(soxr.resample(pulse, 1, 4, quality="VHQ")).max())
    assert loudness(pulse).true_peak == pytest.approx(20 * np.log10(whole), abs=0.1)


@pytest.mark.parametrize("offset", range(9))
@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_peak_beside_one_loud_sample_counts(offset, at_the_end) -> None:
    sound = np.zeros(3000 + offset)
    sound[2000 + offset + np.arange(-4, 5)] = (-0.15, 0.17, 0.41, -0.09, 0.43, 0.87, 0.07, -0.15, -0.45)
    sound = sound[: 2010 + offset] if at_the_end else sound
    whole = float(np.abs(soxr.resample(np.pad(sound, 500), 1, 4, quality="VHQ")).max())
    assert loudness(sound, block=700).true_peak == pytest.approx(20 * np.log10(whole), abs=0.2)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_rate_has_the_loudness_of_the_standard(rate, channels) -> None:
    noise = soxr.resample(np.random.default_rng(1).standard_normal((48_000, channels)), 6_000, rate)
    fade = np.linspace(0.02, 1, len(noise))[:, None]
    sound = 0.2 + fade * (0.1 * noise + melody(8.0, rate)[:, None]) + 0.2 * sine(8.0, rate, 35.0)[:, None]
    found = loudness(sound, rate)
    assert found.lufs == pytest.approx(standard(sound, rate), abs=0.05)
    whole = np.abs(soxr.resample(np.pad(sound, ((400, 400), (0, 0))), 1, 4, quality="VHQ")).max()
    assert found.true_peak == pytest.approx(20 * np.log10(whole), abs=0.2)


def test_real_songs_have_the_loudness_and_peak_of_the_whole_file(shared) -> None:
    from earmark.audio.track import open_track

    for path in sorted((shared / "data" / "full-songs").glob("*.[om][gp]*")):
        with open_track(path) as opened:
            sound = np.concatenate(list(opened.frames(0, 60 * opened.rate)))
            found = loudness(sound, opened.rate, 1 << 19)
        assert found.lufs == pytest.approx(standard(sound, opened.rate), abs=0.02)
        whole = np.abs(soxr.resample(sound, 1, 4, quality="VHQ")).max()
        assert found.true_peak == pytest.approx(20 * np.log10(whole), abs=0.1)


def test_blocks_of_any_size_give_the_same_numbers() -> None:
    sound = np.stack([melody(6, 44_100), melody(6, 44_100, 1)], axis=1)
    assert len({loudness(sound, 44_100, block) for block in (100, 4410, 44_100, 10**6)}) == 1


def test_the_end_that_fills_no_block_does_not_count() -> None:
    sound = melody(3, 48_000)
    assert loudness(np.concatenate([sound, sine(0.09, 48_000)])).lufs == loudness(sound).lufs
    assert loudness(sine(0.35, 48_000)).lufs is None


def test_silence_has_no_loudness() -> None:
    assert loudness(np.zeros((48_000, 2))) == Loudness()
    assert LoudnessMeter(44_100).result() == Loudness()
    quiet = loudness(sine(5, 48_000, 1000.0, 1e-5))
    assert quiet.lufs is None and quiet.gain is None
    assert quiet.true_peak == pytest.approx(-100, abs=0.1)


def test_damaged_samples_do_not_spoil_the_rest() -> None:
    sound = np.stack([melody(5, 48_000)] * 2, axis=1)
    spoilt = sound.copy()
    spoilt[100_000:100_005] = [[np.nan, np.inf], [-np.inf, 1], [np.nan, np.nan], [0, 0], [0, 0]]
    assert loudness(spoilt).lufs == pytest.approx(loudness(sound).lufs, abs=0.1)
    spoilt[100_000] = 1e30
    assert np.isfinite(loudness(spoilt).lufs)


def test_a_stream_may_change_its_channels() -> None:
    meter = LoudnessMeter(48_000)
    for channels in (2, 1, 6):
        meter.add(np.repeat(sine(2, 48_000)[:, None], channels, axis=1))
    assert meter.result().lufs == pytest.approx(loudness(np.stack([sine(6, 48_000)] * 2, axis=1)).lufs, abs=0.05)


def test_long_tracks_take_little_memory() -> None:
    meter, block = LoudnessMeter(8_000), np.float32(0.1) * np.random.default_rng(0).standard_normal((80_000, 1))
    block = block.astype(np.float32)
    tracemalloc.start()
    for _ in range(360):  # an hour
        meter.add(block)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert meter.result().lufs is not None
    assert most < 5e6
