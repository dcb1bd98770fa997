"""Search, playlists, clusters, map, review, models and statistics over REST: shapes, and what nobody may do."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from earmark.app.clusters import ClusterRequest, make_clusters
from earmark.app.map import PlaceRequest, place_songs
from earmark.app.scan import ScanRequest, scan
from earmark.engine import InlineEngine
from earmark.library.options import PlaylistOptions
from earmark.library.store import Stamp, open_library
from serving import Collection, begin, wait
from sounds import melody, write

SUMMARY = {
    "id", "path", "artist", "title", "album", "year", "seconds", "error", "vanished", "genre", "mood", "energy",
    "positivity", "cluster", "tags", "features",
}  # fmt: skip


def ids(collection: Collection) -> dict[str, int]:
    """By the file's name."""
    with open_library(collection.file) as library:
        return {path.rsplit("/", 1)[-1]: row for path, row in library.ids_by_path().items()}


def get(client: TestClient, url: str, status: int = 200, **query: Any) -> Any:
    answer = client.get(url, params=query)
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert answer.headers["content-type"].startswith("application/problem+json")
    return answer.json()


def test_similar(reader: TestClient, songs: Collection) -> None:
    rows = ids(songs)
    found = get(reader, f"/v1/tracks/{rows['song 0.flac']}/similar", count=3)
    assert found["seed"]["id"] == rows["song 0.flac"] and set(found["seed"]) == SUMMARY
    assert len(found["tracks"]) == 3
    for one in found["tracks"]:
        assert set(one) == {"track", "distance", "why", "seconds", "copies"} and set(one["track"]) == SUMMARY
        assert len(one["seconds"]) == 2 and one["why"] and one["track"]["genre"]["confidence"] >= 0
    assert rows["copy.flac"] not in [one["track"]["id"] for one in found["tracks"]], "a copy of the seed"
    found = get(reader, f"/v1/tracks/{rows['song 4.flac']}/similar", count=9, per_artist=0)
    copies = [one["copies"] for one in found["tracks"]]
    assert [rows["song 0.flac"]] in copies or [rows["copy.flac"]] in copies
    assert get(reader, "/v1/tracks/999/similar", 404)["detail"].startswith("unknown track")
    assert get(reader, f"/v1/tracks/{rows['broken.mp3']}/similar", 422)["kind"] == "not-audio"
    assert get(reader, "/v1/tracks/0/similar", 422)["kind"] == "invalid"


def test_where_no_clips_are_known_no_seconds_are_either(client: TestClient, collection: Collection) -> None:
    """Neither of the seed nor of the other song: null, and not the beginning of both."""
    rows = ids(collection)
    seconds = lambda name: {  # noqa: E731
        one["track"]["id"]: one["seconds"] for one in get(client, f"/v1/tracks/{rows[name]}/similar", count=4)["tracks"]
    }
    assert all(seconds("song 1.flac").values())
    with open_library(collection.file) as library, library.change():
        query = "DELETE FROM clips WHERE audio = (SELECT audio FROM tracks WHERE id = ?)"
        library.db.execute(query, (rows["song 2.flac"],))
    found = seconds("song 1.flac")
    assert found.pop(rows["song 2.flac"]) is None and found and all(found.values())
    assert set(seconds("song 2.flac").values()) == {None}


def test_find(reader: TestClient) -> None:
    found = get(reader, "/v1/find", q="song 1, blobfsh")
    assert found["understood"] == ["song 1"] and found["unknown"][0]["word"] == "blobfsh"
    assert found["tracks"][0]["track"]["path"].endswith("song 1.flac") and found["tracks"][0]["why"]
    assert get(reader, "/v1/find", q="xyzzyplugh")["tracks"] == []
    assert get(reader, "/v1/find", 400, q=" , ")["detail"].startswith("' , ' has no words")


def test_path(reader: TestClient, songs: Collection) -> None:
    rows = ids(songs)
    ends = rows["song 0.flac"], rows["song 3.flac"]
    tracks = get(reader, "/v1/path", **{"from": ends[0], "to": ends[1], "count": 4})["tracks"]
    assert (tracks[0]["id"], tracks[-1]["id"]) == ends and len(tracks) == 4
    assert get(reader, "/v1/path", 404, **{"from": 999, "to": ends[1]})


def test_a_preview_writes_nothing(client: TestClient) -> None:
    """Of a cluster that is not there it makes none; of one that is there it tells what is kept then."""
    assert client.post("/v1/playlists/preview", json={"cluster": "rock"}).status_code == 404
    assert get(client, "/v1/clusters") == {"clusters": []}
    wait(client, begin(client, kind="clusters")["id"])
    wish = {"cluster": eventually(lambda: get(client, "/v1/clusters")["clusters"])[0]["name"].upper()}
    found = client.post("/v1/playlists/preview", json=wish).json()["tracks"]
    kept = client.post("/v1/playlists", json={"name": "Evening", "wish": wish}).json()
    assert found and get(client, f"/v1/playlists/{kept['id']}")["tracks"] == found


