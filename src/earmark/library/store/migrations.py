"""Older formats of the library's file, each brought to the next by one step; all steps are one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from earmark.inference.records import is_song
from earmark.library.records import UNVERIFIED
from earmark.library.store.schema import FORMAT, statements, table
from earmark.text import composed_path, plain_text

__all__ = ["migrate"]


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a library to the present format, or leave it as it is where that fails."""
    connection.execute("PRAGMA foreign_keys=OFF")  # tables are made anew under their names
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]  # another process may have been quicker
        for step in range(version, FORMAT):
            _STEPS[step](connection)
        connection.execute(f"PRAGMA user_version={FORMAT}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _from_1(connection: sqlite3.Connection) -> None:
    """Embeddings belong to backbones, and audio has a key that only a comparison makes an identity."""
    _backbones(connection)
    _audio(connection)
    _tracks(connection)


def _backbones(connection: sqlite3.Connection) -> None:
    """Each model has a backbone of its own, as far as format 1 knows; a scan finds out which it really is."""
    script = f"""
        {table("backbones")};
        INSERT INTO backbones SELECT id, '{UNVERIFIED}' || digest, layer, dimensions FROM models;
        ALTER TABLE models RENAME TO models_1;
        {table("models")};
        INSERT INTO models SELECT id, name, '{UNVERIFIED}' || digest, id, folder, heads, aliases, used FROM models_1;
        DROP TABLE models_1;
        ALTER TABLE results RENAME COLUMN heard TO analysed;
        ALTER TABLE embeddings RENAME TO embeddings_1;
        {table("embeddings")};
        INSERT INTO embeddings SELECT * FROM embeddings_1;
        DROP TABLE embeddings_1;
        ALTER TABLE clips RENAME TO clips_1;
        {table("clips")};
        INSERT INTO clips SELECT *, 'int8' FROM clips_1;
        DROP TABLE clips_1
    """
    connection.execute("PRAGMA legacy_alter_table=ON")  # what refers to a renamed table keeps its name
    for statement in statements(script):
        connection.execute(statement)


def _audio(connection: sqlite3.Connection) -> None:
    script = f"""
        ALTER TABLE audio RENAME TO audio_1;
        {table("audio")};
        CREATE INDEX audio_no_song ON audio(id) WHERE song = 0;
        INSERT INTO audio (id, hash, seconds) SELECT id, hash, seconds FROM audio_1;
        DROP TABLE audio_1
    """
    for statement in statements(script):
        connection.execute(statement)
    warned = connection.execute("SELECT DISTINCT audio, warning FROM results WHERE warning IS NOT NULL").fetchall()
    silent = ((audio,) for audio, warning in warned if not is_song(warning))
    connection.executemany("UPDATE audio SET song = 0 WHERE id = ?", silent)


def _tracks(connection: sqlite3.Connection) -> None:
    """Files that shared a hash of format 1 may be different recordings: the first is the one that was analysed."""
    script = r"""
        ALTER TABLE tracks ADD COLUMN nfc TEXT;
        ALTER TABLE tracks ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE tracks ADD COLUMN failed_by INTEGER;
        ALTER TABLE tracks ADD COLUMN state TEXT NOT NULL DEFAULT '';
        CREATE INDEX tracks_nfc ON tracks(nfc) WHERE nfc IS NOT NULL;
        CREATE INDEX tracks_failed ON tracks(vanished) WHERE error IS NOT NULL;
        CREATE INDEX tracks_vanished ON tracks(id) WHERE vanished IS NOT NULL;
        DROP INDEX tracks_audio;
        CREATE INDEX tracks_audio ON tracks(audio, vanished, error);
        CREATE INDEX tracks_order ON tracks(replace(replace(path, '/', char(1)), '\', char(1)));
        UPDATE tracks SET state = 'analyse' WHERE audio IS NOT NULL;
        UPDATE tracks SET state = 'identify' WHERE id IN (SELECT id FROM (
            SELECT id, ROW_NUMBER() OVER (PARTITION BY audio ORDER BY vanished IS NOT NULL, id) AS place
            FROM tracks WHERE audio IS NOT NULL) WHERE place = 1)
    """
    for statement in statements(script):
        connection.execute(statement)
    paths = connection.execute("SELECT id, path FROM tracks").fetchall()
    composed = ((composed_path(path), key) for key, path in paths if not path.isascii())
    connection.executemany("UPDATE tracks SET nfc = CAST(? AS TEXT) WHERE id = ?", composed)
    names = ("artist", "title", "album", "genre")
    for row in connection.execute(f"SELECT id, {', '.join(names)} FROM tracks").fetchall():
        kept = tuple(map(plain_text, row[1:]))
        if kept != row[1:]:
            marks = ", ".join(f"{name} = ?" for name in names)
            connection.execute(f"UPDATE tracks SET {marks} WHERE id = ?", (*kept, row[0]))


def _from_2(connection: sqlite3.Connection) -> None:
    """Playlists are kept."""
    for name in ("playlists", "entries"):
        connection.execute(table(name))


def _from_3(connection: sqlite3.Connection) -> None:
    """Features are kept, and changes of embeddings counted; an index may be made of those that there are."""
    for name in ("features", "features_name", "changes", "embedding_added", "embedding_given", "embedding_removed"):
        connection.execute(table(name))
    for name in ("results", "embeddings", "clips", "members", "places"):
        connection.execute(table(f"{name}_audio"))
    connection.execute("INSERT INTO changes (backbone, audio) SELECT id, 0 FROM backbones")


_STEPS: dict[int, Callable[[sqlite3.Connection], None]] = {1: _from_1, 2: _from_2, 3: _from_3}
