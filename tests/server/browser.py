"""The page in Debian's Chromium, driven by Playwright: what broke, what is not accessible, and where things are."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect, sync_playwright

from browser import OUTSIDE, PALE

__all__ = ["AXE", "FACES", "TWINS", "Open", "Tab", "needs_parts", "tabs"]

AXE = Path(__file__).parents[1] / "vendor" / "axe-core" / "axe.min.js"
PARTS = Path(__file__).parents[2] / "src" / "earmark" / "server" / "vendor" / "lit-html" / "lit-html.js"
FACES = [
    (1280, False),
    (390, True),
    pytest.param(1280, True, marks=pytest.mark.slow),
    pytest.param(390, False, marks=pytest.mark.slow),
]
"""Widths, and whether it is dark; each width and each kind of colours is in the default run."""
TWINS = [FACES[0], pytest.param(390, True, marks=pytest.mark.slow), *FACES[2:]]
"""The same for long stories, of which the narrow and dark ones take minutes; the views by themselves are not among."""
SOFTWARE_WEBGL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""The map's WebGL without a graphics card."""


def needs_parts(*files: Path) -> None:
    """Skip where ``make setup`` found no npm; in CI that is a fault."""
    for file in files or (PARTS, AXE):
        if not file.is_file():
            if os.environ.get("CI"):
                pytest.fail(f"{file} is missing: CI must have npm before `make setup`")
            pytest.skip("the page's parts are not here: `make setup` with npm installed brings them")


class Tab:
    """One open page of a server.

    Attributes:
        page: Of Playwright.
        errors: What the console and the policy complained of.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.errors: list[str] = []
        page.on("console", lambda one: self.errors.append(one.text) if one.type == "error" and _is_ours(one) else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.set_default_timeout(30_000)

    def open(self, address: str) -> None:
        """A view, by its address after ``#/``."""
        self.page.goto(f"{self.url}/#/{address}")
        self.page.wait_for_selector(".view > *")

    def run(self, script: str) -> Any:
        return self.page.evaluate(script)

    def spoken(self, words: str) -> None:
        """Wait until the live region has told it."""
        there = "words => document.getElementById('live').textContent.includes(words)"
        self.page.wait_for_function(there, arg=words, polling=100)

    def serious(self) -> list[str]:
        """What axe-core finds serious or critical: its name, and the first element."""
        before = list(self.errors)  # axe-core tries styles that the policy does not let in
        if not self.run("Boolean(window.axe)"):
            self.run(AXE.read_text("utf-8"))
        found = self.run("axe.run(document, {resultTypes: ['violations']})")["violations"]
        self.errors[:] = before
        return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in ("serious", "critical")]

    def fits(self) -> None:
        """Nothing sticks out, no text is pale, nothing is wrong for axe-core or in the console."""
        assert self.run("document.documentElement.scrollWidth") <= self.run("innerWidth")
        assert self.run(OUTSIDE) == []
        assert self.run(PALE) == []
        assert self.serious() == []
        assert self.errors == []


Open = Callable[..., Tab]
"""``tab(url, width, dark)``."""


def _is_ours(message: ConsoleMessage) -> bool:
    """Browsers tell of every answer that is an error; one that the page itself tells of is none of ours."""
    return not re.match(r"Failed to load resource: .* status of (401|409|422)", message.text)


@contextmanager
def tabs(chromium: str) -> Iterator[Open]:
    """``tab(url, width, dark)`` opens one; all end together."""
    expect.set_options(timeout=30_000)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", *SOFTWARE_WEBGL])

        def tab(url: str, width: int = 1280, dark: bool = False, **more: Any) -> Tab:
            narrow = width < 600
            size = {"width": width, "height": 844 if narrow else 900}
            scheme = "dark" if dark else "light"
            context = browser.new_context(
                viewport=size, color_scheme=scheme, is_mobile=narrow, has_touch=narrow, **more
            )
            return Tab(context.new_page(), url)

        yield tab
        browser.close()
