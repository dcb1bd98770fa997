"""The library on real music, and its page in a real browser."""

from __future__ import annotations

import csv
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from commands import in_process
from earmark.library.cluster import cluster_tracks
from earmark.library.layout import Layout
from earmark.library.store import open_library
from earmark.library.vectors import read_vectors
from earmark.pages.map import map_page
from made_library import made_library


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


@pytest.mark.slow
def test_a_map_of_100_000_redraws_within_50_ms(tmp_path: Path, chromium: str) -> None:
    """Median of 41 redraws in headless Chromium."""
    with made_library(tmp_path, 100_000, groups=20) as (library, model):
        cluster_tracks(library, model, 20)
        audio, _ = library.embeddings(model)
        places = np.random.default_rng(0).standard_normal((len(audio), 2)).clip(-3, 3) / 3
        page = map_page(library, model, Layout(audio, places.astype("f4"), "PCA", 0))
    measure = (
        "<script>addEventListener('load',()=>{const t=[];for(let i=0;i<41;i++)t.push(earmarkMap.redraw());"
        "document.title='MEDIAN '+t.sort((a,b)=>a-b)[20];})</script></body>"
    )
    file = tmp_path / "map.html"
    file.write_text(page.replace("</body>", measure), "utf-8")
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update"
        " --disable-sync --no-first-run --dump-dom"
    )
    command = [chromium, *flags.split(), f"--user-data-dir={tmp_path / 'user'}", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    median = re.search(r"<title>MEDIAN ([\d.]+)", done.stdout)
    assert median is not None and float(median[1]) <= 50
