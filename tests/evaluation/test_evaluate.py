"""From models and a data set to the JSON of the design: real made models on made sound, and many made-up ones."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from earmark.audio.identity import content_hash
from earmark.datasets import load_dataset
from earmark.datasets.splits import Split, save_split
from earmark.engine import InlineEngine
from earmark.errors import DatasetError
from earmark.evaluation.evaluate import Plan, evaluate
from earmark.evaluation.history import Epoch, write_history
from earmark.events import Run
from earmark.inference.records import Failure
from earmark.inference.tagger import Tagger, load_model
from earmark.models.card import HeadCard, write_card
from evaluation.fakes import Canned, genre_model
from made import make_model

QUICK = Plan(resamples=50)


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """Noises in class folders, three genres by artist, and one file that is none."""
    root = tmp_path_factory.mktemp("songs")
    rng = np.random.default_rng(0)
    for genre in ("Jazz", "pop", "Rock"):
        for artist in range(2):
            folder = root / genre / f"{genre} band {artist}"
            folder.mkdir(parents=True)
            for song in range(2):
                soundfile.write(folder / f"{song}.wav", rng.normal(0, 0.1, 16000), 16000)
    (root / "Rock" / "Rock band 1" / "broken.mp3").write_bytes(b"no music")
    return root


@pytest.fixture
def model(tmp_path):
    return load_model(make_model(tmp_path / "model", (HeadCard("genre", "multiclass", ("Rock", "Jazz", "Pop")),)))


def evaluated(models, data, plan, engine=None, **more):
    with engine or InlineEngine() as engine:
        return Run(evaluate(models, data, plan, engine=engine, **more)).wait()


def test_a_real_model_on_real_files(songs, model):
    data = load_dataset(songs)
    found = evaluated([model], data, QUICK)
    facts = found.to_dict()
    assert list(facts)[:9] == [
        "model", "dataset", "split", "group", "left_out", "heads", "naive", "against", "failures",
    ]  # fmt: skip
    assert (facts["model"], facts["split"], facts["group"], facts["left_out"]) == ("tiny@1", "all", "artist", 0)
    assert facts["heads"]["genre"]["tracks"] == 12
    assert facts["heads"]["genre"]["labels"] == ["Jazz", "Rock", "pop"]
    assert facts["failures"][0]["error"]["kind"] == "not-audio"
    json.dumps(facts, allow_nan=False)


def test_what_the_model_was_trained_on_is_left_out(songs, model):
    data = load_dataset(songs)
    readable = [i for i, t in enumerate(data.tracks) if t.name.endswith("wav")]
    hashes = [content_hash(t.path) if i in readable else "" for i, t in enumerate(data.tracks)]
    rows = np.array(readable)
    save_split(model.folder / "split.tsv", Split(rows[:6], rows[6:8], rows[8:]), hashes)
    found = evaluated([model], data, QUICK)
    assert (found.part, found.left_out, found.figures["genre"]["tracks"]) == ("test", 8, 4)
    everything = replace(QUICK, allow_training_tracks=True)
    assert evaluated([model], data, everything).figures["genre"]["tracks"] == 12
    with pytest.raises(DatasetError, match="--allow-training-tracks"):
        evaluated([model], data.subset(rows[:8]), QUICK)


def made_tagger(folder, facts):
    folder.mkdir()
    write_card(facts, folder)
    return Tagger(folder, facts, {})


def test_an_ensemble_and_a_paired_test(tmp_path):
    (first, data, good), (second, _, fair), (third, _, poor) = (
        genre_model(skill=3.0, name="good"),
        genre_model(skill=1.5, seed=5, name="fair"),
        genre_model(skill=0.5, seed=6, name="poor"),
    )
    taggers = [made_tagger(tmp_path / c.name, c) for c in (first, second, third)]
    engine = Canned(good=good, fair=fair, poor=poor)
    both = evaluated(taggers[:2], data, QUICK, engine, against=[taggers[2]])
    assert both.model == "good@1+fair@1" and engine.calls == ["good", "fair", "poor"]
    result = both.against["heads"]["genre"]
    alone = evaluated([taggers[2]], data, QUICK, engine)
    gap = both.figures["genre"]["accuracy"] - alone.figures["genre"]["accuracy"]
    assert result["difference"] == pytest.approx(gap, abs=2e-4)
    assert result["p"] < 0.05 and both.against["model"] == "poor@1"
    same = evaluated([taggers[0]], data, QUICK, engine, against=[taggers[0]])
    assert same.against["heads"]["genre"]["p"] == 1
    json.dumps(both.to_dict(), allow_nan=False)


def test_jumps_of_the_models_own_curve_are_reported(tmp_path):
    facts, data, results = genre_model()
    tagger = made_tagger(tmp_path / "made", facts)
    loss = [1.0 + 0.001 * (i % 3) + (i == 15) for i in range(20)]
    write_history(tagger.folder / "history.csv", [Epoch(epoch=i, valid_loss=v) for i, v in enumerate(loss)])
    found = evaluated([tagger], data, QUICK, Canned(made=results))
    assert [jump.epoch for jump in found.jumps] == [15]
    assert found.to_dict()["jumps"][0]["epoch"] == 15


def test_not_one_track_that_can_be_heard_is_an_error(tmp_path):
    facts, data, _ = genre_model(tracks=3)
    tagger = made_tagger(tmp_path / "made", facts)
    broken = [Failure(str(t.path), "missing", "no such file") for t in data.tracks]
    with pytest.raises(DatasetError, match=r"not one track could be analysed, as .*000.wav: no such file"):
        evaluated([tagger], data, QUICK, Canned(made=broken))


def test_a_model_that_hears_is_not_shown_pictures(tmp_path):
    facts, data, results = genre_model(tracks=3)
    tagger = made_tagger(tmp_path / "made", facts)
    with pytest.raises(DatasetError, match="made-up is a data set of images, but the model made@1 takes audio"):
        evaluated([tagger], replace(data, kind="images"), QUICK, Canned(made=results))


@pytest.fixture
def taught(songs, model):
    """The model, as though trained on the first artist of each genre: one song each, so that the other is new to it."""
    data = load_dataset(songs)
    rows = np.array([i for i, t in enumerate(data.tracks) if t.name.endswith("0/0.wav")])
    hashes = [content_hash(t.path) if t.name.endswith("wav") else "" for t in data.tracks]
    groups = [track.group.upper() for track in data.tracks]
    salt = save_split(model.folder / "split.tsv", Split(rows[:2], rows[2:], rows[:0]), hashes, groups)
    return replace(model, card=replace(model.card, group_salt=salt))


def test_songs_by_artists_it_was_trained_on_are_counted_and_scored_apart(songs, taught):
    found = evaluated([taught], load_dataset(songs), QUICK).to_dict()
    assert "3 of 10 songs are by artists it was trained on" in " ".join(found["notices"])
    genre = found["heads"]["genre"]
    assert (genre["heard"]["tracks"], genre["unheard"]["tracks"], genre["tracks"]) == (3, 6, 9)
    right = sum(genre[kind]["tracks"] * genre[kind]["accuracy"] for kind in ("heard", "unheard"))
    assert right / 9 == pytest.approx(genre["accuracy"], abs=1e-3)
    text = (taught.folder / "split.tsv").read_text("utf-8")
    assert "band" not in text.casefold() and text.splitlines()[0] == "content_hash\tpart\tgroup"


def test_they_are_left_out_where_that_is_asked(songs, taught, model):
    alone = replace(QUICK, unheard_artists=True)
    data = load_dataset(songs)
    found = evaluated([taught], data, alone)
    assert found.figures["genre"]["tracks"] == 6 and "heard" not in found.figures["genre"]
    assert found.left_out == 3 and found.to_dict()["left_out_artists"] == 3
    assert any("3 songs are by artists it was trained on: left out" in line for line in found.notices)
    familiar = data.subset([i for i, t in enumerate(data.tracks) if t.name.endswith("band 0/1.wav")])
    with pytest.raises(DatasetError, match="all 3 tracks are by artists that the model was trained on"):
        evaluated([taught], familiar, alone)
    with pytest.raises(DatasetError, match="does not know the artists that it was trained on: train it again"):
        evaluated([model], data, alone)
    nameless = replace(data, tracks=tuple(replace(t, group=f"track: {t.name}") for t in data.tracks))
    with pytest.raises(DatasetError, match="names its artist"):
        evaluated([taught], nameless, alone)


def test_a_model_that_keeps_no_artists_says_nothing_of_them(songs, model):
    found = evaluated([model], load_dataset(songs), QUICK)
    assert "heard" not in found.figures["genre"] and not any("trained on" in line for line in found.notices)


def test_songs_of_one_artist_have_no_interval_and_that_is_told(songs, model):
    data = load_dataset(songs)
    one = data.subset([i for i, t in enumerate(data.tracks) if "pop band 0" in t.name])
    found = evaluated([model], one, QUICK)
    assert found.figures["genre"]["accuracy_ci95"] is None and found.figures["genre"]["groups"] == 1
    assert "genre: all songs are of one artist, so that there is no interval" in found.notices


def test_labels_that_no_listener_checked_are_told(songs, tmp_path):
    head = HeadCard("genre", "multiclass", ("Rock", "Jazz", "Pop"), unverified=True)
    found = evaluated([load_model(make_model(tmp_path / "m", (head,)))], load_dataset(songs), QUICK)
    assert "genre: other models agree on the labels of this head; no listener checked them" in found.notices
