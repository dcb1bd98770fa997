"""The door that speaks as AudioMuse-AI does: requests of its plug-in for Navidrome, word for word, and its errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from players import KEY, PASSWORD, FakeServer, children_of, fake_server, real_library
from serving import Collection, client_of

HEADERS = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def music(shared: Path, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Collection:
    return real_library(shared, tmp_path_factory.mktemp("players"), tiny_model)


@pytest.fixture(scope="module")
def navidrome(music: Collection) -> Iterator[FakeServer]:
    """A media server that has the library's songs under ids of its own."""
    with fake_server(children_of(music)) as fake:
        yield fake


@pytest.fixture(scope="module")
def door(music: Collection, navidrome: FakeServer) -> Iterator[TestClient]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARMARK_MEDIA_SERVER", "joe:sesame")
        options = replace(music.options, player_key=KEY, player_password=PASSWORD, media_server=navidrome.url)
        with client_of(options, headers=HEADERS) as client:
            yield client


@pytest.fixture(scope="module")
def own(music: Collection) -> Iterator[TestClient]:
    """Without a media server: ids are the library's own."""
    with client_of(replace(music.options, player_key=KEY), headers=HEADERS) as client:
        yield client


def is_track(row: dict[str, Any]) -> bool:
    """Whether the plug-in can read a row: four texts and a number."""
    texts = all(isinstance(row[name], str) for name in ("item_id", "title", "author", "album"))
    return texts and isinstance(row.get("distance", 0.0), float)


def test_instant_mix(door: TestClient, navidrome: FakeServer) -> None:
    """``GET /api/similar_tracks`` as the plug-in sends it; every id that comes back is the media server's."""
    seed = navidrome.songs[0]
    answer = door.get(f"/api/similar_tracks?eliminate_duplicates=true&item_id={seed['id']}&n=5&radius_similarity=true")
    assert answer.status_code == 200, answer.text
    rows = answer.json()
    assert len(rows) == 5 and all(map(is_track, rows))
    known = {song["id"]: song for song in navidrome.songs}
    assert all(row["title"] == known[row["item_id"]]["title"] for row in rows)
    assert seed["id"] not in [row["item_id"] for row in rows]
    distances = [row["distance"] for row in rows]
    assert distances == sorted(distances) and 0 <= distances[0] <= 2


def test_a_path(door: TestClient, navidrome: FakeServer) -> None:
    """``GET /api/find_path`` as the plug-in sends it."""
    start, end = navidrome.songs[0]["id"], navidrome.songs[5]["id"]
    answer = door.get(
        f"/api/find_path?count=6&end_song_id={end}&max_steps=6&mood_pct=100&path_fix_size=false&start_song_id={start}"
    )
    assert answer.status_code == 200, answer.text
    path = answer.json()["path"]
    assert [path[0]["item_id"], path[-1]["item_id"]] == [start, end] and 2 < len(path) <= 6
    assert all(map(is_track, path))
    assert answer.json()["total_distance"] > 0


@pytest.mark.parametrize("parts", ["true", "false"])
def test_artist_radio(door: TestClient, navidrome: FakeServer, parts: str) -> None:
    """``GET /api/similar_artists``: the plug-in sends the media server's id of the artist as ``artist``."""
    artist = navidrome.songs[0]
    query = f"artist={artist['artistId']}&include_component_matches={parts}&n=4"
    answer = door.get(f"/api/similar_artists?{query}")
    assert answer.status_code == 200, answer.text
    rows = answer.json()
    assert len(rows) == 4
    ids = {song["artistId"]: song["artist"] for song in navidrome.songs}
    for row in rows:
        assert row["artist_id"] in ids and row["artist_id"] != artist["artistId"]
        assert isinstance(row["divergence"], float)
        assert ("component_matches" in row) == (parts == "true")
        for component in row.get("component_matches", ()):
            mine, theirs = (component[f"artist{one}_representative_songs"] for one in (1, 2))
            assert mine[0] == {"item_id": artist["id"], "title": artist["title"]}
            known = {song["id"]: song["artistId"] for song in navidrome.songs}
            assert {known[song["item_id"]] for song in theirs} == {row["artist_id"]}
    by_name = door.get("/api/similar_artists", params={"artist": artist["artist"], "n": 4}).json()
    by_id = door.get("/api/similar_artists", params={"artist_id": artist["artistId"], "n": 4}).json()
    plain = [row["artist"] for row in rows]
    assert [row["artist"] for row in by_name] == [row["artist"] for row in by_id] == plain


def test_songs_that_the_media_server_lacks_are_left_out(music: Collection) -> None:
    known = children_of(music)[:4]
    with pytest.MonkeyPatch.context() as patch, fake_server(known) as fake:
        patch.setenv("EARMARK_MEDIA_SERVER", "joe:sesame")
        options = replace(music.options, player_key=KEY, media_server=fake.url)
        with client_of(options, headers=HEADERS) as client:
            rows = client.get(f"/api/similar_tracks?item_id={known[0]['id']}&n=3").json()
            assert {row["item_id"] for row in rows} == {song["id"] for song in known[1:]}


