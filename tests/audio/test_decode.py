"""Files of every kind become the same waveform, or a reason why not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from earmark.audio import track as decode
from earmark.errors import AudioError
from people import unprivileged
from sounds import encode, melody, sine, write

RATE = 22050


def kind_of(path: str | Path) -> str:
    with pytest.raises(AudioError) as caught:
        decode.load(path, RATE)
    assert "\n" not in caught.value.message
    return caught.value.kind


def likeness(a: np.ndarray, b: np.ndarray, slack: int) -> float:
    """Greatest correlation of ``b`` with ``a``, shifted by up to so many samples: 1 is the same sound."""
    b = b[slack : len(a) - slack]
    size = len(a) + len(b)
    products = np.fft.irfft(np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size)), size)[: 2 * slack + 1]
    best = int(np.argmax(products))
    return float(products[best] / np.linalg.norm(b) / np.linalg.norm(a[best : best + len(b)]))


@pytest.mark.parametrize("channels", range(1, 9))
def test_channels_are_averaged(tmp_path: Path, channels: int) -> None:
    """A decoder's own downmix would be louder: the mean is ours."""
    wave = np.stack([sine(0.5, RATE, 200 + 50 * c) for c in range(channels)], axis=1)
    path = write(tmp_path / "a.wav", wave, RATE, "FLOAT")
    assert_allclose(decode.load(path, RATE), wave.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize(("suffix", "codec"), [(".m4a", "alac"), (".wv", "wavpack"), (".tta", "tta")])
def test_channels_are_averaged_by_both_decoders(tmp_path: Path, suffix: str, codec: str) -> None:
    """libsndfile and FFmpeg's libraries give one loudness, or training and use would hear different music."""
    wave = np.stack([melody(2, RATE, 1), melody(2, RATE, 2)], axis=1)
    assert_allclose(decode.load(encode(tmp_path / f"a{suffix}", wave, RATE, codec), RATE), wave.mean(axis=1), atol=1e-2)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 176400, 192000])
def test_any_sample_rate(tmp_path: Path, rate: int) -> None:
    """The same tone comes out of files at 8 to 192 kHz."""
    heard = decode.load(write(tmp_path / "a.wav", sine(1, rate), rate), 16000)
    assert len(heard) == 16000
    assert_allclose(heard[1000:-1000], sine(1, 16000)[1000:-1000], atol=2e-3)


@pytest.mark.parametrize(
    ("subtype", "error"),
    [("PCM_U8", 1e-2), ("PCM_16", 1e-4), ("PCM_24", 1e-6), ("PCM_32", 1e-6), ("FLOAT", 1e-7), ("DOUBLE", 1e-7)],
)
def test_any_sample_format(tmp_path: Path, subtype: str, error: float) -> None:
    wave = melody(1, RATE)
    assert_allclose(decode.load(write(tmp_path / "a.wav", wave, RATE, subtype), RATE), wave, atol=error)


@pytest.mark.parametrize(
    ("suffix", "codec", "rate"),
    [
        (".mp3", "libmp3lame", 44100),
        (".opus", "libopus", 48000),
        (".flac", "flac", 44100),
        (".ogg", "", 44100),
        (".m4a", "aac", 44100),
        (".m4a", "alac", 44100),
        (".aac", "aac", 44100),
        (".wma", "wmav2", 44100),
        (".wv", "wavpack", 44100),
        (".ac3", "ac3", 48000),
        (".webm", "libopus", 48000),
        (".mov", "pcm_s16le", 44100),
        (".mp2", "mp2", 44100),
        (".tta", "tta", 44100),
    ],
)
def test_every_wrapping_and_seeking_in_it(tmp_path: Path, suffix: str, codec: str, rate: int) -> None:
    """A stretch found by seeking is the one that lies there when all is decoded, to 0.1 s; loudness is the same."""
    wave = melody(12, rate)
    path = tmp_path / f"a{suffix}"
    if codec:
        encode(path, np.stack([wave, wave], axis=1), rate, codec)
    else:
        write(path, wave, rate)
    whole = decode.load(path, rate)
    assert len(whole) / rate == pytest.approx(12, abs=0.1)
    assert 20 * np.log10(np.std(whole) / np.std(wave)) == pytest.approx(0, abs=0.7)
    assert likeness(whole, wave, round(0.06 * rate)) > 0.9
    part = decode.load(path, rate, start=6.3, seconds=2)
    assert len(part) / rate == pytest.approx(2, abs=0.05)
    assert likeness(whole[round(6.3 * rate) :][: len(part)], part, round(0.12 * rate)) > 0.97


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".flac", ".w64", ".au", ".caf"])
def test_what_libsndfile_reads_is_sought_to_the_sample(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}", melody(5, RATE), RATE)
    whole = decode.load(path, RATE)
    assert_allclose(decode.load(path, RATE, start=2, seconds=1.5), whole[2 * RATE :][: round(1.5 * RATE)], atol=1e-5)


