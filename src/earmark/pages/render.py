"""Pages from templates: everything that a template prints is escaped, and each page is one file that needs no other.

A page as a file carries its own content security policy, which names its styles and scripts by their hashes. A server
sends a policy of its own instead, and gives the :class:`Site` that its pages belong to.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from earmark.errors import StorageError
from earmark.pages.text import breakable, readable
from earmark.pages.view import Document
from earmark.storage import plain_reason, write_file

__all__ = ["BESIDE", "Link", "Site", "asset", "document_page", "json_block", "render", "write_page"]

_DATA = "img-src data:; media-src data:"
BESIDE = "img-src 'self' file:; media-src 'self' file:"
"""The policy of a page whose pictures and sounds lie beside it."""


@dataclass(frozen=True, slots=True)
class Link:
    """A place that the navigation leads to."""

    name: str
    address: str
    current: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """What a server lays around a page: the nonce of the policy that it sends, and links to its other pages."""

    nonce: str
    links: Sequence[Link] = ()


def document_page(document: Document, site: Site | None = None, media: str = _DATA) -> str:
    """A report as HTML, with a link to each of its sections; ``media`` is the policy of its pictures and sounds."""
    links = [Link(section.title, f"#section-{number}") for number, section in enumerate(document.sections)]
    return render("document.html", site=site, links=links, title=document.title, media=media, document=document)


def render(
    template: str,
    *,
    title: str,
    site: Site | None = None,
    links: Sequence[Link] = (),
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
    **facts: Any,
) -> str:
    """A page as HTML.

    Args:
        template: Its name; it extends ``base.html``.
        title: Of the page.
        site: That it belongs to; a page of none is a file, which carries a policy of hashes.
        links: To the page's own sections.
        styles: Style sheets of the package, beside the common one.
        scripts: Scripts of the package, beside the common one; they run once the page is read.
        facts: What the template prints; ``media`` is the policy of its pictures and sounds.
    """
    media = facts.get("media", _DATA)
    sheets = [asset(name) for name in ("page.css", *styles)]
    programs = [asset(name) for name in ("page.js", *scripts)]
    policy = f"default-src 'none'; style-src {_hashes(sheets)}; script-src {_hashes(programs)}; {media}"
    frame = {
        "title": title,
        "kind": Path(template).stem,
        "pages": site.links if site else (),
        "links": links,
        "sheets": sheets,
        "programs": programs,
        "policy": "" if site else Markup(policy),
        "mark": Markup(' nonce="{}"').format(site.nonce) if site else "",
    }
    return _environment().get_template(template).render(**frame, **facts)


def asset(name: str) -> Markup:
    """A style sheet or script of the package."""
    return Markup(files("earmark.pages").joinpath("static", name).read_text("utf-8"))


def json_block(facts: object) -> Markup:
    """Facts for a ``<script type="application/json">``: no text in them can end it."""
    text = json.dumps(facts, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def write_page(folder: Path, page: str, facts: Mapping[str, Any], name: str) -> Path:
    """Write ``index.html`` and the same facts as JSON into a folder, which is made where it is missing.

    Returns:
        The page.

    Raises:
        StorageError: The folder cannot be written.
    """
    text = json.dumps(facts, ensure_ascii=True, indent=1, allow_nan=False, default=str)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: cannot write the report: {plain_reason(error)}") from error
    write_file(folder / name, text + "\n")
    write_file(folder / "index.html", page)
    return folder / "index.html"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("earmark.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printed,
    )
    made.filters["breakable"] = breakable
    return made


def _printed(value: Any) -> Any:
    """Every text that a template prints, but for what is HTML already, is readable."""
    return readable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _hashes(texts: Sequence[str]) -> str:
    digests = (hashlib.sha256(text.encode("utf-8")).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode('ascii')}'" for digest in digests)
