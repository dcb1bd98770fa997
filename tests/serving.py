"""What tests of the server share: a collection with its library, an application in this process, a real server."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from pytest import MonkeyPatch

from commands import command, environment
from earmark.app.scan import ScanRequest, scan
from earmark.engine import InlineEngine, LocalEngine
from earmark.server import service
from earmark.server.application import ServerOptions, create_application

URL = "http://127.0.0.1:8765"


@dataclass(frozen=True)
class Collection:
    """Six songs of three artists, one of them a copy, a file that is no audio, and their library.

    The songs lie in ``music``, the library is ``file`` and was made by ``model``.
    """

    music: Path
    file: Path
    model: Path

    @property
    def options(self) -> ServerOptions:
        return ServerOptions(library=str(self.file), model=str(self.model), jobs=1, music=(str(self.music),))


def real_collection(shared: Path, folder: Path, count: int = 10, *, features: bool = False) -> Collection:
    """Songs of real music with their tags, scanned with the bundled model: ``folder/music``, ``folder/library.db``."""
    songs = sorted((shared / "data" / "moods900" / "audio").glob("*.opus"))
    collection = Collection(folder / "music", folder / "library.db", Path("default"))
    collection.music.mkdir()
    for song in songs[:: len(songs) // count][:count]:
        shutil.copyfile(song, collection.music / song.name)
    request = ScanRequest(folders=(str(collection.music),), library=str(collection.file), features=features)
    scan(request, InlineEngine()).wait()
    return collection


@contextmanager
def client_of(options: ServerOptions, **more: Any) -> Iterator[TestClient]:
    """A client of an application with these options, in this process."""
    with MonkeyPatch.context() as patch:  # most tests have nothing analysed: no worker is made before it is needed
        patch.setattr(service, "LocalEngine", lambda *given, preload, **other: LocalEngine(*given, **other))
        application = create_application(options)
    with TestClient(application, base_url=URL, raise_server_exceptions=True, **more) as client:
        yield client


@contextmanager
def served(*arguments: object, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``earmark serve`` on a free port, as a process of its own, with the URL that it prints (no slash at the end)."""
    process = subprocess.Popen(
        command("serve", "--port", "0", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**variables),
    )
    try:
        yield process, address(process)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def address(process: subprocess.Popen[str]) -> str:
    """The URL that a server prints once it answers."""
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://\S+(?=/\s*$)", line)
    assert found, (line, process.stderr.read() if process.stderr and process.poll() is not None else "")
    return found[0]


def children(process: int) -> set[int]:
    """Processes that a process has started, and those that they have (Linux)."""
    found: set[int] = set()
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, task.read_text("ascii").split()):
            found |= {child} | children(child)
    return found


def wait(client: TestClient, job: int, seconds: float = 60) -> dict[str, Any]:
    """The job once it has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = client.get(f"/v1/jobs/{job}").json()
        if found["ended"]:
            return found
        time.sleep(0.05)
    raise AssertionError("the job does not end")


def begin(client: TestClient, **job: Any) -> dict[str, Any]:
    answer = client.post("/v1/jobs", json=job)
    assert answer.status_code == 202, answer.text
    return answer.json()
