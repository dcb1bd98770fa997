"""One track to one prediction: files, waveforms, excerpts, taggrams, layers, odd files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose

import earmark
from earmark import HearingOptions
from earmark.errors import AudioError, ModelError, UnknownName
from earmark.features.frontend import Frontend
from earmark.inference.tagger import Tagger
from made import make_model
from sounds import melody, sine, write

RATE = 22050


@pytest.fixture(scope="module")
def tagger(tiny_model: Path) -> Tagger:
    return earmark.load_model(tiny_model)


def test_what_is_said_of_a_track(tagger: Tagger, tone: Path) -> None:
    said = tagger.predict(tone)
    assert said.path == str(tone)
    assert said.seconds == 3
    assert said.model == "tiny@1"
    assert said.warning is None
    assert said.embedding is not None
    assert said.embedding.shape == (96,)
    genre, tags, energy = (said.heads[name] for name in ("genre", "tags", "energy"))
    assert list(genre.scores) == ["Rock", "Jazz", "Pop"]
    assert sum(genre.scores.values()) == pytest.approx(1, abs=2e-4)
    assert genre.confidence == max(genre.scores.values())
    assert genre.label == genre.best
    assert set(tags.labels) == {label for label, p in tags.scores.items() if p >= {"guitar": 0.4, "piano": 0.5}[label]}
    assert isinstance(energy.value, float)


def test_a_waveform_is_heard_as_its_file(tagger: Tagger, tmp_path: Path) -> None:
    wave = melody(20, RATE)
    path = write(tmp_path / "a.wav", wave, RATE, "FLOAT")
    by_file, by_array = tagger.predict(path), tagger.predict(wave, sample_rate=RATE)
    assert by_array.path == ""
    assert by_array.seconds == pytest.approx(20, abs=0.001)
    assert by_array.heads == by_file.heads
    stereo = np.stack([wave, wave], axis=1)
    assert tagger.predict(stereo, sample_rate=RATE).heads == by_array.heads
    assert tagger.predict(stereo.T, sample_rate=RATE).heads == by_array.heads, "(channels, samples) as well"
    assert tagger.predict(wave.astype(np.float64), sample_rate=RATE).heads == by_array.heads


@pytest.mark.parametrize("rate", [8000, RATE, 44100])
@pytest.mark.parametrize("silence", [0.0, 0.5, 10.0, 70.0])
def test_silence_in_front_is_left_out_of_files_and_waveforms_alike(
    tagger: Tagger, tmp_path: Path, silence: float, rate: int
) -> None:
    wave = np.concatenate([np.zeros(round(silence * rate), np.float32), melody(20, rate)])
    by_file = tagger.predict(write(tmp_path / "a.wav", wave, rate, "FLOAT"))
    by_array = tagger.predict(wave, sample_rate=rate)
    assert by_array.heads == by_file.heads
    assert by_array.seconds == by_file.seconds


@pytest.mark.parametrize(
    ("wave", "rate", "why"),
    [
        (np.zeros(RATE, np.float32), None, "sample_rate"),
        (np.zeros(RATE, np.float32), 0, "not a sample rate"),
        (np.zeros(RATE, np.float32), 22.05, "not a sample rate"),
        (np.zeros(RATE, np.float32), -44100, "not a sample rate"),
        (np.zeros(RATE, np.int16), RATE, "expected floats"),
        (np.zeros((2, 2, RATE), np.float32), RATE, "samples, channels"),
    ],
)
def test_a_waveform_that_would_be_misheard_is_refused(
    tagger: Tagger, wave: np.ndarray, rate: int | None, why: str
) -> None:
    """Without the right sample rate the answer would be a wrong genre instead of an error."""
    with pytest.raises(ValueError, match=why):
        tagger.predict(wave, sample_rate=rate)


def test_a_file_takes_no_sample_rate(tagger: Tagger, tone: Path) -> None:
    with pytest.raises(ValueError, match="a file knows its own"):
        tagger.predict(tone, sample_rate=44100)


def test_too_short_and_no_audio(tagger: Tagger, tmp_path: Path) -> None:
    with pytest.raises(AudioError) as caught:
        tagger.predict(np.zeros(100, np.float32), sample_rate=RATE)
    assert caught.value.kind == "too-short"
    with pytest.raises(AudioError) as caught:
        tagger.predict(tmp_path / "gone.mp3")
    assert caught.value.kind == "missing"


@pytest.mark.parametrize("level", [0.0, 1e-6])
def test_silence_has_scores_and_a_warning(tagger: Tagger, tmp_path: Path, level: float) -> None:
    said = tagger.predict(write(tmp_path / "a.wav", level * sine(5, RATE), RATE, "FLOAT"))
    assert said.warning == "silence"
    assert [head.label for head in said.heads.values()] == [None] * len(said.heads)
    assert not any(head.labels for head in said.heads.values())
    assert all(np.isfinite(list(head.scores.values())).all() for head in said.heads.values())


@pytest.mark.parametrize("rate", [8000, RATE, 44100])
def test_white_noise_has_no_label(tagger: Tagger, rate: int) -> None:
    said = tagger.predict(
        0.1 * np.random.default_rng(0).standard_normal(20 * rate).astype(np.float32), sample_rate=rate
    )
    assert said.warning == "noise" and not said.is_song
    assert not any(head.label or head.labels for head in said.heads.values())


def test_nan_and_infinity(tagger: Tagger, tmp_path: Path) -> None:
    wave = melody(5, RATE)
    wave[1000:2000], wave[5000] = np.nan, np.inf
    said = tagger.predict(write(tmp_path / "a.wav", wave, RATE, "FLOAT"))
    assert np.isfinite(list(said.heads["genre"].scores.values())).all()
    assert said.heads == tagger.predict(write(tmp_path / "b.wav", np.nan_to_num(wave, posinf=0), RATE, "FLOAT")).heads


def test_excerpts(tagger: Tagger, tmp_path: Path) -> None:
    """The plan of the card (3 x 2 s), other seconds, and the whole; more is never heard than there is."""
    path = write(tmp_path / "a.wav", melody(30, RATE), RATE)

    def clips(excerpt: float | str | None) -> list[tuple[float, float]]:
        said = tagger.predict(path, options=HearingOptions(excerpt=excerpt, taggram=True)).heads["genre"].taggram
        return list(zip(said.start, said.end, strict=True))

    assert clips(None) == [(4, 6), (14, 16), (24, 26)]
    assert len(clips(10)) == 5
    assert len(clips(0.1)) == 1
    assert clips("whole") == clips(1000.0) == [(2.0 * i, 2.0 * i + 2) for i in range(15)]


def test_a_taggram_adds_up_to_the_track(tagger: Tagger, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", melody(30, RATE), RATE)
    said = tagger.predict(path, options=HearingOptions(taggram=True, excerpt="whole"))
    for head in said.heads.values():
        over_time = head.taggram
        assert over_time is not None
        for label, score in head.scores.items():
            assert np.mean(over_time.scores[label]) == pytest.approx(score, abs=2e-4)
    record = said.to_dict()["heads"]["genre"]["taggram"]
    assert list(record) == ["start", "end", "scores"]


def test_layers(tagger: Tagger, tone: Path) -> None:
    layer = tagger.predict(tone, options=HearingOptions(embedding=True, layer="bands")).embedding
    usual = tagger.predict(tone).embedding
    assert layer is not None
    assert_allclose(layer * 0.05, usual, rtol=1e-5)
    with pytest.raises(UnknownName, match="bands"):
        tagger.predict(tone, options=HearingOptions(layer="band"))
    assert tagger.predict(tone, options=HearingOptions()).embedding is None


def test_a_model_of_pictures_refuses_sound(tmp_path: Path, tone: Path) -> None:
    pictures = earmark.load_model(make_model(tmp_path / "pictures", frontend=Frontend("image", bands=96)))
    with pytest.raises(ModelError, match=r"pictures|images"):
        pictures.predict(tone)
    with pytest.raises(ModelError, match=r"pictures|images"):
        pictures.predict(np.zeros(RATE, np.float32), sample_rate=RATE)


def test_pooling_by_logs(tagger: Tagger, tmp_path: Path) -> None:
    """The geometric mean of the clips' probabilities still adds up to one."""
    card = replace(tagger.card, clip=replace(tagger.card.clip, pooling="mean-log"))
    path = write(tmp_path / "a.wav", melody(30, RATE), RATE)
    said = replace(tagger, card=card).predict(path).heads["genre"]
    assert sum(said.scores.values()) == pytest.approx(1, abs=2e-4)
    assert said.scores != tagger.predict(path).heads["genre"].scores


def test_every_clip_is_the_network_s_length(tagger: Tagger, tmp_path: Path) -> None:
    """0.1 s of sound is repeated to a clip: it is tagged."""
    said = tagger.predict(write(tmp_path / "a.wav", melody(0.1, 44100), 44100))
    assert said.seconds == pytest.approx(0.1)
    assert said.heads["genre"].confidence is not None


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (96000, 6), (192000, 8)])
def test_extreme_files(tagger: Tagger, tmp_path: Path, rate: int, channels: int) -> None:
    wave = np.stack([melody(3, rate, seed) for seed in range(channels)], axis=1)
    path = tmp_path / "a.wav"
    soundfile.write(path, wave, rate, subtype="PCM_24")
    assert tagger.predict(path).seconds == 3
