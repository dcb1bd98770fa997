"""The media server whose ids we speak: right, old, slow, broken, odd; it is asked for little and told nothing."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from earmark.app.catalogue import Catalogue, read_catalogue
from earmark.errors import EarmarkError
from earmark.library.store import open_library
from earmark.server.doors.media_server import Login, MediaServer, match
from made_library import made_library
from players import fake_server

LOGIN = Login("joe", "sesame-of-the-media-server")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """1,200 songs: more than two pages."""
    folder = tmp_path_factory.mktemp("matching")
    with made_library(folder, 1200) as (library, _):
        file = library.file
    with open_library(file, write=False) as library:
        return read_catalogue(library)


@pytest.fixture(scope="module")
def songs(catalogue: Catalogue) -> list[dict[str, object]]:
    return [
        {
            "id": f"nd{track.id}",
            "title": track.title,
            "artist": track.artist,
            "artistId": f"a-{track.artist}",
            "path": f"srv/{Path(track.path).parent.name}/{Path(track.path).name}",
            "duration": round(track.seconds),
        }
        for track in catalogue.songs.values()
    ]


def settled(server: MediaServer, catalogue: Catalogue, seconds: float = 10) -> None:
    """Wait until what is read is read."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not server.matches(catalogue).theirs and not server.problem:
        time.sleep(0.05)


@pytest.mark.parametrize("mode", ["right", "no-empty", "needs-words"])
def test_every_song_is_known_both_ways(catalogue: Catalogue, songs: list[dict[str, object]], mode: str) -> None:
    """By paging a search for nothing, and of servers that find or want nothing then, album by album."""
    with fake_server(songs, mode) as fake:
        server = MediaServer(fake.url + "/", LOGIN)
        matches = server.matches(catalogue)
        assert matches.theirs == len(matches.songs) == len(matches.ids) == 1200
        assert all(matches.ids[row] == f"nd{row}" for row in catalogue.songs)
        assert matches.artists["a-Artist 7"] == "Artist 7"
        artist = catalogue.artist_of("Artist 7")
        assert artist is not None and matches.artist_ids[artist.id] == "a-Artist 7"
        asked = len(fake.asked)
        assert asked <= 5, "pages, not songs"
        assert server.song("nd77", catalogue).id == 77  # type: ignore[union-attr]
        assert server.artist("a-Artist 3", catalogue) == "Artist 3"
        assert len(fake.asked) == asked, "what is known is not asked again"


def test_the_password_is_never_sent(catalogue: Catalogue, songs: list[dict[str, object]]) -> None:
    with fake_server(songs) as fake:
        MediaServer(fake.url, LOGIN).matches(catalogue)
        for _, given in fake.asked:
            assert given["u"] == "joe" and len(given["s"]) >= 6
            assert given["t"] == hashlib.md5((LOGIN.password + given["s"]).encode()).hexdigest()
            assert LOGIN.password not in str(given)
        assert len({given["s"] for _, given in fake.asked}) == len(fake.asked), "a new salt each time"
    assert LOGIN.password not in repr(LOGIN)


