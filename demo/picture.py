"""``make picture``: the picture of the page in the README, of pieces that are rendered here and have made-up names."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import soundfile
from playwright.sync_api import Page, sync_playwright

from render import PIECES, RATE, render

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "page.png"
MOST = 300_000  # bytes
NAMES = (
    "Paper Moon Lullaby", "Four Winter Letters", "Aisle of Light", "Waltz for a Rainy Tram", "Barley Road",
    "Corner Booth at Nine", "Pixel Orchard", "Iron Weather", "Night Shift Signal", "Glass Causeway",
    "Slow Harbour", "Fields of Static",
)  # fmt: skip
ARTISTS = ("The Rendered Few", "Nora Sketch", "Machine Parlour", "Oskar Sine")


def main() -> int:
    """Render, scan, serve, and take the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_songs(folder / "music")
        library = folder / "library.db"
        subprocess.run([*EARMARK, "scan", str(folder / "music"), "--library", str(library)], check=True)
        with served(library) as url, browser() as page:
            take(page, url)
    if PICTURE.stat().st_size > MOST:
        print(f"{PICTURE.name} has {PICTURE.stat().st_size:,} bytes, more than {MOST:,}", file=sys.stderr)
        return 1
    print(PICTURE)
    return 0


EARMARK = (sys.executable, "-m", "earmark")


def make_songs(folder: Path) -> None:
    """Each piece twice, by other seeds, with a title, an artist and an album."""
    folder.mkdir(parents=True)
    for number, (style, title) in enumerate(zip(PIECES.values(), NAMES, strict=True)):
        for take_number in (1, 2):
            wave = render(style, number + 100 * take_number)
            file = folder / f"{number + 1:02}-{take_number}.flac"
            with soundfile.SoundFile(file, "w", RATE, wave.shape[1]) as song:
                song.title = title if take_number == 1 else f"{title} (second take)"
                song.artist, song.album = ARTISTS[number % len(ARTISTS)], "Sketches"
                song.write(wave)


@contextmanager
def served(library: Path) -> Iterator[str]:
    """The URL of a server."""
    process = subprocess.Popen(
        [*EARMARK, "serve", "--port", "0", "--library", str(library)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+?(?=/?\s)", process.stdout.readline())
        assert found, "the server did not start"
        yield found[0]
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def browser() -> Iterator[Page]:
    """A window of Chromium."""
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield started.new_page(viewport={"width": 1280, "height": 860})
        started.close()


def take(page: Page, url: str) -> None:
    """A song with its waveform, where it is what, and what sounds like it."""
    page.goto(f"{url}/#/track/7")
    page.get_by_role("table", name="Songs like it").wait_for()
    page.locator(".heat canvas").first.wait_for()
    page.wait_for_load_state("networkidle")
    page.locator("header p.small bdi").evaluate(
        "it => it.textContent = `~/Music/Sketches/${it.textContent.split('/').pop()}`"
    )
    page.screenshot(path=PICTURE)


if __name__ == "__main__":
    sys.exit(main())
