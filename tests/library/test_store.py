"""The library's file: what it keeps, and what it says when it cannot be used."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earmark.errors import StorageError, UnknownName
from earmark.inference.options import HearingOptions
from earmark.inference.tagger import load_model
from earmark.library.records import LibraryModel, LibraryTrack, direction
from earmark.library.store import Library, LibraryFacts, Listing, Stamp, default_file, open_library
from earmark.library.store import file as library_file
from made_library import MODEL, fill, made_library


def test_what_a_model_said_comes_back_exactly(tmp_path: Path, tiny_model: Path, tone: Path) -> None:
    """Four decimals, labels, thresholds: what `tag` would print."""
    tagger = load_model(tiny_model)
    options = HearingOptions(embedding=True, clips=True, content_hash=True)
    heard = tagger.predict(tone, options=options)
    card = tagger.card
    model = LibraryModel(0, card.id, "x", "", str(tiny_model), card.embedding, card.heads)
    with open_library(tmp_path / "a.db", make=True) as library:
        with library.change():
            model = library.add_model(model)
            audio = library.add_result(model, heard)
            library.put_track(None, str(tone), Stamp("", "", 1, 1), audio, {})
        ((track, said),) = library.predictions(model)
        assert said.to_dict() == heard.to_dict()
        assert (track.path, track.content_hash, track.seconds) == (str(tone), heard.content_hash, heard.seconds)
        rows, vectors = library.embeddings(model)
        assert rows.tolist() == [audio]
        assert heard.embedding is not None and heard.clips is not None
        assert vectors[0] @ direction(heard.embedding) > 0.9999
        clips = library.clips(model, rows)[audio]
        assert np.allclose(clips.times, heard.clips.times)
        assert np.allclose(clips.vectors, heard.clips.vectors, rtol=1e-3, atol=1e-6), "good enough for other heads"


def test_names_that_are_no_text(tmp_path: Path) -> None:
    path = os.fsdecode(b"/music/caf\xe9.mp3")
    with open_library(tmp_path / "a.db", make=True) as library:
        with library.change():
            library.put_track(None, path, Stamp("", "", 0, 0), None, {})
        assert [track.path for track in library.tracks()] == [path]
        found = library.track(path)
        assert found is not None and found.path == path


def test_a_missing_library_is_created_empty(tmp_path: Path) -> None:
    with open_library(tmp_path / "new.db", make=True) as library:
        assert library.tracks() == [] and library.models() == []
        with pytest.raises(StorageError, match="empty; `earmark scan FOLDER` fills it"):
            library.model()


def test_only_scan_makes_a_library(tmp_path: Path) -> None:
    """A mistyped name leaves nothing behind, whether it is opened to read or to write."""
    for write in (False, True):
        with (
            pytest.raises(StorageError, match=r"typo.db: there is no library; `earmark scan FOLDER` makes one"),
            open_library(tmp_path / "typo.db", write=write),
        ):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_says_so_and_keeps_what_was_done(tmp_path: Path) -> None:
    with made_library(tmp_path, 5) as (library, _):
        pages = library.value("PRAGMA page_count")
        library.rows(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StorageError, match="the disk is full; what was done before is kept"), library.change():
            for number in range(2000):
                library.set_fact(f"fact {number}", "x" * 1000)
        assert library.fact("fact 0") is None and len(library.tracks()) == 5
        library.rows(f"PRAGMA max_page_count={pages + 1000}")
        library.set_label(1, "genre", "Polka")
        assert library.labels() == {1: {"genre": "Polka"}}, "and it is usable once there is room again"


def test_threads_read_while_one_writes(tmp_path: Path) -> None:
    """A server answers during a scan: readers see what was done before, and never wait or fail."""
    with made_library(tmp_path, 200) as (library, model), ThreadPoolExecutor(4) as pool:
        with library.change():
            library.db.execute("UPDATE tracks SET title = 'new'")
            titles = pool.map(lambda _: {one.title for one in library.tracks()}, range(20))
            assert all("new" not in found for found in titles)
            assert len(pool.submit(lambda: library.embeddings(model)[0]).result()) == 200
        assert pool.submit(lambda: {one.title for one in library.tracks()}).result() == {"new"}
        list(pool.map(lambda number: library.set_label(number, "genre", "Polka"), range(1, 41)))
        assert len(library.labels()) == 40, "several may write; each waits for its turn"


def test_predictions_that_are_kept_may_be_given_up_by_another_thread(tmp_path: Path) -> None:
    """At the moment when this one takes them: they are read again."""

    class GivenUp(dict[int, Any]):
        def __contains__(self, key: object) -> bool:
            there = super().__contains__(key)
            self.clear()
            return there

    with made_library(tmp_path, 5) as (library, model):
        plain = [repr(one) for one in library.predictions(model)]
        kept = GivenUp()
        snapshot = library.snapshot({("predictions", model.key): kept})
        assert [repr(one) for one in snapshot.predictions(model)] == plain and len(kept) == 5
        assert [repr(one) for one in snapshot.predictions(model)] == plain


def test_what_is_added_while_a_matrix_is_read_has_no_room_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may write between the question how much there is, and the reading."""
    with made_library(tmp_path, 20) as (library, model):
        value = Library.value

        def then_more(self: Library, query: str, values: Any = ()) -> Any:
            found = value(self, query, values)
            if query.endswith("FROM audio"):
                with sqlite3.connect(library.file) as db:
                    db.execute("INSERT INTO audio (id, hash, seconds) VALUES (21, 'x', 3)")
                    db.execute("INSERT INTO results SELECT model, 21, scores, numbers, '', 1 FROM results LIMIT 1")
                db.close()
                monkeypatch.setattr(Library, "value", value)
            return found

        monkeypatch.setattr(Library, "value", then_more)
        assert library.steps(model, model.heads[0])[0].tolist() == list(range(1, 21))
        assert library.steps(model, model.heads[0])[0].tolist() == list(range(1, 22))


