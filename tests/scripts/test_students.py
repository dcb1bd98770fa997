"""Distillation: targets, crops, resuming, and the way from sounds to a model folder."""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from scripts.bundled import students as distill
from scripts.bundled.cache import MORE, StudentData, columns, joined
from scripts.bundled.students import Resume, StudentDesign

from earmark.events import Run
from earmark.training.backbones import Backbone, build

TINY = StudentDesign(
    backbone="patch-residual", options={"stages": ((4, 1, 2), (4, 1, 2), (4, 1, 2))},
    components=4, seconds=1.0, batch_size=4, steps=6,
)  # fmt: skip


def _train(*arguments: object) -> Backbone:
    return Run(distill.train_student(*arguments)).wait()


def _data(pieces: int = 5, seconds: int = 8, features: int = 12) -> StudentData:
    rng = np.random.default_rng(0)
    series = rng.normal(size=(pieces, 1, features)) + 0.3 * rng.normal(size=(pieces, seconds, features))
    return StudentData(
        rng.normal(-20, 10, (pieces * seconds * 50, 96)).astype(np.float16),
        series.reshape(-1, features).astype(np.float16),
        np.zeros((pieces, 0), np.float16),
        np.full(pieces, seconds * 50), np.full(pieces, seconds), np.arange(pieces), np.zeros(pieces, np.int64),
    )  # fmt: skip


def test_every_teacher_weighs_the_same_in_the_targets():
    data = _data(200)
    reduction = distill.reduce_teachers(data, [4, 8], components=7, alpha=0.25)
    targets = reduction(data.series)
    windows = targets.reshape(200, 8, 7)[:, :5].mean(1)
    assert targets.shape == (1600, 7), "four components of the first teacher, three of the second"
    np.testing.assert_allclose([windows[:, :4].var(0).sum(), windows[:, 4:].var(0).sum()], 1.0, rtol=0.1)


def test_a_batch_depends_on_seed_and_step_alone():
    data = _data()
    targets = distill.reduce_teachers(data, [12], 4)(data.series)
    crops = [distill._Crops(data, targets, dataclasses.replace(TINY, seed=s), 50.0) for s in (0, 0, 1)]
    first, again, other = (c.batch(3) for c in crops)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == (4, 50, 96)
    assert first[1].shape == (4, 4)


def test_a_mixed_crop_holds_both_sounds_and_its_target_lies_between():
    crops = np.full((2, 50, 96), -80.0, np.float32)
    crops[0, :, :48], crops[1, :, 48:] = -20.0, -40.0
    mixed, targets = distill._mixed(crops, np.float32([[1, 0], [0, 1]]), 1.0, np.random.default_rng(0))
    np.testing.assert_allclose(mixed[0, :, :48], -20.0, atol=0.1)
    assert (mixed[0, :, 48:] > -45.1).all(), "the other sound at its level, or 15 dB below"
    np.testing.assert_allclose(targets.sum(1), 1.0, rtol=1e-6)
    assert 0.5 <= targets[0, 0] < 0.9 and 0.5 <= targets[1, 1] < 0.9
    assert (crops[0, :, 48:] == -80.0).all(), "the crops themselves stay as they were"


def test_silent_seconds_do_not_count_in_a_target():
    data = _data(1)
    data.spectrograms[:200] = -90.0
    targets = data.series[:, :4].astype(np.float32)
    crops = distill._Crops(data, targets, dataclasses.replace(TINY, seconds=8.0, tempo=0.0), 50.0)
    np.testing.assert_allclose(crops.batch(0)[1].numpy(), np.tile(targets[4:].mean(0), (4, 1)), atol=1e-3)


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path: Path):
    data = _data()
    targets = distill.reduce_teachers(data, [12], 4)(data.series)
    whole = _train(data, targets, TINY, 50.0)
    _train(data, targets, TINY, 50.0, Resume(tmp_path / "half.ckpt", until=3))
    rest = _train(data, targets, TINY, 50.0, Resume(tmp_path / "half.ckpt"))
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(value, rest.state_dict()[name], msg=name)


