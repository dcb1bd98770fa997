"""A length that lies is never believed: what a track is, is what comes out of it, in a few clips or in all."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cases import make_case
from earmark.audio.track import Excerpts, Facts, open_track
from sounds import encode, melody, write

RATE = 22050
SECONDS = 45.0
WORD = 1 << 32


def facts_of(path: Path, count: int | None = 10) -> Facts:
    with open_track(path) as track:
        clips = list(track.clips(Excerpts(3.0, count), 16000))
        assert max(clip.end for clip in clips) <= track.facts.seconds + 0.05
        return track.facts


def assert_seconds(path: Path, seconds: float, warned: bool | None = None) -> None:
    for count in (10, None):
        facts = facts_of(path, count)
        assert facts.seconds == pytest.approx(seconds, rel=0.01, abs=0.1), (path.name, count)
        if warned is not None:
            assert (facts.warning is not None) is warned, facts.warning


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One melody in many wrappings."""
    folder = tmp_path_factory.mktemp("wrapped")
    wave = melody(SECONDS, RATE)
    codecs = {
        "mp3": "libmp3lame", "opus": "libopus", "m4a": "aac", "wma": "wmav2", "webm": "libopus", "mka": "aac",
        "wv": "wavpack", "tta": "tta",
    }  # fmt: skip
    made = {}
    for suffix in ("wav", "aiff", "au", "caf", "flac", "ogg", *codecs):
        path = folder / f"a.{suffix}"
        if suffix in codecs:
            rate = 48000 if codecs[suffix] == "libopus" else RATE
            encode(path, melody(SECONDS, rate) if rate != RATE else wave, rate, codecs[suffix], 64_000)
        else:
            write(path, wave, RATE)
        made[suffix] = path.read_bytes()
    return made


def put(data: bytes, place: int, value: bytes) -> bytes:
    return data[:place] + value + data[place + len(value) :]


def without_count(mp3: bytes) -> bytes:
    """The frames behind the one that states how many follow."""
    return mp3[mp3.index(mp3[mp3.index(b"\xff") :][:2], mp3.index(b"Info") + 4) :]


def frames_stated(mp3: bytes, share: float) -> bytes:
    place = mp3.index(b"Info") + 8
    return put(mp3, place, struct.pack(">I", int(share * int.from_bytes(mp3[place : place + 4], "big"))))


def samples_stated(flac: bytes, share: float) -> bytes:
    packed = int.from_bytes(flac[18:26], "big")
    return put(flac, 18, struct.pack(">Q", packed >> 36 << 36 | int(share * (packed & WORD - 1))))


def bytes_stated(data: bytes, name: bytes, order: str, share: float) -> bytes:
    place = data.index(name) + 4
    value = int(share * int.from_bytes(data[place : place + 4], order)) // 2 * 2
    return put(data, place, min(value, WORD - 1).to_bytes(4, order))


@pytest.mark.parametrize("share", [0.0, 0.3, 4.0])
@pytest.mark.parametrize(
    ("suffix", "lie"),
    [
        ("mp3", frames_stated),
        ("flac", samples_stated),
        ("wav", lambda data, share: bytes_stated(data, b"data", "little", share)),
        ("aiff", lambda data, share: bytes_stated(data, b"SSND", "big", share)),
        ("au", lambda data, share: put(data, 8, int(share * len(data)).to_bytes(4, "big"))),
    ],
)
def test_a_header_with_none_too_few_or_too_many(
    tmp_path: Path, sound: dict[str, bytes], suffix: str, lie: Callable[[bytes, float], bytes], share: float
) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(lie(sound[suffix], share))
    assert_seconds(path, SECONDS, None if share > 1 else False)
    warning = facts_of(path).warning
    assert warning is None or "its header states" in warning, "the real reason"


