"""Protects: random clips of longer songs, the same for the same seed and epoch, and never from beyond the song."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lessons
from earmark.datasets import load_dataset
from earmark.datasets.cache import content_hash
from earmark.datasets.core import Dataset
from earmark.engine import InlineEngine
from earmark.events import Run
from earmark.features.spectrogram import open_input, views
from earmark.training.draws import Draws, Songs, open_songs


def _open(data: Dataset) -> Songs:
    hashes = [content_hash(track.path) for track in data.tracks]
    return Run(open_songs(data, hashes, lessons.recipe(), InlineEngine())).wait()


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Songs:
    root = lessons.make_songs(tmp_path_factory.mktemp("long") / "songs", tracks=3, seconds=4.0)
    data, patch = load_dataset(root), pytest.MonkeyPatch()
    patch.setenv("EARMARK_CACHE", str(tmp_path_factory.mktemp("cache")))
    opened = _open(data)
    patch.undo()
    return opened


def batches(songs: Songs, epoch: int, seed: int = 0, per_track: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(Draws(songs, np.arange(6), per_track, 5, seed).epoch(epoch))


def test_an_epoch_is_a_function_of_seed_and_epoch(songs: Songs) -> None:
    first, again = batches(songs, 2), batches(songs, 2)
    assert all((a[0] == b[0]).all() and (a[1] == b[1]).all() for a, b in zip(first, again, strict=True))
    other = batches(songs, 3)
    assert any((a[1] != b[1]).any() for a, b in zip(first, other, strict=True))
    assert any((a[1] != b[1]).any() for a, b in zip(first, batches(songs, 2, seed=1), strict=True))


def test_every_track_gives_its_clips_and_they_differ(songs: Songs) -> None:
    rows = np.concatenate([rows for rows, _ in batches(songs, 1)])
    clips = np.concatenate([clips for _, clips in batches(songs, 1)])
    assert np.bincount(rows).tolist() == [3] * 6
    ours = clips[rows == 0]
    assert not np.allclose(ours[0], ours[1]) and clips.shape[1:] == (songs.frames, 24)
    assert {len(rows) for rows, _ in batches(songs, 1)} <= {4, 5}


def test_clips_are_what_inference_hears(songs: Songs) -> None:
    """Of a short song to the rounding of the cache; of a long one but for half a frame's place and its ends."""
    path = songs.dataset.tracks[0].path
    (heard,) = songs.from_files([0], InlineEngine())
    assert heard.shape == songs.spread(0).shape
    with open_input(path, songs.frontend) as opened:
        clips = [clip.data for clip in views(opened, songs.frontend, songs.plan)]
    assert np.array_equal(heard, np.stack(clips))
    inner = slice(2, -2)
    assert np.abs(heard[:, inner].mean((0, 1)) - songs.spread(0)[:, inner].mean((0, 1))).max() < 1.0


def test_short_songs_are_heard_exactly(tmp_path: Path) -> None:
    root = lessons.make_songs(tmp_path / "short", tracks=1, seconds=0.7)
    data = load_dataset(root)
    opened = _open(data)
    assert np.abs(next(opened.from_files([0], InlineEngine())) - opened.spread(0)).max() < 0.07
    assert opened.places(0) == 1
