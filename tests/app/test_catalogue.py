"""A library as players browse it, and songs that others describe found in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from earmark.app.catalogue import Catalogue, Shelves, SongFacts, read_catalogue
from earmark.app.session import LibrarySession
from earmark.errors import StorageError
from earmark.library.store import Library, Stamp, open_library
from made_library import made_library

ROOT = "/music"


def put(library: Library, path: str, seconds: float = 200.0, **tags: str) -> None:
    """A track with tags."""
    facts = {"artist": "", "title": "", "album": "", "year": "", "genre": "", **tags}
    with library.change():
        audio = library.add_audio(path, seconds)
        library.put_track(None, f"{ROOT}/{path}", Stamp("1", path, 1000, 1_700_000_000_000_000_000), audio, facts)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with open_library(tmp_path / "library.db", make=True) as library:
        with library.change():
            library.remember_roots([ROOT])
        yield library


def found(library: Library, **facts: object) -> str:
    track = read_catalogue(library).find(SongFacts(**facts))  # type: ignore[arg-type]
    return track.path.removeprefix(ROOT + "/") if track else ""


def test_spellings_of_an_artist_are_one(library: Library) -> None:
    for number, name in enumerate(("The Beatles", "Beatles", "beatles", "Sigur Rós", "Sigur Ros")):
        put(library, f"{number}.mp3", artist=name, title=f"{number}")
    catalogue = read_catalogue(library)
    assert sorted(len(artist.songs) for artist in catalogue.artists.values()) == [2, 3]
    assert catalogue.artist_of("BEATLES") is catalogue.artist_of("The Beatles")


def test_an_album_is_of_one_artist_or_of_one_folder(library: Library) -> None:
    put(library, "a/cd1/1.mp3", artist="A", album="Live")
    put(library, "a/cd2/1.mp3", artist="A", album="live")
    put(library, "b/1.mp3", artist="B", album="Live")
    put(library, "mix/1.mp3", artist="A", album="Mix")
    put(library, "mix/2.mp3", artist="B", album="Mix")
    put(library, "loose.mp3", artist="B")
    albums = {(one.name, one.artist): len(one.songs) for one in read_catalogue(library).albums.values()}
    assert albums == {("Live", "A"): 2, ("Live", "B"): 1, ("Mix", "Various artists"): 2, ("Unknown album", "B"): 1}


def test_ids_stay_when_the_library_is_read_again(library: Library) -> None:
    put(library, "a/1.mp3", artist="A", album="One")
    before = read_catalogue(library)
    put(library, "a/2.mp3", artist="A", album="One")
    after = read_catalogue(library)
    assert before.artists.keys() == after.artists.keys()
    assert before.albums.keys() == after.albums.keys()


def test_a_path_decides_where_its_folder_agrees(library: Library) -> None:
    put(library, "A/One/01.mp3", artist="A", title="Same")
    put(library, "A/Two/01.mp3", artist="A", title="Same")
    assert found(library, path="/srv/data/A/Two/01.mp3", artist="A", title="Same") == "A/Two/01.mp3"
    assert found(library, path="a/two/01.MP3") == "A/Two/01.mp3"
    assert found(library, path=r"D:\A\Two\01.mp3") == "A/Two/01.mp3"
    assert found(library, path="elsewhere/01.mp3") == ""


def test_paths_agree_whatever_their_composition(library: Library) -> None:
    put(library, "Bjo\u0308rk/Jo\u0301ga.mp3")
    assert found(library, path="Bj\u00f6rk/J\u00f3ga.mp3") == "Bjo\u0308rk/Jo\u0301ga.mp3"


def test_a_name_of_a_file_alone_needs_its_length(library: Library) -> None:
    put(library, "x/track 01.mp3", 200.0)
    put(library, "y/track 01.mp3", 300.0)
    assert found(library, path="z/track 01.mp3", seconds=299) == "y/track 01.mp3"
    assert found(library, path="z/track 01.mp3", seconds=250) == ""
    assert found(library, path="z/track 01.mp3") == ""
    put(library, "w/intro.mp3", 60.0, artist="A")
    assert found(library, path="q/intro.mp3", seconds=60, artist="B") == ""


def test_artist_and_title_then_album_and_length(library: Library) -> None:
    put(library, "1.mp3", 200.0, artist="The Band", title="Song", album="Studio")
    put(library, "2.mp3", 320.0, artist="The Band", title="Song", album="Live")
    assert found(library, artist="band", title="SONG", album="Live", seconds=200) == "2.mp3"
    assert found(library, artist="band", title="song", seconds=310) == "2.mp3"
    assert found(library, artist="band", title="song", seconds=190) == "1.mp3"
    assert found(library, artist="another", title="song") == ""
    assert found(library, artist="band") == ""
    assert found(library) == ""


def test_the_recording_s_id_tells_songs_of_one_name_apart(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    put(library, "1.mp3", artist="A", title="Song")
    put(library, "2.mp3", artist="A", title="Song")
    tags = {f"{ROOT}/2.mp3": {"musicbrainz_trackid": ("id-2",)}}
    monkeypatch.setattr("earmark.tags.read.read_tags", lambda path: tags.get(str(path), {}))
    assert found(library, artist="A", title="Song", recording="id-2") == "2.mp3"
    assert found(library, artist="A", title="Song", recording="id-3") == "1.mp3"


def test_search_goes_by_beginnings_of_words(library: Library) -> None:
    put(library, "1.mp3", artist="Sigur Rós", title="Hoppípolla (live)", album="Takk")
    put(library, "2.mp3", artist="Heart", title="Art")
    catalogue = read_catalogue(library)
    assert [track.title for track in catalogue.search("sigur hoppip")[2]] == ["Hoppípolla (live)"]
    assert [track.title for track in catalogue.search("live")[2]] == ["Hoppípolla (live)"]
    assert [track.title for track in catalogue.search("art")[2]] == ["Art"]
    artists, albums, songs = catalogue.search("")
    assert (len(artists), len(albums), len(songs)) == (2, 2, 2)
    assert catalogue.search("nobody") == ([], [], [])


def test_what_vanished_or_failed_is_no_song(library: Library) -> None:
    put(library, "1.mp3", title="Here")
    put(library, "2.mp3", title="Gone")
    with library.change():
        library.mark_vanished(2)
        library.put_track(None, f"{ROOT}/bad.mp3", Stamp("1", "9", 1, 1), None, {"error": "decode", "message": "no"})
    assert [track.title for track in read_catalogue(library).songs.values()] == ["Here"]


def test_shelves_are_read_anew_when_the_library_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By other songs, and by another file in its place; a library that is gone is an error and not an old answer."""
    monkeypatch.setattr("earmark.app.catalogue._FRESH", 0.0)
    monkeypatch.setattr("earmark.app.catalogue._SHARE", 1e9)
    file, other = tmp_path / "library.db", tmp_path / "other.db"
    with open_library(file, make=True) as library:
        put(library, "1.mp3")
    with open_library(other, make=True) as library:
        put(library, "3.mp3", title="Other")
    session = LibrarySession(str(file), every=0.05)
    shelves = Shelves(session)
    assert shelves.catalogue() is shelves.catalogue()
    other.replace(file)
    assert _soon(lambda: [track.title for track in shelves.catalogue().songs.values()] == ["Other"])
    with open_library(file) as library:
        put(library, "2.mp3")
    session.look()
    assert _soon(lambda: len(shelves.catalogue().songs) == 2)
    file.unlink()
    with pytest.raises(StorageError):
        shelves.catalogue()
    session.close()