def test_nothing_waits_in_the_log_after_a_change(tmp_path: Path) -> None:
    """A log that a reader kept alive would be applied to a copy that is put in the library's place."""
    copy = tmp_path / "copy.db"
    with made_library(tmp_path, 3) as (library, _):
        file, audio = library.file, library.tracks()[0].audio or 0
    shutil.copy(file, copy)
    with open_library(file, write=False) as reader:
        assert not reader.labels()
        with open_library(file) as library:
            library.set_label(audio, "genre", "Rock")
        assert Path(f"{file}-wal").stat().st_size == 0
        copy.replace(file)
        with open_library(file, write=False) as other:
            assert not other.labels()


def test_facts_are_counted(tmp_path: Path) -> None:
    with made_library(tmp_path, 10) as (library, _):
        with library.change():
            library.db.execute("UPDATE tracks SET vanished = 1 WHERE id = 1")
            library.db.execute("UPDATE tracks SET audio = NULL, error = 'decode' WHERE id = 2")
            library.db.execute("UPDATE tracks SET audio = 4 WHERE id = 3")
            library.db.execute("UPDATE audio SET song = 0 WHERE id = 5")
        seconds = sum(track.seconds for track in library.tracks(vanished=False))
        assert library.facts() == LibraryFacts(tracks=8, seconds=seconds, vanished=1, copies=1, failures=1, silent=1)
        assert [track.id for track in library.failures()] == [2]


def test_facts_of_a_large_library_are_quick(tmp_path: Path) -> None:
    with made_library(tmp_path, 50_000) as (library, _):
        start = time.process_time()
        assert library.facts().tracks == 50_000
        assert [count for _, count in library.models()] == [50_000]
        assert library.failures() == [] and library.roots() == ["/music"]
        assert time.process_time() - start < 0.15, "0.04 s of the processor"


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
def test_a_name_in_the_other_form_of_unicode(tmp_path: Path, stored: str) -> None:
    """A Mac writes e and an accent, others one letter for both; a path may mix them, and may have bytes of neither."""
    name, other = (
        unicodedata.normalize(form, "/Café/Ärger \udce9.mp3") for form in (stored, "NFCNFD".replace(stored, ""))
    )
    with open_library(tmp_path / "a.db", make=True) as library:
        with library.change():
            library.put_track(None, name, Stamp("", "", 1, 1), None, {})
        for asked in (name, other, unicodedata.normalize("NFC", "/Café/") + unicodedata.normalize("NFD", name[6:])):
            found = library.track(asked)
            assert found is not None and found.path == name
        assert library.track("/Cafe/Arger \udce9.mp3") is None
        with library.change():
            library.put_track(None, other, Stamp("", "", 2, 2), None, {})
        assert [one.path for one in map(library.track, (name, other)) if one] == [name, other], "each by its own name"


