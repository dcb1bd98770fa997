"""Two recordings are one where all of their sound is the same, and only there; whatever stretch they share."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import make_case
from earmark.audio.identity import content_hash, same_recording
from earmark.audio.track import open_track
from sounds import melody, write

RATE = 4000
LOSSLESS = ["wav", "aiff", "flac", "au", "caf", "w64"]
samples = st.integers(0, 80 * RATE - 1)


def song(seconds: float, seed: int, channels: int = 1) -> np.ndarray:
    """(samples, channels) of 16 bits, so that every container holds it exactly."""
    wave = np.stack([melody(seconds, RATE, seed + channel) for channel in range(channels)], axis=1)
    return (np.round(wave * 32000) / 32768).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(
    seconds=st.sampled_from([3, 31, 45, 61, 80]),
    at=samples,
    length=st.integers(1, 3 * RATE),
    change=st.sampled_from([1 / 32768, 0.01, 0.5, "swap"]),
    channels=st.integers(1, 2),
)
def test_two_different_signals_are_never_one(
    seconds: int, at: int, length: int, change: float | str, channels: int
) -> None:
    """All but some samples are shared: in the first second, in the last, or in the one between two stretches."""
    one = song(seconds, 1, channels)
    other = one.copy()
    at %= len(one)
    stretch = other[at : at + length]
    stretch[:] = stretch[:, ::-1].copy() if change == "swap" else np.where(stretch > 0, stretch - change, change)
    with tempfile.TemporaryDirectory() as folder:
        a = write(Path(folder) / "a.wav", one, RATE, "PCM_16")
        b = write(Path(folder) / "b.wav", other, RATE, "PCM_16")
        with open_track(a) as x, open_track(b) as y:
            equal = np.array_equal(np.concatenate(list(x.frames(0, None))), np.concatenate(list(y.frames(0, None))))
        assert same_recording(a, b) is equal
        if equal:
            assert content_hash(a) == content_hash(b)


@settings(max_examples=30, deadline=None)
@given(
    seconds=st.sampled_from([0.5, 29.9, 31, 45.3, 61.7, 80]),
    lead=st.sampled_from([0.0, 5.0]),
    forms=st.tuples(st.sampled_from(LOSSLESS), st.sampled_from(LOSSLESS)),
    channels=st.integers(1, 2),
)
def test_the_same_samples_in_another_container_are_one(
    seconds: float, lead: float, forms: tuple[str, str], channels: int
) -> None:
    wave = np.concatenate([np.zeros((round(lead * RATE), channels), np.float32), song(seconds, 3, channels)])
    with tempfile.TemporaryDirectory() as folder:
        a = write(Path(folder) / f"a.{forms[0]}", wave, RATE, "PCM_16")
        b = write(Path(folder) / f"b.{forms[1]}", wave, RATE, "PCM_16")
        assert content_hash(a) == content_hash(b)
        assert same_recording(a, b)


@pytest.mark.parametrize(
    ("suffix", "codec"), [("m4a", "alac"), ("wv", "wavpack"), ("tta", "tta"), ("mka", "pcm_s16le")]
)
def test_what_ffmpeg_reads_is_one_with_what_libsndfile_reads(tmp_path: Path, suffix: str, codec: str) -> None:
    import subprocess

    from conftest import program

    for seconds in (20, 80):
        wav = write(tmp_path / f"{seconds}.wav", song(seconds, 4), RATE, "PCM_16")
        other = tmp_path / f"{seconds}.{suffix}"
        command = [program("ffmpeg"), "-nostdin", "-loglevel", "error", "-i", str(wav), "-c:a", codec, str(other)]
        subprocess.run(command, check=True)
        assert same_recording(wav, other)
        assert content_hash(wav) == content_hash(other)


def test_a_common_opening_or_a_silent_middle_makes_no_copy(tmp_path: Path) -> None:
    opening, silence = song(36, 5), np.zeros((40 * RATE, 1), np.float32)
    for name, make in {
        "opening": lambda seed: np.concatenate([opening, song(40, seed)]),
        "middle": lambda seed: np.concatenate([song(0.8, seed), silence, song(0.8, seed)]),
        "stems": lambda seed: np.concatenate([silence, silence, song(0.5, seed), silence]),
    }.items():
        a = write(tmp_path / f"{name}1.wav", make(6), RATE)
        b = write(tmp_path / f"{name}2.wav", make(70), RATE)
        assert not same_recording(a, b)
        assert same_recording(a, a)


def test_two_shows_of_one_opening_have_two_keys(tmp_path: Path, shared: Path) -> None:
    one, two = sorted(make_case(shared, "01", tmp_path / "made").glob("*.mp3"))
    assert content_hash(one) != content_hash(two)
    assert not same_recording(one, two)
    with open_track(one) as a, open_track(two) as b:
        assert (a.seconds, b.seconds) == (pytest.approx(66, abs=0.6), pytest.approx(86, abs=0.6))


def test_tags_do_not_change_a_key(tmp_path: Path, shared: Path) -> None:
    """Of an mp3 without a header frame too: its length is counted, not guessed from the file's size."""
    one = min(make_case(shared, "01", tmp_path / "made").glob("*.mp3"))
    frames = one.read_bytes()
    tagged = tmp_path / "tagged.mp3"
    tagged.write_bytes(b"ID3\x04\x00\x00\x00\x08\x00\x00" + bytes(8 << 14) + frames + b"TAG" + bytes(125))
    assert content_hash(one) == content_hash(tagged)
    assert same_recording(one, tagged)
