"""Jobs that train: from the page to a model that can be asked, in a process of its own; what nobody may ask for."""

from __future__ import annotations

import shutil
import time
from typing import Any

import pytest
from fastapi.testclient import TestClient

from earmark.library.store import open_library
from made_songs import write_collection
from serving import Collection


def ended(client: TestClient, **job: Any) -> dict[str, Any]:
    """The job at its end."""
    begun = client.post("/v1/jobs", json=job)
    assert begun.status_code == 202, begun.text
    for _ in range(4000):
        found: dict[str, Any] = client.get(f"/v1/jobs/{begun.json()['id']}").json()
        if found["ended"]:
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def test_train_on_a_folder(client: TestClient, collection: Collection) -> None:
    """The model is found by its name at once; another of this name is refused."""
    pytest.importorskip("torch")
    shutil.rmtree(collection.music)
    write_collection(collection.music, songs=6)
    folder = next(one for one in client.get("/v1/folders").json()["folders"] if one["name"] == "music")["id"]
    done = ended(client, kind="train", folder=folder, name="mine", settings={"training.epochs": 2})
    assert done["state"] == "done", done
    assert done["result"]["name"] == "mine" and done["result"]["model"] == "mine@1"
    model = client.get("/v1/models/mine").json()
    assert model["model"]["heads"][0]["labels"] == ["high", "low", "middle"]
    again = client.post("/v1/jobs", json={"kind": "train", "folder": folder, "name": "mine"})
    assert again.status_code == 400 and "a model of this name already" in again.json()["detail"]


@pytest.mark.slow
def test_effect_of_corrections(client: TestClient, collection: Collection) -> None:
    """Nothing was measured; too few songs are one line; what is measured is told from then on."""
    pytest.importorskip("torch")
    assert client.get("/v1/review/effect").json() == {"effect": None}
    failed = ended(client, kind="effect")
    assert failed["state"] == "failed" and failed["problem"]["detail"], failed
    with open_library(collection.file) as library, library.change():
        library.set_label(1, "genre", "Rock")
        measured = {"heads": {"genre": {"difference": 0.1}}, "measured": 1.0, "version": 1}
        library.set_fact("effect of corrections", measured)
    found = client.get("/v1/review/effect").json()["effect"]
    assert found == {"heads": {"genre": {"difference": 0.1}}, "measured": 1.0, "current": True}
    with open_library(collection.file) as library:
        library.set_label(1, "genre", None)
    assert client.get("/v1/review/effect").json()["effect"]["current"] is False


@pytest.mark.parametrize(
    ("job", "status", "detail"),
    [
        ({"kind": "train", "name": "../../etc"}, 422, "name"),
        ({"kind": "train", "name": "a/b"}, 422, "name"),
        ({"kind": "train", "name": "default"}, 400, "a model of this name already"),
        ({"kind": "train", "name": "default", "overwrite": True}, 400, "a model of this name already"),
        ({"kind": "train", "name": "a", "folder": "/etc"}, 404, "unknown folder"),
        ({"kind": "train", "name": "a", "recipe": "/etc/passwd"}, 404, "unknown recipe"),
        ({"kind": "train", "name": "a", "settings": {"training.epochs": "/etc/passwd"}}, 422, "settings"),
        ({"kind": "train", "name": "a", "settings": {"backbone.model": "default, .."}}, 400, "file or folder"),
        ({"kind": "extend", "name": "a", "model": "/etc"}, 404, "unknown model"),
        ({"kind": "from-tags", "name": "a", "library": "/etc/passwd"}, 422, "library"),
    ],
)
def test_what_nobody_may_ask_for(reader: TestClient, job: dict[str, Any], status: int, detail: str) -> None:
    answer = reader.post("/v1/jobs", json=job)
    assert answer.status_code == status and detail in answer.json()["detail"], answer.text
