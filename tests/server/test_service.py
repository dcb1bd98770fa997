"""What all requests share: searches take turns, whoever asks for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from players import KEY
from serving import Collection, client_of

IN_TURN = [
    "/v1/tracks/{one}/similar", "/v1/find?q=song", "/v1/path?from={one}&to={other}",
    "/api/similar_tracks?item_id={one}", "/api/find_path?start_song_id={one}&end_song_id={other}",
    "/rest/getSonicSimilarTracks?id={one}",
    "/rest/findSonicPath?startSongId={one}&endSongId={other}", "/rest/getSimilarSongs2?id={one}",
    "/rest/search3?query=calm",
]  # fmt: skip


@pytest.fixture(scope="module")
def asked(songs: Collection) -> Iterator[TestClient]:
    """A client that may come in by every door."""
    options = replace(songs.options, player_key=KEY)
    with client_of(options, headers={"Authorization": f"Bearer {KEY}"}) as client:
        yield client


@pytest.mark.parametrize("url", [*IN_TURN, "/v1/tracks?q=calm", "/v1/playlists/preview", "/v1/playlists"])
def test_searches_take_turns(asked: TestClient, url: str) -> None:
    """Each holds large arrays: fifty at a time once took 22 GB, and a player can ask for as many as the page."""
    one, other = (song["id"] for song in asked.get("/v1/tracks?limit=2").json()["tracks"])
    url = url.format(one=one, other=other) + f"{'&' if '?' in url else '?'}apiKey={KEY}" * url.startswith("/rest")
    found = []

    def ask() -> None:
        unmet = {"name": "Evening", "wish": {"cluster": "none"}}  # so that nothing is kept
        body = {"/v1/playlists/preview": {"seeds": [one]}, "/v1/playlists": unmet}.get(url)
        answer = asked.get(url) if body is None else asked.post(url, json=body)
        found.append(answer.status_code)

    turns = asked.app.state.service.searching  # type: ignore[attr-defined]
    with turns, turns:
        request = threading.Thread(target=ask)
        request.start()
        request.join(0.5)
        assert not found, "it did not wait for its turn"
    request.join(30)
    assert found == [404 if url == "/v1/playlists" else 200]
