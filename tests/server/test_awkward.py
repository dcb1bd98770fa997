"""Odd uploads, and a library that changes under the server: a clear message each, and the server lives on."""

from __future__ import annotations

import io
import shutil
import socket
import sqlite3
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from earmark.app.scan import ScanRequest, scan
from earmark.engine import InlineEngine
from earmark.errors import FAILURE_KINDS
from serving import Collection, served


@pytest.fixture(scope="module")
def upload(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server without a library."""
    library = tmp_path_factory.mktemp("none") / "none.db"
    with (
        served("--library", library, "-m", tiny_model, "-j", 2) as (_, url),
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


def lives(client: httpx.Client) -> bool:
    return client.get("/v1").status_code == 200


def send(client: httpx.Client, name: str, data: bytes) -> httpx.Response:
    return client.post("/v1/predict", files={"file": (name, data)})


def is_problem(answer: httpx.Response, status: int) -> bool:
    """Whether it is an error as it should be: of that status, with a sentence."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    found = answer.json()
    assert found["status"] == status and found["title"] and len(found["detail"]) > 8, found
    return True


def test_every_awkward_file_has_its_answer(upload: httpx.Client, shared: Path) -> None:
    """A record, or a problem with the kind of ``earmark tag``; no more than the name of the file is told."""
    kinds: Counter[str] = Counter()
    files = [file for file in sorted((shared / "data" / "awkward").rglob("*")) if file.is_file()]
    for file in files:
        answer = send(upload, file.name, file.read_bytes())
        found = answer.json()
        if answer.status_code == 200:
            assert found["path"] == file.name and found["heads"]
            kinds["record"] += 1
        else:
            assert is_problem(answer, 422), file
            assert found["kind"] in FAILURE_KINDS and found["kind"] not in ("crash", "timeout"), (file, found)
            assert "/tmp" not in found["detail"]
            kinds[found["kind"]] += 1
    assert sum(kinds.values()) == len(files) > 200
    assert kinds["record"] > 150 and kinds["not-audio"] and kinds["empty"], kinds
    assert lives(upload)


def test_what_is_no_song(upload: httpx.Client) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("song.mp3", b"\xff\xfb\x90\x00" * 500)
    assert is_problem(send(upload, "songs.zip", packed.getvalue()), 422)
    assert send(upload, "songs.zip", packed.getvalue()).json()["kind"] == "not-audio"
    assert is_problem(send(upload, "nothing.mp3", b""), 422)
    for name in ("../../etc/passwd.mp3", "a\\b.mp3", "x" * 3000 + ".mp3", "<script>.mp3", "\u202egpm.mp3"):
        assert is_problem(send(upload, name, b"no audio" * 100), 422)
    assert is_problem(upload.post("/v1/predict", content=b"{", headers={"content-type": "application/json"}), 422)
    assert is_problem(upload.post("/v1/predict", data={"file": "a text"}), 415)
    assert is_problem(upload.post("/v1/predict", files={"other": ("a.mp3", b"no audio")}), 422)
    assert upload.post("/v1/predict", json={"track": "/etc/passwd"}).status_code == 422
    assert lives(upload)


def raw(client: httpx.Client) -> socket.socket:
    where = urlsplit(str(client.base_url))
    return socket.create_connection((where.hostname or "", where.port or 0), timeout=30)


def head(client: httpx.Client, length: int) -> bytes:
    lines = (
        "POST /v1/predict HTTP/1.1", f"Host: {urlsplit(str(client.base_url)).netloc}", f"Content-Length: {length}",
        "Content-Type: multipart/form-data; boundary=x", "", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode()


def test_two_gigabytes_are_refused_before_they_are_sent(upload: httpx.Client) -> None:
    with raw(upload) as connection:
        connection.sendall(head(upload, 2_000_000_000))
        answer = connection.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 413 ")
    assert "application/problem+json" in answer
    assert lives(upload)


def test_an_upload_that_is_cut_off(upload: httpx.Client) -> None:
    """Many at once, so that nothing is held for those who went away."""
    begin = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF' + b"\0" * 100_000
    for _ in range(30):
        with raw(upload) as connection:
            connection.sendall(head(upload, 50_000_000) + begin)
    assert lives(upload)
    assert is_problem(send(upload, "nothing.mp3", b""), 422)


def test_a_body_without_a_length_that_grows_over_the_limit(upload: httpx.Client) -> None:
    """It is not kept until the disk is full: the answer comes, or the connection ends, long before the sender does."""
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        while sent < 1_000_000_000:
            sent += 1 << 20
            yield bytes(1 << 20)

    kind = {"content-type": "multipart/form-data; boundary=x"}
    with suppress(httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadError):
        assert is_problem(upload.post("/v1/predict", content=endless(), headers=kind), 413)
    assert sent < 500_000_000
    assert lives(upload)


def test_two_tabs_correct_one_song(collection: Collection, server: str) -> None:
    """The second is told what the first has done, and nothing of either is lost silently."""
    with httpx.Client(base_url=server) as one, httpx.Client(base_url=server) as other:
        track, head = 1, "genre"
        labels = list(one.get(f"/v1/tracks/{track}").json()["record"]["heads"][head]["scores"])
        first = one.post("/v1/review", json={"track": track, "head": head, "label": labels[0], "expected": None})
        assert first.status_code == 200 and first.json()["previous"] is None
        late = {"track": track, "head": head, "label": labels[1], "expected": None}
        assert is_problem(other.post("/v1/review", json=late), 409)
        assert other.get(f"/v1/tracks/{track}").json()["record"]["correction"] == {head: labels[0]}
        assert other.post("/v1/review", json=late | {"expected": labels[0]}).json()["previous"] == labels[0]
        back = one.post("/v1/review", json={"track": track, "head": head, "label": None, "expected": labels[1]})
        assert back.json()["label"] is None


ASKED = ("/v1/tracks", "/v1/find?q=calm", "/v1/tracks/1/similar", "/v1/clusters", "/v1/map", "/v1/review",
         "/v1/statistics", "/v1/playlists", "/v1/tracks/1", "/v1/tracks/1/taggram")  # fmt: skip


def soon(client: httpx.Client, path: str, status: int) -> None:
    """Wait for what a server that looks at its library every two seconds will see."""
    end = time.monotonic() + 30
    while client.get(path).status_code != status:
        assert time.monotonic() < end, f"{path} is never {status}"
        time.sleep(0.1)


def remake(collection: Collection) -> None:
    request = ScanRequest(folders=(str(collection.music),), library=str(collection.file), model=str(collection.model))
    scan(request, InlineEngine()).wait()


def remove(collection: Collection) -> None:
    for file in collection.file.parent.glob(f"{collection.file.name}*"):
        file.unlink()


def test_the_library_is_deleted_and_made_anew_under_the_server(collection: Collection, server: str) -> None:
    with httpx.Client(base_url=server, timeout=60) as client:
        assert [client.get(path).status_code for path in ASKED] == [200] * len(ASKED)
        remove(collection)
        for path in ASKED:
            assert is_problem(client.get(path), 503), path
        assert client.get("/v1").json()["library"] is None
        remake(collection)
        assert [client.get(path).status_code for path in ASKED] == [200] * len(ASKED)


def test_the_library_is_replaced_under_the_server(collection: Collection, server: str, tmp_path: Path) -> None:
    """By one with fewer songs: what is told is the new one's at once."""
    with httpx.Client(base_url=server, timeout=60) as client:
        assert client.get("/v1/tracks").json()["total"] == 6
        other = Collection(tmp_path / "other", tmp_path / "other.db", collection.model)
        shutil.copytree(collection.music / "Artist 0", other.music / "Artist 0")
        remake(other)
        remove(collection)
        other.file.rename(collection.file)
        assert client.get("/v1/tracks").json()["total"] == 2
        assert client.get("/v1/tracks/1/similar").status_code == 200
        assert is_problem(client.get("/v1/tracks/7/similar"), 404)


def test_a_newer_earmark_changes_the_library_under_the_server(collection: Collection, server: str) -> None:
    """As after an upgrade beside the running server, and back."""
    with httpx.Client(base_url=server, timeout=60) as client:
        assert client.get("/v1/tracks").status_code == 200
        with sqlite3.connect(collection.file) as db:
            before = db.execute("PRAGMA user_version").fetchone()[0]
            db.execute("PRAGMA user_version = 99")
        soon(client, ASKED[0], 503)
        for path in ASKED:
            assert is_problem(client.get(path), 503), path
        assert "newer" in client.get("/v1/tracks").json()["detail"]
        with sqlite3.connect(collection.file) as db:
            db.execute(f"PRAGMA user_version = {before}")
        soon(client, ASKED[0], 200)
        assert [client.get(path).status_code for path in ASKED] == [200] * len(ASKED)


def test_the_library_is_damaged_under_the_server(collection: Collection, server: str) -> None:
    with httpx.Client(base_url=server, timeout=60) as client:
        assert client.get("/v1/tracks").status_code == 200
        remove(collection)
        collection.file.write_bytes(b"no database" * 1000)
        for path in ASKED:
            assert is_problem(client.get(path), 503), path
        remove(collection)
        remake(collection)
        assert client.get("/v1/tracks").json()["total"] == 6
