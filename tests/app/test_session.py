"""A library that stays open: answers are those of the file, after changes too, whatever befalls the file."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earmark.app.playlist import PlaylistRequest, make_playlist
from earmark.app.search import FindRequest, SimilarRequest, WalkRequest, find, similar, walk
from earmark.app.session import LibrarySession
from earmark.app.tracks import TracksRequest, list_tracks
from earmark.errors import EarmarkError, StorageError
from earmark.inference.records import HeadPrediction, Prediction
from earmark.library.records import LibraryModel
from earmark.library.store import Library, Stamp, open_library
from made_library import GENRES, MOODS, fill

TRACK = "/music/0000/0000007.mp3"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with open_library(tmp_path / "a.db", make=True) as library:
        fill(library, 300)
        library.set_label(2, "genre", "Polka")
    return tmp_path / "a.db"


@pytest.fixture
def session(file: Path) -> Iterator[LibrarySession]:
    session = LibrarySession(str(file), every=0.01)
    yield session
    session.close()


PAGES = [
    TracksRequest(sort="artist"), TracksRequest(sort="newest", reverse=True, cursor=7), TracksRequest(state="vanished"),
    TracksRequest(words="happy, song", reverse=True), TracksRequest(words="new", sort="title"),
    TracksRequest(genre="Polka"), TracksRequest(genre="Rock", mood="sad", sort="energy", cursor=3),
    TracksRequest(confidence_max=0.7, sort="confidence", reverse=True),
]  # fmt: skip


def answers(file: Path, session: LibrarySession | None) -> list[object]:
    name = str(file)
    rock = PlaylistRequest(library=name, genres=("Rock", "Polka"), without=("sad",))
    return [
        similar(SimilarRequest(library=name, track=TRACK), session=session).wait(),
        walk(WalkRequest(library=name, start=TRACK, end="/music/0000/0000009.mp3"), session=session).wait(),
        make_playlist(rock, session=session).wait(),
        make_playlist(PlaylistRequest(library=name, like="happy rock, song 1"), session=session).wait(),
        [find(FindRequest(library=name, words=words, count=30), session=session).wait().hits for words in
         ("happy", "song 7", "artist 3, not jazz", "new", "high energy")],
        [list_tracks(replace(asked, library=name, limit=40), session=session).wait() for asked in PAGES],
    ]  # fmt: skip


def add(library: Library, model: LibraryModel, number: int, genre: int = 0) -> None:
    """A new song, as a scan adds it."""
    rng = np.random.default_rng(number)
    scores = dict(zip(GENRES, np.eye(5)[genre].tolist(), strict=True))
    heads = {
        "genre": HeadPrediction("multiclass", scores=scores),
        "moods": HeadPrediction("multilabel", scores=dict.fromkeys(MOODS, 0.7)),
        "energy": HeadPrediction("regression", value=0.5),
    }
    prediction = Prediction("", 200.0, model.name, heads, rng.standard_normal(64).astype("f4"), f"{number:x}")
    with library.change():
        audio = library.add_result(model, prediction)
        tags = {"artist": f"Ärtist {number}", "title": "New song", "album": "", "year": "", "genre": ""}
        library.put_track(None, f"/music/new/{number}.mp3", Stamp("1", str(number), 1, 1), audio, tags)


def analysed_again(library: Library, model: LibraryModel) -> Prediction:
    found = library.prediction(model, library.tracks()[8])
    assert found is not None
    return replace(found, embedding=np.ones(64, "f4"))


CHANGES: dict[str, Callable[[Library, LibraryModel], object]] = {
    "a new song": lambda library, model: add(library, model, 9_000),
    "many": lambda library, model: [add(library, model, 9_000 + number, number % 5) for number in range(30)],
    "analysed again": lambda library, model: library.add_result(model, analysed_again(library, model), 7),
    "a correction": lambda library, model: library.set_label(31, "genre", "Polka"),
    "a file is gone": lambda library, model: library.mark_vanished(12),
    "no song": lambda library, model: library.describe_audio(12, 9.0, song=False),
    "two recordings are one": lambda library, model: library.merge_audio(12, 17),
    "other tags": lambda library, model: library.put_tags(
        5, Stamp("1", "5", 5, 5), {"artist": "Né", "title": "new", "album": "", "year": "", "genre": ""}
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_answers_are_those_of_the_file(file: Path, session: LibrarySession, what: str) -> None:
    """At first, and after a change that the snapshot is brought up to date by."""
    assert repr(answers(file, session)) == repr(answers(file, None))
    before = session.generation
    with open_library(file) as library:
        model = library.model()
        with library.change():
            CHANGES[what](library, model)
    session.look()
    wait_until(lambda: session.generation > before)
    assert repr(answers(file, session)) == repr(answers(file, None))


def test_one_snapshot_serves_until_the_file_changes(file: Path, session: LibrarySession) -> None:
    with session.reading() as first, session.reading() as second:
        assert first is second
    time.sleep(0.1)
    assert session.generation == 1


def test_what_befalls_the_file(file: Path, session: LibrarySession, tmp_path: Path) -> None:
    """Deleted: an error that says so; there again: answers again. Of another format: the same."""
    request = SimilarRequest(track=TRACK, count=3)
    assert similar(request, session=session).wait()
    file.rename(tmp_path / "away.db")
    with pytest.raises(StorageError, match="there is no library"):
        similar(request, session=session).wait()
    (tmp_path / "away.db").rename(file)
    assert similar(request, session=session).wait()
    with open_library(file) as library:
        library.db.execute("PRAGMA user_version=99")
    session.look()

    def fails() -> bool:
        try:
            similar(request, session=session).wait()
        except StorageError as error:
            return "newer than this Earmark" in str(error) or "has changed" in str(error)
        return False

    wait_until(fails)


def test_an_empty_library_fills(tmp_path: Path) -> None:
    with open_library(tmp_path / "a.db", make=True) as library:
        session = LibrarySession(str(tmp_path / "a.db"), every=0.01)
        with pytest.raises(EarmarkError, match="is empty"):
            similar(SimilarRequest(track=TRACK), session=session).wait()
        fill(library, 50)
        session.look()
        wait_until(lambda: session.generation > 1)
        assert similar(SimilarRequest(track=TRACK), session=session).wait()
        session.close()


def test_many_threads_while_one_writes(file: Path, session: LibrarySession) -> None:
    """No request fails, and none waits for the writer."""
    errors: list[Exception] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            try:
                assert similar(SimilarRequest(track=TRACK, count=5), session=session).wait()
                assert find(FindRequest(words="happy"), session=session).wait().hits
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    with open_library(file) as library:
        model = library.model()
        for number in range(20):
            add(library, model, 8_000 + number)
    ended.set()
    for thread in threads:
        thread.join()
    assert not errors and session.generation >= 1


def wait_until(what: Callable[[], bool]) -> None:
    for _ in range(500):
        if what():
            return
        time.sleep(0.02)
    raise AssertionError("it never came")
