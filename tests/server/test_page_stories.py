"""What people do on the page, on real music: drop, scan, find, look, listen, and put songs in a row."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mutagen.oggopus import OggOpus
from playwright.sync_api import expect

from earmark.app.scan import ScanRequest, scan
from earmark.engine import InlineEngine
from server.browser import TWINS, Open, Tab
from serving import served

NAMES = [
    ("Sigur Rós", "Hoppípolla"), ("أم كلثوم", "أنت عمري"), ("עידן רייכל", "ממעמקים"),
    ("<b>Bold</b>", "<img src=x onerror=alert(1)>"),
    ("The Orchestra of the Northern Provinces and its many Friends", "Symphony No. 9 in D minor, Op. 125: IV. Finale"),
    ("Sigur Rós", "Untitled"), ("Miles", "So What"), ("Miles", "All Blues"),
]  # fmt: skip


@pytest.fixture(scope="module")
def music(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two songs of each quadrant under names that are hard to show, and a file that is no audio."""
    data = shared / "data" / "moods900"
    with (data / "tracks.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    chosen = [
        row for quadrant in ("Q1", "Q2", "Q3", "Q4") for row in [one for one in rows if one["quadrant"] == quadrant][:2]
    ]
    folder = tmp_path_factory.mktemp("page") / "Music"
    folder.mkdir()
    for number, (row, (artist, title)) in enumerate(zip(chosen, NAMES, strict=True)):
        target = folder / f"{number} {row['track_id']}.opus"
        shutil.copy(data / row["path"], target)
        tagged = OggOpus(target)
        tagged.update(
            {"artist": artist, "title": title, "album": f"Album {number % 3}", "date": str(1970 + 7 * number)}
        )
        tagged.save()
    (folder / "broken.mp3").write_bytes(b"this is no audio" * 100)
    return folder


@pytest.fixture(scope="module")
def url(music: Path) -> Iterator[str]:
    """A server on the songs, scanned with the bundled model."""
    file = music.parent / "library.db"
    scan(ScanRequest(folders=(str(music),), library=str(file), features=True), InlineEngine()).wait()
    with served("--library", file, "-j", 1, "--music", music) as (_, found):
        yield found


def listens(page: Tab) -> None:
    """Until sound plays: the position moves."""
    page.page.locator("#player .play.on").wait_for()
    before = page.page.locator("#player input[type=range]").input_value()
    moved = "was => document.querySelector('#player input[type=range]').value !== was"
    page.page.wait_for_function(moved, arg=before, polling=200)


@pytest.mark.parametrize(("width", "dark"), TWINS)
def test_drop_a_song_and_see_where_it_is_what(width: int, dark: bool, tab: Open, url: str, music: Path) -> None:
    page = tab(url, width, dark)
    page.open("drop")
    songs = sorted(music.glob("*.opus"))[:2]
    page.page.set_input_files("#files", [*songs, music / "broken.mp3"])
    expect(page.page.locator("#drop-state")).to_have_text("3 of 3 files done.", timeout=60_000)
    assert page.page.locator(".result h2").all_inner_texts() == [*(song.name for song in songs), "broken.mp3"]
    assert "Could not be analysed" in page.page.locator(".result").last.inner_text()
    first = page.page.locator(".result").first
    for head in ("Genre", "Mood", "Instruments", "Voice"):
        first.get_by_role("heading", name=head, exact=True).wait_for()
    assert re.search(r"\d+ %", first.inner_text())
    if not page.page.locator(".heat").is_visible():
        page.page.get_by_role("button", name="Taggram").click()
    page.page.locator("#player .wave canvas").first.wait_for(state="attached")
    page.fits()
    box = page.page.locator(".heat").bounding_box()
    assert box
    page.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 5)
    listens(page)
    assert 12 < float(page.page.locator("#player input[type=range]").input_value()) < 19, "it plays where one clicked"