def test_playlists(client: TestClient, collection: Collection) -> None:
    """Tried, kept, renamed, as a file, chosen anew after a scan, forgotten."""
    rows = ids(collection)
    wish = {"seeds": [rows["song 2.flac"]], "minutes": 1}
    found = client.post("/v1/playlists/preview", json=wish).json()
    assert found["tracks"][0]["id"] == rows["song 2.flac"] and len(found["tracks"]) == 5
    assert found["seconds"] == 25 and "Only 0.4 minutes" in found["notices"][0]
    assert client.get("/v1/playlists").json() == {"playlists": []}
    made = client.post("/v1/playlists", json={"name": "Evening", "wish": wish})
    assert made.status_code == 201 and made.json()["wish"]["seeds"] == [rows["song 2.flac"]]
    evening = made.json()["id"]
    by_hand = client.post("/v1/playlists", json={"name": "Mine", "tracks": [rows["song 1.flac"], rows["song 0.flac"]]})
    assert by_hand.json()["wish"] is None and by_hand.json()["tracks"] == 2
    write(collection.music / "new.flac", melody(5, 22050, 9), 22050)
    request = ScanRequest(folders=(str(collection.music),), library=str(collection.file), model=str(collection.model))
    scan(request, InlineEngine()).wait()
    kept = {one["name"]: one for one in client.get("/v1/playlists").json()["playlists"]}
    assert {name: one["tracks"] for name, one in kept.items()} == {"Evening": 6, "Mine": 2}
    whole = client.get(f"/v1/playlists/{by_hand.json()['id']}").json()
    assert [one["id"] for one in whole["tracks"]] == [rows["song 1.flac"], rows["song 0.flac"]]
    answer = client.get(f"/v1/playlists/{evening}.m3u8")
    assert answer.text.startswith("#EXTM3U\n") and answer.text.count("#EXTINF") == 6
    assert "Evening.m3u8" in answer.headers["content-disposition"]
    changed = client.put(f"/v1/playlists/{evening}", json={"name": "Night", "tracks": [rows["song 3.flac"]]})
    assert changed.json() | {"updated": 0} == {
        "id": evening, "name": "Night", "wish": None, "tracks": 1, "seconds": 5.0, "updated": 0,
    }  # fmt: skip
    assert client.delete(f"/v1/playlists/{evening}").status_code == 204
    assert client.get(f"/v1/playlists/{evening}").status_code == 404


@pytest.mark.parametrize(
    ("wish", "status", "detail"),
    [
        ({"genres": ["Nothing"]}, 404, "unknown genre 'Nothing'"),
        ({"seeds": [999]}, 404, "unknown track"),
        ({"seeds": ["/etc/passwd"]}, 422, "seeds"),
        ({"energy_min": 0.9, "energy_max": 0.1}, 400, "energy"),
        ({"minutes": -1}, 422, "minutes"),
        ({"sound": 1}, 422, "sound"),
        ({"like": "xyzzyplugh"}, 400, "nothing is known"),
    ],
)
def test_wishes_that_make_no_sense(reader: TestClient, wish: dict[str, Any], status: int, detail: str) -> None:
    answer = reader.post("/v1/playlists/preview", json=wish)
    assert answer.status_code == status and detail in answer.json()["detail"], answer.text


def test_a_name_is_one_line_and_steers_nothing(client: TestClient, collection: Collection) -> None:
    kept = client.post("/v1/playlists", json={"name": "walk \u202eback\n\x1b", "tracks": [1]})
    assert kept.status_code == 201 and kept.json()["name"] == "walk back", kept.text
    seeds = ("/music/not \udcff text.mp3",)  # a file of any name may be a seed
    with open_library(collection.file) as library:
        row = library.put_playlist("strange", [1], PlaylistOptions(seeds=seeds))
        wish = library.playlist(row).wish
    assert wish is not None and wish.seeds == seeds


def test_keeping_takes_a_wish_or_songs(reader: TestClient) -> None:
    for body in ({"name": "a"}, {"name": "a", "wish": {}, "tracks": [1]}, {"name": "", "tracks": [1]}):
        assert reader.post("/v1/playlists", json=body).status_code == 422
    answer = reader.post("/v1/playlists", json={"name": "a", "tracks": [999]})
    assert answer.status_code == 400 and "no track 999" in answer.json()["detail"]