def test_a_second_training_begins_where_the_first_ended():
    data = _data(200)
    targets = distill.reduce_teachers(data, [12], 4)(data.series)
    trained = _train(data, targets, dataclasses.replace(TINY, steps=1), 50.0)
    again = _train(
        data, targets, dataclasses.replace(TINY, steps=1, learning_rate=0.0), 50.0, None, distill.Before(trained)
    )
    for name, value in trained.named_parameters():
        if not name.startswith("linear"):
            torch.testing.assert_close(value, again.state_dict()[name], msg=name)
    crops = distill._Crops(data, targets, TINY, 50.0)
    spectrograms, expected = (torch.cat(parts) for parts in zip(*map(crops.batch, range(90, 130)), strict=True))
    with torch.inference_mode():
        error, before = ((network(spectrograms) - expected).square().mean() for network in (again, trained))
    assert error < before, "the last layer is fitted to the new targets"


def test_further_sounds_are_drawn_as_often_as_asked():
    data = _data(6)
    more = joined(data, _data(2))
    assert more.copy.tolist() == [0] * 6 + [MORE] * 2
    assert more.piece.tolist() == list(range(8))
    design = dataclasses.replace(TINY, more=0.25)
    chance = distill._Crops(more, more.series[:, :4].astype(np.float32), design, 50.0).chance
    np.testing.assert_allclose(chance[5], 0.75)


def test_a_student_may_learn_from_some_of_the_teachers():
    data = _data(2)
    kept = columns(data, {"a": 4, "b": 8}, ["b"])
    np.testing.assert_array_equal(kept.series, data.series[:, 4:])


def test_a_rotated_embedding_keeps_its_distances():
    network = build("patch-residual", 100, 96, TINY.options | {"features": 8}).eval()
    clips = torch.randn(3, 100, 96) * 10 - 20
    with torch.inference_mode():
        before = network(clips)
        distill.rotate(network, 0)
        after = network(clips)
    torch.testing.assert_close(torch.cdist(before, before), torch.cdist(after, after), atol=1e-4, rtol=1e-3)
    assert not torch.allclose(before, after, atol=1e-3)


def test_a_wider_and_deeper_network_begins_with_the_function_of_the_narrow_one():
    narrow = build("patch-residual", 100, 96, TINY.options | {"features": 8})
    for value in narrow.state_dict().values():
        if value.dtype.is_floating_point:
            value.add_(0.1 * torch.rand_like(value))
    stages = {"stages": ((6, 1, 2), (8, 2, 2), (5, 1, 2))}
    wide = build("patch-residual", 100, 96, stages | {"features": 8})
    distill.grow(wide, narrow)
    clips = torch.randn(3, 100, 96) * 10 - 20
    with torch.inference_mode():
        torch.testing.assert_close(wide.eval()(clips), narrow.eval()(clips))
    wide.train()(clips).sum().backward()
    assert wide.blocks[3].first.weight.grad[:4, 4:].abs().sum() > 0, "the new channels can be learnt"


def test_other_students_answers_are_half_of_the_target():
    class Constant(torch.nn.Module):
        def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
            return torch.full((len(spectrograms), 4), 5.0)

    data = _data()
    targets = distill.reduce_teachers(data, [12], 4)(data.series)
    design = dataclasses.replace(TINY, steps=60, learning_rate=0.02, average=0.5)
    alone = _train(data, targets, design, 50.0)
    taught = _train(data, targets, design, 50.0, None, distill.Before(others=[Constant(), Constant()]))
    crops, truth = distill._Crops(data, targets, design, 50.0).batch(0)
    with torch.inference_mode():
        low, high = float(alone(crops).mean() - truth.mean()), float(taught(crops).mean() - truth.mean())
    assert abs(low) < 0.5 and 1.5 < high < 3.5, "half of the way to the others' 5"