def test_the_taggram_is_for_keys_and_words_too(tab: Open, url: str, music: Path) -> None:
    page = tab(url)
    page.open("drop")
    page.page.set_input_files("#files", [sorted(music.glob("*.opus"))[0]])
    slider = page.page.get_by_role("slider", name="Taggram")
    slider.wait_for(timeout=60_000)
    assert re.match(r"0:0\d: \w.* \d+ %", slider.get_attribute("aria-valuetext") or "")
    slider.focus()
    page.page.keyboard.press("End")
    last = slider.get_attribute("aria-valuetext") or ""
    assert re.match(r"0:2\d: ", last)
    page.page.keyboard.press("Enter")
    listens(page)
    assert float(page.page.locator("#player input[type=range]").input_value()) >= 20
    page.page.keyboard.press("Tab")
    page.page.get_by_text("Labels and numbers").click()
    assert page.page.get_by_role("rowheader", name="calm").count() == 1
    page.page.get_by_role("checkbox", name="calm").first.uncheck()
    assert page.page.get_by_role("rowheader", name="calm").count() == 0
    page.fits()


def test_a_folder_gives_its_music_alone_and_no_more_than_two_at_once(tab: Open, url: str, music: Path) -> None:
    page = tab(url)
    page.open("drop")
    flying: list[int] = [0, 0]

    def asked(request: object) -> None:
        if "/v1/predict" in getattr(request, "url", ""):
            flying[0] += 1
            flying[1] = max(flying)

    def ended(request: object) -> None:
        flying[0] -= "/v1/predict" in getattr(request, "url", "")

    page.page.on("request", asked)
    page.page.on("requestfinished", ended)
    (music.parent / "Dropped").mkdir(exist_ok=True)
    for song in sorted(music.glob("*.opus"))[:4]:
        shutil.copy(song, music.parent / "Dropped")
    (music.parent / "Dropped" / "cover.txt").write_text("no music", "utf-8")
    page.page.set_input_files("#folder", music.parent / "Dropped")
    expect(page.page.locator("#drop-state")).to_have_text("4 of 4 files done, 1 other file left alone.", timeout=90_000)
    assert flying[1] == 2
    page.page.get_by_role("link", name="Library").click()
    page.page.get_by_role("link", name="Drop").click()
    expect(page.page.locator(".result"), "they are still there").to_have_count(4)


def test_a_format_that_the_browser_cannot_play_is_said_and_shown_all_the_same(tab: Open, url: str, music: Path) -> None:
    import soundfile

    from sounds import melody

    file = music.parent / "song.aiff"
    soundfile.write(file, melody(5, 22050, 3), 22050)
    page = tab(url)
    page.open("drop")
    page.page.set_input_files("#files", [file])
    page.page.get_by_role("button", name="Play song.aiff", exact=True).click(timeout=60_000)
    page.page.locator("#player .warn", has_text="cannot play this format").wait_for()
    page.page.locator("#player .wave canvas").first.wait_for(state="attached")


def tempi(page: Tab) -> list[float]:
    """Of the list of songs, downwards; a song without one has none."""
    return [float(text) for text in page.page.locator(".songs td.tempo .n").all_inner_texts()]


