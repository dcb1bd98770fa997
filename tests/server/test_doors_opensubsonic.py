"""The door of OpenSubsonic: what its answers are, in both forms, and what it refuses."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch
from xml.etree import ElementTree

import pytest
import soundfile
from fastapi.testclient import TestClient

from earmark.app.scan import ScanRequest, scan
from earmark.engine import InlineEngine
from earmark.errors import EarmarkError
from earmark.library.store import open_library
from earmark.server.doors.keys import WRONG_KEY_SECONDS
from earmark.server.doors.methods import METHODS
from players import KEY, PASSWORD, real_library
from serving import Collection, client_of
from sounds import melody

SPACE = "{http://subsonic.org/restapi}"


@pytest.fixture(scope="module")
def music(shared: Path, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Collection:
    return real_library(shared, tmp_path_factory.mktemp("players"), tiny_model)


@pytest.fixture(scope="module")
def door(music: Collection) -> Iterator[TestClient]:
    options = replace(music.options, player_key=KEY, player_password=PASSWORD)
    with client_of(options) as client:
        yield client


def ask(client: TestClient, method: str, **given: object) -> dict[str, Any]:
    """What a method answers in JSON, with the key."""
    answer = client.get(f"/rest/{method}", params={"apiKey": KEY, "v": "1.16.1", "c": "test", "f": "json", **given})
    assert answer.status_code == 200, answer.text
    body = answer.json()["subsonic-response"]
    assert {"status", "version", "type", "serverVersion", "openSubsonic"} <= body.keys()
    assert body["openSubsonic"] is True and body["version"] == "1.16.1" and body["type"] == "earmark"
    return body


def code(body: dict[str, Any]) -> int:
    assert body["status"] == "failed"
    assert body["error"]["message"]
    return int(body["error"]["code"])


def songs(client: TestClient) -> list[dict[str, Any]]:
    return ask(client, "search3", query="")["searchResult3"]["song"]


def test_ping_with_every_way_in(door: TestClient) -> None:
    token = hashlib.md5(f"{PASSWORD}salt12".encode()).hexdigest()
    ways: list[dict[str, str]] = [
        {"apiKey": KEY},
        {"u": "any", "t": token, "s": "salt12"},
        {"u": "any", "p": PASSWORD},
        {"u": "any", "p": "enc:" + PASSWORD.encode().hex()},
    ]
    for way in ways:
        for path in ("/rest/ping", "/rest/ping.view"):
            for answer in (door.get(path, params=way | {"f": "json"}), door.post(path, data=way | {"f": "json"})):
                assert answer.json()["subsonic-response"]["status"] == "ok"


def test_without_a_key_nothing_but_the_list_of_extensions(door: TestClient) -> None:
    for method in [*METHODS, "stream", "getCoverArt", "download", "nonsense"]:
        body = door.get(f"/rest/{method}", params={"f": "json", "id": "1"}).json()["subsonic-response"]
        if method == "getOpenSubsonicExtensions":
            assert body["status"] == "ok"
            assert {one["name"]: one["versions"] for one in body["openSubsonicExtensions"]} == {
                "apiKeyAuthentication": [1],
                "formPost": [1],
                "sonicSimilarity": [1],
            }
        else:
            assert code(body) == 40, method


def test_the_token_of_the_server_is_no_key(music: Collection) -> None:
    """And the doors ask for no token, since players cannot send one."""
    with client_of(replace(music.options, token="of-the-page", player_key=KEY)) as client:
        wrong = client.get("/rest/ping", params={"apiKey": "of-the-page", "f": "json"})
        assert code(wrong.json()["subsonic-response"]) == 44
        assert ask(client, "ping")["status"] == "ok"


def test_without_a_key_set_the_door_is_shut(music: Collection) -> None:
    with client_of(music.options) as client:
        for given in ({}, {"apiKey": ""}, {"apiKey": KEY}, {"u": "x", "p": ""}, {"u": "x", "t": "", "s": ""}):
            answer = client.get("/rest/ping", params={"f": "json", **given}).json()["subsonic-response"]
            assert code(answer) == 40
            assert "--player-key" in answer["error"]["message"]


def test_a_wrong_key_is_44_and_two_ways_at_once_43(door: TestClient) -> None:
    assert code(ask(door, "tokenInfo", apiKey="wrong")) == 44
    assert code(ask(door, "ping", u="joe")) == 43
    assert ask(door, "tokenInfo")["tokenInfo"] == {"username": "earmark"}


def test_who_tries_keys_tries_few(door: TestClient) -> None:
    for path, given in (("rest/ping", {"apiKey": "wrong"}), ("rest/ping", {"u": "x", "t": "y", "s": "z"})):
        began = time.monotonic()
        door.get(f"/{path}", params=given)
        assert time.monotonic() - began >= WRONG_KEY_SECONDS
    began = time.monotonic()
    assert door.get("/api/find_path", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert time.monotonic() - began >= WRONG_KEY_SECONDS


def test_what_a_client_asks_at_login(door: TestClient) -> None:
    assert ask(door, "getLicense")["license"]["valid"] is True
    assert ask(door, "getMusicFolders")["musicFolders"]["musicFolder"][0]["id"] == 1
    user = ask(door, "getUser", username="joe")["user"]
    assert user["streamRole"] is True and user["adminRole"] is False
    status = ask(door, "getScanStatus")["scanStatus"]
    assert status == {"scanning": False, "count": 11}
    for method, name in (("getStarred2", "starred2"), ("getPlaylists", "playlists"), ("getGenres", "genres")):
        assert name in ask(door, method)


def test_all_songs_come_page_by_page(door: TestClient) -> None:
    """A search for nothing, in the three ways that clients write it, gives all: players sync so."""
    whole = songs(door)
    assert len(whole) == 11
    for nothing in ("", '""', "*"):
        found = []
        for offset in range(0, 12, 4):
            result = ask(door, "search3", query=nothing, songCount=4, songOffset=offset, artistCount=0, albumCount=0)
            assert result["searchResult3"]["artist"] == result["searchResult3"]["album"] == []
            found += result["searchResult3"]["song"]
        assert found == whole


def test_a_song_has_what_players_need(door: TestClient, music: Collection) -> None:
    song = next(one for one in songs(door) if one["suffix"] == "flac")
    assert song == ask(door, "getSong", id=song["id"])["song"]
    assert song["title"] == "Sinner’s Prayer" or song["title"]
    assert song["path"] == "Beth Hart/Fire on the Floor/01.flac"
    assert str(music.music) not in str(song)
    assert song["contentType"] == "audio/flac" and song["type"] == "music" and song["mediaType"] == "song"
    assert song["isDir"] is False and song["size"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", song["created"])
    assert song["genres"] == [{"name": song["genre"]}] or not song["genres"]
    for name, kind in (("duration", int), ("bitRate", int), ("id", str), ("albumId", str), ("artistId", str)):
        assert isinstance(song[name], kind)


def test_songs_carry_genre_and_mood_by_ear(music: Collection, tmp_path: Path) -> None:
    """The genre only where the file names none; what the user corrected holds here too."""
    file = tmp_path / "library.db"
    file.write_bytes(music.file.read_bytes())
    with open_library(file) as library:
        one, other = (track for track in library.tracks() if track.path.endswith(("045.opus", "200.opus")))
        library.set_label(one.audio or 0, "genre", "Jazz")
        library.rows("UPDATE tracks SET genre = 'Polka;Waltz' WHERE id = ?", (other.id,))
    with client_of(replace(music.options, library=str(file), player_key=KEY)) as client:
        heard = ask(client, "getSong", id=one.id)["song"]
        assert (heard["genre"], heard["genres"]) == ("Jazz", [{"name": "Jazz"}])
        named = ask(client, "getSong", id=other.id)["song"]
        assert (named["genre"], named["genres"]) == ("Polka", [{"name": "Polka"}, {"name": "Waltz"}])
        assert heard["moods"] == named["moods"] == []  # this model knows no mood


def test_browsing_leads_from_artists_to_songs(door: TestClient) -> None:
    artists = [one for index in ask(door, "getArtists")["artists"]["index"] for one in index["artist"]]
    seen = set()
    for artist in artists:
        for album in ask(door, "getArtist", id=artist["id"])["artist"]["album"]:
            full = ask(door, "getAlbum", id=album["id"])["album"]
            assert full["songCount"] == len(full["song"])
            seen |= {song["id"] for song in full["song"]}
            assert ask(door, "getMusicDirectory", id=album["id"])["directory"]["child"] == full["song"]
        assert ask(door, "getMusicDirectory", id=artist["id"])["directory"]["child"]
    assert seen == {song["id"] for song in songs(door)}
    assert ask(door, "getIndexes")["indexes"]["index"] == ask(door, "getArtists")["artists"]["index"]


@pytest.mark.parametrize(
    "kind",
    ["random", "newest", "alphabeticalByName", "alphabeticalByArtist", "byYear", "byGenre", "frequent", "starred"],
)
def test_lists_of_albums(door: TestClient, kind: str) -> None:
    found = ask(door, "getAlbumList2", type=kind, size=500, fromYear=1900, toYear=2100, genre="rock")
    albums = found["albumList2"]["album"]
    assert all({"id", "name", "songCount", "duration", "created"} <= album.keys() for album in albums)
    if kind in ("random", "newest", "alphabeticalByName", "alphabeticalByArtist"):
        assert len(albums) == len({album["id"] for album in albums}) > 5
    assert code(ask(door, "getAlbumList2", type="nonsense")) == 0


def test_songs_by_sound(door: TestClient) -> None:
    seed = songs(door)[0]
    matches = ask(door, "getSonicSimilarTracks", id=seed["id"], count=5)["sonicMatch"]
    assert len(matches) == 5
    near = [one["similarity"] for one in matches]
    assert near == sorted(near, reverse=True) and all(0 <= one <= 1 for one in near)
    assert seed["id"] not in [one["entry"]["id"] for one in matches]
    assert matches[0]["entry"] == ask(door, "getSong", id=matches[0]["entry"]["id"])["song"]
    assert ask(door, "getSonicSimilarTracks", id=seed["id"], count=0)["sonicMatch"] == []
    silent = next(one for one in songs(door) if one["suffix"] == "flac")
    assert ask(door, "getSonicSimilarTracks", id=silent["id"])["sonicMatch"] == []
    for method, name in (("getSimilarSongs", "similarSongs"), ("getSimilarSongs2", "similarSongs2")):
        found = ask(door, method, id=seed["id"], count=3)[name]["song"]
        assert [one["id"] for one in found] == [one["entry"]["id"] for one in matches[:3]]
        for other in (seed["artistId"], seed["albumId"]):
            assert len(ask(door, method, id=other, count=4)[name]["song"]) == 4
    assert ask(door, "getSimilarSongs2", id=seed["artistId"])["similarSongs2"]["song"][0]["artist"] == seed["artist"]


def test_a_path_begins_and_ends_as_asked(door: TestClient) -> None:
    first, *_, last, silent = songs(door)
    matches = ask(door, "findSonicPath", startSongId=first["id"], endSongId=last["id"], count=6)["sonicMatch"]
    ids = [one["entry"]["id"] for one in matches]
    assert ids[0] == first["id"] and ids[-1] == last["id"] and len(ids) == len(set(ids)) == 6
    assert matches[0]["similarity"] == 1.0
    assert all(-1 <= one["similarity"] <= 1 for one in matches)
    assert code(ask(door, "findSonicPath", startSongId=first["id"], endSongId=silent["id"])) == 70
    same = ask(door, "findSonicPath", startSongId=first["id"], endSongId=first["id"])["sonicMatch"]
    assert [one["entry"]["id"] for one in same] == [first["id"]]


def test_artists_by_sound(door: TestClient) -> None:
    song = songs(door)[0]
    like = ask(door, "getArtistInfo2", id=song["artistId"], count=3)["artistInfo2"]["similarArtist"]
    assert len(like) == 3 and song["artistId"] not in [one["id"] for one in like]
    assert ask(door, "getTopSongs", artist=song["artist"])["topSongs"]["song"][0]["artist"] == song["artist"]
    assert ask(door, "getTopSongs", artist="nobody")["topSongs"]["song"] == []


def test_a_search_goes_by_names_and_else_by_meaning(door: TestClient) -> None:
    song = songs(door)[0]
    found = ask(door, "search3", query=song["artist"])["searchResult3"]
    assert song["id"] in [one["id"] for one in found["song"]]
    assert song["artistId"] in [one["id"] for one in found["artist"]]
    by_label = ask(door, "search3", query="guitar")["searchResult3"]
    assert by_label["artist"] == [] and by_label["song"], "the model has a label of that name"
    nothing = ask(door, "search3", query="qqxxyy zzww")["searchResult3"]
    assert nothing == {"artist": [], "album": [], "song": []}


@pytest.mark.parametrize(
    ("method", "given", "expected"),
    [
        ("getSong", {}, 10),
        ("getSong", {"id": ""}, 10),
        ("getSong", {"id": "999999"}, 70),
        ("getSong", {"id": "../../etc/passwd"}, 70),
        ("getSong", {"id": "9" * 60}, 70),
        ("getSong", {"id": "²"}, 70),
        ("getAlbum", {"id": "al-none"}, 70),
        ("getArtist", {"id": "1"}, 70),
        ("getSonicSimilarTracks", {}, 10),
        ("getSonicSimilarTracks", {"id": "999999"}, 70),
        ("findSonicPath", {"startSongId": "1"}, 10),
        ("findSonicPath", {"startSongId": "1", "endSongId": "999999"}, 70),
        ("getSimilarSongs2", {"id": "nothing"}, 70),
        ("getPlaylist", {"id": "7"}, 70),
        ("getPlaylist", {"id": "x"}, 70),
        ("stream", {}, 10),
        ("stream", {"id": "/etc/passwd"}, 70),
        ("getCoverArt", {"id": "999999"}, 70),
        ("getRandomSongs", {"size": "many"}, 0),
    ],
)
def test_what_is_missing_or_unknown(door: TestClient, method: str, given: dict[str, str], expected: int) -> None:
    assert code(ask(door, method, **given)) == expected
    answer = door.get(f"/rest/{method}", params={"apiKey": KEY, **given})
    assert answer.headers["content-type"].startswith("application/xml")
    error = ElementTree.fromstring(answer.content).find(f"{SPACE}error")
    assert error is not None and error.get("code") == str(expected)


def test_an_unknown_method_is_404_and_says_so(door: TestClient) -> None:
    answer = door.get("/rest/deleteEverything", params={"apiKey": KEY, "f": "json"})
    assert answer.status_code == 404
    assert code(answer.json()["subsonic-response"]) == 0


@pytest.mark.parametrize("method", sorted(METHODS))
def test_both_forms_hold_the_same(door: TestClient, method: str) -> None:
    """Every plain value of the JSON is an attribute or a text of the XML, every object an element."""
    song = songs(door)[-2]
    given = {"id": song["id"], "startSongId": song["id"], "endSongId": songs(door)[0]["id"], "count": "3"}
    given |= {"type": "alphabeticalByName", "genre": "Rock", "artist": song["artist"], "query": "", "size": "3"}
    by_id = {"getArtist": "artistId", "getAlbum": "albumId", "getMusicDirectory": "albumId"}
    by_id |= {"getArtistInfo": "artistId", "getArtistInfo2": "artistId"}
    given["id"] = song[by_id.get(method, "id")]
    if method == "getRandomSongs":
        given |= {"size": "100", "genre": ""}
    body = ask(door, method, **given)
    root = ElementTree.fromstring(door.get(f"/rest/{method}", params={"apiKey": KEY, **given}).content)
    assert root.tag == f"{SPACE}subsonic-response"
    if method != "getRandomSongs":
        assert _plain(root) == _as_text(body)
    assert root.get("status") == body["status"] == ("failed" if method == "getPlaylist" else "ok")


def _plain(element: ElementTree.Element) -> dict[str, Any] | str:
    if not element.attrib and not len(element) and element.text:
        return element.text
    found: dict[str, Any] = dict(element.attrib)
    for child in element:
        found.setdefault(child.tag.removeprefix(SPACE), []).append(_plain(child))
    if element.text and element.text.strip():
        found["value"] = element.text
    return found


def _as_text(value: Any) -> Any:
    if isinstance(value, dict):
        found = {}
        for key, one in value.items():
            parts = one if isinstance(one, list) else [one]
            several = isinstance(one, (list, dict))
            if not several:
                found[key] = _as_text(one)
            elif parts:
                found[key] = [_as_text(part) for part in parts]
        return found
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_audio_comes_whole_and_in_parts(door: TestClient, music: Collection) -> None:
    song = next(one for one in songs(door) if one["suffix"] == "flac")
    data = (music.music / song["path"]).read_bytes()
    key = {"apiKey": KEY, "id": song["id"], "maxBitRate": "64", "format": "mp3"}
    for method in ("stream", "stream.view", "download"):
        whole = door.get(f"/rest/{method}", params=key)
        assert whole.content == data and whole.headers["content-type"] == "audio/flac"
    part = door.get("/rest/stream", params=key, headers={"Range": "bytes=1000-1999"})
    assert part.status_code == 206 and part.content == data[1000:2000]
    assert part.headers["content-range"] == f"bytes 1000-1999/{len(data)}"
    beyond = door.get("/rest/stream", params=key, headers={"Range": f"bytes={len(data)}-"})
    assert beyond.status_code == 416
    head = door.head("/rest/stream", params=key)
    assert head.status_code == 200 and int(head.headers["content-length"]) == len(data)


def test_a_file_that_went_or_leads_elsewhere_is_not_played(shared: Path, tmp_path: Path, tiny_model: Path) -> None:
    music = real_library(shared, tmp_path, tiny_model, 2)
    secret = tmp_path / "secret.opus"
    secret.write_text("nobody scanned this")
    with client_of(replace(music.options, player_key=KEY)) as client:
        first, second, _ = songs(client)
        (music.music / first["path"]).unlink()
        (music.music / first["path"]).symlink_to(secret)
        (music.music / second["path"]).unlink()
        for song in (first, second):
            answer = client.get("/rest/stream", params={"apiKey": KEY, "f": "json", "id": song["id"]})
            assert code(answer.json()["subsonic-response"]) == 70


def test_the_picture_of_a_file(door: TestClient) -> None:
    song = next(one for one in songs(door) if one["suffix"] == "flac")
    for key in (song["coverArt"], song["albumId"]):
        answer = door.get("/rest/getCoverArt", params={"apiKey": KEY, "id": key, "size": "300"})
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.content[:3] == b"\xff\xd8\xff" and len(answer.content) > 100_000
        assert answer.headers["x-content-type-options"] == "nosniff"
    other = next(one for one in songs(door) if one["suffix"] == "opus")
    assert code(ask(door, "getCoverArt", id=other["coverArt"])) == 70


def test_the_picture_of_a_file_that_went_or_leads_elsewhere(shared: Path, tmp_path: Path, tiny_model: Path) -> None:
    """It is not followed, as its audio is not; and a pipe in its place keeps no worker waiting."""
    music = real_library(shared, tmp_path, tiny_model, 1)
    file = music.music / "Beth Hart" / "Fire on the Floor" / "01.flac"
    file.rename(tmp_path / "elsewhere.flac")
    with client_of(replace(music.options, player_key=KEY)) as client:
        song = next(one for one in songs(client) if one["suffix"] == "flac")
        os.mkfifo(file)
        began = time.monotonic()
        assert code(ask(client, "getCoverArt", id=song["id"])) == 70
        assert time.monotonic() - began < 5
        file.unlink()
        (tmp_path / "elsewhere.flac").write_bytes((tmp_path / "elsewhere.flac").read_bytes() + b"\0")
        file.symlink_to(tmp_path / "elsewhere.flac")
        assert code(ask(client, "getCoverArt", id=song["id"])) == 70


def test_tags_are_read_in_a_worker(shared: Path, tmp_path: Path, tiny_model: Path) -> None:
    """Where two songs have one name their files' tags decide; as no other, they are not read in the server itself."""
    music = real_library(shared, tmp_path, tiny_model, 1)
    file = music.music / "Beth Hart" / "Fire on the Floor" / "01.flac"
    with client_of(replace(music.options, player_key=KEY)) as client:
        shelves = client.app.state.service.desk.shelves  # type: ignore[attr-defined]
        song = next(one for one in shelves.catalogue().songs.values() if one.path == str(file))
        with (
            patch("earmark.tags.read.read_tags", side_effect=AssertionError),
            patch("earmark.server.doors.desk.read_tags", side_effect=AssertionError),
        ):
            assert shelves.catalogue().tags_of(song)["artist"] == ("MGMT",)
        file.unlink()
        assert shelves.catalogue().tags_of(song) == {}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("/srv/My Music/Night & Day/a song.mp3: is damaged", "a song.mp3: is damaged"),
        ("'/srv/all my music/x.mp3' and '/srv/more of it/y.mp3' differ", "y.mp3' differ"),
        ("/m/Disc 1: Best of/a.mp3: is damaged", "a.mp3: is damaged"),
        (r"D:\music\my own\a song.mp3: is damaged", "a song.mp3: is damaged"),
        ("genres Folk/Rock and Hip-Hop/Rap differ", "genres Rock and Rap differ"),
        ("no song is like music/rock", "no song is like rock"),
        ("no model has analysed the library", "no model has analysed the library"),
    ],
)
def test_no_reason_tells_where_files_lie(door: TestClient, error: str, reason: str) -> None:
    desk = door.app.state.service.desk  # type: ignore[attr-defined]
    assert desk.reason(EarmarkError(error)) == reason


