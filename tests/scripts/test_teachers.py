"""Teachers: the published files load, say something sensible, and a wrong file is refused in one line."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scripts.bundled.teachers import KINDS, load_teacher, on_grid

from earmark.errors import ModelError, UnknownName
from sounds import melody

FILES = {
    "won-fcn": "won2020/msd-fcn.pth",
    "won-crnn": "won2020/msd-crnn.pth",
    "won-musicnn": "won2020/mtat-musicnn.pth",
    "efficientat-mn04": "efficientat-mn04/mn04_as_mAP_432.pt",
    "yamnet": "yamnet/yamnet-float.tflite",
}


def test_a_series_is_averaged_over_whole_seconds_by_overlap():
    grid = on_grid(np.array([[0.0], [1.0], [2.0]]), 1.5, 4.0)
    np.testing.assert_allclose(grid[:, 0], [0.0, 0.5, 1.0, 2.0])


def test_sound_longer_than_the_series_repeats_its_last_step_and_short_sound_has_one_row():
    np.testing.assert_allclose(on_grid(np.array([[3.0]]), 1.0, 3.0)[:, 0], [3.0, 3.0, 3.0])
    assert on_grid(np.array([[3.0]]), 5.12, 0.2).shape == (1, 1)


@pytest.mark.parametrize("kind", FILES)
def test_every_published_teacher_hears(shared: Path, kind: str):
    teacher = load_teacher(kind, shared / "weights" / FILES[kind])
    series, tags = teacher.analyse(melody(6.4, teacher.sample_rate))
    assert series.shape == (6, teacher.features)
    assert np.isfinite(series).all()
    assert series.std() > 1e-3
    assert tags.shape == (teacher.tags,)
    assert len(teacher.labels) in (0, teacher.tags)
    assert teacher.analyse(melody(0.3, teacher.sample_rate))[0].shape == (1, teacher.features)


def test_half_precision_says_the_same_within_two_per_cent(shared: Path):
    sound = melody(6.0, 16000)
    exact = load_teacher("won-fcn", shared / "weights" / FILES["won-fcn"]).analyse(sound)[0]
    half = load_teacher("won-fcn", shared / "weights" / FILES["won-fcn"], mixed_precision=True).analyse(sound)[0]
    assert np.linalg.norm(exact - half) < 0.02 * np.linalg.norm(exact)


def test_an_earmark_model_teaches_too(tiny_model: Path):
    teacher = load_teacher("earmark", tiny_model)
    series, _ = teacher.analyse(melody(5.0, teacher.sample_rate))
    assert series.shape == (5, teacher.features)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "earmark"])
def test_missing_damaged_and_foreign_files_are_refused_by_name(tmp_path: Path, kind: str):
    damaged, foreign = tmp_path / "damaged.pth", tmp_path / "foreign.pth"
    damaged.write_bytes(b"no weights at all")
    torch.save({"layer.weight": torch.zeros(3)}, foreign)
    for file in (tmp_path / "missing.pth", damaged, foreign):
        with pytest.raises(ModelError, match=file.name) as refusal:
            load_teacher(kind, file)
        assert "\n" not in str(refusal.value)


def test_another_teachers_file_is_refused(shared: Path):
    with pytest.raises(ModelError, match="another network"):
        load_teacher("won-crnn", shared / "weights" / FILES["won-fcn"])


def test_an_unknown_kind_names_the_nearest(tmp_path: Path):
    with pytest.raises(UnknownName, match="won-fcn"):
        load_teacher("won-fnc", tmp_path)
