"""A library of an older format goes on: nothing that was analysed or said is lost, and what was confused is parted."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earmark.analyses.facts import Tempo
from earmark.audio.identity import KEY_VERSION
from earmark.engine import InlineEngine
from earmark.errors import StorageError
from earmark.events import Run
from earmark.inference.records import Prediction
from earmark.inference.tagger import load_model
from earmark.library.cluster import cluster_tracks
from earmark.library.records import LibraryModel
from earmark.library.scan import Scanned, scan_folders
from earmark.library.similar import find_seed, similar_to
from earmark.library.store import FORMAT, migrations, open_library
from earmark.library.store.schema import tables
from sounds_of_library import songs_of_format_1

OLD = Path(__file__).parent / "format_1.sql"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A library that format 1's code made of the songs in ``music``."""
    songs_of_format_1(tmp_path / "music")
    file = tmp_path / "lib.db"
    connection = sqlite3.connect(file)
    connection.executescript(OLD.read_text().replace("@FOLDER@", str(tmp_path)).replace("@LONG@", "t" * 3000))
    connection.close()
    return file


def test_everything_stays(old: Path) -> None:
    with open_library(old, write=False) as library:
        model = library.model()
        assert (model.name, library.models()[0][1]) == ("tiny@1", 6)
        assert library.facts().tracks == 6 and library.facts().copies == 2 and library.facts().silent == 1
        assert [Path(one.path).name for one in library.failures()] == ["bad.mp3"]
        tracks = {Path(one.path).name: one for one in library.tracks()}
        predictions = {Path(track.path).name: said for track, said in library.predictions(model)}
        said = predictions["a.wav"]
        assert isinstance(said, Prediction) and said.heads["genre"].label == "Polka", "the user's correction"
        assert library.clips(model, [1])[1].vectors.shape[0] == 3, "matching seconds are still found"
        assert library.unscored(replace(model, key=99)) == [], "but heads need float16"
        assert len(cluster_tracks(library, model).clusters) == 2 and not cluster_tracks(library, model).made
        assert len(library.places(model)[0]) == 4
        assert len(tracks["a.wav"].title) == 1000 and tracks["a.wav"].title.endswith("…"), "hostile titles are cut"
        found = similar_to(library, model, find_seed(library, model, tracks["b.wav"].path), 9)
        assert "silence.wav" not in {Path(one.track.path).name for one in found}
    connection = sqlite3.connect(old)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == FORMAT
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_the_tables_are_those_of_a_new_library(old: Path, tmp_path: Path) -> None:
    with open_library(tmp_path / "new.db", make=True) as new, open_library(old) as library:
        assert tables(library.db) == tables(new.db)
        for name in tables(new.db):
            columns = [{row[1:4] for row in one.rows(f"PRAGMA table_info({name})")} for one in (new, library)]
            assert columns[0] == columns[1], name
        indexes = [set(one.rows("SELECT name FROM sqlite_master WHERE type = 'index'")) for one in (new, library)]
        assert indexes[0] == indexes[1]


def test_format_2_gains_kept_playlists(tmp_path: Path) -> None:
    """All that format 2 held stays as it is; the tables are those of a new library."""
    connection = sqlite3.connect(tmp_path / "two.db")
    connection.executescript((OLD.parent / "format_2.sql").read_text())
    before = {name: set(connection.execute(f"SELECT * FROM {name}")) for name in sorted(tables(connection))}
    assert connection.execute("PRAGMA user_version").fetchone()[0] == 2
    connection.close()
    with open_library(tmp_path / "two.db", write=False) as library, open_library(tmp_path / "new.db", make=True) as new:
        assert {name: set(library.rows(f"SELECT * FROM {name}")) for name in before} == before
        later = {"playlists", "entries", "features", "changes", "sqlite_sequence"}
        assert tables(library.db) == tables(new.db) == before.keys() | later
        query = "SELECT name, sql FROM sqlite_master WHERE name IN ('entries', 'changes') OR type = 'trigger'"
        made = [set(one.rows(query)) for one in (library, new)]
        assert made[0] == made[1] and len(made[0]) == 5
        assert library.playlists() == [] and library.facts().vanished == 1
        library.put_playlist("evening", [1, 2])
        assert [one.tracks for one in library.playlists()] == [2]


