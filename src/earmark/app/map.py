"""Draw the library as a map: one page where near means alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from earmark.app.library import LibraryRequest, chosen_model, opened
from earmark.events import Notice, Steps, use_case

__all__ = ["DrawnMap", "MapRequest", "draw_map"]


@dataclass(frozen=True, kw_only=True)
class MapRequest(LibraryRequest):
    """What to draw.

    Attributes:
        output: The page.
        rebuild: Place all songs again, instead of putting new ones in between.
    """

    output: str = "map.html"
    rebuild: bool = False


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


@use_case
def draw_map(request: MapRequest) -> Steps[DrawnMap]:
    """Draw it; places are kept from one call to the next."""
    from earmark.library.cluster import cluster_tracks
    from earmark.library.layout import has_tsne, lay_out, map_data
    from earmark.pages.map import map_page
    from earmark.storage import write_file

    target = Path(request.output)
    with opened(request.library, write=True) as library:
        model = yield from chosen_model(library, request.model)
        yield Notice(f"Placing {library.facts().tracks} songs.")
        layout = lay_out(library, model, rebuild=request.rebuild)
        cluster_tracks(library, model)  # for their colours
        write_file(target, map_page(map_data(library, model, layout)))
    if not has_tsne():
        yield Notice("The extra 'map' draws neighbourhoods better: pip install 'earmark[map]'.")
    if layout.joined:
        yield Notice(f"{layout.joined} songs were put in between since the map was made; --rebuild makes it again.")
    return DrawnMap(target, len(layout.audio), layout.method, layout.joined)
