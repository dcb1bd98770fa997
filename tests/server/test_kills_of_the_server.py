"""kill -9 of the server at any moment of review, of tag writing and of training: nothing that was accepted is lost.

``EARMARK_KILLS`` sets how often (6), ``EARMARK_KILLS_SEED`` at which moments (0).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import lessons
from commands import command, environment, nobody_left
from earmark.app.scan import ScanRequest, scan
from earmark.engine import InlineEngine
from earmark.models.card import read_card
from earmark.models.registry import check_files
from made_tagged import KINDS, make_song
from serving import Collection, address

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are found in /proc"),
]

COUNT = int(os.environ.get("EARMARK_KILLS", "6"))
SEED = int(os.environ.get("EARMARK_KILLS_SEED", "0"))


class Running:
    """A server that can be killed."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            command("serve", "--port", "0", *arguments),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment(), start_new_session=True,
        )  # fmt: skip
        self.client = httpx.Client(base_url=address(self.process), timeout=60)

    def kill(self) -> None:
        """As the system does where memory ends; no process of the server stays."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)
        self.client.close()
        assert nobody_left(self.process.pid)

    def job(self, **request: Any) -> int:
        answer = self.client.post("/v1/jobs", json=request)
        assert answer.status_code == 202, answer.text
        return int(answer.json()["id"])

    def wait(self, job: int) -> dict[str, Any]:
        """The job at its end."""
        while (found := self.client.get(f"/v1/jobs/{job}").json())["state"] in ("queued", "running"):
            time.sleep(0.05)
        assert found["state"] == "done", found
        return dict(found)


@contextmanager
def running(*arguments: object) -> Iterator[Running]:
    server = Running(*arguments)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()


def test_corrections_that_were_answered_are_there(collection: Collection) -> None:
    chance = random.Random(SEED)
    given = ("--library", collection.file, "-m", collection.model, "-j", 1)
    accepted: dict[int, str | None] = {}
    answered = 0
    for _ in range(COUNT):
        with running(*given) as server:
            listed = (one["id"] for one in server.client.get("/v1/tracks").json()["tracks"])
            tracks = [one for one in listed if not server.client.get(f"/v1/tracks/{one}").json()["copies"]]
            head = "genre"
            labels = list(server.client.get(f"/v1/tracks/{tracks[0]}").json()["record"]["heads"][head]["scores"])
            killer = threading.Timer(chance.uniform(0.05, 0.5), server.process.kill)
            killer.start()
            flying: tuple[int, str | None] | None = None
            try:
                while True:
                    flying = chance.choice(tracks), chance.choice([*labels, None])
                    answer = server.client.post(
                        "/v1/review", json={"track": flying[0], "head": head, "label": flying[1]}
                    )
                    assert answer.status_code == 200, answer.text
                    accepted[flying[0]] = flying[1]
                    answered += 1
            except httpx.TransportError:
                pass
            killer.join()
        with running(*given) as server:
            for track, label in accepted.items():
                found = server.client.get(f"/v1/tracks/{track}").json()["record"]["correction"]
                now = (found or {}).get(head)
                if flying is not None and track == flying[0] and now == flying[1]:
                    accepted[track] = now
                assert now == accepted[track], (track, label)
    assert answered > COUNT


def test_files_are_whole_and_a_killed_writing_goes_on(tmp_path: Path, tiny_model: Path) -> None:
    """Each file is the old one or the new one; the next writing does the rest, and an undo restores every byte."""
    music = tmp_path / "music"
    music.mkdir()
    for number, kind in enumerate(KINDS):
        make_song(music / f"{number}.{kind}", 2.0)
    library = tmp_path / "library.db"
    scan(ScanRequest(folders=(str(music),), library=str(library), model=str(tiny_model)), InlineEngine()).wait()
    given = ("--library", library, "-m", tiny_model, "-j", 1)
    write = {"kind": "write-tags", "policy": "overwrite", "heads": ["genre"], "min_confidence": 0, "dry_run": False}

    def songs() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(music.iterdir()) if path.name[0] != "."}

    old = songs()
    with running(*given) as server:
        begun = time.monotonic()
        server.wait(server.job(**write))
        usual, new = time.monotonic() - begun, songs()
    assert all(new[name] != old[name] for name in old)
    chance = random.Random(SEED)
    for _ in range(COUNT):
        with running(*given) as server:
            for run in reversed(server.client.get("/v1/write-tags/runs").json()["runs"]):
                if run["undone"] < run["changes"]:
                    server.wait(server.job(kind="undo", run=run["run"]))
            assert songs() == old
            server.job(**write)
            time.sleep(chance.uniform(0, usual))
            server.kill()
        assert all(data in (old[name], new[name]) for name, data in songs().items())
        with running(*given) as server:
            server.wait(server.job(**write))
            assert songs() == new
            assert not list(music.glob(".earmark*"))


def test_a_model_is_whole_or_not_there_and_a_killed_training_can_be_done_again(
    tmp_path: Path, tiny_model: Path, _own_folders: None
) -> None:
    from earmark.paths import data_folder

    shutil.copytree(tiny_model, data_folder() / "models" / "tiny")
    songs = lessons.make_songs(tmp_path / "classes", 8)
    given = ("--library", tmp_path / "none.db", "-m", "tiny", "-j", 1, "--music", songs)
    chance, models = random.Random(SEED), data_folder() / "models"
    with running(*given) as server:
        (folder,) = [one["id"] for one in server.client.get("/v1/folders").json()["folders"] if one["available"]]
        train = {"kind": "train", "folder": folder, "recipe": "transfer", "settings": {"training.epochs": 20}}
        begun = time.monotonic()
        server.wait(server.job(**train, name="first"))
        usual = time.monotonic() - begun
    for number in range(COUNT):
        name = f"model{number}"
        with running(*given) as server:
            server.job(**train, name=name)
            time.sleep(chance.uniform(0, usual))
            server.kill()
        with running(*given) as server:
            listed = {one["name"]: one for one in server.client.get("/v1/models").json()["models"]}
            assert "first" in listed and not listed["first"]["error"]
            if (models / name).exists():
                assert not listed[name]["error"]
            else:
                assert name not in listed
                server.wait(server.job(**train, name=name))
            check_files(models / name, *read_card(models / name).files)