@pytest.mark.parametrize(
    "suffix", ["wav", "aiff", "au", "caf", "flac", "mp3", "ogg", "opus", "m4a", "wma", "webm", "mka", "wv", "tta"]
)
def test_joined_files_are_taken_whole(tmp_path: Path, sound: dict[str, bytes], suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(sound[suffix] * 2)
    assert_seconds(path, 2 * SECONDS, False)


@pytest.mark.parametrize("suffix", ["flac", "mp3", "ogg", "wav"])
def test_joined_files_of_other_rates_and_channels_are_one_track(
    tmp_path: Path, sound: dict[str, bytes], suffix: str
) -> None:
    """The next show of a radio comes at the rate of the first one, at its own speed."""
    wave = melody(20.0, 44100, 5)
    other = tmp_path / f"b.{suffix}"
    if suffix == "mp3":
        encode(other, np.stack([wave, wave], axis=1), 44100, "libmp3lame")
    else:
        write(other, np.stack([wave, wave], axis=1), 44100)
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(sound[suffix] + other.read_bytes())
    assert_seconds(path, SECONDS + 20, False)
    with open_track(path) as track, open_track(other) as alone:
        assert track.rate == RATE
        part, there = track.load(8000, SECONDS + 5, 4), alone.load(8000, 5, 4)
        spectra = [np.abs(np.fft.rfft(one)) for one in (part, there)]
        assert np.corrcoef(*spectra)[0, 1] > 0.9


@pytest.mark.parametrize(
    "suffix", ["wav", "aiff", "au", "flac", "mp3", "ogg", "opus", "wma", "webm", "mka", "wv", "tta"]
)
def test_what_is_cut_off_is_read_as_far_as_it_goes(tmp_path: Path, sound: dict[str, bytes], suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(sound[suffix][: int(0.7 * len(sound[suffix]))])
    few, whole = facts_of(path), facts_of(path, None)
    assert few.seconds == pytest.approx(whole.seconds, rel=0.01)
    assert few.seconds == pytest.approx(0.7 * SECONDS, rel=0.1)
    if suffix not in ("ogg", "opus", "au"):  # these state no length, or one that may be unknown
        assert few.warning is not None and ("is cut off" in few.warning or "could be decoded" in few.warning)


def test_an_mp3_without_a_count_of_its_frames(tmp_path: Path, sound: dict[str, bytes]) -> None:
    frames = without_count(sound["mp3"])
    for name, data in {
        "plain": frames,
        "joined": frames * 2,
        "with a cover": b"ID3\x04\x00\x00\x00\x10\x00\x00" + bytes(0x10 << 14) + frames,
        "behind junk": b"\x07" * 3000 + frames,
        "with a tag in the middle": frames + b"ID3\x04\x00\x00\x00\x10\x00\x00" + bytes(0x10 << 14) + frames,
    }.items():
        path = tmp_path / f"{name}.mp3"
        path.write_bytes(data)
        assert_seconds(path, SECONDS * (2 if data.count(frames) == 2 else 1), False)


def test_damage_in_the_middle_is_told(tmp_path: Path, sound: dict[str, bytes]) -> None:
    for suffix in ("mp3", "flac", "m4a"):
        data = sound[suffix]
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(data[: len(data) // 3] + bytes(len(data) // 10) + data[len(data) // 3 + len(data) // 10 :])
        facts = facts_of(path, None)
        assert facts.seconds > 0.8 * SECONDS
        assert facts.warning is not None


def test_a_stream_without_a_stated_length_gives_signs_of_life(
    tmp_path: Path, sound: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measuring a long one takes a while: a worker that is silent so long would be taken to hang."""
    data = sound["webm"]
    at = data.index(b"\x44\x89\x88")
    path = tmp_path / "live.webm"
    path.write_bytes(put(data, at, b"\xec\x89"))  # the length becomes a void element
    signs: list[None] = []
    monkeypatch.setattr("earmark.audio.track.time.monotonic", iter(np.arange(0.0, 1e6, 2.0)).__next__)
    with open_track(path, alive=lambda: signs.append(None)) as track:
        assert track.seconds == pytest.approx(SECONDS, rel=0.01)
    assert signs


def test_a_wav_of_a_thousand_channels_takes_little_memory(tmp_path: Path) -> None:
    import resource

    path = write(tmp_path / "a.wav", np.zeros((60_000, 1024), np.float32), 8000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert facts_of(path).seconds == 7.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_a_container_that_states_less_than_its_packets_hold(shared: Path) -> None:
    path = shared / "data" / "awkward" / "music-metadata/test/samples/matroska/alac-in-matroska-short.mka"
    assert_seconds(path, 5.594, False)


def test_vbr_without_a_count(tmp_path: Path, shared: Path) -> None:
    folder = make_case(shared, "05", tmp_path / "made", songs=1)
    for path in folder.glob("vbr *.mp3"):
        assert_seconds(path, 150, False)
    assert_seconds(folder / "piped.mp3", 30, False)


def test_a_recording_of_a_radio(tmp_path: Path, shared: Path) -> None:
    for path in make_case(shared, "06", tmp_path / "made").iterdir():
        assert_seconds(path, 28, False)


def test_an_album_counts_as_one_and_says_so(tmp_path: Path, shared: Path) -> None:
    path = make_case(shared, "07", tmp_path / "made") / "album.flac"
    facts = facts_of(path)
    assert facts.warning == "the cue sheet album.cue lists 2 tracks in this file; they count as one"
    path.rename(tmp_path / "made" / "other.flac")
    assert facts_of(tmp_path / "made" / "other.flac").warning is None


def test_flac_that_is_cut_off(tmp_path: Path, shared: Path) -> None:
    folder = make_case(shared, "09", tmp_path / "made", songs=1)
    expected = {"full": 60, "stereo": 60, "short": 30, "full-cut": 54, "stereo-cut": 54.3, "short-cut": 27}
    for name, seconds in {**expected, "last-frame-gone": 60}.items():
        assert_seconds(folder / f"{name}.flac", seconds, True if "cut" in name else None)
