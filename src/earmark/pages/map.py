"""The map as one HTML page that needs nothing else: no server, no network, no library of scripts."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.inference.records import path_fields
from earmark.library.layout import MapData, MapSong, MapView
from earmark.pages.render import Site, json_block, render
from earmark.pages.text import readable

__all__ = ["map_page"]

_NONE = 65_535
"""The name of a song that has none in a view."""


def map_page(data: MapData, site: Site | None = None) -> str:
    """The page as HTML.

    Args:
        data: From :func:`earmark.library.layout.map_data`.
        site: As in :func:`earmark.pages.render.render`.
    """
    steps = np.round((data.places * [1, -1] + 1) / 2 * 65_535)
    facts = {
        "places": _packed(steps, "<u2"),
        "views": [_view(view) for view in data.views],
        "songs": [_song(song) for song in data.songs],
    }
    method = "neighbours by t-SNE" if data.method == "t-SNE" else "the two main directions (PCA)"
    about = f"Songs that sound alike to {data.model} are near each other ({method})."
    count = len(data.songs)
    return render(
        "map.html",
        title="Map of a music library",
        site=site,
        styles=("map.css",),
        scripts=("map.js",),
        heading="1 song" if count == 1 else f"{count:,} songs",
        about=about,
        facts=json_block(facts),
    )


def _song(song: MapSong) -> list[Any]:
    """Artist, title, path and seconds; and the path's address, where no line of text can hold the path itself."""
    path = readable(path_fields(song.path)["path"])
    address = [] if path == song.path else [Path(song.path).as_uri()]
    return [readable(song.artist), readable(song.title), path, round(song.seconds), *address]


def _view(view: MapView) -> dict[str, Any]:
    return {
        "name": view.name,
        "names": [readable(name) for name in view.names],
        "index": _packed(np.where(view.index < 0, _NONE, np.minimum(view.index, _NONE - 1)), "<u2"),
        "sure": _packed(view.sure, "u1"),
        "ordered": view.ordered,
    }


def _packed(numbers: NDArray[Any], kind: str) -> str:
    return base64.b64encode(numbers.astype(kind).tobytes()).decode("ascii")
