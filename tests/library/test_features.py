"""Features are kept by recording: read one by one and as arrays, renewed by version, and given by a model's numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earmark.analyses.facts import ANALYSES, Key, Loudness, Score, Tempo, choose
from earmark.inference.records import HeadPrediction, Prediction
from earmark.library.labels import LabelProbabilities
from earmark.library.records import LibraryModel
from earmark.library.resident import take_snapshot
from earmark.library.store import features as store
from earmark.library.store import open_library
from earmark.models.card import HeadCard
from made_library import fill, made_library

TOLD = {
    "tempo": Tempo(120.1, 0.9, 60.0),
    "key": Key("A minor", "8A", 0.7),
    "loudness": Loudness(-9.8, -0.3, -8.2),
    "energy": Score(0.123),
    "danceability": Score(0.6, True),
}


def test_features_come_back_as_they_were_put_in_the_order_of_records(tmp_path: Path) -> None:
    with made_library(tmp_path, 3) as (library, model):
        with library.change():
            library.put_features(2, dict(reversed(TOLD.items())))
        found = library.features([1, 2])
        assert list(found) == [2] and list(found[2]) == list(TOLD)
        assert found[2] == TOLD | {"energy": Score()}, "the model's own number is not kept twice"
        track = library.tracks()[1]
        told = library.prediction(model, track)
        assert told is not None and told.features["energy"] == Score(told.heads["energy"].value)
        (_, same) = next(iter(library.predictions(model, [track])))
        assert isinstance(same, Prediction) and same.to_dict() == told.to_dict()
        assert told.to_dict()["features"]["danceability"] == {"value": 0.6, "estimate": True}
        other = library.prediction(model, library.tracks()[0])
        assert other is not None and "features" not in other.to_dict()


def test_numbers_of_all_are_arrays(tmp_path: Path) -> None:
    with made_library(tmp_path, 4) as (library, model):
        with library.change():
            library.put_features(3, {"tempo": Tempo(99.5, 0.8), "key": Key("C major", "8B", 0.5)})
            library.put_features(2, {"tempo": Tempo(None, 0.1)})
            library.rows("UPDATE audio SET song = 0 WHERE id = 4")
        audio, values = library.feature_numbers(model, "tempo")
        assert audio.tolist() == [2, 3] and np.isnan(values[0]) and values[1] == 99.5
        assert library.feature_numbers(model, "key")[1].tolist() == [15.0], "the 8th hour, B"
        audio, values = library.feature_numbers(model, "energy")
        assert audio.tolist() == [1, 2, 3, 4] and np.isnan(values).tolist() == [False, False, False, True]
        assert [len(part) for part in library.feature_numbers(model, "liveness")] == [0, 0]
        labels = LabelProbabilities(library, model, np.array([3, 1, 2]))
        assert np.array_equal(labels.feature("tempo"), [99.5, np.nan, np.nan], equal_nan=True)
        assert np.isnan(labels.feature("liveness")).all()


def test_what_is_missing_or_old_is_lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with made_library(tmp_path, 3) as (library, _):
        with library.change():
            library.put_features(1, TOLD)
            library.put_features(2, {"tempo": Tempo(None, 0.1), "energy": Score(0.2)})
            library.mark_vanished(3)
        assert library.lacking(("tempo", "key")) == {2: ("key",)}, "what cannot be told is known, too"
        assert {name: library.count_features()[name] for name in ("tempo", "key", "energy")} == {
            "tempo": 1,
            "key": 1,
            "energy": 2,
        }, "songs of which it is told"
        newer = dict(ANALYSES) | {"tempo": replace(ANALYSES["tempo"], version=ANALYSES["tempo"].version + 1)}
        monkeypatch.setattr(store, "ANALYSES", newer)
        assert library.lacking(("tempo", "key")) == {1: ("tempo",), 2: ("tempo", "key")}


def test_joined_recordings_keep_what_either_had(tmp_path: Path) -> None:
    with made_library(tmp_path, 2) as (library, _):
        with library.change():
            library.put_features(1, {"tempo": Tempo(100.0)})
            library.put_features(2, {"tempo": Tempo(200.0), "key": Key("C major", "8B", 0.5)})
            library.merge_audio(1, 2)
        assert library.features([1, 2]) == {1: {"tempo": Tempo(100.0), "key": Key("C major", "8B", 0.5)}}


def test_a_snapshot_follows_features_that_were_asked_for(tmp_path: Path) -> None:
    with made_library(tmp_path, 3) as (library, model):
        with library.change():
            library.put_features(1, TOLD)
        first = take_snapshot(library, model)
        assert first.feature_numbers(model, "tempo")[0].tolist() == [1]
        same = take_snapshot(library, model, first)
        assert same.feature_numbers(model, "tempo")[1] is first.feature_numbers(model, "tempo")[1], "nothing is read"
        with library.change():
            library.put_features(2, TOLD)
        second = take_snapshot(library, model, same)
        assert first.feature_numbers(model, "tempo")[0].tolist() == [1], "of its moment"
        assert second.feature_numbers(model, "tempo")[0].tolist() == [1, 2]


def test_silence_and_what_is_too_short_have_loudness_alone(tmp_path: Path) -> None:
    with made_library(tmp_path, 1) as (library, model):
        with library.change():
            library.put_features(1, TOLD)
            library.rows("UPDATE results SET warning = 'too short to judge'")
        told = library.prediction(model, library.tracks()[0])
        assert told is not None and told.features["loudness"] == TOLD["loudness"]
        assert told.features["tempo"] == Tempo() and told.features["energy"] == Score()


def test_names_are_those_of_the_analyses(tmp_path: Path) -> None:
    """What a later Earmark knows of is left out, not an error."""
    with made_library(tmp_path, 1) as (library, _):
        with library.change():
            library.rows("INSERT INTO features VALUES (1, 'colour', 1, 0.5, '{}')")
        assert library.features([1]) == {1: {}} and library.count_features() == {}
        assert library.lacking(choose(None)) == {1: choose(None)}


def test_the_number_of_a_head_is_its_models_alone(tmp_path: Path) -> None:
    """It is in that model's records, and neither takes the place of an estimate nor stands in for a missing one."""
    heads = (HeadCard("danceability", "regression"), HeadCard("speechiness", "regression"))
    said = {name: HeadPrediction("regression", value=0.9) for name in ("danceability", "speechiness")}
    both = {"danceability": Score(0.9), "speechiness": Score(0.9), "tempo": TOLD["tempo"]}
    with open_library(tmp_path / "a.db", make=True) as library:
        fill(library, 1, model=LibraryModel(0, "plain@1", "abc", "", "/nowhere", 8, ()))
        with library.change():
            library.put_features(1, {"danceability": TOLD["danceability"]})
            own = library.add_model(LibraryModel(0, "own@1", "def", "", "/nowhere", 8, heads))
            library.add_result(own, Prediction("a.wav", 1.0, "own@1", said, features=both), 1)
        stored = library.features([1])[1]
        assert stored["danceability"] == TOLD["danceability"] and stored["speechiness"].number is None
        assert stored["tempo"] == TOLD["tempo"]
        (record,) = (found for _, found in library.predictions(own))
        assert isinstance(record, Prediction)
        assert record.features["danceability"] == record.features["speechiness"] == Score(0.9)