def test_pages_of_tracks(tmp_path: Path) -> None:
    with made_library(tmp_path, 25) as (library, _):
        cursor, found = 0, []
        while cursor is not None:
            page = library.page(cursor, 10)
            found += page.tracks
            cursor = page.cursor
        assert found == library.tracks() and page.total == 25
        assert [one.title for one in library.page(listing=Listing(text="song 7")).tracks] == ["Song 7"]
        assert all(library.page(listing=Listing(text=text)).total == 0 for text in ("100%", "a_b")), (
            "marks stand for themselves"
        )
        assert {one.audio for one in library.page(audio=[3, 5]).tracks} == {3, 5}
        lengths = [one.seconds for one in library.page(listing=Listing(sort="length")).tracks]
        assert lengths == sorted(lengths)
        turned = library.page(listing=Listing(sort="length", reverse=True)).tracks
        assert [one.seconds for one in turned] == sorted(lengths, reverse=True)
        given = library.page(1, 2, Listing(sort="given"), audio=[9, 3, 7, 1])
        assert [one.audio for one in given.tracks] == [3, 7] and (given.total, given.cursor) == (4, 3)


@pytest.mark.parametrize("sort", ["path", "artist", "title", "album", "year", "length", "newest"])
def test_a_list_is_in_its_order_both_ways_blanks_last(tmp_path: Path, sort: str) -> None:
    """What has no such tag comes last in both directions; of equal ones the first path comes first, or last."""
    with made_library(tmp_path, 25) as (library, _), library.change():
        library.rows("UPDATE tracks SET artist = '', title = '', album = '', year = '' WHERE id % 7 = 0")
        library.rows("UPDATE tracks SET artist = upper(artist) WHERE id % 2")

        def key(track: LibraryTrack) -> tuple[object, ...]:
            values: dict[str, tuple[object, ...]] = {
                "path": (),
                "newest": (-track.id,),
                "length": (track.seconds,),
                "artist": (track.artist.lower(), track.album.lower()),
            }
            return (*(values[sort] if sort in values else (getattr(track, sort).lower(),)), track.path)

        def blank(track: LibraryTrack) -> bool:
            return sort in ("artist", "title", "album", "year") and not getattr(track, sort)

        everything = library.tracks()
        for reverse in (False, True):
            found = library.page(0, 100, Listing(sort=sort, reverse=reverse)).tracks
            assert list(found) == sorted(sorted(everything, key=key, reverse=reverse), key=blank)


def test_the_next_page_is_a_slice_of_a_remembered_order(tmp_path: Path) -> None:
    """A page of 100,000 tracks sorts nothing again; after a change the order is made anew."""
    with made_library(tmp_path, 25) as (library, _):
        listing, asked = Listing(sort="title"), list[str]()
        library.page(0, 10, listing)
        library.db.set_trace_callback(asked.append)
        library.page(10, 10, listing)
        assert not any("ORDER BY" in one for one in asked)
        with library.change():
            library.mark_vanished(3)
        assert library.page(20, 10, listing).total == 24
        assert [one.id for one in library.page(0, 10, Listing(state="vanished")).tracks] == [3]


