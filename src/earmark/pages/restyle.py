"""What a style transfer made, as a page: players and pictures of both songs, the result, and two plain baselines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earmark.pages.pictures import figures_of
from earmark.pages.render import BESIDE, document_page
from earmark.pages.text import number
from earmark.pages.view import Document, Panel, Section, Table

__all__ = ["restyled_page"]

_ABOUT = "An experiment. Time runs to the right, pitch upwards; brighter is louder, down to 80 dB below the loudest."
_BASELINES = (
    "The equaliser gives the content the style's mean spectrum; the cross-fade plays both at once. "
    "All are mono, at one level."
)
_DISTANCES = (
    "Style: what is left of the distance that the content has. Chroma: one minus the mean cosine of the harmony with "
    "the content's, frame by frame. Onsets: one minus the correlation of the rises in loudness. 0 is the content "
    "itself; what another song has stands in the row of the style."
)


def restyled_page(distances: Mapping[str, Mapping[str, float]], folder: Path, facts: Mapping[str, Any]) -> str:
    """The whole page as HTML.

    Args:
        distances: By the name of a sound, whose PNG and WAV of that name lie in the folder.
        folder: That gets the page.
        facts: ``content`` and ``style`` (paths), ``strength`` and ``model`` as they were asked for.
    """
    figures = [(name, str(folder / f"{name}.png"), str(folder / f"{name}.wav")) for name in distances]
    rows = [(name, *(number(one[key]) for key in ("style", "chroma", "onsets"))) for name, one in distances.items()]
    table = Table(("sound", "distance to the style", "chroma", "onsets"), rows, (1, 2, 3), stacked=True)
    features = "random filters" if facts["model"] == "random" else f"convolutions of {facts['model']}"
    asked = (f"Content: {facts['content']}", f"Style: {facts['style']}",
             f"Features: {features}; strength {facts['strength']:g}")  # fmt: skip
    sections = [
        Section("Listen and compare", _BASELINES, panels=[Panel(picture=figures_of(figures, folder), full=True)]),
        Section("How far from content and style", _DISTANCES, panels=[Panel(table=table, full=True)]),
    ]
    return document_page(Document("A song restyled", _ABOUT, sections, notices=asked), media=BESIDE)
