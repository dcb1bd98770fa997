"""Estimates are numbers of the bundled network alone, the same each time, and second to the user's own heads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from earmark.analyses.estimates import FILE, Estimator, estimates, read_estimator, write_estimator
from earmark.analyses.facts import ANALYSES, Score, Tempo, choose
from earmark.inference.answers import numbers
from earmark.inference.options import HearingOptions
from earmark.inference.records import HeadPrediction
from earmark.inference.tagger import load_model
from earmark.models.card import HeadCard
from earmark.models.network import Dense, HeadWeights
from sounds import melody, write

ALL = HearingOptions(features=choose(None), clips=True)
ESTIMATED = ("danceability", "acousticness", "instrumentalness", "speechiness", "liveness")


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture(scope="module")
def vectors(model):
    rng = np.random.default_rng(0)
    return (30 * rng.standard_normal((7, model.card.embedding))).astype(np.float32)


def test_the_file_is_of_the_bundled_network(model) -> None:
    """It fails when the network changes: then ``make estimates`` makes the file anew."""
    known = read_estimator(FILE)
    assert known.facts["backbone"] == model.card.backbone_digest
    assert known.weight.shape == (len(known.names), model.card.embedding) and np.isfinite(known.weight).all()
    assert set(known.names) < set(ANALYSES) and "scripts.bundled.estimates" in known.facts["command"]
    assert FILE.stat().st_size < 20_000


def test_values_are_from_0_to_1_and_the_same_each_time(model, vectors) -> None:
    found = estimates(vectors, model.card.backbone_digest)
    assert found == estimates(vectors[::-1], model.card.backbone_digest), "the order of the clips counts nothing"
    assert all(one.estimate and one.value is not None and 0 <= one.value <= 1 for one in found.values())


def test_another_network_has_no_estimates(model, vectors) -> None:
    assert estimates(vectors, "0" * 32) == {}
    assert estimates(vectors[:0], model.card.backbone_digest) == {}


def test_a_file_is_read_as_it_was_written(tmp_path, vectors) -> None:
    made = Estimator(("a", "b"), np.float32([[1, 2], [3, 4]]), np.float32([5, 6]), {"backbone": "x"})
    write_estimator(tmp_path / "a.safetensors", made)
    read = read_estimator(tmp_path / "a.safetensors")
    assert (read.names, read.facts) == (made.names, made.facts)
    assert np.array_equal(read.weight, made.weight) and np.array_equal(read.bias, made.bias)
    first = (tmp_path / "a.safetensors").read_bytes()
    write_estimator(tmp_path / "a.safetensors", read)
    assert (tmp_path / "a.safetensors").read_bytes() == first


def test_stored_vectors_give_what_the_file_gives(tmp_path, model) -> None:
    write(tmp_path / "a.wav", melody(20, 44_100), 44_100)
    heard = model.predict(tmp_path / "a.wav", options=ALL)
    stored = model.predict_embeddings(heard.clips, HearingOptions(features=ESTIMATED)).features
    assert stored == {name: heard.features[name] for name in ESTIMATED}
    assert stored["instrumentalness"].value == heard.heads["voice"].scores["instrumental"]


def test_a_layer_in_place_of_the_embedding_has_no_estimates(tmp_path, model) -> None:
    write(tmp_path / "a.wav", melody(5, 44_100), 44_100)
    width = model.card.embedding
    members = ((Dense(np.ones((3, width)), np.ones(3)), Dense(np.ones((2, 3)), np.ones(2))),)
    hidden = HeadWeights(members)
    own = replace(
        model,
        card=replace(
            model.card, heads=(*model.card.heads, hidden.described(HeadCard("own", "multilabel", ("a", "b"))))
        ),
        heads={**model.heads, "own": hidden},
    )
    features = own.predict(tmp_path / "a.wav", options=HearingOptions(features=ESTIMATED, layer="own")).features
    assert features["danceability"] == Score() and features["instrumentalness"].value is not None


def test_noise_has_no_estimates(tmp_path, model) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(20 * 44_100)
    write(tmp_path / "a.wav", noise.astype(np.float32), 44_100)
    features = model.predict(tmp_path / "a.wav", options=ALL).features
    assert all(features[name].value is None for name in ESTIMATED)


def test_a_head_of_ones_own_comes_first() -> None:
    features = {"danceability": Score(0.1, estimate=True), "energy": Score(), "tempo": Tempo(120.0, 0.9, 60.0)}
    heads = {name: HeadPrediction("regression", value=value)
             for name, value in (("danceability", 0.8), ("energy", 1.02), ("tempo", 90.0))}  # fmt: skip
    found = numbers(heads, features)
    assert found == {"danceability": Score(0.8), "energy": Score(1.0), "tempo": Tempo(120.0, 0.9, 60.0)}
    voice = HeadPrediction("multilabel", scores={"vocal": 0.3, "instrumental": 0.7})
    asked = {"instrumentalness": Score()}
    assert numbers({"voice": voice}, asked) == {"instrumentalness": Score(0.7, estimate=True)}
    own = {"voice": voice, "instrumentalness": HeadPrediction("regression", value=0.2)}
    assert numbers(own, asked) == {"instrumentalness": Score(0.2)}


def test_a_head_on_another_scale_is_no_feature() -> None:
    heads = {"energy": HeadPrediction("regression", value=7.2)}
    assert numbers(heads, {"energy": Score()}) == {"energy": Score()}


SONGS = {
    "rap": "moods900/audio/MT0001680969.opus",
    "solo piano": "emotify400/audio/classical/classical-066.opus",
    "lute": "emotify400/audio/classical/classical-038.opus",
    "a cappella": "moods900/audio/MT0000522789.opus",
    "metal": "moods900/audio/MT0000011357.opus",
    "house": "emotify400/audio/electronic/electronic-054.opus",
}


def test_songs_stand_in_the_order_that_listeners_expect(shared, model) -> None:
    found = {name: model.predict(shared / "data" / song, options=ALL).features for name, song in SONGS.items()}
    value = {feature: {name: one[feature].value for name, one in found.items()} for feature in ESTIMATED}
    assert max(value["speechiness"], key=value["speechiness"].__getitem__) == "rap"
    assert value["speechiness"]["rap"] > 0.66 and value["speechiness"]["a cappella"] < 0.33
    assert min(value["acousticness"][name] for name in ("solo piano", "lute")) > 0.66
    assert max(value["acousticness"][name] for name in ("rap", "metal", "house")) < 0.33
    assert min(value["instrumentalness"][name] for name in ("solo piano", "lute")) > 0.5
    assert max(value["instrumentalness"][name] for name in ("rap", "a cappella")) < 0.1
    assert min(value["danceability"][name] for name in ("rap", "house")) > 0.5
    assert max(value["danceability"][name] for name in ("solo piano", "lute", "a cappella", "metal")) < 0.33
    assert set(value["liveness"].values()) == {None}, "no corpus has an audience to learn from"


def test_estimates_are_those_of_the_vectors_that_a_library_keeps() -> None:
    """A scan that adds them later, from half precision, gives what the file gave: to the last decimal."""
    known, rng = read_estimator(FILE), np.random.default_rng(0)
    for _ in range(200):
        vectors = rng.standard_normal((10, known.weight.shape[1])).astype(np.float32)
        assert known(vectors) == known(vectors.astype(np.float16).astype(np.float32))
