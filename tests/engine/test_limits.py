"""What one item may cost: seconds of work, seconds of audio; and waveforms."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from earmark.engine import InlineEngine, Limited, Peaks, Result
from earmark.engine.base import Alive, Each
from earmark.inference.records import Failure
from sounds import sine, write


def _slow(seconds: float, alive: Alive) -> float:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)
        alive()
    return seconds


def test_an_item_has_so_many_seconds() -> None:
    """Each its own: what one took is not taken from the next."""
    short, long, again = InlineEngine().map(Limited(Each(_slow, lively=True), 0.5), [0.3, 30.0, 0.3])
    assert isinstance(short, Result) and short.value == 0.3
    assert isinstance(long, Failure) and long.kind == "timeout" and "0.5 s" in long.message
    assert isinstance(again, Result)


def test_peaks_follow_the_sound(tmp_path: Path) -> None:
    wave = sine(4.096, 8000) * np.repeat([0.25, 1.0, 0.5, 0.0], 8192)
    [found] = InlineEngine().map(Peaks(4), [str(write(tmp_path / "a.wav", wave, 8000))])
    assert isinstance(found, Result)
    assert found.value.seconds == pytest.approx(4.096)
    assert found.value.peaks == pytest.approx((0.25, 1, 0.5, 0), abs=0.01)


def test_a_track_that_is_too_long_is_refused(tmp_path: Path) -> None:
    [found] = InlineEngine().map(Peaks(4, longest=3), [str(write(tmp_path / "a.wav", sine(4, 8000), 8000))])
    assert isinstance(found, Failure) and found.kind == "timeout" and "3 s of audio" in found.message
