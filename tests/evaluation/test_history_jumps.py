"""Jumps that stand out of the noise are found with their cause; a smooth or a merely noisy curve has none."""

import numpy as np
import pytest

from earmark.evaluation.history import Epoch, find_jumps


def curve(epochs=40, noise=0.01, seed=0, jump=0.0, at=20, **strange):
    """A falling validation curve; ``strange`` sets figures of the epoch that jumps."""
    rng = np.random.default_rng(seed)
    rows = []
    for e in range(1, epochs + 1):
        figures = {
            "train_loss": 1.5 * 0.95**e + 0.1 + 0.3 * noise * rng.normal(),
            "valid_loss": 1.5 * 0.95**e + 0.3 + noise * rng.normal() + jump * (e == at),
            "learning_rate": 1e-3, "gradient_norm": 1.0, "gradient_norm_max": 2 + 0.2 * rng.random(),
            "worst_batch_loss": 1.0,
        }  # fmt: skip
        rows.append(Epoch(epoch=e, **(figures | (strange if e == at else {}))))
    return rows


def test_noise_alone_hardly_ever_jumps():
    assert sum(bool(find_jumps(curve(noise=0.05, seed=seed))) for seed in range(200)) <= 6
    assert find_jumps(curve(noise=0.0)) == ()


def test_a_step_that_was_too_large_is_named():
    (jump,) = find_jumps(
        curve(jump=0.5, gradient_norm_max=30.0, worst_batch_loss=9.0, moved=(("a.mp3", 2.0), ("b.mp3", -1.0)))
    )
    assert (jump.epoch, jump.epochs) == (20, 1)
    assert jump.rise == pytest.approx(0.5, abs=0.15)
    assert "one step was much larger than usual" in jump.says[0]
    assert any("largest gradient was 30" in line for line in jump.says)
    assert any("worst batch lost 9" in line for line in jump.says)
    assert jump.moved == (("a.mp3", 2.0),)


def test_a_raised_learning_rate_is_named():
    (jump,) = find_jumps(curve(jump=0.5, learning_rate=1e-2))
    assert "learning rate was raised" in jump.says[0]


def test_songs_that_changed_sides_are_named():
    (jump,) = find_jumps(curve(jump=0.4, train_loss=0.2, moved=(("hard.mp3", 8.0),)))
    assert "validation songs" in jump.says[0]
    assert any("hard.mp3 (+8.00)" in line for line in jump.says)


def test_a_jump_that_stays_is_one_jump_and_says_so():
    rows = [Epoch(epoch=e, valid_loss=(1.0 if e < 15 else 2.0) + 0.001 * (e % 3)) for e in range(1, 31)]
    (jump,) = find_jumps(rows)
    assert (jump.epoch, jump.epochs) == (15, 16)
    assert "nothing that would tell" in jump.says[0]


def test_few_or_unmeasured_epochs_have_no_jumps():
    assert find_jumps(curve(5, jump=9, at=3)) == ()
    assert find_jumps([Epoch(epoch=e) for e in range(30)]) == ()
    assert find_jumps([Epoch(epoch=e, valid_loss=float("inf")) for e in range(30)]) == ()