def test_a_server_without_tokens_gets_the_password_where_nobody_reads_along(
    catalogue: Catalogue, songs: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On this machine, or by TLS; never over a network in the clear, and never from a server that takes tokens."""
    with fake_server(songs, "no-tokens") as fake:
        assert MediaServer(fake.url, LOGIN).matches(catalogue).theirs == 1200
        assert [("p" in given) for _, given in fake.asked[:3]] == [False, True, True]
        fake.asked.clear()
        monkeypatch.setattr("earmark.server.doors.media_server.is_loopback", lambda host: False)
        server = MediaServer(fake.url, LOGIN)
        assert server.matches(catalogue).theirs == 0
        assert server.problem and not any("p" in given for _, given in fake.asked)
    with fake_server(songs, "refuse") as fake:
        MediaServer(fake.url, LOGIN).matches(catalogue)
        assert not any("p" in given for _, given in fake.asked)


def test_a_key_takes_the_place_of_both(catalogue: Catalogue, songs: list[dict[str, object]]) -> None:
    with fake_server(songs) as fake:
        MediaServer(fake.url, Login(key="k-1")).matches(catalogue)
        assert all(given["apiKey"] == "k-1" and not {"u", "t", "s", "p"} & given.keys() for _, given in fake.asked)


def test_a_new_song_is_asked_for_by_itself(catalogue: Catalogue, songs: list[dict[str, object]]) -> None:
    """It came after the songs were listed; and it is asked for once."""
    with fake_server(songs[:10]) as fake:
        server = MediaServer(fake.url, LOGIN)
        assert len(server.matches(catalogue).songs) == 10
        fake.songs = songs
        for _ in range(3):
            assert server.song("nd900", catalogue).id == 900  # type: ignore[union-attr]
        assert [method for method, _ in fake.asked].count("getSong") == 1
        for _ in range(3):
            assert server.song("nobody", catalogue) is None


@pytest.mark.parametrize("mode", ["broken", "empty", "html", "refuse", "elsewhere"])
def test_a_server_that_answers_nonsense_is_a_problem_and_no_error(
    catalogue: Catalogue, songs: list[dict[str, object]], mode: str
) -> None:
    with fake_server(songs, mode) as fake:
        server = MediaServer(fake.url, LOGIN, patience=3)
        assert server.matches(catalogue).theirs == 0
        assert server.problem and LOGIN.password not in server.problem
        assert server.song("nd1", catalogue) is None
        assert not any(method.startswith("/other") for method, _ in fake.asked)
        assert len(fake.asked) < 4, "it is not asked again and again"


def test_odd_shapes_are_passed_over(catalogue: Catalogue) -> None:
    with fake_server([], "odd") as fake:
        server = MediaServer(fake.url, LOGIN)
        assert server.matches(catalogue).theirs == 0
        assert server.song("nd1", catalogue) is None
    odd = [{}, {"id": None}, {"id": 7, "title": ["x"]}, {"id": "x", "path": 3, "duration": "long"}, {"id": {"a": 1}}]
    odd += [{"id": "y", "duration": 1e99, "title": "x" * 10_000, "artist": "\udcff"}]
    assert match(iter(odd), catalogue).songs == {}


@pytest.mark.parametrize("mode", ["slow", "drip"])
def test_a_slow_server_makes_nobody_wait_long(
    catalogue: Catalogue, songs: list[dict[str, object]], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request waits its patience, and every other not at all."""
    monkeypatch.setattr("earmark.server.doors.media_server._ANSWER_SECONDS", 1.0)
    monkeypatch.setattr("earmark.server.doors.media_server._SOCKET_SECONDS", 1.0)
    with fake_server(songs, mode) as fake:
        server = MediaServer(fake.url, LOGIN, patience=0.3)
        began = time.monotonic()
        assert server.matches(catalogue).theirs == 0
        assert time.monotonic() - began < 1
        settled(server, catalogue)
        assert server.problem
        began = time.monotonic()
        assert server.song("nd1", catalogue) is None
        assert time.monotonic() - began < 0.2


def test_what_nobody_foresaw_is_a_problem_too(
    catalogue: Catalogue, songs: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not tried again at every call, and the first one alone waits for it."""
    readings = []

    def fails(*_: object) -> None:
        readings.append(1)
        raise RuntimeError("a secret")

    monkeypatch.setattr("earmark.server.doors.media_server.match", fails)
    with fake_server(songs) as fake:
        server = MediaServer(fake.url, LOGIN)
        for _ in range(3):
            assert server.matches(catalogue).theirs == 0
    assert readings == [1]
    assert server.problem and "secret" not in server.problem


def test_an_endless_answer_is_cut_off(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earmark.server.doors.media_server._LARGEST", 3_000_000)
    with fake_server([], "endless") as fake:
        server = MediaServer(fake.url, LOGIN)
        assert server.matches(catalogue).theirs == 0
        assert "too much" in server.problem


def test_nobody_there(catalogue: Catalogue) -> None:
    server = MediaServer("http://127.0.0.1:9", LOGIN)
    assert server.matches(catalogue).theirs == 0
    assert "does not answer" in server.problem


def test_what_was_known_holds_when_the_server_goes(
    catalogue: Catalogue, songs: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("earmark.server.doors.media_server._GOOD_FOR", -1.0)
    with fake_server(songs) as fake:
        server = MediaServer(fake.url, LOGIN)
        assert server.matches(catalogue).theirs == 1200
        fake.mode = "html"
        end = time.monotonic() + 5
        while not server.problem and time.monotonic() < end:
            server.matches(catalogue)
            time.sleep(0.02)
        assert server.problem
        assert server.matches(catalogue).theirs == 1200


@pytest.mark.parametrize(
    "url", ["", "nonsense", "ftp://x", "http://", "http://h:port", "http://h:99999", "http://h/?a=b"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(EarmarkError, match="--media-server"):
        MediaServer(url, LOGIN)


def test_the_login_stands_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EARMARK_MEDIA_SERVER", raising=False)
    with pytest.raises(EarmarkError, match="EARMARK_MEDIA_SERVER"):
        MediaServer.of("http://127.0.0.1:4533")
    monkeypatch.setenv("EARMARK_MEDIA_SERVER", "joe:a:b")
    assert Login.of_environment() == Login("joe", "a:b")
    monkeypatch.setenv("EARMARK_MEDIA_SERVER", "a-key")
    assert Login.of_environment() == Login(key="a-key")
