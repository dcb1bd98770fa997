"""Transfer, extend and the estimator on made songs: the whole way, and every refusal."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import lessons
from earmark.audio.identity import content_hash
from earmark.cli import main
from earmark.datasets import load_dataset, without_label
from earmark.datasets.cache import EmbedClips
from earmark.datasets.splits import group_hash, load_groups, load_split
from earmark.engine import InlineEngine
from earmark.errors import AudioError, DatasetError, ModelError, RecipeError, UnknownName
from earmark.events import Run
from earmark.inference.tagger import load_model
from earmark.models.card import HeadCard, read_card, write_card
from earmark.models.exemplars import load_exemplars
from earmark.models.network import HeadWeights, write_heads
from earmark.recipe import load_recipe
from earmark.training import extend
from earmark.training.extend import ExtendOptions, Extension, songs_of_class
from earmark.training.forgetting import OldClass
from earmark.training.job import TrainOptions
from made_songs import PITCHES, write_collection, write_song


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    return write_collection(tmp_path_factory.mktemp("music") / "songs", songs=14)


def extend_model(model, dataset, out, options=None) -> Extension:
    return Run(extend.extend_model(model, dataset, out, InlineEngine(), options)).wait()


def _train(dataset, out, base, *settings, **options):
    recipe = load_recipe("transfer", settings)
    return lessons.train(dataset, recipe, out, TrainOptions(init=base, **options))


@pytest.fixture(scope="module")
def two_classes(collection, tmp_path_factory, module_model):
    """A model of low and high songs, without the class between."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARMARK_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        dataset = without_label(load_dataset(collection, training=True), "genre", "middle")
        return _train(dataset, tmp_path_factory.mktemp("trained") / "two", module_model)


@pytest.fixture(scope="module")
def module_model(tmp_path_factory):
    from made import make_model

    return make_model(tmp_path_factory.mktemp("base") / "base")


def test_a_trained_folder_hears_as_it_was_scored(collection, module_model, tmp_path):
    out = _train(load_dataset(collection, training=True), tmp_path / "m", module_model)
    tagger = load_model(out)
    assert {"exemplars.npz", "split.tsv", "README.md", "weights.safetensors"} <= {f.name for f in out.iterdir()}
    assert tagger.card.heads[0].labels == ("high", "low", "middle")
    right = [
        tagger.predict(track.path).heads["genre"].best == track.labels["genre"]
        for track in load_dataset(collection).tracks
    ]
    assert np.mean(right) > 0.9
    assert tagger.card.scores["genre"]["accuracy"] > 0.6


def test_a_file_is_decoded_once(collection, module_model, tmp_path, monkeypatch):
    """Its content hash and its embeddings come from one decoding; what was met before is not opened at all."""
    from earmark.inference.tagger import Tagger

    opened, embed = [], Tagger.embed_clips
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("earmark.audio.identity.content_hash", lambda *_: pytest.fail("decoded for its hash alone"))
    monkeypatch.setattr(
        Tagger, "embed_clips", lambda self, path, *rest: opened.append(path) or embed(self, path, *rest)
    )
    dataset = load_dataset(collection, training=True)
    first = _train(dataset, tmp_path / "first", module_model)
    assert sorted(opened) == sorted(track.path for track in dataset.tracks)
    hashes = [line.split("\t")[0] for line in (first / "split.tsv").read_text().splitlines()[1:]]
    monkeypatch.undo()
    assert sorted(hashes) == sorted(content_hash(track.path) for track in dataset.tracks)
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Tagger, "embed_clips", lambda *_: pytest.fail("decoded again"))
    again = _train(dataset, tmp_path / "again", module_model)
    assert (first / "heads.safetensors").read_bytes() == (again / "heads.safetensors").read_bytes()


def test_a_worker_that_embeds_needs_no_pytorch():
    """Each worker process would take seconds and hundreds of megabytes for it."""
    code = "import sys, earmark.datasets.cache; sys.exit('torch' in sys.modules)"
    assert EmbedClips.__module__ == "earmark.datasets.cache"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_same_seed_gives_the_same_bytes(collection, module_model, tmp_path):
    dataset = load_dataset(collection, training=True)
    settings = 'heads.ensemble=["linear", "prototype", "mlp-8"]', "training.epochs=5"
    one, two = (_train(dataset, tmp_path / name, module_model, *settings) for name in "ab")
    assert (one / "model.onnx").read_bytes() == (two / "model.onnx").read_bytes()