def test_format_3_gains_features(tmp_path: Path) -> None:
    """All that format 3 held stays as it is, and each song can have features."""
    connection = sqlite3.connect(tmp_path / "three.db")
    connection.executescript((OLD.parent / "format_3.sql").read_text())
    before = {name: set(connection.execute(f"SELECT * FROM {name}")) for name in sorted(tables(connection))}
    assert connection.execute("PRAGMA user_version").fetchone()[0] == 3
    connection.close()
    with open_library(tmp_path / "three.db") as library, open_library(tmp_path / "new.db", make=True) as new:
        assert {name: set(library.rows(f"SELECT * FROM {name}")) for name in before} == before
        statement = "SELECT name, sql FROM sqlite_master WHERE name LIKE 'features%' ORDER BY name"
        assert library.rows(statement) == new.rows(statement) and len(new.rows(statement)) == 2
        assert library.features([1, 2]) == {} and [one.tracks for one in library.playlists()] == [2]
        with library.change():
            library.put_features(1, {"tempo": Tempo(120.1, 0.9, 60.0)})
        assert library.features([1, 2]) == {1: {"tempo": Tempo(120.1, 0.9, 60.0)}}


def test_a_model_is_known_by_name_and_vocabulary(old: Path, tiny_model: Path) -> None:
    """Format 1 knew models by their card's bytes; the first of that name and vocabulary goes on with its results."""
    card = load_model(tiny_model).card
    with open_library(old) as library:
        before = library.embeddings(library.model())
        with library.change():
            model = library.add_model(LibraryModel.of(tiny_model, card))
        assert [(one.digest, count) for one, count in library.models()] == [(model.digest, 6)]
        after = library.embeddings(model)
        assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
        assert library.add_model(LibraryModel.of(tiny_model, card)).key == model.key, "from then on by its digest"
        other = LibraryModel.of(tiny_model, replace(card, heads=card.heads[:1]))
        assert library.add_model(replace(other, digest="another")).key != model.key


def test_an_update_that_fails_leaves_the_library_as_it_was(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("power cut")

    before = old.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "_tracks", fail)
        with pytest.raises(StorageError, match="power cut"), open_library(old):
            pass
    assert old.read_bytes() == before
    with open_library(old) as library:
        assert library.facts().tracks == 6


@pytest.mark.parametrize(
    "statement", ["DROP TABLE embeddings", "DROP TABLE facts", "ALTER TABLE tracks DROP COLUMN title"]
)
def test_a_damaged_old_library_is_one_line(old: Path, statement: str) -> None:
    connection = sqlite3.connect(old)
    connection.execute(statement)
    connection.close()
    with pytest.raises(StorageError, match=r"lib\.db") as caught, open_library(old) as library:
        library.tracks()
        library.fact("x")
    assert "\n" not in str(caught.value)


def test_what_shared_a_hash_is_told_apart_by_the_next_scan(old: Path, tmp_path: Path, tiny_model: Path) -> None:
    """And all else is identified, not analysed: results and corrections stay with their recordings."""
    music = tmp_path / "music"
    model = LibraryModel.of(tiny_model, load_model(tiny_model).card)

    def scanned() -> Scanned:
        return Run(scan_folders(library, [str(music)], model, InlineEngine())).wait()

    with open_library(old) as library:
        done = scanned()
        assert done.analysed == 2, "the second of each two that shared a hash"
        audio = {Path(one.path).name: one.audio for one in library.tracks()}
        assert audio["show 1.wav"] == 3 != audio["show 2.wav"], "what was known stays with the file that was analysed"
        assert audio["a.wav"] == audio["copy.wav"] == 1 and library.labels() == {1: {"genre": "Polka"}}
        keys = library.content_hashes()
        assert {keys[one] for one in audio.values() if one} == set(keys.values()), "nothing is left over"
        assert all(key.startswith(KEY_VERSION) for key in keys.values())
        finer = [audio for audio, _ in library.unscored(replace(done.model, key=99))]
        assert set(finer) == {1, audio["show 2.wav"]}, "what was analysed anew has clips that heads can read"
        done = scanned()
        assert (done.analysed, done.known, done.unchanged) == (0, 0, 7)


@pytest.mark.parametrize("how", ["other tags", "another disk"])
def test_a_file_that_changed_before_the_next_scan(old: Path, tmp_path: Path, tiny_model: Path, how: str) -> None:
    """Its hash of format 1 cannot be found again; path and length, or name, size and time, must do."""
    music, model = tmp_path / "music", LibraryModel.of(tiny_model, load_model(tiny_model).card)
    with open_library(old) as library:
        if how == "other tags":
            with (music / "a.wav").open("ab") as file:
                file.write(b"LIST\x0c\0\0\0INFOINAM\0\0\0\0")
            target = music / "a.wav"
        else:
            target = music / "deep" / "a.wav"
            target.parent.mkdir()
            shutil.copy2(music / "a.wav", target)
            (music / "a.wav").unlink()
        done = Run(scan_folders(library, [str(music)], model, InlineEngine())).wait()
        track = library.track(str(target))
        assert track is not None and track.audio == 1 and done.analysed == 2 and done.vanished == 0
