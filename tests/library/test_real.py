"""The library on real music."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from commands import in_process
from earmark.library.store import open_library
from earmark.library.vectors import read_vectors


@pytest.mark.slow
def test_neighbours_share_what_people_say(shared: Path, tmp_path: Path) -> None:
    """Precision at 10, never the same artist: twice that of chance, for quadrants and for genres."""
    root = shared / "data" / "moods900"
    said = in_process("scan", root, "--library", tmp_path / "a.db", timeout=1800)
    assert said.code == 0 and said.json["tracks"] == 676
    with (root / "tracks.tsv").open(encoding="utf-8") as table:
        rows = {str((root / row["path"]).resolve()): row for row in csv.DictReader(table, delimiter="\t")}
    with open_library(tmp_path / "a.db") as library:
        vectors = read_vectors(library, library.model())
        files = library.tracks_of(vectors.audio.tolist())
        found = [rows[files[audio][0].path] for audio in vectors.audio.tolist()]
        tracks = [files[audio][0] for audio in vectors.audio.tolist()]
    assert all(track.title for track in tracks)
    assert sum(not track.artist for track in tracks) == 3, "three of the files name no artist"
    artists = np.asarray([row["artist"].casefold() for row in found])
    quadrants = np.asarray([row["quadrant"] for row in found])
    cosine = vectors.matrix @ vectors.matrix.T
    cosine[artists[:, None] == artists[None]] = -2
    near = np.argsort(-cosine, axis=1)[:, :10]
    same = float((quadrants[near] == quadrants[:, None]).mean())
    chance = float((quadrants[None] == quadrants[:, None]).mean())
    genres = [set(filter(None, row["genres"].split(";"))) for row in found]
    shared_genre = np.mean([[bool(genres[row] & genres[other]) for other in near[row]] for row in range(len(found))])
    print(f"precision at 10: quadrant {same:.3f} (chance {chance:.3f}), genre {shared_genre:.3f}")
    assert same > 2 * chance and shared_genre > 0.55
