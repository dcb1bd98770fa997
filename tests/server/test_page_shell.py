"""The frame around all views in a real browser: by keys, without a library, without a server, with a token."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.browser import FACES, Open
from serving import served


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[str]:
    """A server without a library, which may scan one folder."""
    music = tmp_path_factory.mktemp("Music <b>of mine")
    with served("--library", music.parent / "none.db", "-m", tiny_model, "-j", 1, "--music", music) as (_, found):
        yield found


@pytest.mark.parametrize(("width", "dark"), FACES)
def test_without_a_library_it_offers_to_scan(width: int, dark: bool, tab: Open, url: str) -> None:
    page = tab(url, width, dark)
    page.open("library")
    page.page.get_by_label("Music <b>of mine").wait_for()
    assert page.page.get_by_role("button", name="Scan").is_visible()
    page.fits()


def test_by_keys_one_gets_past_the_navigation_and_through_it(tab: Open, url: str) -> None:
    page = tab(url)
    page.open("library")
    page.page.keyboard.press("Tab")
    assert page.run("document.activeElement.textContent") == "Skip to the content"
    page.page.keyboard.press("Enter")
    assert page.run("document.activeElement.id") == "content"
    assert page.run("document.querySelector('h1').textContent") == "Library", "the address still names the view"
    page.page.get_by_role("link", name="Drop").focus()
    page.page.keyboard.press("Enter")
    page.spoken("Drop")
    assert page.run("document.activeElement.id") == "content" and page.page.title() == "Drop – Earmark"
    assert page.page.locator("nav [aria-current=page]").inner_text() == "Drop"
    page.page.go_back()
    page.page.get_by_role("heading", name="Library").wait_for()
    assert page.errors == []


def test_an_address_that_is_no_view_says_so(tab: Open, url: str) -> None:
    page = tab(url)
    page.open("nonsense/<img src=x>")
    assert page.run("document.querySelector('h1').textContent") == "There is no such page"
    assert page.errors == []


def test_dark_and_light_are_remembered(tab: Open, url: str) -> None:
    page = tab(url)
    page.open("drop")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.run(paper)
    page.page.get_by_role("button", name="Switch to dark colours").click()
    dark = page.run(paper)
    assert dark != light
    page.open("library")
    page.page.reload()
    assert page.run(paper) == dark


@pytest.mark.parametrize(("width", "dark"), FACES)
def test_the_rest_is_described_and_can_be_tried(width: int, dark: bool, tab: Open, url: str) -> None:
    """By Swagger UI, under the same policy as the page; its own colours are its own."""
    page = tab(url, width, dark)
    page.page.goto(f"{url}/docs")
    page.page.locator(".opblock-summary-path", has_text=re.compile(r"^/v1$")).first.click()
    page.page.get_by_role("button", name="Try it out").first.click()
    page.page.get_by_role("button", name="Execute").first.click()
    page.page.get_by_text('"earmark"').first.wait_for()
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.errors == []


def test_a_server_that_ends_is_missed_and_found_again(tab: Open, tmp_path: Path, tiny_model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serve = ("--library", tmp_path / "none.db", "-m", tiny_model, "-j", 1, "--port", port)
    with served(*serve) as (_, address):
        page = tab(address)
        page.open("library")
    page.page.get_by_role("link", name="Drop").click()
    page.page.get_by_role("link", name="Library").click()
    page.page.locator("#gone", has_text="The server does not answer").wait_for()
    with served(*serve):
        page.page.locator("#gone").wait_for(state="hidden")
        page.page.get_by_role("heading", name="Scan a folder").wait_for()
        page.spoken("The server answers again.")


def test_a_token_is_asked_for_once(tab: Open, tmp_path: Path, tiny_model: Path) -> None:
    with served("--library", tmp_path / "none.db", "-m", tiny_model, "--token", "open sesame") as (_, address):
        page = tab(address)
        page.page.goto(address)
        page.page.get_by_label("token").fill("wrong")
        page.page.keyboard.press("Enter")
        page.page.wait_for_load_state()
        page.page.get_by_label("token").fill("open sesame")
        page.page.keyboard.press("Enter")
        page.page.get_by_role("heading", name="Library").wait_for()
        page.page.reload()
        page.page.get_by_role("heading", name="Library").wait_for()


def test_a_page_whose_cookie_is_gone_asks_for_the_token_where_it_stands(
    tab: Open, tmp_path: Path, tiny_model: Path
) -> None:
    with served("--library", tmp_path / "none.db", "-m", tiny_model, "--token", "open sesame") as (_, address):
        page = tab(address)
        assert page.page.request.post(f"{address}/login", form={"token": "open sesame"}).ok
        page.open("drop")
        page.page.context.clear_cookies()
        page.page.get_by_role("link", name="Library").click()
        page.page.get_by_label("Token").fill("wrong")
        page.page.get_by_role("button", name="Log in").click()
        page.page.get_by_text("That is not the token").wait_for()
        assert page.serious() == []
        page.page.get_by_label("Token").fill("open sesame")
        page.page.get_by_role("button", name="Log in").click()
        page.page.get_by_role("heading", name="Library").wait_for()