@pytest.mark.parametrize("mode", ["broken", "empty", "refuse"])
def test_a_media_server_that_does_not_answer(music: Collection, mode: str) -> None:
    """By artist and title it still goes; an id that nobody knows is a 404, and nothing is a 500."""
    song = children_of(music)[0]
    with pytest.MonkeyPatch.context() as patch, fake_server([song], mode) as fake:
        patch.setenv("EARMARK_MEDIA_SERVER", "joe:sesame")
        options = replace(music.options, player_key=KEY, media_server=fake.url)
        with client_of(options, headers=HEADERS) as client:
            by_id = client.get("/api/similar_tracks", params={"item_id": song["id"]})
            assert by_id.status_code == 404 and by_id.json().keys() == {"error"}
            given = {"title": song["title"], "artist": song["artist"]}
            by_name = client.get("/api/similar_tracks", params=given)
            assert by_name.status_code == 200
            assert all(is_track(row) and row["item_id"] == "" for row in by_name.json())


def test_without_a_media_server_ids_are_our_own(own: TestClient, music: Collection) -> None:
    songs = children_of(music)
    by_name = own.get("/api/similar_tracks", params={"title": songs[0]["title"].upper(), "artist": songs[0]["artist"]})
    rows = by_name.json()
    assert rows == own.get("/api/similar_tracks?item_id=1").json()
    assert len(rows) == len(songs) - 2, "all but itself and the silent one"
    path = own.get(f"/api/find_path?start_song_id=1&end_song_id={rows[-1]['item_id']}").json()["path"]
    assert path[-1]["item_id"] == rows[-1]["item_id"]


def test_search(own: TestClient, music: Collection) -> None:
    song = children_of(music)[0]
    for given in ({"search_query": song["title"]}, {"title": song["title"], "artist": song["artist"]}):
        rows = own.get("/api/search_tracks", params=given).json()
        assert song["title"] in [row["title"] for row in rows] and all(map(is_track, rows))
    assert own.get("/api/search_tracks").json() == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("similar_tracks", 400),
        ("similar_tracks?title=alone", 400),
        ("similar_tracks?mood=happy&centroid_index=0", 400),
        ("similar_tracks?anchor_id=3", 400),
        ("similar_tracks?item_id=999999", 404),
        ("similar_tracks?item_id=../x", 404),
        ("similar_tracks?item_id=%C2%B2", 404),
        ("similar_tracks?title=no&artist=body", 404),
        ("find_path", 400),
        ("find_path?start_song_id=1", 400),
        ("find_path?start_song_id=1&end_song_id=1", 400),
        ("find_path?start_song_id=1&end_song_id=999999", 404),
        ("find_path?start_mood=happy&end_song_id=1", 400),
        ("similar_artists", 400),
        ("similar_artists?artist=nobody", 404),
        ("similar_artists?artist_id=nobody", 404),
    ],
)
def test_errors_have_one_shape(own: TestClient, query: str, status: int) -> None:
    answer = own.get(f"/api/{query}")
    assert answer.status_code == status
    assert answer.json().keys() == {"error"} and answer.json()["error"]


@pytest.mark.parametrize("count", ["notanumber", "-5", "0", "99999999999999999999", ""])
def test_counts_are_bounded(own: TestClient, count: str) -> None:
    answer = own.get(f"/api/similar_tracks?item_id=1&n={count}")
    assert answer.status_code == 200
    assert len(answer.json()) == (1 if count in ("-5", "0") else 9)


def test_duplicates(own: TestClient) -> None:
    """``eliminate_duplicates`` bounds the songs of one artist; without it all count."""
    for flag in ("true", "false"):
        rows = own.get(f"/api/similar_tracks?item_id=1&n=100&eliminate_duplicates={flag}").json()
        authors = [row["author"] for row in rows]
        assert max(map(authors.count, authors)) <= (3 if flag == "true" else 9)


def test_only_the_key_opens_and_health_needs_none(music: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earmark.server.doors.keys.WRONG_KEY_SECONDS", 0)
    for options in (music.options, replace(music.options, player_key=KEY, player_password=PASSWORD, token="page")):
        with client_of(options) as client:
            assert client.get("/api/health").json() == {"status": "ok"}
            for header in ("", "Bearer", f"Bearer {PASSWORD}", "Bearer page", f"Basic {KEY}", "Bearer wrong"):
                for path in ("similar_tracks?item_id=1", "find_path", "similar_artists", "search_tracks"):
                    answer = client.get(f"/api/{path}", headers={"Authorization": header})
                    assert answer.status_code == 401 and answer.json() == {"error": "Unauthorized"}


def test_a_library_that_is_gone(tmp_path: Path, music: Collection) -> None:
    options = replace(music.options, library=str(tmp_path / "none.db"), player_key=KEY)
    with client_of(options, headers=HEADERS) as client:
        answer = client.get("/api/similar_tracks?item_id=1")
        assert answer.status_code == 503 and answer.json().keys() == {"error"}
        assert str(tmp_path) not in answer.text
