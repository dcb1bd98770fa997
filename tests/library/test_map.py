"""What the map shows of a library: one song of each audio, and labels as they are given, guessed or corrected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from earmark.app.map import MapRequest, draw_map
from earmark.events import Notice
from earmark.library import layout as layout_module
from earmark.library.cluster import cluster_tracks
from earmark.library.layout import MapData, MapView, lay_out, map_data
from made_library import GENRES, made_library


def shown(view: MapView) -> list[str | None]:
    return [view.names[k] if k >= 0 else None for k in view.index]


def number_of(data: MapData) -> list[int]:
    return [int(Path(song.path).stem) for song in data.songs]


def test_views_are_what_the_model_says(tmp_path: Path) -> None:
    with made_library(tmp_path, 60) as (library, model):
        without = map_data(library, model, lay_out(library, model))
        clusters = cluster_tracks(library, model).clusters
        data = map_data(library, model, lay_out(library, model))
        values = {track.audio: found.heads["energy"].value for track, found in library.predictions(model)}
    assert [view.name for view in without.views] == ["Genre", "Mood", "Energy"]
    assert [view.name for view in data.views] == ["Genre", "Mood", "Cluster", "Energy"]
    genre, _, cluster, energy = data.views
    numbers = number_of(data)
    assert sorted(numbers) == list(range(1, 61)) and numbers != sorted(numbers), "in an order of no meaning"
    assert shown(genre) == [GENRES[(number - 1) % 5] for number in numbers] and genre.sure.all()
    named = {audio: one.name for one in clusters for audio in one.audio}
    assert shown(cluster) == [named[number] for number in numbers]
    assert energy.ordered and energy.index.tolist() == [int(values[number] * 5) for number in numbers]
    assert data.songs[0].artist and data.songs[0].title and data.songs[0].seconds > 100


def test_guesses_corrections_and_silence(tmp_path: Path) -> None:
    """Song 1 is unsure, 2 is corrected, 3 is silent, 4 is gone."""
    with made_library(tmp_path, 20) as (library, model):
        layout = lay_out(library, model)
        scores = np.zeros(11, "<u2")
        with library.change():
            library.rows("UPDATE results SET scores = ? WHERE audio = 3", (scores.tobytes(),))
            scores[2] = 3_000
            library.rows("UPDATE results SET scores = ? WHERE audio = 1", (scores.tobytes(),))
            library.mark_vanished(4)
        library.set_label(2, "genre", "Shanty")
        data = map_data(library, model, layout)
    genre = data.views[0]
    by_number = dict(zip(number_of(data), zip(shown(genre), genre.sure.tolist(), strict=True), strict=True))
    assert by_number[1] == ("Pop", False) and by_number[2] == ("Shanty", True) and by_number[3] == (None, False)
    assert 4 not in by_number and len(data.places) == len(data.songs) == len(genre.index) == 19
    counts = [shown(genre).count(name) for name in genre.names]
    assert counts == sorted(counts, reverse=True), "the commonest name first"


def test_a_page_holds_no_more_songs_than_a_browser_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of all, and the sentence that says so; all have their places."""
    monkeypatch.setattr(layout_module, "_MOST_DRAWN", 40)
    monkeypatch.setattr(layout_module, "has_tsne", lambda: False)
    with made_library(tmp_path, 60) as (library, model):
        layout = lay_out(library, model)
        numbers = number_of(map_data(library, model, layout))
        assert (
            len(layout.audio) == 60 and len(set(numbers)) == 40 and {number % 5 for number in numbers} == set(range(5))
        )
    run = draw_map(MapRequest(library=str(tmp_path / "made.db"), output=str(tmp_path / "map.html")))
    told = [event.message for event in run if isinstance(event, Notice)]
    assert "The page shows 40 of 60 songs, as many as a browser can draw." in told and run.result.tracks == 60
