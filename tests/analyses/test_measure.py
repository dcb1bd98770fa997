"""Features come from one decoding, and are the same whatever model is asked beside them."""

from __future__ import annotations

import pytest

from earmark.analyses.facts import ANALYSES, Loudness, Score, Tempo, choose
from earmark.analyses.measure import PLAN, RATE, Measuring
from earmark.audio.track import Excerpts, open_track
from earmark.inference.options import HearingOptions
from earmark.inference.tagger import load_model
from sounds import melody, write


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    path = tmp_path_factory.mktemp("song") / "a.wav"
    write(path, melody(40, 44_100), 44_100)
    return path


def measured(path, plan, rate):
    with open_track(path) as opened:
        measuring = Measuring(choose(None))
        for _ in measuring.through(opened.clips(plan, rate), plan, rate):
            pass
        return measuring.results(opened)


def test_features_do_not_depend_on_the_clips_of_the_model(song) -> None:
    shared = measured(song, PLAN, RATE)
    assert set(shared) == {name for name, one in ANALYSES.items() if one.needs in ("clips", "track")}
    assert measured(song, Excerpts(5.0, 2), 22_050) == shared


def test_a_prediction_carries_what_is_asked_for_alone(song) -> None:
    model = load_model()
    assert "features" not in model.predict(song).to_dict()
    found = model.predict(song, options=HearingOptions(features=("tempo", "energy"))).to_dict()
    assert list(found["features"]) == ["tempo", "energy"]
    assert found["features"]["energy"]["value"] == found["heads"]["energy"]["value"]


def test_silence_has_no_numbers(tmp_path) -> None:
    write(tmp_path / "silence.wav", 0 * melody(5, 44_100), 44_100)
    found = load_model().predict(tmp_path / "silence.wav", options=HearingOptions(features=choose(None))).features
    assert found["tempo"] == Tempo() and found["loudness"] == Loudness()
    assert all(one.value is None for one in found.values() if isinstance(one, Score))
