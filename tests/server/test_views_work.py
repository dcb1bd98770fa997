"""Review, models, jobs and written tags in a real browser, on a real server with real music."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from server.browser import Open, Tab
from serving import Collection, real_collection, served


@pytest.fixture(scope="module")
def mine(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Ten songs, one of them read-only."""
    mine = real_collection(shared, tmp_path_factory.mktemp("mine"), features=True)
    for file in sorted(mine.music.iterdir())[1:]:
        file.chmod(0o644)
    sorted(mine.music.iterdir())[0].chmod(0o444)
    return mine


@pytest.fixture(scope="module")
def url(mine: Collection) -> Iterator[str]:
    """A server whose user's folders are its own."""
    folder = mine.file.parent / "home"
    homes = {f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("DATA", "CONFIG", "CACHE")}
    for number, song in enumerate(sorted(mine.music.iterdir())):
        label = folder.parent / "lessons" / ("Dark" if number % 2 else "Bright") / f"Artist {number}"
        label.mkdir(parents=True)
        shutil.copy(song, label)
    with served("--library", mine.file, "-j", 1, "--music", folder.parent / "lessons", **homes) as (_, found):
        yield found


def asked(page: Tab, path: str) -> Any:
    return page.run(f"fetch('{path}').then(answer => answer.json())")


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
@pytest.mark.parametrize("view", ["review", "models", "tags", "jobs"])
def test_each_view_fits_and_is_accessible(view: str, width: int, dark: bool, tab: Open, url: str) -> None:
    page = tab(url, width, dark)
    page.open(view)
    page.page.wait_for_load_state("networkidle")
    page.fits()


def test_songs_are_decided_by_keys_and_taken_back(tab: Open, url: str) -> None:
    page = tab(url)
    page.open("review")
    title = page.page.locator(".question h2")
    first = title.inner_text()
    label = page.page.locator(".option bdi").nth(1).inner_text()
    page.page.keyboard.press("p")
    page.page.locator("#player .what", has_text=first).wait_for()
    page.page.get_by_text("which speaks for").wait_for()
    page.page.keyboard.press("2")
    page.page.locator(".decided li", has_text=first).wait_for()
    assert page.page.locator(".decided li b").inner_text() == label
    assert asked(page, "/v1/review")["corrections"] == 1
    page.page.keyboard.press("u")
    page.page.locator(".decided", has_text="Nothing yet.").wait_for()
    assert asked(page, "/v1/review")["corrections"] == 0 and title.inner_text() == first
    page.page.keyboard.press("Space")
    page.page.wait_for_function(
        "was => document.querySelector('.question h2').textContent !== was || document.querySelector('.question .dim')",
        arg=first,
    )
    assert asked(page, "/v1/review")["corrections"] == 0, "skipped is not decided"
    assert page.errors == []


def test_of_two_tabs_the_first_one_counts_and_the_second_shows_it(tab: Open, url: str) -> None:
    one, other = tab(url), tab(url)
    for page in (one, other):
        page.open("review")
        page.page.wait_for_selector(".question")
    title, label = one.page.locator(".question h2").inner_text(), one.page.locator(".option bdi").first.inner_text()
    assert other.page.locator(".question h2").inner_text() == title
    one.page.keyboard.press("1")
    one.page.locator(".decided li", has_text=title).wait_for()
    other.page.keyboard.press("2")
    told = other.page.get_by_role("alert")
    told.get_by_text("Decided elsewhere").wait_for()
    assert f"“{label}” already" in told.inner_text()
    assert other.page.locator(".decided li").count() == 0
    assert asked(one, "/v1/review")["corrections"] == 1
    one.page.keyboard.press("u")
    one.page.locator(".decided", has_text="Nothing yet.").wait_for()


