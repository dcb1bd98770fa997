"""Features of long, cut-off and damaged files are those of what there is, in bounded memory; a picture has none."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from damage import damaged, sounds_of_all_formats
from earmark.analyses.facts import Loudness, Score, Tempo, choose
from earmark.analyses.measure import Measuring
from earmark.audio.images import write_image
from earmark.audio.track import open_track
from earmark.errors import AudioError
from earmark.features.frontend import Frontend
from earmark.inference.options import HearingOptions
from earmark.inference.tagger import load_model
from made import make_model
from sounds import melody, write

MEASURED = ("tempo", "key", "loudness")
RATE = 8_000


def measured(path: Path, names: tuple[str, ...] = MEASURED, progress=lambda: None) -> dict:
    with open_track(path) as opened:
        return Measuring(names).results(opened, progress)


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour of a quiet hum with a minute of music in it."""
    path = tmp_path_factory.mktemp("long") / "hour.flac"
    music, hum = melody(60, RATE), np.tile(np.float32([0.001, -0.001]), 30 * RATE)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for minute in range(40):
            file.write(music if minute == 30 else hum)
    return path


def test_an_hour_needs_no_more_memory_than_a_minute_and_gives_signs_of_life(hour: Path) -> None:
    signs = []
    tracemalloc.start()
    found = measured(hour, ("loudness",), lambda: signs.append(1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(signs) >= 60, "at least one a minute of audio: a second or so of work"
    assert peak < 64_000_000, "an hour in memory would be 115 MB"
    assert isinstance(found["loudness"], Loudness) and found["loudness"].lufs is not None
    assert found["loudness"].lufs > -30, "gated: the minute of music counts, the hum does not"


def test_a_worker_that_measures_an_hour_is_not_taken_for_a_hang(hour: Path) -> None:
    """The task hands its sign of life on; the engine's deadline is about the time between two of them."""
    from earmark.library.opening import Measure, ToMeasure

    signs = []
    Measure().start(lambda: signs.append(1))(ToMeasure(str(hour), MEASURED))
    assert len(signs) >= 60


@pytest.mark.parametrize("name", ["wav", "flac", "cbr.mp3", "ogg", "aac.m4a"])
def test_a_file_that_is_cut_off_has_the_features_of_what_there_is(
    tmp_path: Path, formats: dict[str, bytes], name: str
) -> None:
    """As many seconds as come out count; the header's length does not."""
    whole, cut = tmp_path / f"whole.{name}", tmp_path / f"cut.{name}"
    whole.write_bytes(formats[name])
    cut.write_bytes(formats[name][: len(formats[name]) // 2])
    if name == "aac.m4a":  # its index stands at the end, and is cut off too
        with pytest.raises(AudioError):
            measured(cut)
        return
    full, half = measured(whole), measured(cut)
    assert half["loudness"].lufs == pytest.approx(full["loudness"].lufs, abs=2)
    assert half["loudness"].true_peak is not None
    prediction = load_model().predict(cut, options=HearingOptions(features=MEASURED))
    assert prediction.features == half
    assert (prediction.warning is None) == (name == "ogg"), "of which only the last page tells its length"


def test_a_header_that_lies_about_the_length(tmp_path: Path) -> None:
    honest = write(tmp_path / "honest.wav", melody(20, 22_050), 22_050)
    data = bytearray(honest.read_bytes())
    size = int.from_bytes(data[40:44], "little")
    data[40:44], data[4:8] = (size * 10).to_bytes(4, "little"), (size * 10 + 36).to_bytes(4, "little")
    (tmp_path / "lies.wav").write_bytes(data)
    assert measured(tmp_path / "lies.wav")["loudness"] == measured(honest)["loudness"]


@pytest.fixture(scope="module")
def formats(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return dict(sounds_of_all_formats(tmp_path_factory.mktemp("formats"), (65,)))


@pytest.mark.parametrize("files", [40, pytest.param(80, marks=pytest.mark.slow)])
def test_what_can_be_tagged_can_be_measured(
    files: int, tmp_path: Path, tiny_model: Path, formats: dict[str, bytes]
) -> None:
    """Damage that costs no labels costs no record for the sake of features either, and the rest of it is the same."""
    tagger, chance = load_model(tiny_model), random.Random(5)
    kinds = []
    for number in range(files):
        name = list(formats)[number % len(formats)]
        way, data = damaged(formats[name], formats["wav"], chance)
        path = tmp_path / f"{number}-{way}.{name}"
        path.write_bytes(data)
        outcomes = []
        for features in ((), choose(None)):
            try:
                outcomes.append(tagger.predict(path, options=HearingOptions(features=features)).to_dict())
            except AudioError as error:
                outcomes.append({"error": error.kind})
        assert tuple(outcomes[1].pop("features", choose(None))) == choose(None)
        assert outcomes[0] == outcomes[1], path.name
        kinds.append(outcomes[0].get("error") or outcomes[0].get("warning"))
    assert len(set(kinds)) > 3


def test_a_picture_has_none(tmp_path: Path) -> None:
    """There is no sound to measure: what is asked for is there, and cannot be told."""
    write_image(tmp_path / "a.png", np.random.default_rng(0).integers(0, 5, (400, 96)))
    tagger = load_model(make_model(tmp_path / "pictures", frontend=Frontend("image", bands=96)))
    found = tagger.predict(tmp_path / "a.png", options=HearingOptions(features=("tempo", "loudness", "energy")))
    assert found.features["tempo"] == Tempo() and found.features["loudness"] == Loudness()
    assert found.features["energy"] == Score(found.heads["energy"].value), "what a head tells is no matter of sound"
