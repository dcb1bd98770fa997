"""Embeddings beside each other: clips of cached spectrograms, teachers' means, what vectors explain of targets."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scripts.bundled import anchors, embedding
from scripts.bundled.cache import StudentData
from scripts.bundled.model import LEGS, MUSIC, TEACHERS, Workshop, music_design
from scripts.bundled.probe import ProbeTask
from torch import nn

from earmark.datasets import load_dataset
from earmark.errors import DatasetError
from earmark.events import Run
from earmark.inference.tagger import load_model


class _Levels(nn.Module):
    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return seen.mean((1, 2))[:, None]


def _data() -> StudentData:
    rng = np.random.default_rng(0)
    frames, seconds = np.array([400, 60]), np.array([8, 1])
    spectrograms = np.concatenate([np.full((400, 96), -20), np.full((60, 96), -40)]).astype(np.float16)
    series = rng.normal(size=(9, 5)).astype(np.float16)
    return StudentData(
        spectrograms, series, np.zeros((2, 0), np.float16), frames, seconds, np.arange(2), np.zeros(2, np.int64)
    )


def test_clips_are_cut_from_their_own_sound_and_short_ones_repeat():
    first, second = embedding.clip_vectors(_Levels(), _data(), 4)
    np.testing.assert_allclose(first, np.full((4, 1), -20.0), atol=1e-3)
    np.testing.assert_allclose(second, np.full((4, 1), -40.0), atol=1e-3)


def test_each_teacher_is_the_mean_of_its_own_columns():
    data = _data()
    found = embedding.teacher_vectors(data, {"a": 2, "b": 3})
    np.testing.assert_allclose(found["b"][0], data.series[:8, 2:].astype(np.float32).mean(0), atol=1e-3)
    np.testing.assert_allclose(found["a"][1], data.series[8, :2], atol=1e-3)


def test_vectors_that_hold_the_targets_explain_them_and_noise_does_not():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(400, 6)).astype(np.float32)
    targets = vectors @ rng.normal(size=(6, 3)).astype(np.float32)
    known, unknown = (vectors[:300], targets[:300]), (vectors[300:], targets[300:])
    assert embedding.explained(known, unknown) > 0.95
    noise = rng.normal(size=(400, 6)).astype(np.float32)
    assert embedding.explained((noise[:300], targets[:300]), (noise[300:], targets[300:])) < 0.1


def test_the_table_of_free_music_names_commit_licence_and_two_unheard_sources():
    rows = [line.split("\t") for line in MUSIC.read_text("utf-8").splitlines()[1:]]
    assert all(re.fullmatch(r"[0-9a-f]{40}", row[1]) and row[3] and row[4] for row in rows)
    assert len({row[0] for row in rows if row[2] == "unheard"}) == 2
    first = [row[0] for row in rows if row[2] == "train"]
    assert max(first.count(name) for name in first) <= 12, "no source rules"
    assert len(set(first)) == 6
    learnt = [row[0] for row in rows if row[2] != "unheard" for _ in range(int(row[6]))]
    assert max(learnt.count(name) for name in learnt) <= 72, "no source rules"
    assert not {row[0] for row in rows if row[2] == "unheard"} & set(learnt)
    assert len(set(learnt)) == 17
    named = f"{len(set(learnt))} public repositories ({len(learnt)} half minutes"
    assert any(named in line for line in load_model().card.data), "the card says how many"


def test_a_missing_track_of_the_free_music_is_named(shared: Path, tmp_path: Path):
    shop = Workshop(shared, tmp_path, tmp_path, music=tmp_path)
    with pytest.raises(DatasetError, match=r"no such file; .*music\.tsv names the repository and commit"):
        music_design(shop, "train")
    assert not music_design(replace(shop, music=None), "train").pieces


def test_the_first_part_of_the_training_learns_from_four_teachers_as_before():
    first, *later = LEGS
    assert first.teachers == ("efficientat-mn04", "won-crnn", "won-fcn", "yamnet")
    assert set(first.teachers) < set(TEACHERS)
    assert all(0 < leg.more <= 0.3 and not leg.teachers for leg in later), "all teachers; the corpora's share"


def test_tasks_of_one_corpus_are_resampled_together():
    """Of one task asked twice the mean is as unsure as of that task alone, not less so."""
    rng = np.random.default_rng(0)
    targets, groups = rng.integers(0, 2, 80), np.array([f"artist {row // 2}" for row in range(80)])
    task = ProbeTask("one", "accuracy", np.arange(80), targets, groups)
    first, second = (embedding.Answers(task, [[rng.integers(0, 2, 80)]]) for _ in range(2))
    mean, error = embedding.difference([first], [second])
    assert mean == second.mean(np.arange(80)) - first.mean(np.arange(80))
    assert error > 0
    assert embedding.difference([first, first], [second, second]) == (mean, error)


def test_anchors_are_asked_at_places_of_the_whole_track_and_go_on_where_they_stopped(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sound = np.arange(100, dtype=np.float32)
    assert anchors.places(sound, 10, 3).tolist() == [*range(10), *range(45, 55), *range(90, 100)]
    assert len(anchors.places(sound, 40, 3)) == 100
    asked = []

    def teacher(kind: str, file: Path, mixed_precision: bool) -> SimpleNamespace:
        return SimpleNamespace(
            sample_rate=16000, analyse=lambda sound: (asked.append(len(sound)), np.ones((9, 256)))[::-1]
        )

    monkeypatch.setattr(anchors, "load_teacher", teacher)
    songs = [track.path for track in load_dataset(shared / "data" / "moods900").tracks[:2]]
    found = [Run(anchors.anchor_vectors(songs, shared / "weights", tmp_path, ["msd-vgg"])).wait() for _ in range(2)]
    assert asked == [3 * 187 * 256] * 2
    assert all((one["msd-vgg"] == 1).all() and one["msd-vgg"].shape == (2, 256) for one in found)
