"""Reasons for labels: the seconds that speak most for one, and the nearest songs that the head learned from."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import earmark
from commands import Earmark
from earmark import HearingOptions
from earmark.errors import ModelError
from earmark.inference.answers import answer
from earmark.inference.ensemble import combine, joint_card
from earmark.inference.labels import relabel
from earmark.inference.records import HeadPrediction
from earmark.inference.why import reason, training_tracks
from earmark.models.card import HeadCard, read_card, write_card
from earmark.models.exemplars import Exemplars, load_exemplars, read_names, write_names
from sounds import melody, write

GENRE = HeadCard("genre", "multiclass", ("Rock", "Punk", "Jazz"), threshold=0.6, parents={"Punk": "Rock"})
TAGS = HeadCard("tags", "multilabel", ("guitar", "piano"))
TIMES = [(0.0, 3.0), (3.0, 6.0), (6.0004, 9.0004)]
CLIPS = np.array([[0.5, 0.2, 0.3], [0.1, 0.8, 0.1], [0.45, 0.5, 0.05]])


def test_the_clip_that_speaks_most_for_what_is_named() -> None:
    """Of a node it is the clip with the greatest sum; where nothing is named, the best guess is explained."""
    rock = reason(GENRE, answer(GENRE, [0.35, 0.5, 0.15]), CLIPS, TIMES)
    assert rock is not None and (rock.name, rock.seconds) == ("Rock", (6.0, 9.0))
    punk = reason(GENRE, answer(GENRE, [0.1, 0.7, 0.2]), CLIPS, TIMES)
    assert punk is not None and (punk.name, punk.seconds) == ("Punk", (3.0, 6.0))
    guess = reason(GENRE, answer(GENRE, [0.2, 0.2, 0.5]), CLIPS, TIMES)
    assert guess is not None and (guess.name, guess.seconds) == ("Jazz", (0.0, 3.0))
    tags = reason(TAGS, answer(TAGS, [0.6, 0.8]), np.array([[0.9, 0.1], [0.2, 0.7], [0.3, 0.8]]), TIMES)
    assert tags is not None and (tags.name, tags.seconds) == ("piano", (6.0, 9.0))
    assert reason(TAGS, answer(TAGS, [0.05, 0.01]), np.zeros((3, 2)), TIMES) is None
    assert reason(HeadCard("energy", "regression"), HeadPrediction("regression", value=1.0), CLIPS, TIMES) is None


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, which remembers five tracks: two of Rock, one of Jazz, one without a genre, one of validation."""
    folder = Path(shutil.copytree(tiny_model, tmp_path_factory.mktemp("why") / "m"))
    axes = np.eye(96, dtype=np.float16)
    Exemplars(
        embedding=np.stack([axes[0], axes[0], axes[1], axes[2], axes[0], axes[0]]),
        track=np.array([0, 0, 1, 2, 3, 4], np.int32),
        valid=np.array([False, False, False, False, True]),
        group=np.arange(5, dtype=np.int32),
        hash=np.array(["a", "b", "c", "d", "e"]),
        targets={
            "genre": np.array([0, 0, 1, np.nan, 2], np.float32),
            "tags": np.array([[1, 1], [0, 0], [np.nan, np.nan], [0, 1], [1, 0]], np.float32),
        },
    ).save(folder)
    write_names(folder, {"a": "Rock/one.mp3", "e": "never.mp3"})
    return folder


def test_the_nearest_songs_that_a_head_learned_from(model: Path) -> None:
    known = training_tracks(model, read_card(model))
    assert known is not None
    vector = np.zeros(96, np.float32)
    vector[[0, 1]] = 3, 4
    near = known.nearest("genre", vector)
    assert [(one.labels, one.distance, one.name) for one in near] == [
        (("Rock",), pytest.approx(0.2, abs=1e-4), ""),
        (("Rock",), pytest.approx(0.4, abs=1e-4), "Rock/one.mp3"),
        (("Jazz",), 1.0, ""),
    ]
    assert [one.labels for one in known.nearest("tags", vector)] == [("guitar", "piano"), ("piano",)]
    assert known.nearest("energy", vector) == ()