def test_bulk_and_record_have_the_same_source(tmp_path: Path) -> None:
    """A number of a head, the score of a label, or what is stored: whatever tells a feature, both go by it."""
    heads = (
        HeadCard("voice", "multilabel", ("vocal", "instrumental")),
        HeadCard("danceability", "regression"),
        HeadCard("tempo", "regression"),
    )
    with open_library(tmp_path / "a.db", make=True) as library:
        model = fill(library, 6, model=LibraryModel(0, "own@1", "abc", "", "/nowhere", 8, heads))
        with library.change():
            for audio in range(1, 7):
                library.put_features(audio, {name: one.untold for name, one in ANALYSES.items()} | TOLD)
            library.rows("UPDATE audio SET song = 0 WHERE id = 6")
            library.rows("UPDATE results SET warning = 'silence' WHERE audio = 6")
        told = {track.audio: said for track, said in library.predictions(model) if isinstance(said, Prediction)}
        for name in ("instrumentalness", "danceability", "tempo", "key", "liveness"):
            audio, values = library.feature_numbers(model, name)
            assert audio.tolist() == list(told)
            for one, value in zip(audio.tolist()[:5], values[:5].tolist(), strict=True):
                number = told[one].features[name].number
                assert np.isnan(value) if number is None else value == pytest.approx(number, abs=1e-6), name
            if name in ("instrumentalness", "danceability"):
                assert np.isnan(values[5]) and told[6].features[name].number is None
        assert told[1].features["tempo"] == TOLD["tempo"], "beats a minute are no matter of such a head"
