"""S1 from the command line as it was meant: genre and mood at once, its 15 nodes explained and recommended by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from commands import Earmark, in_process
from earmark.library.store import open_library
from earmark.library.vectors import read_vectors
from made_corpora import write_fma

TOML = """
reader = "fma"
split = "recipe"
[heads.mood]
column = "valence"
bins = [0.35, 0.65]
labels = ["sad", "neutral", "happy"]
"""


@pytest.fixture(scope="module")
def fma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up FMA of four genres, each another tone."""
    root, rng = write_fma(tmp_path_factory.mktemp("fma"), 64, 4), np.random.default_rng(0)
    for row, file in enumerate(sorted(root.rglob("*.mp3"))):
        tone = np.sin(np.arange(25600) * (0.05 + 0.2 * (row // 2 % 4) + 0.002 * (row % 7)))
        with file.open("wb") as stream:
            soundfile.write(stream, 0.3 * tone + rng.normal(0, 0.02, len(tone)), 8000, format="WAV")
    (root / "dataset.toml").write_text(TOML)
    return root


@pytest.fixture(scope="module")
def model(fma: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "s1"
    said = in_process(
        "train", fma, "-r", "multi-output", "--heads", "genre,mood", "--epochs", 1, "-o", folder,
        "--set", "training.clips_per_track=2",
    )  # fmt: skip
    assert said.code == 0, said.err
    return folder


def test_the_report_says_what_the_nodes_stand_for(earmark: Earmark, fma: Path, model: Path, tmp_path: Path) -> None:
    said = earmark("evaluate", model, fma, "--report", tmp_path / "page", "-f", "json")
    assert said.code == 0 and set(said.json["heads"]) == {"genre", "mood"}
    assert {layer: len(nodes) for layer, nodes in said.json["nodes"].items()} == {"genre": 15, "mood": 15}
    assert all({"node", "labels", "songs"} == set(node) for node in said.json["nodes"]["mood"])
    page = (tmp_path / "page" / "index.html").read_text("utf-8")
    assert "Nodes of s1@1" in page and "Layer mood" in page and "excited most by" in page
    assert "nodes" not in earmark("evaluate", model, fma, "-f", "json").json, (
        "another pass over the songs, if asked for"
    )


def test_songs_are_recommended_by_the_nodes(earmark: Earmark, fma: Path, model: Path, tmp_path: Path) -> None:
    """A library of a head's layer is as wide as the layer, and every verb reads it."""
    library = ("--library", tmp_path / "a.db")
    said = earmark("scan", fma / "fma_small", "-m", model, "--layer", "genre", *library)
    assert said.code == 0 and said.json["tracks"] == 64
    with open_library(tmp_path / "a.db") as opened:
        ((row, _),) = opened.models()
        assert row.dimensions == 15 and len(read_vectors(opened, row)) == 64
    song = fma / "fma_small" / "000" / "000001.mp3"
    said = earmark("similar", song, "-n", 7, *library)
    assert said.code == 0 and len(said.json["tracks"]) == 7, said.err
    near = [int(Path(one["path"]).stem) - 1 for one in said.json["tracks"]]
    assert sum(row // 2 % 4 == 0 for row in near) > 4, "most are of its own genre"
    clusters = earmark("cluster", "-k", 3, *library).json["clusters"]
    assert sum(one["size"] for one in clusters) == 64
    assert len(earmark("playlist", "--from", song, "--minutes", 1, *library).json["tracks"]) > 10
    assert earmark("map", "-o", tmp_path / "map.html", *library).json["tracks"] == 64
    assert earmark("scan", "-m", model, "--layer", "genre", *library).json["unchanged"] == 64
