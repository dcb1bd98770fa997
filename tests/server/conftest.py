"""A small scanned library, an application on it in this process, and a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from earmark.app.scan import ScanRequest, scan
from earmark.engine import InlineEngine
from earmark.server.application import ServerOptions
from server.browser import Open, Tab, needs_parts, tabs
from serving import Collection, client_of, real_collection, served
from sounds import melody, write


def _collected(folder: Path, model: Path) -> Collection:
    music = folder / "music"
    for number in range(5):
        artist = music / f"Artist {number // 2}"
        artist.mkdir(parents=True, exist_ok=True)
        write(artist / f"song {number}.flac", melody(5, 22050, number), 22050)
    (music / "copy.flac").write_bytes((music / "Artist 0" / "song 0.flac").read_bytes())
    (music / "broken.mp3").write_bytes(b"this is no audio" * 100)
    file = folder / "library.db"
    scan(ScanRequest(folders=(str(music),), library=str(file), model=str(model)), InlineEngine()).wait()
    return Collection(music, file, model)


@pytest.fixture
def collection(tmp_path: Path, tiny_model: Path) -> Collection:
    """A collection of this test's own."""
    return _collected(tmp_path, tiny_model)


@pytest.fixture(scope="session")
def songs(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Collection:
    """A collection for tests that change nothing of it."""
    return _collected(tmp_path_factory.mktemp("songs"), tiny_model)


@pytest.fixture(scope="session")
def reader(songs: Collection) -> Iterator[TestClient]:
    """A client of an application on ``songs``, for tests that change nothing."""
    with client_of(songs.options) as client:
        yield client


@pytest.fixture
def client(collection: Collection) -> Iterator[TestClient]:
    """A client of an application on the collection, in this process."""
    with client_of(collection.options) as client:
        yield client


@pytest.fixture
def empty(tmp_path: Path, tiny_model: Path) -> Iterator[TestClient]:
    """A client of an application without a library."""
    with client_of(ServerOptions(library=str(tmp_path / "none.db"), model=str(tiny_model), jobs=1)) as client:
        yield client


@pytest.fixture
def server(collection: Collection) -> Iterator[str]:
    """The URL of a real server on the collection."""
    with served("--library", collection.file, "-m", collection.model, "-j", 1, "--music", collection.music) as (_, url):
        yield url


@pytest.fixture(scope="session")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Ten songs of real music as the bundled model hears them; for tests that change neither songs nor library."""
    return real_collection(shared, tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="session")
def real_server(real: Collection) -> Iterator[str]:
    """The URL of a real server on them, for all tests that only look."""
    with served("--library", real.file, "-j", 1, "--music", real.music) as (_, url):
        yield url


@pytest.fixture(scope="module")
def opener(chromium: str) -> Iterator[Open]:
    """One browser for the tests of a module; beside Playwright no other event loop runs in a thread."""
    needs_parts()
    with tabs(chromium) as opener:
        yield opener


@pytest.fixture
def tab(opener: Open) -> Iterator[Open]:
    """Opens a tab; a test leaves none, which would go on to draw and to play."""
    mine: list[Tab] = []

    def one(*face: Any, **more: Any) -> Tab:
        mine.append(opener(*face, **more))
        return mine[-1]

    yield one
    for tab in mine:
        tab.page.context.close()
