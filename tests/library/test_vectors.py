"""Vectors to search in: the index beside a library answers as the library does, whatever has become of either."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earmark.app.map import MapRequest, draw_map
from earmark.app.playlist import PlaylistRequest, make_playlist
from earmark.app.scan import ScanRequest, scan
from earmark.app.search import SimilarRequest, WalkRequest, similar, walk
from earmark.app.session import LibrarySession
from earmark.engine import InlineEngine
from earmark.events import Notice, Run
from earmark.library import vectors as vectors_module
from earmark.library.records import LibraryModel, direction
from earmark.library.resident import take_snapshot
from earmark.library.store import Library, open_library
from earmark.library.vectors import Vectors, in_memory, index_file, keep_index, read_vectors
from made_library import fill, made_library
from sounds_of_library import make_songs

Made = tuple[Library, LibraryModel]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library of fifty songs has an index, and one of a thousand has lists."""
    monkeypatch.setattr(vectors_module, "INDEX_FROM", 50)
    monkeypatch.setattr(vectors_module, "LISTS_FROM", 1_000)
    monkeypatch.setattr(vectors_module, "_BEHIND", 20)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    with made_library(tmp_path, 300) as found:
        yield found


def keep(library: Library, model: LibraryModel) -> list[str]:
    """What is told while the index is kept."""
    return [event.message for event in Run(keep_index(library, model)) if isinstance(event, Notice)]


def by_index(library: Library, model: LibraryModel) -> Vectors:
    """As a process that has just started reads them."""
    with open_library(library.file, write=False) as other:
        return read_vectors(other, model)


def same(found: Vectors, library: Library, model: LibraryModel) -> bool:
    """Whether they answer as all embeddings in memory do."""
    plain = in_memory(library, model)
    assert len(found) == len(plain) and np.array_equal(found.audio, plain.audio)
    assert np.array_equal(found.of(plain.audio), plain.matrix)
    places, rows = zip(*found.blocks(), strict=True)
    order = np.concatenate(places)
    assert np.array_equal(np.concatenate(rows)[np.argsort(order)], plain.matrix)
    for query in plain.matrix[::37]:
        ours, theirs = found.nearest(query, 25), plain.nearest(query, 25)
        if found.index is not None and len(found.index.centers) > 1:
            assert len(set(ours[0].tolist()) & set(theirs[0].tolist())) >= 23
        else:
            assert set(ours[0].tolist()) == set(theirs[0].tolist()) and np.allclose(ours[1], theirs[1], atol=1e-6)
    return True


def test_a_small_library_has_none(tmp_path: Path) -> None:
    with made_library(tmp_path, 49) as (library, model):
        assert keep(library, model) == [] and not index_file(library, model).exists()
        assert read_vectors(library, model).index is None


def test_the_index_answers_as_the_library_does(made: Made) -> None:
    library, model = made
    assert keep(library, model) == [
        "The library has no index yet; it is made now, so that searches need not read all songs."
    ]
    assert keep(library, model) == []
    found = by_index(library, model)
    assert found.index is not None and not len(found.held) and same(found, library, model)
    assert [one.name for one in library.file.parent.glob("made.db.*")] == ["made.db.1.index"]


def test_lists_miss_next_to_nothing(tmp_path: Path) -> None:
    with made_library(tmp_path, 5_000, groups=40) as (library, model):
        keep(library, model)
        found, plain = by_index(library, model), in_memory(library, model)
        assert found.index is not None and len(found.index.centers) == 64
        hits = [
            len(set(found.nearest(query, 10)[0].tolist()) & set(plain.nearest(query, 10)[0].tolist()))
            for query in plain.matrix[::50]
        ]
        assert np.mean(hits) > 9.5
        everything, _ = found.nearest(plain.matrix[0], 5_000)
        assert np.array_equal(np.sort(everything), plain.audio), "who asks for all gets all"