def test_nan_and_infinity_are_zeros(tmp_path: Path) -> None:
    wave = sine(0.5, RATE)
    wave[100], wave[200], wave[300] = np.nan, np.inf, -np.inf
    heard = decode.load(write(tmp_path / "a.wav", wave, RATE, "FLOAT"), 16000)
    assert np.isfinite(heard).all()
    assert np.abs(heard).max() < 1


@pytest.mark.parametrize("level", [1e11, 1e20, 3e38])
def test_samples_beyond_all_measure_are_zeros(tmp_path: Path, level: float) -> None:
    """As of a damaged file: their spectra overflow, as if the model were damaged. Whole numbers as floats stay."""
    wave = 0.5 * sine(0.5, RATE)
    wave[100:200] = level
    wave[300:400] = -level
    heard = decode.load(write(tmp_path / "a.wav", wave, RATE, "FLOAT"), RATE)
    assert np.abs(heard).max() < 1 and not heard[100:200].any() and heard[500:].any()
    whole = decode.load(write(tmp_path / "b.wav", 2**31 * sine(0.5, RATE), RATE, "FLOAT"), RATE)
    assert np.abs(whole).max() > 2**29


def test_a_wrong_ending_does_not_matter(tmp_path: Path, tone: Path) -> None:
    odd = shutil.copy(tone, tmp_path / "tone.mp3")
    assert_allclose(decode.load(odd, RATE), decode.load(tone, RATE))
    m4a = encode(tmp_path / "b.m4a", melody(1, 44100), 44100, "aac")
    assert len(decode.load(shutil.copy(m4a, tmp_path / "b.wav"), RATE)) > RATE * 0.9


@pytest.mark.parametrize("keep", [0.5, 0.9])
@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp3", "libmp3lame"), (".aac", "aac"), (".wav", ""), (".flac", "flac")]
)
def test_a_truncated_file_is_heard_as_far_as_it_goes(tmp_path: Path, suffix: str, codec: str, keep: float) -> None:
    wave = melody(6, 44100)
    path = tmp_path / f"a{suffix}"
    if codec:
        encode(path, wave, 44100, codec)
    else:
        write(path, wave, 44100)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    assert len(decode.load(path, RATE)) / RATE == pytest.approx(6 * keep, rel=0.2)


def test_a_file_that_is_no_audio_says_so(tmp_path: Path) -> None:
    text, nothing, noise = tmp_path / "text.mp3", tmp_path / "nothing.mp3", tmp_path / "noise.ogg"
    text.write_text("These are words.\n" * 100)
    nothing.touch()
    noise.write_bytes(np.random.default_rng(0).bytes(20_000))
    assert kind_of(text) == "not-audio"
    assert kind_of(nothing) == "empty"
    assert kind_of(noise) in ("not-audio", "decode")
    assert kind_of(tmp_path / "gone.mp3") == "missing"
    assert kind_of(tmp_path) == "not-audio"
    assert kind_of("a\0b.mp3") == "missing"
    assert kind_of(write(tmp_path / "header.wav", np.zeros(0), RATE)) == "empty"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp3")
    assert kind_of(tmp_path / "pipe.mp3") == "not-audio"


