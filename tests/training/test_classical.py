"""The SVM on hand-made statistics: the first row of every table must be a fair opponent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import lessons
from earmark.datasets import load_dataset
from earmark.datasets.splits import split
from earmark.engine import InlineEngine
from earmark.errors import DatasetError
from earmark.evaluation.scores import score_head
from earmark.events import Run
from earmark.recipe import SplitPlan
from earmark.training.classical import Baseline, _main, baseline


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lessons.make_songs(tmp_path_factory.mktemp("data") / "songs")


def figures(*arguments) -> Baseline:
    return Run(baseline(*arguments, InlineEngine())).wait()


def test_it_tells_made_genres_apart_and_prints_figures(songs: Path):
    found = _main([str(songs), "--heads", "genre"])
    assert found["accuracy"] > 0.8 and found["train_accuracy"] > 0.8 and found["tracks"] and found["c"]


def test_test_tracks_are_not_learnt_from(songs: Path):
    dataset = load_dataset(songs, training=True)
    parts = split(dataset, SplitPlan(0.5, 0.2, 0.3), 0)
    found = figures(dataset, "genre", parts)
    assert not set(found.train.tracks) & set(found.test.tracks)
    assert len(found.test.tracks) == len(parts.test) and len(found.train.tracks) == len(parts.train) + len(parts.valid)


def test_several_labels_and_numbers(tmp_path: Path):
    """Loud is a label, bright another; the third head is the level itself."""
    random = np.random.default_rng(0)
    lines = ["path\ttags\tlevel\tsplit"]
    for i in range(60):
        loud, bright = bool(i % 2), bool(i % 3 == 0)
        sound = random.standard_normal(22050) * (0.3 if loud else 0.01)
        sound = np.diff(sound, append=0) if bright else np.cumsum(sound) / 40
        soundfile.write(tmp_path / f"{i}.wav", np.clip(sound, -1, 1), 22050)
        tags = ";".join([*(["loud"] if loud else []), *(["bright"] if bright else []), "music"])
        lines.append(f"{i}.wav\t{tags}\t{1.0 if loud else 0.0}\t{('train', 'valid', 'test')[i // 24 if i < 48 else 2]}")
    (tmp_path / "tracks.tsv").write_text("\n".join(lines) + "\n")
    (tmp_path / "dataset.toml").write_text(
        'table = "tracks.tsv"\nsplit = "split"\n[heads.tags]\ncolumn = "tags"\ntask = "multilabel"\nseparator = ";"\n'
        '[heads.level]\ncolumn = "level"\ntask = "regression"\n'
    )
    dataset = load_dataset(tmp_path, training=True)
    parts = split(dataset, SplitPlan(), 0)
    tags = score_head(figures(dataset, "tags", parts).test, resamples=0)
    level = score_head(figures(dataset, "level", parts).test, resamples=0)
    assert tags["roc_auc_macro"] > 0.95 and level["r2"] > 0.5


def test_a_single_label_is_said(songs: Path):
    dataset = load_dataset(songs, training=True)
    parts = split(dataset, SplitPlan(), 0)
    one = dataset.targets("genre")
    same = np.array([row for row in parts.train if one[row] == 0], np.intp)
    with pytest.raises(DatasetError, match="single label"):
        figures(dataset, "genre", parts.__class__(same, same[:0], parts.test, parts.group_by))
