"""Streaming: every clip of an epoch once, the same by the same seed, and memory that does not grow with the data."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np

from earmark.training.draws import streamed

_CHILD = """
import resource, sys
from pathlib import Path
import numpy as np
from earmark.datasets.cache import feature_store
from earmark.features.frontend import Frontend
from earmark.recipe import ClipPlan
from earmark.training.draws import Draws
from earmark.training.draws import Songs

class Facts:
    tracks = ()

folder, tracks = Path(sys.argv[1]), int(sys.argv[2])
frontend, plan = Frontend(), ClipPlan(seconds=1.0)
store = feature_store(frontend, plan, folder)
hashes = tuple(f"{row:08x}" for row in range(tracks))
for digest in hashes:
    if digest not in store:
        store.put(digest, np.full((5000, 96), 1.0, np.float16))
songs = Songs(Facts(), hashes, frontend, plan, frontend.frames(16000), store, keep=False)
draws = Draws(songs, np.arange(tracks), 40, 32, 0, streams=20)
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
clips = sum(len(rows) for rows, _ in draws.epoch(1))
assert clips == 40 * tracks
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base)
"""


def cutter(opened: list[int]):
    def open_track():
        opened.append(1)
        return lambda row, rng: np.full((2, 2), row + rng.random(), np.float32)

    return open_track


def test_an_epoch_holds_every_clip_and_comes_again_by_its_seed():
    wanted = {3: 2, 5: 1, 8: 4}
    opened: list[int] = []
    first = list(streamed(wanted, cutter(opened), 2, [7, 1]))
    assert Counter(row for row, _ in first) == Counter(wanted) and len(opened) == 3
    again = list(streamed(wanted, cutter([]), 2, [7, 1]))
    assert [row for row, _ in again] == [row for row, _ in first]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, again, strict=True))
    other = list(streamed(wanted, cutter([]), 2, [7, 2]))
    assert not all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, other, strict=True))


def test_no_more_tracks_are_open_than_active():
    """A stream that is over lets its track go before the next one is opened for its place."""
    alive, most = Counter(), [0]

    class Track:
        def __init__(self):
            alive["now"] += 1
            most[0] = max(most[0], alive["now"])

        def __call__(self, row, rng):
            return np.zeros((1, 1), np.float32)

        def __del__(self):
            alive["now"] -= 1

    list(streamed(dict.fromkeys(range(50), 3), Track, 5, [0]))
    assert most[0] <= 6


def test_memory_stays_flat_while_the_data_grows_tenfold(tmp_path):
    """20 and 200 tracks of nearly 1 MB each: the larger epoch reads 190 MB and may keep a tenth of that at most."""
    grown = []
    for tracks in (20, 200):
        order = [sys.executable, "-c", _CHILD, str(tmp_path), str(tracks)]
        done = subprocess.run(order, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        grown.append(int(done.stdout) / 1024)
    assert grown[1] <= grown[0] + 19, f"MB: {grown}"