def test_no_permission(tone: Path) -> None:
    """Root sees no refusal, so somebody else looks."""
    tone.chmod(0)
    code = (
        f"from earmark.audio.track import load\ntry: load({str(tone)!r}, 16000)\nexcept Exception as e: print(e.kind)"
    )
    done = subprocess.run(
        [*unprivileged(), sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(decode.__file__).parents[2])},
    )
    assert done.stdout.strip() == "permission", done.stderr


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
@pytest.mark.parametrize("name", [b"line\nbreak.wav", "\U0001f3b8.wav".encode(), b"not \xff utf-8.wav", b"-o.wav"])
def test_any_name(tmp_path: Path, tone: Path, name: bytes) -> None:
    target = os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118 - bytes
    shutil.copy(tone, target)
    assert len(decode.load(os.fsdecode(target), RATE)) == 3 * RATE
    shutil.copy(encode(tmp_path / "b.m4a", melody(1, 44100), 44100, "aac"), target)
    assert len(decode.load(os.fsdecode(target), RATE)) > 0.9 * RATE


def test_a_playlist_opens_nothing_else(tmp_path: Path, tone: Path) -> None:
    """A file's content must never make a decoder read another file or the network."""
    lure = tmp_path / "lure.mp3"
    lure.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nfile://{tone}\n#EXT-X-ENDLIST\n")
    assert kind_of(lure) in ("not-audio", "decode")
    lure.write_text(f"ffconcat version 1.0\nfile '{tone}'\n")
    assert kind_of(lure) in ("not-audio", "decode")


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_a_stream_has_no_seams(tmp_path: Path, rate: int) -> None:
    """Blocks resampled one after the other are the file resampled at once."""
    path = write(tmp_path / "a.wav", melody(25, rate), rate)
    with decode.open_track(path) as track:
        streamed = np.concatenate(list(track.stream(16000)))
        assert track.measure() == 25
    once = decode.load(path, 16000)
    assert abs(len(streamed) - len(once)) <= 1
    assert_allclose(streamed[: len(once) - 1], once[: len(streamed)][: len(once) - 1], atol=1e-4)


@pytest.mark.parametrize("channels", [8, 16, 63])
def test_many_channels_in_planes(channels: int) -> None:
    """PyAV reads beyond the planes of such a frame: a damaged AAC file, which claims 63, crashed the process."""
    import av

    from earmark.audio.decoders import FFmpeg

    wave = np.stack([np.full(1000, channel / 100, np.float32) for channel in range(channels)])
    packed = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave.T).reshape(1, -1), "flt", f"{channels} channels")
    packed.sample_rate = RATE
    (planar,) = av.AudioResampler(format="fltp", layout=packed.layout).resample(packed)
    source = object.__new__(FFmpeg)
    source.damaged = ""
    for _ in range(50):
        assert_allclose(source._samples(planar), wave.T, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_stretches_side_by_side_are_read_on(tmp_path: Path, channels: int) -> None:
    """FFmpeg opened the file again for each second of silence in front, and gave tiny blocks."""
    from earmark.audio.decoders import FFmpeg

    wave = np.stack([melody(8, 44100, seed) for seed in range(channels)], axis=1)
    path, opened = encode(tmp_path / "a.m4a", wave, 44100, "aac"), []
    source = FFmpeg(lambda: opened.append(path) or os.fsencode(path), lambda: None)
    whole = np.concatenate(list(source.frames(0, None)))
    first = list(source.frames(0, 88_200))
    count = len(opened)
    rest = [block for start in range(88_200, 352_800, 44_100) for block in source.frames(start, 44_100)]
    assert len(opened) == count
    assert (len(first[0]) > 10_000) == (channels <= 2)  # the mean of six hangs, in its last bit, on the blocks' ends
    assert np.array_equal(np.concatenate([*first, *rest]), whole[:352_800])
    assert np.array_equal(np.concatenate(list(source.frames(0, 1000))), whole[:1000])
    source.close()


def test_real_songs(shared: Path) -> None:
    """Whole songs as their makers published them: stretches by seeking are those of the whole."""
    for song in sorted((shared / "data" / "full-songs").glob("* - *")):
        with decode.open_track(song) as track:
            assert track.seconds > 180
            rate = track.rate
        whole = decode.load(song, rate)
        part = decode.load(song, rate, start=100, seconds=5)
        assert likeness(whole[100 * rate :][: 5 * rate], part, 1200) > 0.99