@pytest.mark.parametrize(("width", "dark"), TWINS)
def test_find_filter_and_sort(width: int, dark: bool, tab: Open, url: str) -> None:
    page = tab(url, width, dark)
    page.open("library")
    rows = page.page.locator(".songs tbody tr")
    expect(rows).to_have_count(8)
    page.fits()
    page.page.get_by_label("Find in words").fill("sigur")
    expect(rows).to_have_count(2)
    page.page.get_by_label("Find in words").fill("calm blofish")
    page.page.get_by_text("Not known:").wait_for()
    assert "calm" in page.page.locator(".understood").inner_text()
    page.page.get_by_label("Find in words").fill("")
    expect(rows).to_have_count(8)
    page.page.get_by_text("Filter", exact=True).click()
    voice, instrument = (
        page.page.locator("label", has_text=re.compile(f"^{one} ")).locator("select") for one in ("Voice", "Instrument")
    )
    voice.select_option("vocal")
    page.page.get_by_text(re.compile(r"^\d songs? found")).wait_for()
    instrument.select_option("guitar")
    assert "voice=vocal" in page.run("location.hash") and "instrument=guitar" in page.run("location.hash")
    voice.select_option("any")
    instrument.select_option("any")
    expect(rows).to_have_count(8)
    slow, middle = page.page.get_by_label("BPM up to"), sorted(tempi(page))[len(tempi(page)) // 2]
    slow.fill(str(int(middle)))
    slow.press("Enter")
    expect(rows).not_to_have_count(8)
    found = tempi(page)
    assert len(found) == rows.count() > 0 and max(found) <= middle
    slow.fill("")
    slow.press("Enter")
    expect(rows).to_have_count(8)
    page.page.get_by_label("Sort by").select_option("Tempo")
    page.page.wait_for_function("location.hash.includes('sort=tempo')")
    page.spoken("8 songs")
    assert len(tempi(page)) >= 3 and tempi(page) == sorted(tempi(page))
    albums = page.page.locator(".songs th", has_text="Album")
    expect(albums).to_have_count(1)
    page.page.get_by_role("checkbox", name="Not analysed").check()
    expect(rows).to_have_count(1)
    expect(albums).to_have_count(0)
    assert "Could not be analysed" in rows.inner_text()
    page.page.get_by_role("checkbox", name="Not analysed").uncheck()
    page.page.get_by_label("Sort by").select_option("year")
    expect(rows.first).to_contain_text("Hoppípolla")
    page.page.get_by_role("button", name="turn round").click()
    expect(page.page.locator(".songs tbody tr .title a").first).to_contain_text("All Blues")
    assert "sort=year" in page.run("location.hash") and "order=desc" in page.run("location.hash")
    page.page.reload()
    expect(page.page.locator(".songs tbody tr .title a").first).to_contain_text("All Blues")
    page.page.get_by_role("heading", name="In numbers").wait_for()
    assert page.page.locator(".counts").count() >= 3
    page.fits()


@pytest.mark.parametrize(("width", "dark"), TWINS)
def test_a_song_with_its_reasons_and_songs_like_it(width: int, dark: bool, tab: Open, url: str) -> None:
    page = tab(url, width, dark)
    page.open("library")
    page.page.get_by_role("link", name="أنت عمري").click()
    page.page.get_by_role("heading", name="أنت عمري").wait_for()
    page.page.get_by_role("heading", name="Genre", exact=True).wait_for()
    shown = page.page.locator("section", has=page.page.get_by_role("heading", name="Tempo, key and loudness"))
    said = shown.inner_text()
    assert re.search(r"\d BPM \d+ % sure|no steady beat", said) and re.search(r"\d[AB] \d+ % sure|no clear key", said)
    assert "LUFS" in said and "ReplayGain" in said
    numbers = page.page.get_by_role("list", name="Numbers", exact=True)
    assert "Valence" in numbers.inner_text() and "Positivity" not in numbers.inner_text()
    page.page.locator(".songs tbody tr .pair").first.wait_for()
    page.page.locator("#player .wave canvas").first.wait_for(state="attached")
    if not page.page.locator(".heat").is_visible():
        page.page.get_by_role("button", name="Taggram").click()
    page.page.locator(".heat canvas").wait_for()
    here, there = page.page.locator(".pair").first.get_by_role("button").all()
    there.click()
    listens(page)
    here.click()
    listens(page)
    assert page.page.locator("#player .what").inner_text().startswith("أنت عمري")
    page.page.get_by_role("button", name="Why?").click()
    page.page.get_by_text("Nearest in what the model learned from").first.wait_for(timeout=60_000)
    page.fits()


def test_where_no_matching_seconds_are_known_none_are_shown(tab: Open, url: str) -> None:
    def answer(route: Any) -> None:
        found = route.fetch().json()
        found["tracks"][0]["seconds"] = None
        route.fulfill(json=found)

    page = tab(url)
    page.page.route("**/similar?*", answer)
    page.open("library")
    page.page.get_by_role("link", name="Hoppípolla").click()
    rows = page.page.get_by_role("table", name="Songs like it").locator("tbody tr")
    rows.first.wait_for()
    assert rows.first.locator(".pair").count() == 0 and not re.search(r"\d:\d\d", rows.first.inner_text())
    assert page.page.locator(".pair").count() == rows.count() - 1 and page.errors == []


def test_what_cannot_be_told_and_what_is_an_estimate_is_said(tab: Open, url: str) -> None:
    def answer(route: Any) -> None:
        found = route.fetch()
        told = found.json()
        told["features"] = {
            "tempo": {"value": None, "confidence": 0.1, "alternative": None},
            "key": {"value": None, "camelot": None, "confidence": 0.1},
            "loudness": {"lufs": None, "true_peak": -60.0, "gain": None},
            "energy": {"value": 0.5}, "danceability": {"value": 0.6, "estimate": True}, "liveness": {"value": None},
        }  # fmt: skip
        told["record"]["features"] = told["features"]
        route.fulfill(response=found, json=told)

    page = tab(url, 390, True)
    page.page.route(re.compile(r"/v1/tracks/\d+$"), answer)
    page.open("track/1")
    for words in ("no steady beat", "no clear key", "silent"):
        page.page.get_by_text(words, exact=True).wait_for()
    numbers = page.page.get_by_role("list", name="Numbers", exact=True).inner_text().split()
    assert "Danceability estimate 60 %" in " ".join(numbers) and "Liveness" not in numbers
    page.fits()


def test_a_song_without_a_taggram_says_why(tab: Open, url: str) -> None:
    page = tab(url)
    why = {"title": "Conflict", "detail": "the model that analysed the library is not installed"}
    page.page.route("**/taggram", lambda route: route.fulfill(status=409, json=why))
    page.open("library")
    page.page.get_by_role("link", name="So What").click()
    expect(page.page.locator("#taggram")).to_contain_text("There is no taggram: the model that analysed")
    page.fits()


def test_a_path_to_another_song(tab: Open, url: str) -> None:
    page = tab(url)
    page.open("library")
    page.page.get_by_role("link", name="So What").click()
    page.page.get_by_label("To", exact=True).fill("ממעמקים")
    page.page.locator(".finder").get_by_role("button", name=re.compile("ממעמקים")).click()
    page.spoken("A path of")
    ways = page.page.get_by_role("table", name=re.compile("Path to")).locator("tbody tr .title a")
    assert ways.first.inner_text() == "So What" and ways.last.inner_text() == "ממעמקים"
    assert page.errors == []


@pytest.mark.parametrize(("width", "dark"), TWINS[:2])
def test_a_playlist_is_tried_kept_played_and_saved(width: int, dark: bool, tab: Open, url: str) -> None:
    page = tab(url, width, dark)
    name = f"Evening <{width}>"
    page.open("playlists")
    page.page.get_by_label("From songs").fill("hoppípolla")
    page.page.get_by_role("button", name="Sigur Rós – Hoppípolla").click()
    page.page.get_by_label("Minutes").fill("2")
    page.page.get_by_label("Songs between one artist").fill("0")
    page.page.get_by_role("button", name="Preview").click()
    page.page.get_by_role("table", name="Preview").wait_for()
    page.fits()
    page.page.get_by_label("Name of the playlist").fill(name)
    page.page.get_by_role("button", name="Keep").click()
    page.page.get_by_role("heading", name=name).wait_for()
    page.page.get_by_role("button", name="Play all").click()
    listens(page)
    with page.page.expect_download() as saved:
        page.page.get_by_role("link", name="Save .m3u8").click()
    text = Path(saved.value.path()).read_text("utf-8")
    assert text.startswith("#EXTM3U") and text.count("#EXTINF") == page.page.locator(".songs tbody tr").count()
    page.page.get_by_role("link", name="All playlists").click()
    page.page.get_by_role("link", name=name).wait_for()
    page.fits()
    page.page.get_by_role("link", name=name).click()
    page.page.get_by_role("button", name="Remove").click()
    page.page.get_by_role("heading", name="Playlists").wait_for()
    assert page.page.get_by_role("link", name=name).count() == 0


def test_scan_from_the_page(tab: Open, music: Path) -> None:
    """From nothing to a library, with progress; a second scan is offered on the library's page."""
    with served("--library", music.parent / "fresh.db", "-j", 1, "--music", music) as (_, address):
        page = tab(address, 390)
        page.open("library")
        page.page.get_by_label("Music", exact=True).check()
        page.page.get_by_role("button", name="Scan").click()
        page.page.locator("progress").wait_for()
        assert page.serious() == []
        page.page.get_by_role("link", name="Show the library").click(timeout=120_000)
        expect(page.page.locator(".songs tbody tr")).to_have_count(8)
        page.page.get_by_role("button", name="Scan folders").click()
        page.page.get_by_text(re.compile(r"scanned, \d songs")).wait_for()
        page.fits()


def test_a_scan_can_be_cancelled_and_keeps_what_is_done(tab: Open, music: Path) -> None:
    with served("--library", music.parent / "cut.db", "-j", 1, "--music", music) as (_, address):
        page = tab(address)
        page.open("library")
        page.page.get_by_label("Music", exact=True).check()
        page.page.get_by_role("button", name="Scan").click()
        page.page.get_by_role("button", name="Cancel").click(timeout=60_000)
        page.page.get_by_text("Cancelled", exact=True).wait_for(timeout=60_000)
        page.spoken("what is done is kept")
        assert page.errors == []
