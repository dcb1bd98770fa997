"""Which seconds are heard, and that short, damaged, silent and endless files are heard as the plan says."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from earmark.audio.track import Clip, Excerpts, Facts, fit, open_track, starts
from earmark.errors import AudioError
from sounds import encode, melody, write

RATE = 8000


def heard(path: Path, clip: float = 3.0, count: int | None = 3) -> tuple[list[Clip], Facts]:
    with open_track(path) as track:
        return list(track.clips(Excerpts(clip, count), RATE)), track.facts


@given(st.floats(0.05, 20_000), st.floats(0.5, 60), st.integers(1, 40))
def test_clips_are_in_order_and_inside_the_track(seconds: float, clip: float, count: int) -> None:
    plan = starts(seconds, clip, count)
    assert 1 <= len(plan) <= count
    assert list(plan) == sorted(set(plan))
    assert plan[0] >= 0
    assert plan[-1] + clip <= max(seconds, clip) + 1e-6
    if seconds <= clip * count:
        assert plan[0] == 0
        assert all(later - earlier <= clip + 1e-6 for earlier, later in itertools.pairwise(plan)), "a gap"


def test_a_long_track_is_heard_in_the_middle_of_equal_shares() -> None:
    assert starts(60, 10, 3) == (5, 25, 45)
    assert starts(100, 10, 1) == (45,)


def test_a_short_track_is_one_clip(tmp_path: Path) -> None:
    clips, about = heard(write(tmp_path / "a.wav", melody(1.5, RATE), RATE))
    assert [(c.start, c.end) for c in clips] == [(0, 1.5)]
    assert about.seconds == 1.5
    assert about.warning is None


def test_clips_are_the_stretches_they_say(tmp_path: Path) -> None:
    wave = melody(40, RATE)
    clips, about = heard(write(tmp_path / "a.wav", wave, RATE, "FLOAT"))
    assert len(clips) == 3
    assert about.seconds == 40
    for clip in clips:
        first = round(clip.start * RATE)
        assert_allclose(clip.data, wave[first : first + 3 * RATE], atol=1e-6)


@pytest.mark.parametrize("seconds", [0.5, 2.9, 3.0, 3.2, 4.0, 10.0, 40.3])
def test_the_whole_is_heard_without_gaps_and_the_last_clip_is_full(tmp_path: Path, seconds: float) -> None:
    wave = melody(seconds, RATE)
    clips, about = heard(write(tmp_path / "a.wav", wave, RATE, "FLOAT"), count=None)
    assert about.seconds == pytest.approx(seconds)
    assert clips[0].start == 0
    assert clips[-1].end == pytest.approx(seconds, abs=0.3)
    for before, after in itertools.pairwise(clips):
        assert after.start <= before.end + 1e-9
    for clip in clips:
        first = round(clip.start * RATE)
        assert len(clip.data) == min(3 * RATE, len(wave))
        assert_allclose(clip.data, wave[first : first + len(clip.data)], atol=1e-6)


def test_a_header_that_lies_is_found_out(tmp_path: Path) -> None:
    """A truncated file says its old length: clips are chosen again from what is really there."""
    path = encode(tmp_path / "a.flac", melody(40, 44100), 44100, "flac")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    clips, about = heard(path)
    assert 15 < about.seconds < 25
    assert len(clips) == 3
    assert all(len(clip.data) == 3 * RATE for clip in clips)
    assert about.warning is not None


def test_under_a_tenth_of_a_second_is_too_short(tmp_path: Path) -> None:
    with pytest.raises(AudioError) as caught:
        heard(write(tmp_path / "a.wav", melody(0.09, RATE), RATE))
    assert caught.value.kind == "too-short"
    clips, _ = heard(write(tmp_path / "b.wav", melody(0.1, RATE), RATE))
    assert len(clips) == 1
    with pytest.raises(AudioError):
        heard(tmp_path / "a.wav", count=None)


def test_silence_is_heard_and_said(tmp_path: Path) -> None:
    clips, about = heard(write(tmp_path / "a.wav", np.zeros(20 * RATE), RATE))
    assert len(clips) == 3
    assert about.warning == "silence"


def test_fit_repeats_or_fills() -> None:
    short = np.float32([1, 2, 3])
    assert fit(short, 5, "repeat").tolist() == [1, 2, 3, 1, 2]
    assert fit(short, 5, "zero").tolist() == [1, 2, 3, 0, 0]
    assert fit(short, 2, "zero").tolist() == [1, 2]
    assert fit(short[:0], 2, "repeat").tolist() == [0, 0]


def test_real_songs_by_seeking_and_by_reading_all(shared: Path) -> None:
    """A few clips of a whole song lie where those of the whole song do."""
    for song in sorted((shared / "data" / "full-songs").glob("* - *")):
        few, about = heard(song, clip=10.0)
        whole, all_of_it = heard(song, clip=10.0, count=None)
        assert about.seconds == pytest.approx(all_of_it.seconds, abs=0.1)
        # A clip begins between two samples of the whole: what is near half the rate would not agree.
        smooth = np.hanning(9) / 4
        track = np.convolve(np.concatenate([clip.data for clip in whole[:-1]]), smooth, "same")
        for clip in few:
            data = np.convolve(clip.data, smooth, "same")
            # libsndfile finds a place in Vorbis to 10 ms only.
            first = max(0, round(clip.start * RATE) - 100)
            there = track[first : first + len(data) + 200]
            products = np.correlate(there, data[:8000], "valid")[:201]
            best = int(np.argmax(products))
            assert np.corrcoef(there[best : best + 8000], data[:8000])[0, 1] > 0.95


def test_silence_in_front_moves_no_excerpt(tmp_path: Path) -> None:
    """Five silent seconds before a song leave its clips what they were."""
    sound = melody(40.0, RATE)
    plain, late = tmp_path / "plain.wav", tmp_path / "late.wav"
    write(plain, sound, RATE)
    write(late, np.concatenate([np.zeros(5 * RATE, np.float32), sound]), RATE)
    (one, _), (two, _) = heard(plain), heard(late)
    assert len(one) == len(two) == 3
    for before, after in zip(one, two, strict=True):
        assert after.start - before.start == pytest.approx(5, abs=0.05)
