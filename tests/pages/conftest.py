"""One browser for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from browser import Page, browser


@pytest.fixture(scope="module")
def tab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(chromium, tmp_path_factory.mktemp("profile")) as page:
        yield page