def test_another_frontend_other_clips_and_pictures_are_refused(collection, module_model, tmp_path):
    dataset = load_dataset(collection, training=True)
    with pytest.raises(RecipeError, match=r"frontend: the base model tiny@1 was trained with another one"):
        _train(dataset, tmp_path / "a", module_model, "frontend.bands=64")
    with pytest.raises(RecipeError, match=r"clip\.seconds = 5"):
        _train(dataset, tmp_path / "b", module_model, "clip.seconds=5")
    from earmark.training.transfer import base_model

    with pytest.raises(DatasetError, match="spectrogram images, but transfer from tiny@1 needs audio"):
        base_model(load_recipe("transfer"), module_model, replace(dataset, kind="images"))


def test_extend_adds_a_class_and_leaves_the_old_model(two_classes, collection, tmp_path, capsys):
    before = {file.name: file.read_bytes() for file in two_classes.iterdir()}
    out = tmp_path / "three"
    arguments = ["extend", str(two_classes), str(collection / "middle"), "--label", "middle", "-o", str(out)]
    assert main([*arguments, "--test", str(collection), "-f", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["added"] == ["middle"]
    assert set(told["classes"]) == {"high", "low"}
    assert all(set(one) == {"before", "after", "tracks"} for one in told["classes"].values())
    assert told["degraded"] is False
    assert {file.name: file.read_bytes() for file in two_classes.iterdir()} == before
    tagger = load_model(out)
    assert tagger.card.heads[0].labels == ("high", "low", "middle")
    right = [
        tagger.predict(track.path).heads["genre"].best == track.labels["genre"]
        for track in load_dataset(collection).tracks
    ]
    assert np.mean(right) > 0.8
    assert load_exemplars(out).targets["genre"].max() == 2
    assert main(arguments) == 1
    assert "there is something already" in capsys.readouterr().err


def test_extend_by_a_data_set_and_twice(two_classes, tmp_path):
    write_collection(tmp_path / "more", {"middle": 700.0, "low": 90.0}, seed=5)
    found = extend_model(two_classes, load_dataset(tmp_path / "more"), tmp_path / "a")
    assert found.added == ("middle",)
    card, artists = load_model(tmp_path / "a").card, load_groups(tmp_path / "a" / "split.tsv")
    assert card.group_salt == load_model(two_classes).card.group_salt
    for track in load_dataset(tmp_path / "more").tracks:
        assert group_hash(track.group.upper(), card.group_salt) in artists.values()
    write_collection(tmp_path / "top", {"top": 6000.0}, seed=6)
    found = extend_model(tmp_path / "a", load_dataset(tmp_path / "top"), tmp_path / "b")
    assert set(found.stored.classes) == {"high", "low", "middle"}
    path = write_song(tmp_path / "x.wav", 6000.0, 999)
    assert set(load_model(tmp_path / "b").predict(path).heads["genre"].scores) == {"high", "low", "middle", "top"}


def test_extend_refuses(two_classes, collection, module_model, tmp_path):
    card = load_model(two_classes).card
    new = songs_of_class(collection / "middle", "middle", None, card)
    with pytest.raises(ModelError, match=r"keeps no exemplars\.npz"):
        extend_model(module_model, new, tmp_path / "a")
    with pytest.raises(ModelError, match="knows the class 'LOW' already"):
        extend_model(two_classes, songs_of_class(collection / "low", "LOW", None, card), tmp_path / "b")
    with pytest.raises(UnknownName, match="did you mean 'genre'"):
        songs_of_class(collection / "low", "x", "genres", card)
    few = new.subset(range(3))
    with pytest.raises(DatasetError, match="3 songs of 'middle': at least 5 are needed"):
        extend_model(two_classes, few, tmp_path / "c")
    with pytest.raises(ModelError, match="takes audio, not spectrogram images"):
        extend_model(two_classes, replace(new, kind="images"), tmp_path / "d")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no audio files"):
        songs_of_class(tmp_path / "empty", "x", None, card)
    assert not [path for path in tmp_path.iterdir() if path.name != "empty"]


def test_a_label_of_many_is_added_and_old_ones_do_not_change(tmp_path, module_model):
    songs = write_collection(tmp_path / "songs", songs=14)
    rows = ["path\tartist\ttags"]
    for file in sorted(songs.rglob("*.wav")):
        tags = {"low": "dark", "middle": "dark;calm", "high": "calm"}[file.parts[-3]]
        rows.append(f"{file.relative_to(songs).as_posix()}\t{file.parts[-2]}\t{tags}")
    (songs / "tracks.tsv").write_text("\n".join(rows) + "\n")
    toml = 'table = "tracks.tsv"\ngroup = "artist"\n[heads.tags]\ntask = "multilabel"\nseparator = ";"\n'
    (songs / "dataset.toml").write_text(toml)
    old = _train(load_dataset(songs, training=True), tmp_path / "old", module_model)
    write_collection(tmp_path / "top", {"top": 5000.0}, songs=12, spread=1.05)
    new = songs_of_class(tmp_path / "top", "piercing", "tags", load_model(old).card)
    found = extend_model(old, new, tmp_path / "new", ExtendOptions(head="tags"))
    assert found.stored.new["piercing"].after > 0.75
    assert all(one.before == one.after for one in found.stored.classes.values())
    for pitch, named in ((90.0, False), (5000.0, True)):
        song = write_song(tmp_path / f"{pitch}.wav", pitch, 77, spread=1.05)
        first, second = (load_model(m).predict(song).heads["tags"] for m in (old, tmp_path / "new"))
        assert ("piercing" in second.labels) == named
        assert {label: second.scores[label] for label in first.scores} == first.scores


def test_heads_that_depend_on_one_that_gains_a_label(collection, tmp_path, module_model):
    """Its list of many gains the label too, and what is made of it or moved by it takes one more."""
    songs = tmp_path / "songs"
    shutil.copytree(collection, songs, ignore=shutil.ignore_patterns("middle"))
    rows = ["path\tartist\tgenre\tgenres"]
    rows += [
        f"{file.relative_to(songs).as_posix()}\t{file.parts[-2]}\t{file.parts[-3]}\t{file.parts[-3]}"
        for file in sorted(songs.rglob("*.wav"))
    ]
    (songs / "tracks.tsv").write_text("\n".join(rows) + "\n")
    toml = 'table = "tracks.tsv"\ngroup = "artist"\n[heads.genre]\ncolumn = "genre"\n[heads.genres]\n'
    (songs / "dataset.toml").write_text(toml + 'task = "multilabel"\n')
    old = _train(load_dataset(songs, training=True), tmp_path / "old", module_model)
    tagger = load_model(old)
    genre, genres = tagger.card.heads
    heads = (
        replace(genre, also=("kind",), parents={"low": "sound"}),
        replace(genres, includes="genre", prior="genre", prior_weight=0.5),
        HeadCard("height", "regression", derived="genre", members=()),
    )
    weights = tagger.heads | {
        "genres": replace(tagger.heads["genres"], prior=np.array([[0.9, 0.1], [0.1, 0.9]])),
        "height": HeadWeights(matrix=np.array([[1.0, 0.0]])),
    }
    write_heads(weights, old)
    write_card(replace(tagger.card, heads=heads, files={}), old)
    found = extend_model(old, songs_of_class(collection / "middle", "middle", "kind", read_card(old)), tmp_path / "new")
    assert found.added == ("middle",)
    wide = load_model(tmp_path / "new")
    assert [head.labels for head in wide.card.heads] == [("high", "low", "middle")] * 2 + [()]
    assert wide.heads["height"].matrix.tolist() == [[1.0, 0.0, 0.5]]
    assert np.allclose(wide.heads["genres"].prior, [[0.9, 0.1, 0.5], [0.1, 0.9, 0.5], [0.5, 0.5, 0.5]])
    sounds = [wide.predict(track.path).heads for track in load_dataset(collection).tracks]
    named = [(one["genre"].label, one["genres"].labels) for one in sounds if one["genre"].label in genre.labels]
    assert named and all(label in labels for label, labels in named)


def test_a_fall_beyond_chance_is_said(two_classes, collection, tmp_path):
    """Songs of an old class under a new name must take it away, and the report must say so."""
    write_collection(tmp_path / "again", {"bass": 90.0}, songs=40, seed=3)
    card = load_model(two_classes).card
    new = songs_of_class(tmp_path / "again", "bass", None, card)
    test = without_label(load_dataset(write_collection(tmp_path / "test", songs=20, seed=9)), "genre", "middle")
    found = extend_model(two_classes, new, tmp_path / "m", ExtendOptions(test=test))
    assert found.test is not None and found.test.changes["genre"][0] < -0.02
    assert found.degraded
    assert any(moved.before == "low" and moved.after == "bass" for moved in found.test.moved)


def test_songs_that_taught_another_label_are_named_and_a_class_that_got_worse(two_classes, collection, tmp_path):
    """Songs of the class ``low`` that the model was trained on come back as ``bass``."""
    card = load_model(two_classes).card
    again = songs_of_class(collection / "low", "bass", None, card)
    test = without_label(load_dataset(write_collection(tmp_path / "test", songs=20, seed=9)), "genre", "middle")
    found = extend_model(two_classes, again, tmp_path / "m", ExtendOptions(test=test))
    assert found.relabelled and {(one.before, one.after) for one in found.relabelled} <= {
        ("low", "bass"),
        (None, "bass"),
    }
    assert any(one.before == "low" for one in found.relabelled)
    assert any("under another label ('low')" in line and "the new label counts" in line for line in found.notices)
    assert found.test is not None
    (worse,) = found.test.worse
    assert worse.label == "low" and worse.after < worse.before and worse.p < 0.05 and worse.tracks == 20
    assert any(
        line.startswith("the old class 'low' got worse on --test, by more than chance") for line in found.notices
    )
    said = found.to_dict()
    assert said["relabelled"][0]["to"] == "bass" and said["test"]["worse"][0]["class"] == "low"


def test_a_new_class_that_nothing_sets_apart_is_called_unknown(two_classes, tmp_path):
    """Songs of all registers as one class: none that was set aside is recognised, and that is told."""
    rng = np.random.default_rng(2)
    for number in range(14):
        write_song(tmp_path / "any" / f"{number}.wav", float(rng.choice([90.0, 3000.0])), 500 + number)
    card = load_model(two_classes).card
    found = extend_model(two_classes, songs_of_class(tmp_path / "any", "any", None, card), tmp_path / "m")
    told = any("the new class 'any' is recognised in none of its" in line for line in found.notices)
    assert told == (found.stored.new["any"].after == 0)
    none = replace(found.stored, new={"any": OldClass(None, 0.0, 3), "void": OldClass(None, None, 0)})
    first, second = none.notices("the stored songs")
    assert "recognised in none of its 3 songs of the stored songs: give more songs" in first
    assert "'void' is not measured on the stored songs" in second


def test_extend_names_copies_under_two_labels_and_leaves_out_a_class_that_cannot_be_read(two_classes, tmp_path):
    root = write_collection(tmp_path / "more", {"middle": 700.0, "top": 6000.0}, seed=5)
    song = root / "middle" / "middle artist 0" / "middle-0.wav"
    shutil.copy(song, root / "top" / "top artist 0" / "zz.wav")
    for number in range(6):
        (root / "Polka").mkdir(exist_ok=True)
        (root / "Polka" / f"{number}.mp3").write_bytes(b"no music at all" * 50)
    found = extend_model(two_classes, load_dataset(root), tmp_path / "m")
    assert found.added == ("middle", "top") and "Polka" not in load_model(tmp_path / "m").card.heads[0].labels
    assert any("the tracks of 'Polka' (6) cannot be analysed: the label is left out" in line for line in found.notices)
    assert any("1 song has two labels" in line and "'middle'" in line and "'top'" in line for line in found.notices)


def test_estimator_in_cross_validation_by_artist(collection, module_model):
    from sklearn.base import clone
    from sklearn.model_selection import GroupKFold, cross_val_score

    import earmark

    dataset = load_dataset(collection)
    paths = [track.path for track in dataset.tracks]
    labels = [track.labels["genre"] for track in dataset.tracks]
    groups = [track.group for track in dataset.tracks]
    model = clone(earmark.GenreClassifier(str(module_model)).set_params(seed=1))
    assert model.get_params()["seed"] == 1
    scores = cross_val_score(model, paths, labels, groups=groups, cv=GroupKFold(3))
    assert scores.mean() > 0.9
    some = [i for i, label in enumerate(labels) if label != "middle"]
    model.fit([paths[i] for i in some], [labels[i] for i in some], [groups[i] for i in some])
    rest = [i for i, label in enumerate(labels) if label == "middle"]
    model.add_classes([paths[i] for i in rest], [labels[i] for i in rest])
    assert list(model.classes_) == sorted(PITCHES)
    assert model.score(paths, labels) > 0.9
    assert np.allclose(model.predict_proba(paths).sum(1), 1)


def test_a_saved_classifier_is_a_model_that_learns_on(collection, module_model, tmp_path):
    from sklearn.exceptions import NotFittedError

    import earmark

    dataset = load_dataset(collection)
    paths = [track.path for track in dataset.tracks if track.labels["genre"] != "middle"]
    labels = [track.labels["genre"] for track in dataset.tracks if track.labels["genre"] != "middle"]
    fresh = earmark.TrackClassifier(str(module_model))
    assert earmark.GenreClassifier is earmark.TrackClassifier
    for ask in (lambda: fresh.predict(paths), lambda: fresh.save(tmp_path / "m")):
        with pytest.raises(NotFittedError):
            ask()
    assert not (tmp_path / "m").exists()
    assert repr(fresh).startswith("TrackClassifier(") and len(repr(fresh)) < 200
    fitted = fresh.fit(paths, labels, [f"The Band {number // 4}" for number in range(len(paths))])
    folder = fitted.save(tmp_path / "m")
    artists = load_groups(folder / "split.tsv")
    assert len(load_split(folder / "split.tsv")) == len(paths) == len(artists)
    assert group_hash("band 0", load_model(folder).card.group_salt) in artists.values()
    again = earmark.TrackClassifier.load(folder)
    assert np.allclose(again.predict_proba(paths), fitted.predict_proba(paths), atol=1e-6)
    assert list(again.classes_) == list(fitted.classes_)
    said = load_model(folder).predict(paths[0]).heads["genre"]
    assert said.best == fitted.predict(paths[:1])[0]
    rest = [track.path for track in dataset.tracks if track.labels["genre"] == "middle"]
    again.add_classes(rest, ["middle"] * len(rest))
    assert list(again.classes_) == sorted(PITCHES)
    with pytest.raises(ModelError, match="was not saved by TrackClassifier"):
        earmark.TrackClassifier.load(module_model)
    (tmp_path / "music").mkdir()
    with pytest.raises(ModelError, match="no model folder"):
        fitted.save(tmp_path / "music")


def test_estimator_names_the_bad_file(module_model, tmp_path):
    import earmark

    good = write_song(tmp_path / "a.wav", 100, 0)
    (tmp_path / "bad.mp3").write_bytes(b"no music at all" * 50)
    with pytest.raises(AudioError, match=r"bad\.mp3"):
        earmark.GenreClassifier(str(module_model)).fit([good, tmp_path / "bad.mp3"], ["a", "b"])
    with pytest.raises(DatasetError, match="one class only"):
        earmark.GenreClassifier(str(module_model)).fit([good], ["a"])


def test_without_the_extra_the_message_names_the_command(monkeypatch):
    import sys

    import earmark
    from earmark.errors import MissingExtra

    monkeypatch.delitem(sys.modules, "earmark.training.estimator", raising=False)
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(MissingExtra, match=r"earmark\[train\]"):
        _ = earmark.GenreClassifier