def test_clusters_and_map(client: TestClient, collection: Collection) -> None:
    """Nothing before a job has made them; then columns of one length, and 304 while they stay."""
    assert get(client, "/v1/clusters") == {"clusters": []}
    empty = get(client, "/v1/map")
    assert empty == {"ids": [], "x": [], "y": [], "views": {}, "method": "", "joined": 0}
    make_clusters(ClusterRequest(library=str(collection.file), count=2)).wait()
    place_songs(PlaceRequest(library=str(collection.file))).wait()
    clusters = eventually(lambda: get(client, "/v1/clusters")["clusters"])
    assert sum(one["size"] for one in clusters) == 5 and set(clusters[0]["typical"][0]) == SUMMARY
    found = eventually(lambda: get(client, "/v1/map") if get(client, "/v1/map")["ids"] else None)
    assert len(found["ids"]) == len(found["x"]) == len(found["y"]) == 5
    assert set(found["ids"]) <= set(ids(collection).values()) and found["method"] in ("t-SNE", "PCA")
    for name in ("genre", "cluster"):
        view = found["views"][name]
        assert len(view["of"]) == 5 and all(-1 <= one < len(view["names"]) for one in view["of"])
    answer = client.get("/v1/map")
    again = client.get("/v1/map", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304 and not again.content
    summary = get(client, "/v1/find", q="song 1")["tracks"][0]["track"]
    assert summary["cluster"] in [one["name"] for one in clusters]


def test_review(client: TestClient, collection: Collection) -> None:
    """A label is kept at once; another tab's change is not overwritten; it can be taken back."""
    with open_library(collection.file) as library, library.change():
        labels = library.model().head("genre").labels
        for number, row in enumerate(ids(collection).values()):
            tags = {"artist": "", "title": "", "album": "", "year": "", "genre": labels[number % len(labels)]}
            library.put_tags(row, Stamp("1", "1", 1, 1), tags)
    found = get(client, "/v1/review", head="genre", count=3)
    assert found["corrections"] == 0 and "genre" in found["heads"]
    question = found["questions"][0]
    assert set(question) == {"track", "head", "options", "labels", "predicted", "own", "reason"}
    assert set(question["track"]) == SUMMARY and question["head"] == "genre" and question["reason"] == "disagrees"
    track = question["track"]["id"]
    body = {"track": track, "head": "genre", "label": "Polka", "expected": None}
    assert client.post("/v1/review", json=body).json() == {
        "track": track, "head": "genre", "label": "Polka", "previous": None, "version": 1,
    }  # fmt: skip
    after = get(client, "/v1/review", head="genre", count=50)
    assert after["corrections"] == 1 and track not in [one["track"]["id"] for one in after["questions"]]
    other = client.post("/v1/review", json=body | {"label": "Jazz"})
    assert other.status_code == 409 and "it is Polka now" in other.json()["detail"]
    summary = eventually(lambda: (one := get(client, f"/v1/tracks/{track}/similar")["seed"])["genre"]["label"] and one)
    assert summary["genre"] == {"label": "Polka", "confidence": 1.0, "guesses": []}
    forced = client.post("/v1/review", json={"track": track, "head": "genre", "label": "Jazz"}).json()
    assert (forced["previous"], forced["version"]) == ("Polka", 2)
    undone = client.post("/v1/review", json={"track": track, "head": "genre", "label": None, "expected": "Jazz"}).json()
    assert (undone["previous"], undone["label"]) == ("Jazz", None)
    assert get(client, "/v1/review")["corrections"] == 0
    for bad, status in (
        ({"head": "nothing"}, 404), ({"label": ["a"]}, 400), ({"label": "a\u202eb"}, 400), ({"track": 999}, 404),
        ({"label": ""}, 422), ({"label": 7}, 422),
    ):  # fmt: skip
        assert client.post("/v1/review", json=body | bad).status_code == status, bad


def test_models_and_recipes(reader: TestClient) -> None:
    models = {one["name"]: one for one in get(reader, "/v1/models")["models"]}
    default = models["default"]
    assert default["id"].startswith("default@") and default["report"] and not default["in_use"]
    assert {"name", "task", "labels"} == set(default["heads"][0])
    whole = get(reader, "/v1/models/default")
    scores = whole["scores"]["genre"]
    assert len(scores["confusion"]) == len(scores["labels"]) and len(scores["accuracy_ci95"]) == 2
    assert whole["card"]["format"] == 2 and "scores" not in whole["card"] and whole["licence"] and whole["data"]
    assert get(reader, "/v1/models/nothing", 404)["detail"].startswith("unknown model")
    assert reader.get("/v1/models/..%2f..%2fetc").status_code == 404
    assert "transfer" in [one["name"] for one in get(reader, "/v1/recipes")["recipes"]]


def test_statistics(reader: TestClient) -> None:
    found = get(reader, "/v1/statistics")
    assert (found["tracks"], found["copies"]) == (6, 1)
    assert found["failures"] == [{"name": "not-audio", "count": 1}]
    assert sum(one["count"] for one in found["genres"]) == 5
    assert sum(one["count"] for one in found["minutes"]) == 6


def test_runs_of_write_tags(reader: TestClient) -> None:
    assert get(reader, "/v1/write-tags/runs") == {"runs": []}


@pytest.mark.parametrize(
    "url", ["find?q=a", "playlists", "clusters", "map", "review", "statistics", "tracks/1/similar", "path?from=1&to=2"]
)
def test_without_a_library(empty: TestClient, url: str) -> None:
    answer = empty.get(f"/v1/{url}")
    assert answer.status_code == 503 and "earmark scan" in answer.json()["detail"]


def eventually(what: Any) -> Any:
    """What comes in a while: the library in memory follows the file."""
    import time

    for _ in range(200):
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it never came")
