"""Draw the library as a map: one page where near means alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.app.library import LibraryRequest, chosen_model, opened, searched
from earmark.events import Notice, Steps, use_case

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from earmark.app.session import LibrarySession
    from earmark.library.layout import MapLayout, MapView
    from earmark.library.records import LibraryModel
    from earmark.library.store import Library

__all__ = ["DrawnMap", "KnownMap", "MapRequest", "PlaceRequest", "draw_map", "known_map", "place_songs"]


@dataclass(frozen=True, kw_only=True)
class PlaceRequest(LibraryRequest):
    """How to place the songs.

    Attributes:
        rebuild: Place all of them again, instead of putting new ones in between.
    """

    rebuild: bool = False


@dataclass(frozen=True, kw_only=True)
class MapRequest(PlaceRequest):
    """What to draw.

    Attributes:
        output: The page.
    """

    output: str = "map.html"


@dataclass(frozen=True)
class DrawnMap:
    """The map.

    Attributes:
        file: The page.
        tracks: Songs on it.
        method: ``t-SNE`` or ``PCA``.
        joined: Songs that were put in between since it was made.
    """

    file: Path
    tracks: int
    method: str
    joined: int


@dataclass(frozen=True, eq=False)
class KnownMap:
    """The map as it stands.

    Attributes:
        ids: (songs,) rows of the tracks: the first file of each recording.
        places: (songs, 2) float32 in -1..1.
        views: What they are called by genre, mood and cluster.
        energy: (songs,) 0..1; None where the model tells none.
        method: ``t-SNE`` or ``PCA``; "" where no map was made.
        joined: Songs that were put in between since it was made.
    """

    ids: NDArray[np.int64]
    places: NDArray[np.float32]
    views: tuple[MapView, ...] = ()
    energy: NDArray[np.float32] | None = None
    method: str = ""
    joined: int = 0


@use_case
def known_map(request: LibraryRequest, session: LibrarySession | None = None) -> Steps[KnownMap]:
    """The map as it was made, with what has joined since; nothing is written."""
    import numpy as np

    from earmark.library.layout import energy_of, known_layout, named_views

    with opened(request.library, session=session) as library:
        model = yield from chosen_model(library, request.model)
        layout = known_layout(library, model)
        if layout is None:
            return KnownMap(np.zeros(0, np.int64), np.zeros((0, 2), np.float32))
        audio, first = library.first_tracks()
        there = np.isin(layout.audio, audio)
        songs = layout.audio[there]
        ids = first[np.searchsorted(audio, songs)]
        views, energy = named_views(library, model, songs), energy_of(library, model, songs)
        return KnownMap(ids, layout.places[there], views, energy, layout.method, layout.joined)


@use_case
def place_songs(request: PlaceRequest) -> Steps[MapLayout]:
    """Give every song its place on the map, and a cluster; both are kept."""
    with opened(request.library, write=True) as library:
        return (yield from _placed(library, (yield from chosen_model(library, request.model)), request.rebuild))


@use_case
def draw_map(request: MapRequest) -> Steps[DrawnMap]:
    """Draw it; places are kept from one call to the next."""
    from earmark.library.layout import has_tsne, map_data
    from earmark.pages.map import map_page
    from earmark.storage import write_file

    target = Path(request.output)
    with opened(request.library, write=True) as library:
        model = yield from chosen_model(library, request.model)
        layout = yield from _placed(library, model, request.rebuild)
        data = map_data(library, model, layout)
        write_file(target, map_page(data))
    if len(data.songs) < len(layout.audio):
        yield Notice(
            f"The page shows {len(data.songs):,} of {len(layout.audio):,} songs, as many as a browser can draw."
        )
    if not has_tsne():
        yield Notice("The extra 'map' draws neighbourhoods better: pip install 'earmark[map]'.")
    if layout.joined:
        yield Notice(f"{layout.joined} songs were put in between since the map was made; --rebuild makes it again.")
    return DrawnMap(target, len(layout.audio), layout.method, layout.joined)


def _placed(library: Library, model: LibraryModel, rebuild: bool) -> Steps[MapLayout]:
    from earmark.library.cluster import cluster_tracks
    from earmark.library.layout import lay_out

    yield Notice(f"Placing {library.facts().tracks} songs.")
    layout = yield from searched(library, model, lambda: lay_out(library, model, rebuild=rebuild))
    cluster_tracks(library, model)  # for their colours
    return layout
