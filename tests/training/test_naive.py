"""The score of a random split comes from clips of one song on both sides of a split, and the honest one never does."""

import numpy as np
import pytest
import soundfile

from earmark.audio.images import write_image
from earmark.datasets import load_dataset
from earmark.engine import InlineEngine
from earmark.events import Run
from earmark.features.frontend import Frontend
from earmark.inference.tagger import load_model
from earmark.models.card import HeadCard
from earmark.recipe import load_recipe
from earmark.training.naive import NaivePlan, _sparing, naive_figures, write_clips
from made import make_model

HEAD = HeadCard("genre", "multiclass", ("Jazz", "Rock"))


@pytest.fixture
def music(tmp_path):
    """Songs whose colour is their own and says nothing of their genre: only memory of the song helps."""
    root, rng = tmp_path / "sorted", np.random.default_rng(0)
    for song in range(16):
        folder = root / ("Jazz", "Rock")[song % 2] / f"artist {song}"
        folder.mkdir(parents=True)
        colour = rng.normal(0, 0.3, 12)
        soundfile.write(folder / "song.wav", np.convolve(rng.normal(0, 0.1, 16000 * 8), colour, "same"), 16000)
    return root


def test_clips_are_tracks_of_their_own_with_the_songs_labels(music, tmp_path):
    tagger = load_model(make_model(tmp_path / "model", (HEAD,)))
    (music / "Jazz" / "artist 0" / "broken.mp3").write_text("no music")
    clips = Run(write_clips(load_dataset(music), tagger, tmp_path / "clips", InlineEngine())).wait()
    assert len(clips.tracks) == 16 * 3 and not clips.has_split and clips.group_by == "track"
    assert len({track.group for track in clips.tracks}) == len(clips.tracks)
    assert soundfile.info(clips.tracks[0].path).duration == pytest.approx(2.0)
    assert [t.labels["genre"] for t in clips.tracks].count("Jazz") == 24


def test_pictures_are_cut_along_time(tmp_path):
    root = tmp_path / "pictures"
    for genre in ("Jazz", "Rock"):
        (root / genre).mkdir(parents=True)
        write_image(root / genre / "a.png", np.arange(90)[:, None] + np.zeros((90, 16)))
    (root / "tracks.tsv").write_text("path\tgenre\nJazz/a.png\tJazz\nRock/a.png\tRock\n")
    (root / "dataset.toml").write_text('table = "tracks.tsv"\n[heads.genre]\ncolumn = "genre"\n')
    frontend = Frontend(kind="image", sample_rate=1, hop_length=1, bands=16)
    tagger = load_model(make_model(tmp_path / "model", (HEAD,), frontend=frontend))
    clips = Run(write_clips(load_dataset(root), tagger, tmp_path / "clips", InlineEngine())).wait()
    assert len(clips.tracks) == 6


def test_the_same_recipe_is_trained_again_and_remembers_the_songs(music, tmp_path):
    tagger = load_model(make_model(tmp_path / "model", (HEAD,)))
    with InlineEngine() as engine:
        figures = Run(naive_figures(tagger, load_dataset(music), NaivePlan(("genre",)), engine)).wait()
    assert figures["genre"]["tracks"] >= 3
    assert {"accuracy", "accuracy_ci95", "confusion"} <= set(figures["genre"])


@pytest.mark.parametrize(
    ("drawn", "epochs", "pieces", "wanted"),
    [(1, 12, 3.0, (1, 4)), (4, 15, 4.0, (1, 15)), (10, 8, 10.0, (1, 8)), (9, 6, 3.0, (3, 6)), (1, 1, 3.0, (1, 1))],
)
def test_it_draws_as_many_clips_as_the_recipe(drawn, epochs, pieces, wanted):
    settings = [f"training.clips_per_track={drawn}", f"training.epochs={epochs}"]
    plan = _sparing(load_recipe("bbnn", settings), pieces).training
    assert (plan.clips_per_track, plan.epochs) == wanted
    assert _sparing(load_recipe("transfer"), pieces) == load_recipe("transfer")