def test_files_of_one_audio_follow_each_other_in_a_given_order(tmp_path: Path) -> None:
    with made_library(tmp_path, 9) as (library, _), library.change():
        library.rows("UPDATE tracks SET audio = 4 WHERE id IN (2, 8)")
        listing = Listing(sort="given")
        given = [one.id for one in library.page(0, 9, listing, [7, 4, 1, 999]).tracks]
        assert given == [7, 2, 4, 8, 1]
        turned = library.page(0, 9, replace(listing, reverse=True), [7, 4, 1]).tracks
        assert [one.id for one in turned] == given[::-1]
        assert library.page(0, 9, listing, []).total == 0 and library.page(50, 9, listing, [1]).cursor is None


@pytest.mark.parametrize(
    "query", ["SELECT id FROM tracks JOIN audio", "SELECT FROM tracks", "SELECT id FROM tracks WHERE id = ?"]
)
def test_a_statement_that_is_wrong_is_no_fault_of_the_file(tmp_path: Path, query: str) -> None:
    """A table that is missing is the file's."""
    with made_library(tmp_path, 3) as (library, _):
        with pytest.raises(sqlite3.Error):
            library.rows(query)
        with pytest.raises(StorageError, match="no such table"):
            library.rows("SELECT 1 FROM gone")


def test_the_usual_library_is_in_the_users_data_folder() -> None:
    with open_library(make=True) as library:
        assert library.file == default_file()
        assert library.file.is_file()


def refused(file: Path, what: str, *, write: bool = True) -> None:
    with pytest.raises(StorageError, match=what) as caught, open_library(file, write=write, make=write) as library:
        library.tracks()
        with library.change():
            library.set_fact("x", 1)
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)


