"""Which keys go together, what a step in tempo costs, and playlists that keep to both."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.analyses.facts import Key
from earmark.library.harmony import Harmony, goes_with, key_steps, step_costs


def place(camelot: str) -> int:
    found = Key("", camelot, 1.0).number
    assert found is not None
    return int(found)


@pytest.mark.parametrize(
    ("one", "other", "steps"),
    [
        ("8A", "8A", 0),
        ("8A", "8B", 1),
        ("8A", "9A", 1),
        ("8A", "7A", 1),
        ("12B", "1B", 1),  # the wheel closes
        ("8A", "9B", 2),
        ("1A", "11A", 2),
        ("2B", "8B", 6),
    ],
)
def test_keys_are_so_far_apart_on_the_wheel(one: str, other: str, steps: int) -> None:
    pair = np.asarray([place(one)]), np.asarray([place(other)])
    assert key_steps(*pair).tolist() == key_steps(*pair[::-1]).tolist() == [steps]
    assert goes_with(*pair).tolist() == [steps <= 1]


def test_every_key_has_four_that_go_with_it_and_an_unknown_one_none() -> None:
    keys = np.asarray([place(f"{hour}{mode}") for hour in range(1, 13) for mode in "AB"])
    assert sorted(keys.tolist()) == list(range(24))
    assert (goes_with(keys[:, None], keys[None, :]).sum(axis=0) == 4).all()
    assert not goes_with(np.asarray([-1, 3]), np.asarray([3, -1])).any()


def test_half_and_double_the_tempo_cost_nothing_and_what_is_unknown_neither() -> None:
    nan = float("nan")
    one = Harmony(np.asarray([120.0], np.float32), np.asarray([-1]))
    others = Harmony(np.asarray([120, 60, 240, 126, 132, 170, nan], np.float32), np.full(7, -1))
    same, half, double, near, far, jump, unknown = step_costs(one, others)[0].tolist()
    assert same == half == double == unknown == 0
    assert 0 < near < far < jump


def test_a_strict_step_prefers_any_key_that_goes_with_it() -> None:
    one = Harmony(np.asarray([120.0], np.float32), np.asarray([place("8A")]))
    others = Harmony(np.asarray([90.0, 120.0, 120.0], np.float32), np.asarray([place("9A"), place("2A"), -1]))
    good, clash, unknown = step_costs(one, others, strict=True)[0].tolist()
    assert good < 1 <= min(clash, unknown)
