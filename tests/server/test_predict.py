"""Uploads: analysed within bounds, and gone afterwards."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from earmark.paths import cache_folder
from serving import Collection, client_of
from sounds import melody, write


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Whatever became of an upload, no file of it stays."""
    yield
    folder = cache_folder() / "uploads"
    assert not folder.is_dir() or not list(folder.iterdir())


def upload(client: TestClient, content: bytes, name: str = "song.flac", **query: Any) -> Any:
    return client.post("/v1/predict", params=query, files={"file": (name, content)})


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return write(tmp_path / "a.flac", melody(5, 22050, 3), 22050).read_bytes()


def test_an_upload_is_analysed_as_a_file_is(
    reader: TestClient, songs: Collection, content: bytes, tmp_path: Path, earmark: Any
) -> None:
    answer = upload(reader, content, "../../etc/my song.FLAC", taggram=True, why=True, peaks=40)
    assert answer.status_code == 200, answer.text
    record = answer.json()
    assert len(record.pop("peaks")) == 40
    (tmp_path / "my song.FLAC").write_bytes(content)
    said = earmark("tag", tmp_path / "my song.FLAC", "-m", songs.model, "-f", "json", "--taggram", "--why")
    [expected] = json.loads(said.out)
    assert record == expected | {"path": "my song.FLAC"}


def test_a_track_of_the_library(reader: TestClient) -> None:
    track = reader.get("/v1/tracks").json()["tracks"][0]
    answer = reader.post("/v1/predict", json={"track": track["id"]})
    assert answer.status_code == 200 and answer.json()["path"] == track["path"]
    assert "taggram" not in answer.json()["heads"]["genre"]


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("song.mp3", b"0" * 1000)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "body", "kind"),
    [
        ("song.zip", zipped(), "not-audio"),
        ("song.mp3", b"", "empty"),
        ("song.mp3", b"<html>" * 1000, "not-audio"),
        ("song.flac", b"fLaC" + bytes(1000), "decode"),
    ],
)
def test_a_file_that_is_no_audio(reader: TestClient, name: str, body: bytes, kind: str) -> None:
    answer = upload(reader, body, name)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["kind"] in (kind, "not-audio", "decode")
    assert "/" not in answer.json()["detail"], "no path of ours"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"json": {"track": 999}}, 404),
        ({"json": {"track": "/etc/passwd"}}, 422),
        ({"json": {"path": "/etc/passwd"}}, 422),
        ({"json": {"track": 1, "model": "/etc"}}, 422),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 422),
        ({"content": b"[" * 100_000, "headers": {"content-type": "application/json"}}, 422),
        ({"content": b"x", "headers": {"content-type": "text/plain"}}, 415),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=y"}}, 400),
        ({"files": {"other": ("a.mp3", b"x")}}, 422),
        ({"files": [("file", ("a.mp3", b"x")), ("file", ("b.mp3", b"y"))]}, 400),
        ({"data": {"file": "text"}, "files": {"other": b""}}, 422),
        ({}, 415),
    ],
)
def test_a_request_that_makes_no_sense(reader: TestClient, request_: dict[str, Any], status: int) -> None:
    answer = reader.post("/v1/predict", **request_)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["two  blanks.flac", "<script>.flac", "..", "caf\u00e9\u202e.flac", "a\x1b[31m.flac"])
def test_an_upload_keeps_its_name(reader: TestClient, content: bytes, name: str) -> None:
    """As it is, but without folders: it is a name, and never a path."""
    for folders in ("", "a/../../", "C:\\music\\"):
        assert upload(reader, content, folders + name).json()["path"] == name


def test_audio_that_is_too_long_is_refused(songs: Collection, tmp_path: Path) -> None:
    """A small file may hold hours of silence."""
    hours = write(tmp_path / "silence.flac", np.zeros(8000 * 400, np.float32), 8000).read_bytes()
    assert len(hours) < 100_000
    with client_of(replace(songs.options, max_seconds=300)) as client:
        answer = upload(client, hours, peaks=10)
    assert answer.status_code == 422 and answer.json()["kind"] == "timeout"
    assert "300 s" in answer.json()["detail"]


def test_an_analysis_has_its_time(songs: Collection, content: bytes) -> None:
    with client_of(replace(songs.options, request_seconds=0.001)) as client:
        answer = upload(client, content)
        assert answer.status_code == 422 and answer.json()["kind"] == "timeout"
    with client_of(songs.options) as client:
        assert upload(client, content).status_code == 200


def test_a_large_upload_is_refused(songs: Collection, content: bytes) -> None:
    with client_of(replace(songs.options, max_upload=10_000)) as client:
        answer = upload(client, content + bytes(200_000))
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
