"""One whole story on the real server, with real music: drop, scan, similar, playlist, review, tags into files, undo."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx
import mutagen

from server.browser import Open
from serving import served


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