@pytest.mark.parametrize(("count", "mapped"), [(300, True), (300, False), (1_500, True)])
def test_what_has_changed_is_laid_over(
    tmp_path: Path, count: int, mapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Songs that are new, analysed anew, gone, back, found to be no music, or joined; mapped, or read as on Windows."""
    if not mapped:
        monkeypatch.setattr(vectors_module, "_mapped", lambda stream: stream.read())
    with made_library(tmp_path, count) as (library, model):
        keep(library, model)
        for change in (
            "INSERT INTO audio (id, hash, seconds) VALUES (5001, 'new', 100)",
            "INSERT INTO tracks (path, device, inode, size, modified, audio) VALUES ('/n.mp3', '', '', 1, 1, 5001)",
            "INSERT INTO embeddings SELECT backbone, 5001, vector FROM embeddings WHERE audio = 9",
            "INSERT OR REPLACE INTO embeddings SELECT backbone, 3, vector FROM embeddings WHERE audio = 11",
            "UPDATE tracks SET vanished = 1 WHERE audio IN (4, 5)",
            "UPDATE audio SET song = 0 WHERE id IN (7, 8)",
            "UPDATE tracks SET vanished = NULL WHERE audio = 5",
        ):
            with library.change():
                library.rows(change)
            assert same(by_index(library, model), library, model), change
        with library.change():
            library.merge_audio(20, 21)
        found = by_index(library, model)
        assert found.index is not None and same(found, library, model)
        assert keep(library, model) == [], "few changes are no reason to write it anew"


def test_much_that_has_changed_is_taken_over_by_the_same_centres(tmp_path: Path) -> None:
    with made_library(tmp_path, 1_500) as (library, model):
        keep(library, model)
        before = by_index(library, model).index
        with library.change():
            library.rows("DELETE FROM embeddings WHERE audio BETWEEN 100 AND 150")
            library.rows("UPDATE tracks SET vanished = 1 WHERE audio BETWEEN 100 AND 150")
            copied = "SELECT backbone, audio + 200, vector FROM embeddings WHERE audio < 90"
            library.rows(f"INSERT OR REPLACE INTO embeddings {copied}")
        assert keep(library, model) == ["The index of the library lacked 140 songs, and is brought up to date."]
        found = by_index(library, model)
        assert found.index is not None and before is not None and not len(found.held)
        assert np.array_equal(found.index.centers, before.centers) and same(found, library, model)
        assert library.value("SELECT MIN(id) FROM changes") == before.change[0], "older changes are forgotten"
        assert library.changed_since(model, *before.change) is not None, "one that is in use can still be brought on"


def test_centres_are_found_anew_once_there_are_twice_as_many(tmp_path: Path) -> None:
    with open_library(tmp_path / "a.db", make=True) as library:
        model = fill(library, 60)
        keep(library, model)
        with library.change():
            for table in ("tracks", "results", "embeddings", "audio"):
                library.rows(f"DELETE FROM {table}")
        fill(library, 1_200)
        assert len(keep(library, model)) == 1
        assert len(by_index(library, model).index.centers) == 32  # type: ignore[union-attr]
        assert same(by_index(library, model), library, model)


DAMAGES = {
    "empty": lambda raw: b"",
    "cut in the head": lambda raw: raw[:100],
    "cut in the tables": lambda raw: raw[:3_000],
    "cut in the vectors": lambda raw: raw[:-10_000],
    "cut at the end": lambda raw: raw[:-1],
    "longer": lambda raw: raw + b"\0",
    "zeros": lambda raw: bytes(len(raw)),
    "another file": lambda raw: b"ID3" + bytes(range(256)) * 200,
    "a bit of the head": lambda raw: raw[:40] + bytes([raw[40] ^ 1]) + raw[41:],
    "a bit of the tables": lambda raw: raw[:900] + bytes([raw[900] ^ 4]) + raw[901:],
    "a bit of the sums": lambda raw: raw[:-6] + bytes([raw[-6] ^ 128]) + raw[-5:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_made_anew(made: Made, damage: str) -> None:
    library, model = made
    keep(library, model)
    file = index_file(library, model)
    whole = file.read_bytes()
    file.unlink()  # what is mapped is never changed
    file.write_bytes(DAMAGES[damage](whole))
    assert by_index(library, model).index is None and same(by_index(library, model), library, model)
    assert keep(library, model) == ["The index of the library was damaged, and is made anew."]
    assert file.read_bytes() == whole and keep(library, model) == []


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_damaged_vector_is_found_by_the_search_that_reads_it(made: Made, share: float) -> None:
    """The answer is right, told is one sentence, and the index is right afterwards."""
    library, model = made
    keep(library, model)
    file = index_file(library, model)
    whole = file.read_bytes()
    start = len(whole) - 300 * 64 * 2 - 8
    at = start + int(share * 300 * 64 * 2)
    file.unlink()
    file.write_bytes(whole[:at] + bytes([whole[at] ^ 64]) + whole[at + 1 :])
    with open_library(library.file, write=False) as other:
        assert same(read_vectors(other, model), library, model) and read_vectors(other, model).damaged
    assert not file.exists(), "nobody else is to use it"
    file.write_bytes(whole[:at] + bytes([whole[at] ^ 64]) + whole[at + 1 :])
    run = similar(SimilarRequest(library=str(library.file), track="/music/0000/0000007.mp3"))
    told = [event.message for event in run if isinstance(event, Notice)]
    assert told == ["The index of the library was damaged, and is made anew."] and len(run.result) == 10
    assert file.read_bytes() == whole


def test_much_that_is_gone_makes_no_search_longer(tmp_path: Path) -> None:
    """A disk that was taken away, or an archive of noise: no more lists are read for it."""
    with made_library(tmp_path, 5_000, groups=40) as (library, model):
        keep(library, model)
        with library.change():
            library.rows("UPDATE tracks SET vanished = 1 WHERE audio > 3000")
            library.rows("UPDATE audio SET song = 0 WHERE id BETWEEN 2000 AND 2500")
        found = by_index(library, model)
        assert found.index is not None and len(found.gone) == 2_501
        found.nearest(in_memory(library, model).matrix[0], 10)
        assert found.index.checked.sum() < 30, "of 64 lists"
        everything, _ = found.nearest(in_memory(library, model).matrix[0], 5_000)
        assert np.array_equal(np.sort(everything), found.audio)


def test_a_session_leaves_a_damaged_index(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Songs that are gone since are near nothing; the next snapshot reads no damaged index again."""
    library, model = made
    monkeypatch.setattr(vectors_module, "LISTS_FROM", 300)
    keep(library, model)
    file = index_file(library, model)
    whole = file.read_bytes()
    file.unlink()
    file.write_bytes(whole[:-3_000] + bytes([whole[-3_000] ^ 64]) + whole[-2_999:])
    first = take_snapshot(library, model)
    with library.change():
        library.rows("DELETE FROM embeddings WHERE audio IN (44, 45)")
        library.rows("UPDATE tracks SET vanished = 1 WHERE audio IN (44, 45)")
    held = read_vectors(first, model)
    assert held.index is not None
    nearest, _ = held.nearest(np.ones(64, np.float32), 300)
    assert held.damaged and len(nearest) == len(held) == 300
    assert [len(rows) for rows, _ in held.blocks()] == [300] and not held.of(np.asarray([44])).any()
    second = read_vectors(take_snapshot(library, model, first), model)
    assert second.index is None and same(second, library, model)


def test_the_index_of_another_library_or_another_time(made: Made, tmp_path: Path) -> None:
    library, model = made
    keep(library, model)
    file = index_file(library, model)
    (tmp_path / "other").mkdir()
    with made_library(tmp_path / "other", 300) as (other, others):
        keep(other, others)
        shutil.copy(index_file(other, others), file)
    assert by_index(library, model).index is None
    assert keep(library, model) == ["The index of the library belonged to another state of it, and is made anew."]
    library.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(library.file, tmp_path / "backup.db")
    with library.change():
        library.rows("UPDATE embeddings SET vector = vector WHERE audio < 60")
    keep(library, model)
    shutil.copy(file, tmp_path / "backup.db.1.index")  # newer than the backup, which goes on in another way
    with open_library(tmp_path / "backup.db") as backup:
        assert read_vectors(backup, model).index is None
        with backup.change():
            backup.rows("DELETE FROM embeddings WHERE audio BETWEEN 100 AND 200")
        assert keep(backup, model) == ["The index of the library belonged to another state of it, and is made anew."]
        assert same(by_index(backup, model), backup, model)


def test_a_killed_process_leaves_what_the_next_one_writes_over(made: Made) -> None:
    """The temporary file has one name: large ones do not pile up."""
    library, model = made
    file = index_file(library, model)
    file.with_name(file.name + ".part").write_bytes(b"half")
    assert len(keep(library, model)) == 1 and same(by_index(library, model), library, model)
    assert not file.with_name(file.name + ".part").exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder that cannot be written")
def test_a_folder_that_cannot_be_written(made: Made) -> None:
    library, model = made
    library.file.parent.chmod(0o500)
    try:
        assert keep(library, model) == [] and read_vectors(library, model).index is None
    finally:
        library.file.parent.chmod(0o700)


def test_where_it_cannot_be_written_all_is_read(made: Made) -> None:
    library, model = made
    index_file(library, model).mkdir()
    assert len(keep(library, model)) == 1
    assert read_vectors(library, model).index is None and same(read_vectors(library, model), library, model)


def test_each_backbone_has_its_own(made: Made) -> None:
    library, model = made
    keep(library, model)
    with library.change():
        other = library.add_model(LibraryModel(0, "wide@1", "def", "", "/nowhere", 32, model.heads))
        rows = direction(np.random.default_rng(0).standard_normal((300, 32)).astype("f4")).astype("<f2")
        values = [(other.backbone_key, audio, row.tobytes()) for audio, row in enumerate(rows, 1)]
        library.db.executemany("INSERT INTO embeddings VALUES (?, ?, ?)", values)
    assert len(keep(library, other)) == 1 and same(by_index(library, other), library, other)
    assert keep(library, model) == [] and same(by_index(library, model), library, model)
    assert index_file(library, model) != index_file(library, other)


def test_a_model_of_the_same_backbone_has_its_own_songs(made: Made) -> None:
    library, model = made
    keep(library, model)
    with library.change():
        other = library.add_model(LibraryModel(0, "new heads@1", "def", "", "/nowhere", 64, model.heads, {}, ""))
        library.rows("UPDATE models SET backbone = ? WHERE id = ?", (model.backbone_key, other.key))
        library.rows(
            "INSERT INTO results SELECT ?, audio, scores, numbers, warning, analysed FROM results WHERE audio < 100",
            (other.key,),
        )
    other = next(one for one, _ in library.models() if one.key == other.key)
    assert len(by_index(library, other)) == 99 and same(by_index(library, other), library, other)
    assert same(by_index(library, model), library, model)


def test_every_search_answers_the_same_by_the_index(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, model = made
    monkeypatch.setattr("earmark.library.layout.has_tsne", lambda: False)
    file, song = str(library.file), "/music/0000/0000007.mp3"

    def answers() -> list[Any]:
        found = similar(SimilarRequest(library=file, track=song)).wait()
        drawn = draw_map(MapRequest(library=file, output=str(tmp_path / "map.html"), rebuild=True)).wait()
        return [
            [(one.track.path, one.distance, one.why) for one in found],
            walk(WalkRequest(library=file, start=song, end="/music/0000/0000008.mp3")).wait(),
            make_playlist(PlaylistRequest(library=file, seeds=(song,))).wait(),
            make_playlist(PlaylistRequest(library=file, genres=("Rock",))).wait(),
            (drawn.tracks, (tmp_path / "map.html").read_text()),
        ]

    monkeypatch.setattr(vectors_module, "INDEX_FROM", 10_000)
    plain = answers()
    assert not index_file(library, model).exists()
    monkeypatch.setattr(vectors_module, "INDEX_FROM", 50)
    assert answers() == plain and index_file(library, model).exists()


def test_a_scan_keeps_the_index(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there after the first scan, nothing is told of it, and later scans bring it up to date."""
    monkeypatch.setattr(vectors_module, "INDEX_FROM", 3)
    monkeypatch.setattr(vectors_module, "_BEHIND", 1)
    music = make_songs(tmp_path / "music", 5, seconds=2)
    for songs in (5, 9):
        make_songs(music, songs, seconds=2)
        request = ScanRequest(folders=(str(music),), library=str(tmp_path / "a.db"), model=str(tiny_model))
        told = [event.message for event in scan(request, InlineEngine()) if isinstance(event, Notice)]
        assert not [one for one in told if "index" in one]
        with open_library(tmp_path / "a.db") as library:
            found = read_vectors(library, library.model())
            assert found.index is not None and len(found.index.audio) == len(found) == songs
            assert same(found, library, library.model())


def test_a_session_answers_from_the_index(tmp_path: Path) -> None:
    """While scans write: of the moment of its snapshot, and of the next one in the next."""
    with made_library(tmp_path, 1_500) as (library, model):
        keep(library, model)
        first = take_snapshot(library, model)
        held = read_vectors(first, model)
        assert held.index is not None and same(held, library, model)
        with library.change():
            library.rows("DELETE FROM embeddings WHERE audio = 44")
            library.rows("UPDATE tracks SET vanished = 1 WHERE audio = 44")
        second = take_snapshot(library, model, first)
        assert len(read_vectors(second, model)) == 1_499 and len(held) == 1_500
        with library.change():
            library.rows("UPDATE embeddings SET vector = vector WHERE audio > 1400")
        with library.reading():
            library.rows("SELECT 1 FROM tracks")  # from here on it sees what there is now
            with open_library(library.file) as other:
                with other.change():
                    other.rows("UPDATE embeddings SET vector = vector WHERE audio < 1400")
                assert len(keep(other, model)) == 1
            assert vectors_module.large_vectors(library, model, held) is not None, "the file is newer than what is read"
        assert same(read_vectors(take_snapshot(library, model, second), model), library, model)
    session = LibrarySession(str(tmp_path / "made.db"))
    with session.reading() as snapshot:
        assert read_vectors(snapshot, model).index is not None and keep(snapshot, model) == []
    assert len(similar(SimilarRequest(track="/music/0000/0000007.mp3"), session=session).wait()) == 10
    session.close()