def _soon(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


def test_nobody_waits_while_it_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan changes the library all the time: requests are answered from what was read before."""
    monkeypatch.setattr("earmark.app.catalogue._FRESH", 0.0)
    monkeypatch.setattr("earmark.app.catalogue._SHARE", 1e9)
    with open_library(tmp_path / "library.db", make=True) as library:
        put(library, "1.mp3")
    session = LibrarySession(str(tmp_path / "library.db"), every=0.05)
    shelves = Shelves(session)
    first, go = shelves.catalogue(), threading.Event()
    monkeypatch.setattr("earmark.app.catalogue.read_catalogue", lambda library: go.wait(20) and read_catalogue(library))
    with open_library(tmp_path / "library.db") as library:
        put(library, "2.mp3")
    session.look()
    assert _soon(lambda: session.generation > 1)
    for _ in range(20):
        assert shelves.catalogue() is first
    go.set()
    assert _soon(lambda: len(shelves.catalogue().songs) == 2)
    session.close()


def test_artists_who_sound_alike(tmp_path: Path) -> None:
    """In the made library an artist is ten songs of all five clouds; one moved into a cloud of its own is far away."""
    with made_library(tmp_path, 200) as (library, model):
        vectors = {row: library.embedding(model, row) for row in range(1, 201)}
        with library.change():
            library.rows("UPDATE tracks SET artist = 'Far' WHERE id % 5 = 3 AND id > 150")
            library.rows("UPDATE tracks SET artist = 'Near' WHERE id % 5 = 3 AND id <= 50")
        shelves = Shelves(LibrarySession(str(library.file)))
        catalogue = shelves.catalogue()
        far = catalogue.artist_of("Far")
        assert far is not None
        like = shelves.like_artists(far, 5)
        assert like[0].artist.name == "Near"
        assert [one.distance for one in like] == sorted(one.distance for one in like)
        assert all(catalogue.songs[row].artist == "Near" for row in like[0].songs)
        tracks = [catalogue.songs[row] for row in far.songs[:3]]
        assert shelves.closeness([(tracks[0], one) for one in tracks]) == pytest.approx(
            [np.dot(vectors[tracks[0].audio], vectors[one.audio]) for one in tracks], abs=1e-4
        )


def test_a_catalogue_of_nothing() -> None:
    empty = Catalogue({}, {}, {})
    assert empty.find(SongFacts("a", "b", "c", "d/e.mp3", 3.0, "f")) is None
    assert empty.search("x") == ([], [], [])
