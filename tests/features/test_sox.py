"""Our picture of a spectrogram is the one that SoX draws: recipes of the slices system depend on it."""

from __future__ import annotations

import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.audio.track import load
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import spectrogram

RATE = 44100


def picture(columns_a_second: int = 50) -> Frontend:
    return Frontend(
        kind="sox", sample_rate=RATE, n_fft=256, win_length=256, hop_length=RATE // columns_a_second, bands=128
    )


def drawn(sox: str, folder: Path, waveform: np.ndarray, columns_a_second: int) -> np.ndarray:
    """Grey steps as the program draws them, (columns, 129): indices into its palette behind its four fixed colours."""
    soundfile.write(folder / "in.wav", waveform, RATE, subtype="PCM_24")
    order = f"in.wav -n remix - spectrogram -X {columns_a_second} -Y 200 -m -r -o out.png".split()
    subprocess.run([sox, *order], cwd=folder, check=True)
    raw, place, pixels, size = (folder / "out.png").read_bytes(), 8, b"", (0, 0)
    while place < len(raw):
        length, kind = struct.unpack(">I4s", raw[place : place + 8])
        body = raw[place + 8 : place + 8 + length]
        place += length + 12
        size = struct.unpack(">II", body[:8]) if kind == b"IHDR" else size
        pixels += body if kind == b"IDAT" else b""
    rows = np.frombuffer(zlib.decompress(pixels), np.uint8).reshape(size[1], size[0] + 1)
    assert not rows[:, 0].any(), "filtered rows"
    return rows[::-1, 1:].T.astype(int) - 4


@pytest.mark.parametrize("columns_a_second", [50, 25])
@pytest.mark.parametrize("seconds", [12.34567, 2.56, 0.05])
def test_made_sound_is_drawn_as_the_program_draws_it(sox: str, tmp_path: Path, seconds: float, columns_a_second: int):
    """Also at both ends, where SoX's windows shrink, and for a column that is not full."""
    random = np.random.default_rng(0)
    time = np.arange(round(seconds * RATE)) / RATE
    sound = 0.2 * np.sin(2 * np.pi * 300 * time * (1 + time)) + 0.01 * random.standard_normal(len(time))
    theirs = drawn(sox, tmp_path, sound, columns_a_second)
    ours = spectrogram(sound.astype(np.float32), picture(columns_a_second))
    assert theirs.shape[1] == 129
    assert ours.shape == (theirs.shape[0], 128) == (picture(columns_a_second).frames(len(sound)), 128)
    assert np.abs(ours - theirs[:, 1:]).max() <= 2


@pytest.mark.parametrize("columns_a_second", [50, 25])
def test_music_is_drawn_as_the_program_draws_it(shared: Path, sox: str, tmp_path: Path, columns_a_second: int):
    for file in sorted((shared / "data/emotify400/audio").glob("*/*"))[::60]:
        sound = load(file, RATE)[: 20 * RATE]
        theirs = drawn(sox, tmp_path, sound, columns_a_second)[:, 1:]
        difference = np.abs(spectrogram(sound, picture(columns_a_second)) - theirs)
        assert np.median(difference) == 0 and np.quantile(difference, 0.999) <= 1


def test_a_slice_is_square():
    assert picture().frames(round(2.56 * RATE)) == picture(25).frames(round(5.12 * RATE)) == 128


def test_silence_is_black_and_full_scale_is_white():
    assert not spectrogram(np.zeros(RATE, np.float32), picture()).any()
    tone = np.sin(2 * np.pi * RATE / 8 * np.arange(RATE) / RATE).astype(np.float32)
    assert spectrogram(1.1 * tone, picture())[10:40].max() == 250
    assert spectrogram(np.zeros(0, np.float32), picture()).shape == (0, 128)


def test_the_number_of_rows_is_that_of_the_transform():
    with pytest.raises(ValueError, match="128 bands"):
        spectrogram(np.zeros(RATE, np.float32), Frontend(kind="sox", n_fft=256, bands=96))
