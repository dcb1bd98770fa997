"""The library is deleted, replaced or brought to another format under the server: it says so, and finds it again."""

from __future__ import annotations

import shutil
import sqlite3
import time
from typing import Any

from fastapi.testclient import TestClient

from earmark.library.store import FORMAT
from serving import Collection, begin, wait

ASKED = ("/v1/tracks", "/v1/tracks/1", "/v1/tracks/1/audio", "/v1/tracks/1/peaks")


def test_it_is_deleted_and_comes_back(client: TestClient, collection: Collection) -> None:
    assert client.get("/v1/tracks").json()["total"] == 6
    away = collection.file.with_suffix(".away")
    collection.file.rename(away)
    for path in ASKED:
        answer = client.get(path)
        assert answer.status_code == 503, path
        assert answer.json()["kind"] == "no-library" and "there is no library" in answer.json()["detail"]
    gone = client.get("/v1").json()
    assert gone["library"] is None and gone["problem"]["kind"] == "no-library"
    assert client.post("/v1/jobs", json={"kind": "write-tags"}).status_code == 503
    away.rename(collection.file)
    assert client.get("/v1/tracks").json()["total"] == 6
    assert client.get("/v1").json()["problem"] is None


def test_it_is_replaced(client: TestClient, collection: Collection) -> None:
    assert client.get("/v1/tracks").json()["total"] == 6
    copy = collection.file.with_suffix(".copy")
    shutil.copy(collection.file, copy)
    for beside in collection.file.parent.glob("library.db-*"):
        beside.unlink()
    with sqlite3.connect(copy) as other:
        other.execute("UPDATE tracks SET vanished = 1 WHERE id = 1")
    other.close()
    copy.replace(collection.file)
    assert until(client, lambda answer: answer["total"] == 5)


def test_it_is_of_a_newer_format(client: TestClient, collection: Collection) -> None:
    assert client.get("/v1/tracks").status_code == 200
    with sqlite3.connect(collection.file) as other:
        other.execute(f"PRAGMA user_version={FORMAT + 1}")
        other.execute("UPDATE tracks SET year = '1999'")
    assert until(client, lambda answer: answer.get("status") == 503 and "newer" in answer["detail"])
    with sqlite3.connect(collection.file) as other:
        other.execute(f"PRAGMA user_version={FORMAT}")
    other.close()
    assert until(client, lambda answer: answer.get("total") == 6)


def test_it_becomes_something_else(client: TestClient, collection: Collection) -> None:
    assert client.get("/v1/tracks").status_code == 200
    other = collection.file.with_suffix(".other")
    other.write_bytes(b"this is no library" * 1000)
    other.replace(collection.file)
    assert until(client, lambda answer: answer.get("status") == 503)
    assert client.get("/v1").status_code == 200


def test_there_is_none_until_a_scan_makes_it(empty: TestClient, collection: Collection) -> None:
    assert empty.get("/v1").json()["library"] is None
    for path in ASKED:
        assert empty.get(path).status_code == 503
    options = empty.app.state.service.options  # type: ignore[attr-defined]
    object.__setattr__(options, "music", (str(collection.music),))
    folder = next(one for one in empty.get("/v1/folders").json()["folders"] if one["path"] == str(collection.music))
    assert wait(empty, begin(empty, kind="scan", folders=[folder["id"]])["id"])["state"] == "done"
    assert empty.get("/v1/tracks").json()["total"] == 6


def until(client: TestClient, right: Any, seconds: float = 15) -> bool:
    """Whether an answer becomes right in a while: the library is looked at every two seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if right(client.get("/v1/tracks").json()):
            return True
        time.sleep(0.2)
    return False
