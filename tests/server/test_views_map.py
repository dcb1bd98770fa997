"""The map in a real browser: by mouse, finger and keys; to playlists; and as a list where there is no WebGL."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.browser import FACES, Open, Tab
from serving import Collection, served

NO_WEBGL = """{
  const {prototype} = HTMLCanvasElement, real = prototype.getContext;
  prototype.getContext = function (kind, ...more) { return kind === "webgl2" ? null : real.call(this, kind, ...more); };
}"""
PAN = """async () => {
  const {plane, cloud, redraw, draw, state} = document.querySelector(".plan canvas").earmark, gaps = [], parts = [];
  const at = (list, share) => [...list].sort((a, b) => a - b)[Math.floor(list.length * share)];
  for (let k = 0, last = 0; k < 100; k++) {
    plane.move(k % 40 < 20 ? 6 : -6, k % 30 < 15 ? 3 : -3); draw();
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    if (k > 20) { gaps.push(now - last); parts.push(state().part); }
    last = now;
  }
  const whole = [1, 2, 3].map(() => {
    const began = performance.now();
    redraw(); cloud.finish();
    return performance.now() - began;
  });
  return {renderer: cloud.renderer, songs: plane.count, p50: at(gaps, .5), p95: at(gaps, .95),
    part: at(parts, .5), whole: at(whole, .5)};
}"""


@pytest.fixture(scope="module")
def mine(real: Collection, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """A library of its own on the songs of all."""
    file = tmp_path_factory.mktemp("mine") / "library.db"
    return replace(real, file=Path(shutil.copy(real.file, file)))


@pytest.fixture(scope="module")
def url(mine: Collection) -> Iterator[str]:
    with served("--library", mine.file, "-j", 1) as (_, found):
        yield found


def opened(tab: Open, url: str, *face: Any, before: Callable[[Tab], Any] = lambda page: None) -> Tab:
    """The map, made where nobody made it before."""
    page = tab(url, *face)
    before(page)
    page.open("map")
    page.page.wait_for_selector(".plan, .alone")
    if (button := page.page.get_by_role("button", name="Make the map")).is_visible():
        button.click()
    page.page.wait_for_selector(".plan", timeout=120_000)
    return page


def client(page: Tab, song: int) -> tuple[float, float]:
    """Where a song is in the window."""
    place = "(p => [p.x, p.y])(document.querySelector('canvas').earmark.plane.point(%d))"
    box = page.page.locator(".plan canvas").bounding_box()
    x, y = page.run(place % song)
    assert box
    return box["x"] + x, box["y"] + y


def state(page: Tab) -> dict[str, Any]:
    keys = "{view, hidden, chosen, picked, shown, scale}"
    return dict(page.run(f"(({keys}) => ({keys}))(document.querySelector('canvas').earmark.state())"))


def test_before_it_is_made_one_press_makes_it(tab: Open, mine: Collection, tmp_path: Path) -> None:
    shutil.copy(mine.file, tmp_path / "library.db")
    with served("--library", tmp_path / "library.db", "-j", 1) as (_, url):
        page = tab(url)
        page.open("map")
        page.page.get_by_text("The map is not made yet").wait_for()
        page.fits()
        page.page.get_by_role("button", name="Make the map").click()
        page.page.wait_for_selector("canvas", timeout=120_000)
        page.page.get_by_role("heading", name="10 songs").wait_for()
        assert page.errors == []


@pytest.mark.parametrize(("width", "dark"), FACES)
def test_a_press_plays_and_shows_the_song_with_similar_ones(width: int, dark: bool, tab: Open, url: str) -> None:
    page = opened(tab, url, width, dark)
    x, y = client(page, 3)
    page.page.touchscreen.tap(x, y) if width < 600 else page.page.mouse.click(x, y)
    card = page.page.locator(".plan .song")
    card.locator(".similar li").first.wait_for()
    title = card.locator("h2").inner_text()
    assert state(page)["chosen"] == 3 and title
    assert title in page.page.locator("#player .what").inner_text(), "it plays"
    assert card.locator("h2").get_attribute("dir") == "auto"
    assert card.locator(".similar li").first.locator(".play").count() == 2, "both matching seconds can be heard"
    page.fits()
    card.locator(".similar .play").nth(1).click()
    other = card.locator(".similar li").first.locator("button.bare span").inner_text()
    page.page.locator("#player .what", has_text=other).wait_for()
    card.get_by_role("button", name="Close").click()
    assert card.is_hidden() and state(page)["chosen"] == -1


def test_wheel_drag_and_keys(tab: Open, url: str) -> None:
    page = opened(tab, url)
    before, (x, y) = state(page)["scale"], client(page, 5)
    page.page.mouse.move(x, y)
    page.page.locator(".plan .tip strong").filter(has_not_text="…").wait_for()
    page.page.mouse.wheel(0, -500)
    page.page.wait_for_function(
        "before => document.querySelector('canvas').earmark.plane.scale > 1.5 * before", arg=before
    )
    assert client(page, 5) == pytest.approx((x, y), abs=2), "what is under the pointer stays there"
    page.page.mouse.down()
    page.page.mouse.move(x + 50, y + 30, steps=4)
    page.page.mouse.up()
    assert client(page, 5) == pytest.approx((x + 50, y + 30), abs=8) and state(page)["chosen"] == -1
    canvas = page.page.locator(".plan canvas")
    canvas.focus()
    for key in ("0", "ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown"):
        canvas.press(key)
    assert state(page)["chosen"] >= 0
    canvas.press(" ")
    assert state(page)["picked"] == 1
    canvas.press("Enter")
    page.page.locator("#player .what").wait_for()
    canvas.press("Escape")
    assert state(page)["chosen"] == -1 and page.errors == []


def test_enter_plays_a_song_whose_name_is_still_on_its_way(tab: Open, url: str) -> None:
    def slow(route: Any) -> None:
        page.page.wait_for_timeout(500)
        route.continue_()

    page = opened(tab, url)
    page.page.route("**/v1/tracks/lookup", slow)
    canvas = page.page.locator(".plan canvas")
    canvas.focus()
    canvas.press("ArrowRight")
    canvas.press("Enter")
    page.page.locator("#player .what").wait_for()
    assert page.errors == []


def test_two_fingers_zoom(tab: Open, url: str) -> None:
    page = opened(tab, url, 390)
    before, (x, y) = state(page)["scale"], client(page, 5)
    touch = page.page.context.new_cdp_session(page.page)
    for number, gap in enumerate(range(60, 200, 20)):
        fingers = [{"x": x - gap / 2, "y": y, "id": 0}, {"x": x + gap / 2, "y": y, "id": 1}]
        touch.send(
            "Input.dispatchTouchEvent", {"type": "touchMove" if number else "touchStart", "touchPoints": fingers}
        )
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert state(page)["scale"] > 2 * before and state(page)["chosen"] == -1


def test_a_line_around_songs_makes_a_playlist_that_is_kept_or_saved(tab: Open, url: str, tmp_path: Path) -> None:
    page = opened(tab, url)
    page.page.get_by_role("button", name="Draw around songs").click()
    box = page.page.locator(".plan canvas").bounding_box()
    assert box
    corners = [(0.02, 0.98), (0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.1, 0.98)]
    places = [(box["x"] + box["width"] * a, box["y"] + box["height"] * b) for a, b in corners]
    page.page.mouse.move(*places[0])
    page.page.mouse.down()
    for place in places[1:]:
        page.page.mouse.move(*place, steps=6)
    page.page.mouse.up()
    page.page.locator(".picked", has_text="10 songs are selected.").wait_for()
    page.page.get_by_label("Name of the playlist").fill("All <b>of it</b>")
    page.page.get_by_role("button", name="Keep").click()
    page.page.locator(".side p", has_text="“All <b>of it</b>” is kept with 10 songs.").wait_for()
    kept = page.run("fetch('/v1/playlists').then(answer => answer.json())")["playlists"]
    assert [(one["name"], one["tracks"]) for one in kept] == [("All <b>of it</b>", 10)]
    with page.page.expect_download() as saved:
        page.page.get_by_role("button", name="Save .m3u8").click()
    saved.value.save_as(tmp_path / "map.m3u8")
    lines = (tmp_path / "map.m3u8").read_text("utf-8").splitlines()
    assert lines[0] == "#EXTM3U" and len([line for line in lines if line.startswith("#EXTINF:")]) == 10
    assert all(Path(line).is_file() for line in lines if not line.startswith("#"))
    page.page.get_by_role("button", name="Clear").click()
    assert state(page)["picked"] == 0 and page.errors == []


def test_find_in_words_goes_from_song_to_song(tab: Open, url: str) -> None:
    page = opened(tab, url)
    find = page.page.get_by_label("Find songs, in words")
    find.fill("happy blobfish")
    page.page.locator(".side .found", has_text="“blobfish” is not known").wait_for()
    find.fill("happy")
    page.page.locator(".matches li").first.wait_for()
    many = state(page)["shown"]
    assert 0 < many == page.page.locator(".matches li").count()
    find.press("Enter")
    page.page.locator(".plan .song h2", has_text=page.page.locator(".matches li span").first.inner_text()).wait_for()
    find.press("Escape")
    page.page.wait_for_function("document.querySelector('canvas').earmark.state().shown === 10")


def test_a_name_of_the_legend_leaves_its_songs_alone(tab: Open, url: str) -> None:
    page = opened(tab, url)
    page.page.get_by_role("button", name="Mood").click()
    first = page.page.locator(".legend button").first
    count = int(first.locator("b").inner_text().split()[0])
    first.click()
    assert state(page)["shown"] == count and state(page)["view"] == "Mood"
    assert first.get_attribute("aria-pressed") == "true"
    page.page.get_by_role("button", name="Show all songs").click()
    assert state(page)["shown"] == 10
    for way in ("Genre", "Energy"):
        page.page.get_by_role("button", name=way).click()
        assert sum(int(one.split()[0]) for one in page.page.locator(".legend b").all_inner_texts()) == 10


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_without_webgl_it_says_so_and_lists_the_songs(width: int, dark: bool, tab: Open, url: str) -> None:
    page = opened(tab, url, width, dark, before=lambda page: page.page.add_init_script(NO_WEBGL))
    page.page.get_by_role("alert").get_by_text("This browser cannot draw the map").wait_for()
    rows = page.page.locator(".list tbody tr")
    rows.locator("button span[dir]").filter(has_not_text="…").first.wait_for()
    assert rows.count() == 10
    page.fits()
    rows.first.get_by_role("checkbox").check()
    assert page.page.locator(".picked").inner_text() == "1 song is selected." or width < 600
    rows.first.get_by_role("button").click()
    page.page.locator("#player .what").wait_for()


def test_titles_are_text_in_either_direction(tab: Open, url: str) -> None:
    title = "<img src=x onerror=alert(1)> مرحبا بالعالم"

    def answer(route: Any) -> None:
        found = route.fetch().json()
        for track in found["tracks"]:
            track["title"] = title
        route.fulfill(json=found)

    page = opened(tab, url, before=lambda page: page.page.route("**/v1/tracks/lookup", answer))
    page.page.mouse.click(*client(page, 2))
    page.page.locator(".plan .song h2", has_text=title).wait_for()
    assert page.page.locator("main img").count() == 0 and page.errors == []


@pytest.mark.slow
def test_100_000_songs_keep_up_with_the_pointer(tab: Open, url: str) -> None:
    """The 95th of 100 times from frame to frame while the map moves, with the name of what drew it.

    Without a graphics card a part of the songs is drawn while it moves, and all of them when it rests.
    """
    random, count = np.random.default_rng(0), 100_000
    x, y = np.round(random.standard_normal((2, count)).clip(-3, 3) / 3, 4).tolist()
    views = {"genre": {"names": [f"Genre {k}" for k in range(20)], "of": random.integers(0, 20, count).tolist()}}
    body = json.dumps({"ids": list(range(1, count + 1)), "x": x, "y": y, "views": views, "method": "PCA", "joined": 0})
    page = tab(url)
    page.page.route("**/v1/map", lambda route: route.fulfill(body=body, content_type="application/json"))
    page.open("map")
    page.page.wait_for_selector("canvas")
    page.page.wait_for_timeout(1000)
    found = page.run(PAN)
    print(
        "\n{songs:,} songs: a frame p50 {p50:.0f} ms, p95 {p95:.0f} ms, {part:.0%} of the songs while it moves; "
        "all of them in {whole:.0f} ms ({renderer})".format(**found)
    )
    assert found["songs"] == count and page.errors == []
    assert found["p95"] < max(100, found["whole"] / 4), (
        "soon enough for the hand, or far sooner than all of them could be drawn, however busy the machine"
    )
