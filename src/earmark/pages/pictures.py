"""What a recipe sees of songs, as a page beside the pictures: each with a player, before and after a change."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from earmark.pages.render import BESIDE, document_page
from earmark.pages.text import readable
from earmark.pages.view import Document, Panel, Section
from earmark.storage import write_file

__all__ = ["Picture", "figures_of", "pictures_page", "write_pictures"]

_MOST = 300
"""Songs, or slices of songs, that one page shows."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a song.

    Attributes:
        song: Whose.
        name: What of it, as ``2.56 s``; "" for all of it.
        files: By what they show (``as it is``; ``before``, ``after``), the picture and the sound; None without sound.
    """

    song: str
    name: str
    files: tuple[tuple[str, str, str | None], ...]

    @property
    def paths(self) -> Iterator[str]:
        """The files written."""
        return (path for _, image, sound in reversed(self.files) for path in (image, sound) if path)


def write_pictures(pictures: Sequence[Picture], folder: Path, title: str, about: str) -> Path:
    """Write ``index.html`` beside the pictures.

    Returns:
        The page.

    Raises:
        StorageError: It cannot be written.
    """
    write_file(folder / "index.html", pictures_page(pictures, folder, title, about))
    return folder / "index.html"


def pictures_page(pictures: Sequence[Picture], folder: Path, title: str, about: str) -> str:
    """The whole page as HTML; pictures and sounds are taken from where they lie below the folder."""
    songs: dict[str, list[Picture]] = {}
    for picture in pictures[:_MOST]:
        songs.setdefault(picture.song, []).append(picture)
    panels = [Panel(song, _figures(every, folder), full=True) for song, every in songs.items()]
    more = f"The first {_MOST} of {len(pictures)}; the others lie in the folder." if len(pictures) > _MOST else ""
    return document_page(Document(title, about, [Section("Pictures", more, panels=panels)]), media=BESIDE)


def _figures(pictures: Sequence[Picture], folder: Path) -> Markup:
    named = [
        (" · ".join(filter(None, (picture.name, what))), image, sound)
        for picture in pictures
        for what, image, sound in picture.files
    ]
    return figures_of(named, folder)


def figures_of(figures: Sequence[tuple[str, str, str | None]], folder: Path) -> Markup:
    """Pictures with their names and players, of (name, picture, sound) that lie below the folder of the page."""
    drawn = Markup("").join(_figure(*figure, folder) for figure in figures)
    return Markup('<div class="figures">{}</div>').format(drawn)


def _figure(title: str, image: str, sound: str | None, folder: Path) -> Markup:
    player = Markup("")
    if sound is not None:
        player = Markup('<audio controls preload="none" src="{}" aria-label="{}"></audio>').format(
            _address(sound, folder), readable(f"sound: {title}")
        )
    shows = readable(f"spectrogram: {title}")
    picture = Markup(
        '<div class="scroll" role="group" aria-label="{}"><img src="{}" alt="{}" loading="lazy"></div>'
    ).format(shows, _address(image, folder), shows)
    return Markup("<figure>{}<figcaption>{}</figcaption>{}</figure>").format(picture, readable(title), player)


def _address(path: str, folder: Path) -> str:
    """Of a file, as a page in the folder names it; whatever bytes its name has."""
    return quote(os.fsencode(Path(path).relative_to(folder).as_posix()))