def test_a_library_that_is_gone_is_an_answer_too(tmp_path: Path, tiny_model: Path, music: Collection) -> None:
    with client_of(replace(music.options, library=str(tmp_path / "none.db"), player_key=KEY)) as client:
        assert ask(client, "ping")["status"] == "ok"
        assert code(ask(client, "search3", query="")) == 0


def test_names_are_text_and_never_markup(tmp_path: Path, tiny_model: Path) -> None:
    """Whatever stands in tags and names of files, both forms stay well-formed."""
    folder = tmp_path / "music"
    folder.mkdir()
    with soundfile.SoundFile(folder / "a<b>&\"'.flac", "w", 22050, 1) as file:
        file.artist, file.title, file.album = "</song><x y='", 'A "B" & <C>\u202e', "]]>"
        file.write(melody(3, 22050))
    with suppress(OSError):  # not every file system takes such a name
        (folder / b"bad-\xff.flac".decode("utf-8", "surrogateescape")).write_bytes(next(folder.iterdir()).read_bytes())
    library = tmp_path / "library.db"
    scan(ScanRequest(folders=(str(folder),), library=str(library), model=str(tiny_model)), InlineEngine()).wait()
    with client_of(replace(Collection(folder, library, tiny_model).options, player_key=KEY)) as client:
        titles = [song["title"] for song in songs(client)]
        assert 'A "B" & <C>' in titles
        root = ElementTree.fromstring(client.get("/rest/search3", params={"apiKey": KEY, "query": ""}).content)
        assert [one.get("title") for one in root.iter(f"{SPACE}song")] == titles
        assert not re.search("[\ud800-\udfff]", "".join(song["path"] + song["title"] for song in songs(client)))
