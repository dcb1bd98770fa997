"""A real client, py-opensonic, drives the door of a real server on a library of real music."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from earmark.app.playlist import KeepRequest, keep_playlist
from players import KEY, PASSWORD, real_library
from serving import Collection, served

libopensonic = pytest.importorskip("libopensonic")
from libopensonic import AsyncConnection, errors  # noqa: E402


@pytest.fixture(scope="module")
def music(shared: Path, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Collection:
    found = real_library(shared, tmp_path_factory.mktemp("players"), tiny_model)
    keep_playlist(KeepRequest(library=str(found.file), name="Évening & more", tracks=(3, 1, 2))).wait()
    return found


@pytest.fixture(scope="module")
def url(music: Collection) -> Iterator[str]:
    keys = ("--player-key", KEY, "--player-password", PASSWORD)
    with served("--library", music.file, "-m", music.model, "-j", 1, *keys) as (process, url):
        yield url
        process.terminate()
        said = "".join(process.communicate(timeout=30))
        assert KEY not in said and PASSWORD not in said, "no key stands in any output"


@asynccontextmanager
async def connected(url: str, **more: Any) -> AsyncIterator[AsyncConnection]:
    more = more or {"api_key": KEY}
    connection = AsyncConnection("http://127.0.0.1", port=urlsplit(url).port or 0, **more)
    try:
        yield connection
    finally:
        await connection.cleanup()


WAYS = {
    "key by POST": {"api_key": KEY},
    "key by GET, without .view": {"api_key": KEY, "use_get": True, "use_views": False},
    "salted token": {"username": "joe", "password": PASSWORD},
    "password": {"username": "joe", "password": PASSWORD, "legacy_auth": True},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_in(url: str, way: str) -> None:
    async def story() -> None:
        async with connected(url, **WAYS[way]) as client:
            assert await client.ping()
            assert (await client.get_license())["license"]["valid"] is True
            songs = (await client.search3("")).song
            assert len(songs) == 11

    asyncio.run(story())


def test_what_does_not_come_in(url: str) -> None:
    async def story() -> None:
        for wrong in ({"api_key": PASSWORD}, {"username": "joe", "password": KEY}, {"api_key": "x"}):
            async with connected(url, **wrong) as client:
                with pytest.raises(errors.SonicError):
                    await client.search3("")
                names = {one.name for one in await client.get_open_subsonic_extensions()}
                assert names == {"apiKeyAuthentication", "formPost", "sonicSimilarity"}
        async with connected(url, username="joe", password="wrong") as client:
            with pytest.raises(errors.CredentialError):
                await client.get_playlists()

    asyncio.run(story())


def test_an_evening_with_a_player(url: str, music: Collection) -> None:
    """Log in, browse, search, play, go on by sound, take a playlist; answers are read into the client's own types."""

    async def story() -> None:
        async with connected(url) as client:
            assert (await client.token_info()).username == "earmark"
            assert (await client.get_user("joe")).stream_role
            assert (await client.get_scan_status()).count == 11
            artists = [artist for index in (await client.get_artists()).index for artist in index.artist]
            albums = (await client.get_artist(artists[0].id)).album
            album = await client.get_album(albums[0].id)
            assert album.song and album.song_count == len(album.song)
            assert (await client.get_indexes()).index
            assert await client.get_album_list2("newest", size=3)
            assert len(await client.get_random_songs(size=4)) == 4
            await client.get_genres()
            assert (await client.get_starred2()).song is None

            found = await client.search3("", song_count=5)
            seed = found.song[0]
            assert (await client.get_song(seed.id)) == seed
            assert (await client.search3(seed.title)).song[0].id == seed.id
            assert await client.scrobble(seed.id)

            matches = await client.get_sonic_similar_tracks(seed.id, count=4)
            assert [0 <= one.similarity <= 1 for one in matches] == [True] * 4
            path = await client.find_sonic_path(seed.id, matches[-1].entry.id, count=4)
            assert [path[0].entry.id, path[-1].entry.id] == [seed.id, matches[-1].entry.id]
            for same in (client.get_similar_songs, client.get_similar_songs2):
                assert len(await same(seed.id, count=3)) == 3
                assert len(await same(seed.artist_id, count=3)) == 3
            like = (await client.get_artist_info2(seed.artist_id, count=2)).similar_artist
            assert like and len(like) == 2
            assert await client.get_top_songs(seed.artist)

            (kept,) = await client.get_playlists()
            assert (kept.name, kept.song_count) == ("Évening & more", 3)
            assert [one.id for one in (await client.get_playlist(kept.id)).entry] == ["3", "1", "2"]

            with pytest.raises(errors.DataNotFoundError):
                await client.get_song("999999")
            with pytest.raises(errors.ParameterError):
                await client.get_song("")

    asyncio.run(story())


def test_audio_and_pictures(url: str, music: Collection) -> None:
    async def story() -> None:
        async with connected(url) as client:
            songs = (await client.search3("", song_count=50)).song
            for song in songs:
                answer = await client.stream(song.id)
                assert await answer.read() == (music.music / song.path).read_bytes()
            part = await client.stream(songs[0].id, byte_range="bytes=100-199")
            assert (part.status, await part.read()) == (206, (music.music / songs[0].path).read_bytes()[100:200])
            flac = next(one for one in songs if one.suffix == "flac")
            for key in (flac.cover_art, flac.album_id):
                picture = await client.get_cover_art(key)
                assert picture.headers["Content-Type"] == "image/jpeg"
                assert (await picture.read())[:2] == b"\xff\xd8"
            opus = next(one for one in songs if one.suffix == "opus")
            with pytest.raises(errors.DataNotFoundError):
                await client.get_cover_art(opus.cover_art)

    asyncio.run(story())
