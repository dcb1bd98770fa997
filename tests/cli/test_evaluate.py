"""``earmark evaluate`` as people and programs meet it."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from earmark.audio.identity import content_hash
from earmark.models.card import HeadCard
from made import HEADS, make_model


@pytest.fixture
def music(tmp_path):
    root, rng = tmp_path / "sorted", np.random.default_rng(0)
    for genre in ("Jazz", "Rock", "Polka"):
        for artist in ("one", "two"):
            folder = root / genre / f"{genre} {artist}"
            folder.mkdir(parents=True)
            soundfile.write(folder / "song.wav", rng.normal(0, 0.1, 8000), 8000)
    return root


@pytest.fixture
def model(tmp_path):
    return make_model(tmp_path / "model", HEADS)


def test_json_has_the_designs_keys_and_people_are_told_of_labels(earmark, music, model):
    said = earmark("evaluate", model, music, "-j", 1, "-f", "json")
    assert said.code == 0, said.err
    genre = said.json["heads"]["genre"]
    assert said.json["model"] == "tiny@1" and said.json["split"] == "all" and said.json["group"] == "artist"
    assert genre["tracks"] == 4 and genre["labels"] == ["Jazz", "Rock"] and genre["unknown_tracks"] == 2
    assert genre["labels_left_out"] == {"model": ["Pop"], "dataset": ["Polka"]}
    table = earmark("evaluate", model, music, "-j", 1, "-f", "table")
    assert "3 of the model, 3 of the data set, 2 in both" in table.out
    assert "only the data set has: Polka" in table.out and "accuracy" in table.out


def test_a_bad_file_is_counted_and_the_rest_is_scored(earmark, music, model):
    (music / "Jazz" / "Jazz one" / "bad.mp3").write_text("no music")
    said = earmark("evaluate", model, music, "-j", 1, "-f", "json")
    assert said.code == 3 and said.json["heads"]["genre"]["tracks"] == 4
    assert said.json["failures"][0]["error"]["kind"] == "not-audio"
    assert "1 tracks could not be analysed" in said.err


def test_training_tracks_are_left_out_and_said(earmark, music, model):
    rows = [f"{content_hash(path)}\ttrain\n" for path in sorted(music.rglob("*.wav")) if "Jazz" in str(path)]
    (model / "split.tsv").write_text("content_hash\tpart\n" + "".join(rows))
    said = earmark("evaluate", model, music, "-j", 1, "-f", "json")
    assert said.json["left_out"] == 2 and said.json["split"] == "test"
    assert "2 tracks are left out" in said.err
    for genre in ("Rock", "Polka"):
        shutil.rmtree(music / genre)

    said = earmark("evaluate", model, music, "-j", 1)
    assert said.code == 1 and "--allow-training-tracks" in said.err
    said = earmark("evaluate", model, music, "-j", 1, "--allow-training-tracks", "-f", "json")
    assert said.code == 0 and said.json["heads"]["genre"]["tracks"] == 2


def test_against_an_ensemble_and_a_report(earmark, music, model, tmp_path):
    other = make_model(tmp_path / "other", (HeadCard("genre", "multiclass", ("Jazz", "Rock")),), seed=3, name="other")
    said = earmark(
        "evaluate", f"{model},{other}", music, "-j", 1, "--against", other, "--report", tmp_path / "r", "-f", "json"
    )
    assert said.code == 0, said.err
    assert said.json["model"] == "tiny@1+other@1"
    assert set(said.json["against"]["heads"]["genre"]) == {"figure", "difference", "ci95", "p"}
    assert (tmp_path / "r" / "index.html").read_text().startswith("<!DOCTYPE html>")
    assert json.loads((tmp_path / "r" / "evaluation.json").read_text()) == said.json


def test_mistakes_are_one_line_that_names_the_right_thing(earmark, music, model, tmp_path):
    assert "did you mean 'genre'" in earmark("evaluate", model, music, "--heads", "genra").err
    assert "did you mean 'test'" in earmark("evaluate", model, music, "--split", "tets").err
    assert "no such folder" in earmark("evaluate", model, tmp_path / "nowhere").err
    said = earmark("evaluate", tmp_path / "nowhere", music)
    assert said.code == 1 and "no such model folder" in said.err
    assert earmark("evaluate", model).code == 2
