"""The map's page: all of it is there, and no name can break it."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import numpy as np

from earmark.library.layout import MapData, MapSong, MapView
from earmark.pages.map import map_page

HOSTILE = "</script><b>\"'&\u202e\x00\x1b[31m\u2028\nx"


def made_map(songs: list[MapSong], genres: list[str], places: Any = None) -> MapData:
    """A song a genre; the second is a guess."""
    count = len(songs)
    names = tuple(dict.fromkeys(genres))
    index = np.asarray([names.index(genre) for genre in genres], np.int64)
    views = (
        MapView("Genre", names, index, np.arange(count) != 1),
        MapView("Energy", tuple("abcde"), np.arange(count) % 5, np.ones(count, bool), ordered=True),
    )
    where = np.asarray(places if places is not None else np.zeros((count, 2)), np.float32)
    return MapData(tuple(songs), where, "PCA", "made@1", views)


def page_data(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def test_the_page_needs_nothing_else_and_holds_all() -> None:
    songs = [MapSong(f"Artist {i}", f"Song {i}", f"/music/{i}.mp3", 60.4) for i in range(3)]
    page = map_page(made_map(songs, ["Rock", "Jazz", "Rock"], [[-1, 1], [0, 0], [1, -1]]))
    assert not re.search(r"https?://|src=[^s]|@import|unsafe|\sstyle=|\son[a-z]+=\"", page.replace("-src", ""))
    data = page_data(page)
    assert data["songs"] == [[f"Artist {i}", f"Song {i}", f"/music/{i}.mp3", 60] for i in range(3)]
    places = np.frombuffer(base64.b64decode(data["places"]), "<u2").reshape(-1, 2)
    assert places.tolist() == [[0, 0], [32768, 32768], [65535, 65535]]
    genre = data["views"][0]
    assert genre["names"] == ["Rock", "Jazz"] and list(base64.b64decode(genre["sure"])) == [1, 0, 1]
    assert np.frombuffer(base64.b64decode(genre["index"]), "<u2").tolist() == [0, 1, 0]
    assert "3 songs" in page and map_page(made_map([], [])).count("0 songs") == 1


def test_hostile_names_stay_names() -> None:
    page = map_page(made_map([MapSong(HOSTILE, HOSTILE, f"/music/{HOSTILE}.mp3", 1.0)], [HOSTILE]))
    for character in "\u202e\x00\x1b\u2028":
        assert character not in page
    assert page.count("</script>") == page.count("<script") == 3
    artist, title, path, _, address = page_data(page)["songs"][0]
    assert artist == title and "</script><b>" in title and "\\u202e" in title and "\n" not in title + path
    assert address.startswith("file:///music/%3C/script%3E") and re.fullmatch(r"[!-~]+", address)


def test_a_path_that_is_no_text_has_an_address() -> None:
    song = page_data(map_page(made_map([MapSong("", "", "/music/\udcff.mp3", 1.0)], ["Rock"])))["songs"][0]
    assert song[2:] == ["/music/\\xff.mp3", 1, "file:///music/%FF.mp3"]