def test_a_model_without_memories_has_no_neighbours(tiny_model: Path) -> None:
    found = earmark.load_model(tiny_model).predict(melody(9, 8000), sample_rate=8000, options=HearingOptions(why=True))
    why = found.heads["genre"].why
    assert why is not None and why.nearest == () and why.seconds[1] > why.seconds[0]
    assert found.heads["energy"].why is None
    plain = earmark.load_model(tiny_model).predict(melody(9, 8000), sample_rate=8000)
    assert all(head.why is None for head in plain.heads.values())


def test_embeddings_of_a_layer_have_no_reasons(model: Path) -> None:
    """The training tracks are remembered by the embedding: distances of other vectors from them mean nothing."""
    options = HearingOptions(embedding=True, layer="bands", why=True)
    plain = earmark.load_model(model).predict(melody(9, 8000), sample_rate=8000, options=options)
    assert all(head.why is None for head in plain.heads.values())


def test_names_are_kept_beside(tmp_path: Path) -> None:
    """They may be deleted, and whatever a song is called makes no second line."""
    assert read_names(tmp_path) == {}
    write_names(tmp_path, {"a": "x\ty\nz.mp3", "b": "\udce9.mp3"})
    assert read_names(tmp_path) == {"a": "x y z.mp3", "b": "\\udce9.mp3"}


def test_silence_has_no_reasons_and_other_names_are_the_users(model: Path) -> None:
    tagger = earmark.load_model(model)
    said = tagger.predict(melody(9, 8000), sample_rate=8000, options=HearingOptions(why=True))
    assert all(head.why is None for head in replace(said, warning="silence").settled().heads.values())
    mine = relabel(said, tagger.card, {"genre": {"Rock": "Loud"}}).heads["genre"]
    assert mine.why is not None and "Rock" not in [mine.why.name, *(one.labels[0] for one in mine.why.nearest)]
    twice = combine([said, said], joint_card([tagger.card, tagger.card])).heads["genre"]
    assert twice.why == said.heads["genre"].why


def test_on_the_screen_and_in_records(model: Path, tmp_path: Path, earmark: Earmark) -> None:
    song = write(tmp_path / "a.wav", melody(9, 8000), 8000)
    record = json.loads(earmark("tag", song, "-m", model, "--why", "-f", "json").out)[0]
    why = record["heads"]["genre"]["why"]
    assert set(why) == {"name", "seconds", "nearest"} and len(why["nearest"]) == 3
    assert {"labels", "distance"} <= set(why["nearest"][0])
    table = " ".join(earmark("tag", song, "-m", model, "--why", "-f", "table").out.split())
    assert f"why genre {why['name']}: most of all from 0:" in table
    assert "nearest songs it learned from: " in table and "Rock/one.mp3 (Rock)" in table
    assert "Reasons are in the table" in earmark("tag", song, "-m", model, "--why", "-f", "csv").err


@pytest.mark.parametrize("change", [
    {"targets": {"genre": np.array([0, 0, 7, np.nan, 2], np.float32)}},
    {"targets": {"tags": np.zeros((5, 3), np.float32)}},
    {"embedding": np.ones((6, 8), np.float16)},
])  # fmt: skip
def test_a_memory_of_another_model_is_refused(model: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    broken = Path(shutil.copytree(model, tmp_path / "m"))
    replace(load_exemplars(model), **change).save(broken)
    with pytest.raises(ModelError, match=r"exemplars\.npz"):
        training_tracks(broken, read_card(broken))


def test_a_damaged_memory_is_one_plain_line(model: Path, tmp_path: Path, earmark: Earmark) -> None:
    broken = Path(shutil.copytree(model, tmp_path / "m"))
    (broken / "exemplars.npz").write_bytes(b"x" * 100)
    write_card(replace(read_card(broken), name="broken"), broken)
    song = write(tmp_path / "a.wav", melody(9, 8000), 8000)
    said = earmark("tag", song, "-m", broken, "--why")
    assert said.code == 1 and "exemplars.npz: damaged" in said.err
