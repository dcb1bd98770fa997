"""Clusters: found where there are some, named, the same every time, and kept when songs come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from earmark.errors import UnknownName
from earmark.library.cluster import cluster_named, cluster_names, cluster_tracks
from earmark.library.kmeans import assign, choose_count, kmeans, means
from earmark.library.store import open_library
from made_library import GENRES, MOODS, fill, made_library


def clouds(count: int, each: int, spread: float = 0.2, dimensions: int = 16) -> np.ndarray:
    rng = np.random.default_rng(1)
    centers = rng.standard_normal((count, dimensions))
    return (np.repeat(centers, each, axis=0) + spread * rng.standard_normal((count * each, dimensions))).astype("f4")


@pytest.mark.parametrize("count", [2, 3, 5, 9])
def test_finds_clouds_and_how_many(count: int) -> None:
    points = clouds(count, 40)
    assert choose_count(points) == count
    near, _ = assign(points, kmeans(points, count))
    truth = np.repeat(np.arange(count), 40)
    pairs = {(int(a), int(b)) for a, b in zip(near, truth, strict=True)}
    assert len(pairs) == count


def test_against_scikit_learn() -> None:
    """Not worse than the reference implementation on data without clear clusters."""
    cluster = pytest.importorskip("sklearn.cluster")
    points = np.random.default_rng(0).standard_normal((600, 12)).astype("f4")
    ours = assign(points, kmeans(points, 8))[1].sum()
    theirs = cluster.KMeans(8, n_init=4, random_state=0).fit(points).inertia_
    assert ours < 1.02 * theirs


@pytest.mark.parametrize("points", [np.zeros((5, 3), "f4"), np.ones((1, 3), "f4"), clouds(1, 2)])
def test_few_or_equal_points(points: np.ndarray) -> None:
    count = choose_count(points)
    centers = kmeans(points, min(3, len(points)))
    near, far = assign(points, centers)
    assert 1 <= count <= len(points) and len(near) == len(points) and np.isfinite(far).all()


def test_means() -> None:
    points = np.asarray([[1, 0], [3, 0], [5, 5]], np.float32)
    centers, sizes = means(points, np.asarray([0, 0, 2]), 3)
    assert centers.tolist() == [[2, 0], [0, 0], [5, 5]] and sizes.tolist() == [2, 0, 1]


def test_names_say_mood_and_kind() -> None:
    moods = frozenset({"calm", "dark"})
    tags = [["Piano", "calm", "Folk"], ["dark", "Metal"], ["calm", "Piano", "Jazz"], ["Rock", "Pop"], []]
    assert cluster_names(tags, moods) == ["calm piano", "dark metal", "calm piano jazz", "rock pop", "cluster 5"]


def test_a_library(tmp_path: Path) -> None:
    with made_library(tmp_path, 200) as (library, model):
        found = cluster_tracks(library, model)
        assert found.made and len(found.clusters) == 5
        assert sum(len(one.audio) for one in found.clusters) == 200
        for one in found.clusters:
            group = {(audio - 1) % 5 for audio in one.audio}
            assert len(group) == 1
            number = group.pop()
            assert one.name == f"{MOODS[number]} {GENRES[number]}".casefold()
            typical = one.typical(library)
            assert len(typical) == len(set(typical)) == 5
        named = cluster_named(library, model, found.clusters[0].name.upper())
        assert named.number == found.clusters[0].number
        with pytest.raises(UnknownName, match="did you mean"):
            cluster_named(library, model, found.clusters[0].name + "x")


def test_the_same_library_gives_the_same_clusters(tmp_path: Path) -> None:
    seen = []
    for name in ("a.db", "b.db"):
        with open_library(tmp_path / name, make=True) as library:
            model = fill(library, 300, groups=4)
            seen.append(cluster_tracks(library, model).clusters)
    assert seen[0] == seen[1]


def test_new_songs_join_and_the_old_stay(tmp_path: Path) -> None:
    with made_library(tmp_path, 100) as (library, model):
        with library.change():
            library.db.execute("UPDATE tracks SET vanished = 1 WHERE id > 80")
        before = {audio: one.name for one in cluster_tracks(library, model).clusters for audio in one.audio}
        assert len(before) == 80
        with library.change():
            library.db.execute("UPDATE tracks SET vanished = NULL")
        found = cluster_tracks(library, model)
        after = {audio: one.name for one in found.clusters for audio in one.audio}
        assert not found.made and found.joined == 20
        assert len(after) == 100 and before.items() <= after.items()
        assert cluster_tracks(library, model, rebuild=True).joined == 0
        assert len(cluster_tracks(library, model, 3).clusters) == 3, "another number makes them again"
        assert not cluster_tracks(library, model, 3).made


@pytest.mark.parametrize("size", [1, 2, 3, 20])
def test_small_libraries(tmp_path: Path, size: int) -> None:
    with made_library(tmp_path, size) as (library, model):
        found = cluster_tracks(library, model)
        assert sum(len(one.audio) for one in found.clusters) == size
        assert len({one.name for one in found.clusters}) == len(found.clusters)


def test_more_clusters_than_songs(tmp_path: Path) -> None:
    with made_library(tmp_path, 3) as (library, model):
        assert len(cluster_tracks(library, model, 50).clusters) == 3