def test_the_bundled_model_tells_its_scores_with_intervals_and_confusion(tab: Open, url: str) -> None:
    page = tab(url)
    page.open("models/default")
    page.page.get_by_role("heading", name="default").wait_for()
    mood = page.page.get_by_role("region", name="Mood", exact=True)
    assert "accuracy" in mood.inner_text() and " % to " in mood.inner_text()
    table = mood.get_by_role("table", name="Confusion")
    assert table.locator("thead th").all_inner_texts() == ["happy", "tense", "sad", "calm"]
    assert table.locator("tbody td.right").count() == 4
    assert page.errors == []


def test_tags_are_written_after_the_difference_and_taken_back(tab: Open, url: str, mine: Collection) -> None:
    digests = lambda: {file.name: sha256(file.read_bytes()).hexdigest() for file in mine.music.iterdir()}  # noqa: E731
    before = digests()
    page = tab(url)
    page.open("tags")
    page.page.get_by_label("Replace").check()
    page.page.get_by_label("Tempo (BPM)").check()
    page.page.get_by_role("button", name="Show the difference first").click()
    write = page.page.get_by_role("button", name="Write into")
    write.wait_for()
    rows = page.page.locator(".difference tbody tr")
    many = rows.count()
    assert 0 < many <= 9 and "→" in rows.first.inner_text() and "bpm" in page.page.locator(".difference").inner_text()
    page.page.get_by_role("button", name="Left as they are").click()
    assert "read-only" in rows.first.inner_text()
    assert digests() == before, "nothing is written yet"
    assert page.serious() == []
    write.click()
    page.page.get_by_role("heading", name="Written").wait_for()
    page.page.get_by_role("button", name="Undo 20").wait_for()
    assert sum(before[name] != digest for name, digest in digests().items()) == many
    page.page.get_by_role("button", name="Undo 20").click()
    page.page.get_by_role("heading", name="Taken back").wait_for()
    page.page.get_by_role("button", name="Taken back 20").wait_for()
    assert digests() == before, "bit for bit"
    assert page.errors == []


def test_jobs_of_a_closed_page_are_there_in_the_next(tab: Open, url: str) -> None:
    page = tab(url)
    page.open("tags")
    page.page.get_by_role("button", name="Show the difference first").click()
    page.page.get_by_role("heading", name="The difference").wait_for()
    page.page.close()
    again = tab(url)
    again.open("jobs")
    again.page.locator(".job-list li", has_text="Write tags").first.get_by_text("Done").wait_for()
    again.open("tags")
    again.page.get_by_role("heading", name="The difference").wait_for()
    assert again.errors == []


def trained(page: Tab, name: str) -> None:
    """Begin a training on the folder of lessons."""
    page.open("models")
    page.page.get_by_role("option", name="lessons").wait_for(state="attached")
    folder = page.page.get_by_role("option", name="lessons").get_attribute("value")
    page.page.locator("[name=folder]").select_option(folder)
    page.page.get_by_label("Name of the new model").fill(name)
    page.page.get_by_role("button", name="Train").last.click()
    page.page.locator(".work", has_text="Train a model").wait_for()


def test_a_training_goes_on_without_its_page_and_is_cancelled_from_the_next(tab: Open, url: str) -> None:
    page = tab(url)
    trained(page, "stopped")
    page.page.close()
    again = tab(url)
    again.open("jobs")
    job = again.page.locator(".job-list li", has_text="Train a model").first
    job.get_by_role("button", name="Cancel").click()
    job.get_by_text("Cancelled").wait_for(timeout=120_000)
    assert "stopped" not in [model["name"] for model in asked(again, "/v1/models")["models"]]
    assert again.errors == []


@pytest.mark.slow
def test_a_model_is_trained_from_the_page(tab: Open, url: str) -> None:
    page = tab(url)
    trained(page, "own")
    page.page.get_by_role("link", name="own", exact=True).last.wait_for(timeout=300_000)
    page.open("models/own")
    page.page.get_by_role("table", name="Confusion").wait_for()
    page.fits()