def test_a_newer_one(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with open_library(file, make=True) as library:
        library.db.execute("PRAGMA user_version=99")
    refused(file, r"format 99 is newer than this Earmark reads \(4\); update")


@pytest.mark.parametrize("content", [b"no database at all" * 500, b"\0" * 5000])
def test_not_a_library(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.db").write_bytes(content)
    refused(tmp_path / "a.db", "not an Earmark library")


def test_another_programs_database(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "a.db")
    other.execute("CREATE TABLE things (x)")
    other.commit()
    other.close()
    refused(tmp_path / "a.db", "not an Earmark library")


def test_a_damaged_one(tmp_path: Path) -> None:
    with made_library(tmp_path, 2000) as (library, _):
        file = library.file
    data = bytearray(file.read_bytes())
    data[4096 * 3 :] = os.urandom(len(data) - 4096 * 3)
    file.write_bytes(data)
    refused(file, "damaged; move it away")


def test_a_truncated_one(tmp_path: Path) -> None:
    with made_library(tmp_path, 2000) as (library, _):
        file = library.file
    file.write_bytes(file.read_bytes()[:30_000])
    refused(file, "damaged; move it away")


def test_a_folder(tmp_path: Path) -> None:
    refused(tmp_path, "is a folder")


def test_no_folder_for_it(tmp_path: Path) -> None:
    refused(tmp_path / "missing" / "a.db", "there is no folder")


def test_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_file, "_WAIT_SECONDS", 0.1)
    with open_library(tmp_path / "a.db", make=True):
        pass
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        refused(tmp_path / "a.db", "in use by another program")
        with open_library(tmp_path / "a.db", write=False) as library:
            assert library.tracks() == [], "reading goes on meanwhile"
        holder.communicate(b"")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_read_only(tmp_path: Path) -> None:
    with made_library(tmp_path, 5) as (library, _):
        file = library.file
    file.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        refused(file, "read-only")
        with open_library(file, write=False) as library:
            assert len(library.tracks()) == 5, "what only reads works"
    finally:
        tmp_path.chmod(0o755)


def test_a_change_is_all_or_nothing(tmp_path: Path) -> None:
    with made_library(tmp_path, 3) as (library, _):
        with pytest.raises(RuntimeError), library.change():
            library.db.execute("DELETE FROM tracks")
            raise RuntimeError
        assert len(library.tracks()) == 3


def test_the_model_in_use_is_the_one_that_heard_most(tmp_path: Path) -> None:
    """A new model that has heard three songs does not make the others disappear."""
    with made_library(tmp_path, 10) as (library, model):
        with library.change():
            other = library.add_model(replace(MODEL, name="made@2"))
            library.db.execute(
                "INSERT INTO results SELECT ?, audio, scores, numbers, warning, analysed FROM results LIMIT 3",
                (other.key,),
            )
        assert library.model().key == model.key
        assert [(one.name, heard) for one, heard in library.models()] == [("made@1", 10), ("made@2", 3)]
        assert library.model("made@2").key == other.key
        with pytest.raises(UnknownName, match="made"):
            library.model("maid")
        with library.change():
            library.db.execute(
                "INSERT OR IGNORE INTO results SELECT ?, audio, scores, numbers, warning, analysed FROM results",
                (other.key,),
            )
        assert library.model().key == other.key, "among equals the one used last"


def test_vanished_tracks_are_not_searched(tmp_path: Path) -> None:
    with made_library(tmp_path, 10) as (library, model):
        with library.change():
            library.db.execute("UPDATE tracks SET vanished = 1 WHERE id <= 4")
        assert len(library.embeddings(model)[0]) == 6
        assert len(library.tracks()) == 10 and len(library.tracks(vanished=False)) == 6


def test_reading_all_embeddings_is_quick(tmp_path: Path) -> None:
    with open_library(tmp_path / "a.db", make=True) as library:
        model = fill(library, 20_000, dimensions=256)
        start = time.perf_counter()
        _, vectors = library.embeddings(model)
        seconds = time.perf_counter() - start
    assert vectors.shape == (20_000, 256) and vectors.dtype == np.float32
    assert seconds < 2, "0.03 s on a quiet machine"


def test_the_users_word_stands(tmp_path: Path) -> None:
    with made_library(tmp_path, 5) as (library, model):
        track = library.tracks()[0]
        assert track.audio is not None
        library.set_label(track.audio, "genre", "Polka")
        library.set_label(track.audio, "moods", ("calm", "sad"))
        _, said = next(library.predictions(model))
        assert said.heads["genre"].label == "Polka" and said.heads["genre"].confidence == 1.0
        assert said.heads["moods"].labels == ("calm", "sad")
        assert "Polka" not in said.heads["genre"].scores, "scores stay the model's"


def test_a_scan_compares_what_it_may_meet_alone(tmp_path: Path) -> None:
    """Files of its folders, files with their numbers, and such as are known by an older key; not the whole library."""
    with made_library(tmp_path, 30) as (library, model):
        with library.change():
            library.rows("UPDATE tracks SET path = '/other/' || id || '.mp3', inode = '0' WHERE id > 10")
            library.rows("UPDATE tracks SET path = '/music/0000-more/' || id || '.mp3' WHERE id BETWEEN 6 AND 10")
            library.rows("UPDATE tracks SET state = 'identify' WHERE id = 20")
            library.rows("UPDATE tracks SET inode = '77' WHERE id = 25")

        def met(roots: list[str], *inodes: str) -> list[int]:
            return [one.id for one in library.stored_files(model.key, roots, inodes)]

        assert met(["/music/0000"]) == [1, 2, 3, 4, 5, 20], "a folder whose name goes on is another"
        assert met(["/music/0000", "/other/12.mp3"], "77", "0") == [1, 2, 3, 4, 5, 12, 20, 25]
        assert met(["/"]) == list(range(1, 31)) and met([]) == [20]


def test_joining_two_recordings_costs_the_same_in_a_large_library(tmp_path: Path) -> None:
    """Steps of SQLite's machine: a table that is read as a whole would take many more."""
    steps = []
    for name, count in (("small", 200), ("large", 4_000)):
        (tmp_path / name).mkdir()
        with made_library(tmp_path / name, count) as (library, _):
            one, other = (track.audio or 0 for track in library.tracks()[:2])
            taken = 0

            def step() -> int:
                nonlocal taken
                taken += 1
                return 0

            library.db.set_progress_handler(step, 1)
            with library.change():
                library.merge_audio(one, other)
            library.db.set_progress_handler(None, 1)
            steps.append(taken)
    assert steps[1] < 1.5 * steps[0]
