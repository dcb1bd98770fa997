"""A small scanned library, an application on it in this process, and a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from earmark.app.scan import ScanRequest, scan
from earmark.engine import InlineEngine
from earmark.server.application import ServerOptions
from serving import Collection, client_of, served
from sounds import melody, write


@pytest.fixture
def collection(tmp_path: Path, tiny_model: Path) -> Collection:
    """A collection of this test's own."""
    music = tmp_path / "music"
    for number in range(5):
        folder = music / f"Artist {number // 2}"
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / f"song {number}.flac", melody(5, 22050, number), 22050)
    (music / "copy.flac").write_bytes((music / "Artist 0" / "song 0.flac").read_bytes())
    (music / "broken.mp3").write_bytes(b"this is no audio" * 100)
    file = tmp_path / "library.db"
    scan(ScanRequest(folders=(str(music),), library=str(file), model=str(tiny_model)), InlineEngine()).wait()
    return Collection(music, file, tiny_model)


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
