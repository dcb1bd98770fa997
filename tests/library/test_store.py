"""The library's file: what it keeps, and what it says when it cannot be used."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earmark.errors import StorageError, UnknownName
from earmark.inference.options import HearingOptions
from earmark.inference.tagger import load_model
from earmark.library import schema
from earmark.library.records import LibraryModel, direction
from earmark.library.store import open_library
from made_library import MODEL, fill, made_library


def test_what_a_model_said_comes_back_exactly(tmp_path: Path, tiny_model: Path, tone: Path) -> None:
    """Four decimals, labels, thresholds: what `tag` would print."""
    tagger = load_model(tiny_model)
    options = HearingOptions(embedding=True, clips=True, content_hash=True)
    heard = tagger.predict(tone, options=options)
    card = tagger.card
    model = LibraryModel(0, card.id, "x", "", str(tiny_model), card.embedding, card.heads)
    with open_library(tmp_path / "a.db") as library:
        with library.change():
            model = library.add_model(model)
            audio = library.add_result(model, heard)
            library.db.execute(
                "INSERT INTO tracks (path, device, inode, size, modified, audio) VALUES (?, '', '', 1, 1, ?)",
                (str(tone), audio),
            )
        ((track, said),) = library.predictions(model)
        assert said.to_dict() == heard.to_dict()
        assert (track.path, track.content_hash, track.seconds) == (str(tone), heard.content_hash, heard.seconds)
        rows, vectors = library.embeddings(model)
        assert rows.tolist() == [audio]
        assert heard.embedding is not None and heard.clips is not None
        assert vectors[0] @ direction(heard.embedding) > 0.9999
        clips = library.clips(model, rows)[audio]
        assert np.allclose(clips.times, heard.clips.times)
        assert (clips.vectors * direction(heard.clips.vectors)).sum(axis=1).min() > 0.999


def test_names_that_are_no_text(tmp_path: Path) -> None:
    path = os.fsdecode(b"/music/caf\xe9.mp3")
    with open_library(tmp_path / "a.db") as library:
        with library.change():
            library.db.execute(
                "INSERT INTO tracks (path, device, inode, size, modified) VALUES (CAST(? AS TEXT), '', '', 0, 0)",
                (schema.encode_path(path),),
            )
        assert [track.path for track in library.tracks()] == [path]
        found = library.track(path)
        assert found is not None and found.path == path


def test_a_missing_library_is_created_empty(tmp_path: Path) -> None:
    with open_library(tmp_path / "new.db") as library:
        assert library.tracks() == [] and library.models() == []
        with pytest.raises(StorageError, match="empty; `earmark scan FOLDER` fills it"):
            library.model()


def test_the_usual_library_is_in_the_users_data_folder() -> None:
    with open_library() as library:
        assert library.file == schema.default_file()
        assert library.file.is_file()


def refused(file: Path, what: str, *, write: bool = True) -> None:
    with pytest.raises(StorageError, match=what) as caught, open_library(file, write=write) as library:
        library.tracks()
        with library.change():
            library.set_fact("x", 1)
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)


def test_a_newer_one(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with open_library(file) as library:
        library.db.execute("PRAGMA user_version=99")
    refused(file, r"format 99 is newer than this Earmark reads \(1\); update")


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
    monkeypatch.setattr(schema, "_WAIT_SECONDS", 0.1)
    with open_library(tmp_path / "a.db"):
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
                "INSERT INTO results SELECT ?, audio, scores, numbers, warning, heard FROM results LIMIT 3",
                (other.key,),
            )
        assert library.model().key == model.key
        assert [(one.name, heard) for one, heard in library.models()] == [("made@1", 10), ("made@2", 3)]
        assert library.model("made@2").key == other.key
        with pytest.raises(UnknownName, match="made"):
            library.model("maid")
        with library.change():
            library.db.execute(
                "INSERT OR IGNORE INTO results SELECT ?, audio, scores, numbers, warning, heard FROM results",
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
    import time

    with open_library(tmp_path / "a.db") as library:
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
