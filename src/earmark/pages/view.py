"""What a page shows, before it is HTML: sections of figures, panels and tables. All text is plain; pictures are SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

__all__ = ["Card", "Document", "Panel", "Section", "Table"]


@dataclass(frozen=True, slots=True)
class Card:
    """One large figure; ``main``: the one that counts."""

    name: str
    value: str
    note: str = ""
    main: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Plain words in rows.

    Attributes:
        header: Names of the columns.
        rows: Top down.
        numbers: Columns that are set to the right.
        stacked: On a narrow screen each row becomes a card (for names and paths); otherwise the table scrolls.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """A framed part of a section, from top to bottom as its fields are.

    Attributes:
        title: Its heading.
        picture: An SVG or HTML, which scrolls where it is wider than the panel and ``scrolls`` is set, else shrinks.
        text: A paragraph.
        items: A list.
        table: A table; behind a summary "as numbers" where there is a picture.
        scrolls: See ``picture``.
        full: As wide as the page.
    """

    title: str = ""
    picture: Markup = field(default_factory=Markup)
    text: str = ""
    items: Sequence[str] = ()
    table: Table | None = None
    scrolls: bool = False
    full: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what belongs to it."""

    title: str
    text: str = ""
    cards: Sequence[Card] = ()
    panels: Sequence[Panel] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A page of sections; the navigation lists them."""

    title: str
    about: str
    sections: Sequence[Section]
    lead: str = ""
    notices: Sequence[str] = ()
