"""Students scored on artists that they have not heard: parts by artist, answers only from the other parts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scripts.bundled import unheard
from scripts.bundled.cache import CacheDesign, Piece, StudentData, partner
from scripts.bundled.model import Workshop
from scripts.bundled.musical import WIDTHS
from scripts.bundled.probe import ProbeTask

from earmark.features.frontend import Frontend

PARTS = np.arange(60) % 3


def _task(artists: np.ndarray) -> ProbeTask:
    return ProbeTask("kind", "accuracy", np.arange(60), (np.arange(60) // 3) % 2, artists)


def test_an_artist_is_in_one_part_and_tracks_without_artists_in_none(shared: Path, tmp_path: Path):
    parts = unheard._parts(Workshop(shared, tmp_path, tmp_path))
    assert set(parts[: unheard.SONGS]) == set(range(unheard.PARTS))
    assert set(parts[unheard.SONGS :]) == {-1}
    assert np.bincount(parts[: unheard.SONGS]).min() > unheard.SONGS / 5


def test_a_part_is_answered_from_the_vectors_of_its_own_student_by_what_learnt_on_the_others():
    task = _task(np.arange(60))
    good = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    good[:, 0] = 10 * task.targets
    noise = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)
    found = unheard._answers([good, noise, good], PARTS, task, "logistic") == task.targets
    assert found[PARTS != 1].all()
    assert not found[PARTS == 1].all()


def test_labels_of_the_part_itself_are_not_learnt():
    task = ProbeTask("part", "accuracy", np.arange(60), PARTS, np.arange(60))
    vectors = np.eye(3, dtype=np.float32)[PARTS]
    assert not (unheard._answers([vectors] * 3, PARTS, task, "svm") == PARTS).any()


def test_copies_of_the_part_or_with_some_of_it_mixed_in_are_left_out(tmp_path: Path):
    pieces = tuple(Piece(str(tmp_path / f"{number}.wav"), 0.0, 1.0) for number in range(60))
    design, count = CacheDesign(pieces, {}, Frontend()), 120
    empty, ones = np.zeros((count, 1), np.float16), np.ones(count, np.int64)
    data = StudentData(empty, empty, empty, ones, ones, np.tile(np.arange(60), 2), np.repeat([0, 1], 60))
    kept = unheard._without(design, PARTS == 0, data)
    np.testing.assert_array_equal(kept[:60], PARTS != 0)
    mixed = [partner(design, index, 1)[0] for index in range(60)]
    expected = [PARTS[i] != 0 and (other is None or PARTS[other] != 0) for i, other in enumerate(mixed)]
    np.testing.assert_array_equal(kept[60:], expected)
    assert kept[60:].sum() < 40


def _sounds(count: int, columns: int) -> StudentData:
    rng, seconds = np.random.default_rng(0), np.full(count, 6)
    spectrograms = rng.normal(-30, 10, (count * 300, 96)).astype(np.float16)
    series = rng.normal(size=(count * 6, columns)).astype(np.float16)
    tags, zeros = np.zeros((count, 0), np.float16), np.zeros(count, np.int64)
    return StudentData(spectrograms, series, tags, seconds * 50, seconds, np.arange(count), zeros)


def test_musical_targets_weigh_as_said_behind_the_teachers():
    known = _sounds(80, 300 + sum(WIDTHS.values()))
    targets = unheard._targets(known, [300], 0.5)(known.series)
    assert targets.shape == (480, 256 + 24)
    windows = targets.reshape(80, 6, -1)[:, :5].mean(1)
    np.testing.assert_allclose(windows[:, 256:].var(0).sum(), 0.5, rtol=0.1)
    np.testing.assert_array_equal(targets[:, :256], unheard._targets(known, [300], 0.0)(known.series[:, :300]))


def test_a_student_loses_its_further_outputs_and_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data = _sounds(3, 1)
    targets = np.random.default_rng(0).normal(size=(18, 280)).astype(np.float32)
    monkeypatch.setattr(unheard, "_material", lambda *_: unheard.Material(data, data, targets, targets))
    stages = {"stages": ((4, 1, 2), (4, 1, 2), (4, 1, 2))}
    design = replace(unheard.BASE, options=stages, steps=2, batch_size=2, seconds=1.0, more=0.0)
    shop = Workshop(tmp_path, tmp_path, tmp_path)
    first = unheard._student(shop, 0, unheard.Candidate(design, musical=0.5))
    clips = torch.randn(2, 100, 96)
    assert first.eval()(clips).shape == (2, 256)
    monkeypatch.setattr(unheard, "train_student", None)
    again = unheard._student(shop, 0, unheard.Candidate(design, musical=0.5))
    torch.testing.assert_close(again(clips), first(clips))


def test_differences_are_paired_by_artist():
    task = _task(np.arange(60) // 2)
    rng = np.random.default_rng(0)
    vectors = [rng.normal(size=(60, 4)).astype(np.float32)] * 3
    outcome = unheard._outcome([task], vectors, [v[:, :2] for v in vectors], PARTS)
    assert outcome.r2() == pytest.approx(1.0, abs=0.1), "targets that are among the vectors"
    cells = unheard._cells(outcome, outcome, task.groups)
    assert cells[2] == cells[-1] == "+0.0000 ± 0.0000"


def test_probabilities_make_the_log_loss():
    task = _task(np.arange(60))
    known = np.repeat(task.targets[:, None], 2, 1).astype(np.float32)
    noise = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    good, bad = (unheard._outcome([task], [v] * 3, [noise] * 3, PARTS).log_loss for v in (known, noise))
    assert good < 0.3 < bad
