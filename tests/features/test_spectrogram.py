"""The log-mel spectrogram is that of librosa, on real music, and what a model says of its ears is what it gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
import pytest
from numpy.testing import assert_allclose

from earmark.audio.track import load
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import mel_filterbank, spectrogram
from sounds import melody

FRONTENDS = {
    "earmark": Frontend(),
    "librosa": Frontend("mel", 22050, 2048, 2048, 512, 128, 0, 11025),
    "bbnn": Frontend("mel", 22050, 2048, 2048, 1024, 128, 0, 11025, range_db=80, relative=True),
    "smith": Frontend("mel", 22050, 4096, 4096, 2048, 323, 0, 11025),
    "htk": Frontend("mel", 16000, 512, 512, 256, 96, 0, 8000, mel_scale="htk", mel_norm=False),
    "short window": Frontend("mel", 16000, 1024, 640, 320, 64, 50, 7600),
    "magnitude": Frontend("mel", 16000, 512, 512, 160, 64, 125, 7500, "htk", False, power=1),
    "not centred": Frontend("mel", 16000, 512, 512, 160, 64, 125, 7500, "htk", False, centre=False),
}


def of_librosa(wave: np.ndarray, f: Frontend) -> np.ndarray:
    mel = librosa.feature.melspectrogram(
        y=wave,
        sr=f.sample_rate,
        n_fft=f.n_fft,
        win_length=f.win_length,
        hop_length=f.hop_length,
        n_mels=f.bands,
        fmin=f.f_min,
        fmax=f.f_max,
        htk=f.mel_scale == "htk",
        norm="slaney" if f.mel_norm else None,
        power=float(f.power),
        center=f.centre,
        pad_mode="constant",
    )
    to_db = librosa.power_to_db if f.power == 2 else librosa.amplitude_to_db
    reference = {"ref": np.max} if f.relative else {"ref": 1.0}
    floor = {"amin": f.floor, "top_db": f.range_db or None}
    return to_db(mel, **reference, **floor).T


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    """To 0.01 dB, within 80 dB of the maximum."""
    assert ours.shape == theirs.shape
    assert ours.dtype == np.float32
    loud = theirs > theirs.max() - 80
    assert loud.mean() > 0.3
    assert_allclose(ours[loud], theirs[loud], atol=0.01)


@pytest.mark.filterwarnings("ignore:Empty filters")
@pytest.mark.parametrize("name", FRONTENDS)
def test_librosa_on_real_music(shared: Path, name: str) -> None:
    frontend = FRONTENDS[name]
    for song in sorted((shared / "data" / "full-songs").glob("* - *")):
        wave = load(song, frontend.sample_rate, start=60, seconds=15)
        assert_same(spectrogram(wave, frontend), of_librosa(wave, frontend))


@pytest.mark.filterwarnings("ignore:Empty filters")
@pytest.mark.parametrize("name", FRONTENDS)
def test_librosa_on_made_music(name: str) -> None:
    """The same where the shared music is missing."""
    frontend = FRONTENDS[name]
    wave = melody(4, frontend.sample_rate) + np.random.default_rng(0).normal(0, 0.01, 4 * frontend.sample_rate).astype(
        np.float32
    )
    assert_same(spectrogram(wave, frontend), of_librosa(wave, frontend))


def test_vggish_frames() -> None:
    """VGGish's kind (Hershey et al. 2017): 25 ms windows at the frame's beginning, magnitude, ln(x + 0.01)."""
    frontend = Frontend(
        "mel", 16000, 512, 400, 160, 64, 125, 7500, "htk", False, power=1, log="ln", offset=0.01, centre=False
    )
    wave = melody(1, 16000)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = [wave[i : i + 400] * window for i in range(0, len(wave) - 399, 160)]
    mel = (
        np.abs(np.fft.rfft(frames, 512))
        @ librosa.filters.mel(sr=16000, n_fft=512, n_mels=64, fmin=125, fmax=7500, htk=True, norm=None).T
    )
    ours = spectrogram(wave, frontend)
    assert ours.shape == (98, 64)
    assert_allclose(ours, np.log(mel + 0.01), atol=2e-3)


@pytest.mark.parametrize("samples", [0, 1, 100, 511, 512, 5000])
@pytest.mark.parametrize("centre", [True, False])
def test_any_length_has_the_frames_that_are_promised(samples: int, centre: bool) -> None:
    frontend = Frontend("mel", 16000, 512, 400, 160, 64, centre=centre)
    wave = melody(1, 16000)[:samples]
    result = spectrogram(wave, frontend)
    assert result.shape == (frontend.frames(samples), 64)
    assert np.isfinite(result).all()


def test_range_and_reference() -> None:
    frontend = Frontend(range_db=30, relative=True)
    result = spectrogram(melody(2, 16000), frontend)
    assert result.max() == 0
    assert result.min() == -30
    silent = spectrogram(np.zeros(16000, np.float32), frontend)
    assert (silent == 0).all()


def test_a_louder_track_is_shifted() -> None:
    wave = melody(1, 16000)
    there = spectrogram(wave, Frontend()) > -50
    louder = spectrogram(wave * 2, Frontend())[there] - spectrogram(wave, Frontend())[there]
    assert_allclose(louder, 20 * np.log10(2), atol=0.01)


def test_filterbank_is_that_of_librosa() -> None:
    for frontend in FRONTENDS.values():
        theirs = librosa.filters.mel(
            sr=frontend.sample_rate,
            n_fft=frontend.n_fft,
            n_mels=frontend.bands,
            fmin=frontend.f_min,
            fmax=frontend.f_max,
            htk=frontend.mel_scale == "htk",
            norm="slaney" if frontend.mel_norm else None,
        )
        assert_allclose(mel_filterbank(frontend), theirs, atol=1e-6)


def test_what_it_does_not_take() -> None:
    with pytest.raises(ValueError, match=r"expected \(samples,\)"):
        spectrogram(np.zeros((2, 100), np.float32), Frontend())
    with pytest.raises(ValueError, match="image"):
        spectrogram(np.zeros(100, np.float32), replace(Frontend(), kind="image"))
