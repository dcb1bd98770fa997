"""The map: a place for every track, kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from earmark.library import layout
from earmark.library.layout import has_tsne, lay_out, plane
from earmark.library.records import direction
from earmark.library.vectors import Vectors
from made_library import made_library


def songs(points: np.ndarray) -> Vectors:
    return Vectors(np.arange(len(points)), points)


def shares(places: np.ndarray, groups: np.ndarray) -> float:
    """How many of the five nearest places hold the same group."""
    gaps = ((places[:, None] - places[None]) ** 2).sum(axis=2)
    near = np.argsort(gaps, axis=1)[:, 1:6]
    return float((groups[near] == groups[:, None]).mean())


def test_pca_against_numpy() -> None:
    points = np.random.default_rng(0).standard_normal((50, 8)).astype("f4") * np.arange(1, 9)
    ours = plane(songs(points), tsne=False)
    centered = points - points.mean(axis=0)
    _, _, axes = np.linalg.svd(centered, full_matrices=False)
    theirs = centered @ axes[:2].T
    for column in range(2):
        assert abs(np.corrcoef(ours[:, column], theirs[:, column])[0, 1]) > 0.999
    assert np.abs(ours).max() <= 1


@pytest.mark.parametrize("count", [0, 1, 2, 3, 20])
def test_few_tracks(count: int) -> None:
    places = plane(songs(direction(np.random.default_rng(0).standard_normal((count, 8)).astype("f4"))), tsne=False)
    assert places.shape == (count, 2) and np.isfinite(places).all()


@pytest.mark.skipif(not has_tsne(), reason="the extra 'map' is not installed")
def test_tsne_keeps_neighbours(caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    groups = np.arange(400) % 8
    points = direction((rng.standard_normal((8, 32))[groups] + 0.5 * rng.standard_normal((400, 32))).astype("f4"))
    assert shares(plane(songs(points), tsne=True), groups) > 0.95
    for count in (4, 5, 7):
        assert plane(songs(points[:count]), tsne=True).shape == (count, 2)
    assert not caplog.records, "few songs are no reason to warn"


@pytest.mark.parametrize("candidates", [1_000, 20])
def test_the_map_is_kept_and_new_songs_come_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, candidates: int
) -> None:
    """Among all others, and in a large library among those of their part."""
    monkeypatch.setattr(layout, "has_tsne", lambda: False)
    monkeypatch.setattr(layout, "_CANDIDATES", candidates)
    with made_library(tmp_path, 100) as (library, model):
        with library.change():
            library.db.execute("UPDATE tracks SET vanished = 1 WHERE id > 80")
        first = lay_out(library, model)
        assert (first.method, first.joined, len(first.audio)) == ("PCA", 0, 80)
        with library.change():
            library.db.execute("UPDATE tracks SET vanished = NULL")
        second = lay_out(library, model)
        assert second.joined == 20
        assert np.allclose(second.places[:80], first.places, atol=1e-4)
        groups = (second.audio - 1) % 5
        middles = np.stack([second.places[:80][groups[:80] == number].mean(axis=0) for number in range(5)])
        for place, group in zip(second.places[80:], groups[80:], strict=True):
            assert np.argmin(((middles - place) ** 2).sum(axis=1)) == group
        assert lay_out(library, model, rebuild=True).joined == 0
