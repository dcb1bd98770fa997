"""One whole story on the real server, with real music: drop, scan, similar, playlist, review, tags into files, undo."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import mutagen
import pytest

from earmark.app.scan import ScanRequest, scan
from earmark.engine import InlineEngine
from server.browser import Open, Tab
from serving import served


@pytest.mark.slow  # what each view does by itself is tested by default
def test_from_the_first_file_to_tags_and_back(tab: Open, shared: Path, tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    for song in sorted((shared / "data" / "moods900" / "audio").glob("*.opus"))[:4]:
        shutil.copyfile(song, music / song.name)
    before = {file.name: file.read_bytes() for file in music.iterdir()}
    with served("--library", tmp_path / "library.db", "--music", music, "-j", 2) as (_, url):
        opened = tab(url)
        page = opened.page
        # A file is dropped, and tells what it is.
        opened.open("drop")
        page.locator("#files").set_input_files(next(music.iterdir()))
        page.wait_for_selector(".result.done .answer")
        assert page.locator(".result.done h3").all_inner_texts()[:2] == ["Genre", "Mood"]
        # The folder is scanned, and the library is there.
        opened.open("library")
        page.get_by_role("button", name="Scan", exact=True).click()
        page.get_by_role("link", name="Show the library").click()
        page.wait_for_selector("table.songs")
        assert page.locator("table.songs tbody tr").count() == len(before)
        # A song, and those like it with the seconds that match.
        page.locator("table.songs td.title a").first.click()
        alike = page.get_by_role("table", name="Songs like it")
        alike.wait_for()
        assert alike.locator("tbody tr").count() == len(before) - 1
        assert alike.locator(".pair button").count() == 2 * (len(before) - 1)
        # A playlist from it, kept, and as a file.
        page.get_by_role("link", name="Playlist from this song").click()
        page.get_by_label("Name of the playlist").fill("Evening")
        page.get_by_role("button", name="Keep").click()
        page.get_by_role("heading", name="Evening").wait_for()
        saved = httpx.get(url + page.get_by_role("link", name="Save .m3u8").get_attribute("href"))
        assert saved.text.startswith("#EXTM3U") and str(music) in saved.text
        # A correction by a key, taken back, and made again.
        opened.open("review")
        page.wait_for_selector(".question")
        for key, decided in (("1", 1), ("u", 0), ("1", 1)):
            page.keyboard.press(key)
            page.wait_for_function("n => document.querySelectorAll('.decided li').length === n", arg=decided)
        assert httpx.get(f"{url}/v1/review").json()["corrections"] == 1
        # What would be written, then written.
        opened.open("tags")
        page.get_by_label("Least confidence").fill("0")
        page.get_by_role("button", name="Show the difference first").click()
        write = page.get_by_role("button", name="Write into")
        write.wait_for()
        assert {file.name: file.read_bytes() for file in music.iterdir()} == before
        write.click()
        undo = page.get_by_role("button", name="Undo")
        undo.wait_for()
        told = {file.name: mutagen.File(file).get("mood") for file in music.iterdir()}
        assert set(told) == set(before) and all(told.values())
        # And back, to the byte.
        undo.click()
        page.get_by_role("button", name="Taken back").wait_for()
        assert {file.name: file.read_bytes() for file in music.iterdir()} == before
        opened.fits()


LEARNED = ("classical", "electronic", "rock")


@pytest.fixture
def teaching(shared: Path, tmp_path: Path) -> Iterator[str]:
    """A server on a library whose files tell their genre, and a folder of songs of a label that no model knows."""
    data, music, lessons = shared / "data" / "emotify400", tmp_path / "music", tmp_path / "Lessons"
    with (data / "tracks.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for genre in (*LEARNED, "pop"):
        for row in [row for row in rows if row["genre"] == genre][:12]:
            folder = lessons / "Sunday" / row["artist"] if genre == "pop" else music
            folder.mkdir(parents=True, exist_ok=True)
            song = mutagen.File(shutil.copy(data / row["path"], folder))
            song.update({"artist": row["artist"], "title": row["title"]} | ({} if genre == "pop" else {"genre": genre}))
            song.save()
    scan(ScanRequest(folders=(str(music),), library=str(tmp_path / "a.db")), InlineEngine()).wait()
    with served("--library", tmp_path / "a.db", "--music", lessons, "-j", 2) as (_, url):
        yield url


def followed(tab: Tab, title: str, name: str) -> dict[str, object]:
    """What the page shows of a job from its first to its last moment, and the model that comes of it."""
    page = tab.page
    page.evaluate("""() => {
      const seen = window.seen = [];
      new MutationObserver(() => {
        const work = document.querySelector(".work .job"), bar = work?.querySelector("progress");
        if (work) seen.push({text: work.textContent, share: bar?.hasAttribute("value") ? bar.value / bar.max : null});
      }).observe(document.querySelector(".view"), {subtree: true, childList: true, characterData: true});
    }""")
    page.get_by_label("Name of the new model").fill(name)
    page.locator("form.panel button.main").click()
    page.locator(".work h3", has_text=title).wait_for()
    page.get_by_role("link", name=name, exact=True).last.wait_for(timeout=300_000)
    seen = page.evaluate("window.seen")
    assert "Running" in " ".join(one["text"] for one in seen) and "Done" in page.locator(".work .job").inner_text()
    moments = {one["text"] for one in seen if one["text"].startswith("Running")}
    assert len(moments) > 2 and {one["share"] for one in seen} > {None}, "it moves while the work goes on"
    assert tab.errors == []
    return dict(httpx.get(f"{tab.url}/v1/models/{name}").json()["model"])


@pytest.mark.slow
def test_learning_from_tags_and_a_new_label_after_that(tab: Open, teaching: str) -> None:
    """From the page, each with its live progress: the files' tags teach a model, which a folder of songs extends."""
    opened = tab(teaching)
    page = opened.page
    opened.open("models")
    page.get_by_role("button", name="Learn from tags").first.click()
    made = followed(opened, "Learn from the files' own tags", "mine")
    labels = {label.casefold() for head in made["heads"] for label in head["labels"]}
    assert labels == set(LEARNED)
    page.get_by_role("button", name="Extend").first.click()
    page.locator("[name=model]").select_option("mine")
    folder = page.get_by_role("option", name="Lessons").get_attribute("value")
    page.locator("[name=folder]").select_option(folder)
    more = followed(opened, "Extend a model", "more")
    assert {label.casefold() for head in more["heads"] for label in head["labels"]} == {*LEARNED, "sunday"}
    opened.open("models/more")
    page.get_by_role("heading", name="more", exact=True).wait_for()
    opened.fits()
