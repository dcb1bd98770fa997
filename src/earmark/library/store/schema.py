"""The tables of a library's file, and how they are made."""

from __future__ import annotations

import sqlite3

__all__ = ["APPLICATION", "FORMAT", "create", "statements", "table", "tables"]

FORMAT = 4
"""The version of the file's tables (``user_version``). A reader refuses a greater one and migrates a smaller one."""

APPLICATION = 0x4561726D
"""``Earm``: tells the file from any other SQLite file."""

_TABLES = r"""
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE roots (path TEXT PRIMARY KEY, scanned REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE audio (
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL,                 -- its key (earmark.audio.identity): the same whatever the tags
    number INTEGER NOT NULL DEFAULT 1,  -- tells apart recordings that share a key
    seconds REAL NOT NULL,
    song INTEGER NOT NULL DEFAULT 1,    -- 0: silence, or noise
    UNIQUE (hash, number)
);
CREATE INDEX audio_no_song ON audio(id) WHERE song = 0;
CREATE TABLE tracks (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,          -- absolute; bytes that are not UTF-8 as they are
    nfc TEXT,                           -- the path in Unicode's composed form, where that differs
    device TEXT NOT NULL, inode TEXT NOT NULL, size INTEGER NOT NULL, modified INTEGER NOT NULL,  -- nanoseconds
    changed INTEGER NOT NULL DEFAULT 0, -- when the file's facts changed (ctime), nanoseconds; 0 where nobody knows
    audio INTEGER REFERENCES audio(id), -- NULL where the file could not be analysed
    artist TEXT NOT NULL DEFAULT '', title TEXT NOT NULL DEFAULT '', album TEXT NOT NULL DEFAULT '',
    year TEXT NOT NULL DEFAULT '', genre TEXT NOT NULL DEFAULT '',  -- as the file's own tags say; genres joined by ;
    error TEXT, message TEXT,           -- why it could not be analysed; beside audio: why not again
    failed_by INTEGER,                  -- the model that failed, where the machine or the model did; NULL: the file
    state TEXT NOT NULL DEFAULT '',     -- what the next scan owes it: identify, analyse, compare
    vanished REAL                       -- since when it is not there any more (seconds since 1970)
);
CREATE INDEX tracks_audio ON tracks(audio, vanished, error);
CREATE INDEX tracks_order ON tracks(replace(replace(path, '/', char(1)), '\', char(1)));
CREATE INDEX tracks_file ON tracks(inode, size);
CREATE INDEX tracks_failed ON tracks(vanished) WHERE error IS NOT NULL;
CREATE INDEX tracks_vanished ON tracks(id) WHERE vanished IS NOT NULL;
CREATE INDEX tracks_nfc ON tracks(nfc) WHERE nfc IS NOT NULL;
CREATE TABLE backbones (                -- what embeddings belong to: models may share one
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL,
    layer TEXT NOT NULL DEFAULT '',     -- whose output the embeddings are; '' is the network's own embedding
    dimensions INTEGER NOT NULL,
    UNIQUE (digest, layer)
);
CREATE TABLE models (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,                 -- name@version
    digest TEXT NOT NULL,               -- of the whole model: tells apart models of one name
    backbone INTEGER NOT NULL REFERENCES backbones(id),
    folder TEXT NOT NULL,               -- where it was seen last: a place to look, no identity
    heads TEXT NOT NULL,                -- JSON: name, task, labels, threshold, thresholds
    aliases TEXT NOT NULL DEFAULT '{}', -- the user's own names of labels (scan --labels)
    used REAL NOT NULL,
    UNIQUE (name, digest, backbone)
);
CREATE TABLE results (
    model INTEGER NOT NULL REFERENCES models(id),
    audio INTEGER NOT NULL REFERENCES audio(id),
    scores BLOB NOT NULL,               -- uint16, 1/10000: all labels of all heads in order
    numbers BLOB NOT NULL,              -- float64: the regression heads in order
    warning TEXT,
    analysed REAL NOT NULL,             -- seconds since 1970
    PRIMARY KEY (model, audio)
) WITHOUT ROWID;
CREATE TABLE embeddings (
    backbone INTEGER NOT NULL REFERENCES backbones(id),
    audio INTEGER NOT NULL REFERENCES audio(id),
    vector BLOB NOT NULL,               -- float16: its direction, length 1
    PRIMARY KEY (backbone, audio)
) WITHOUT ROWID;
CREATE TABLE changes (                  -- of embeddings, in their order; an index beside the library knows its last
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    backbone INTEGER NOT NULL,
    audio INTEGER NOT NULL,
    mark INTEGER NOT NULL DEFAULT (random())  -- no change of another library has the same
);
CREATE TRIGGER embedding_added AFTER INSERT ON embeddings BEGIN
    INSERT INTO changes (backbone, audio) VALUES (new.backbone, new.audio);
END;
CREATE TRIGGER embedding_given AFTER UPDATE ON embeddings BEGIN
    INSERT INTO changes (backbone, audio) VALUES (old.backbone, old.audio), (new.backbone, new.audio);
END;
CREATE TRIGGER embedding_removed AFTER DELETE ON embeddings BEGIN
    INSERT INTO changes (backbone, audio) VALUES (old.backbone, old.audio);
END;
CREATE TABLE clips (
    backbone INTEGER NOT NULL REFERENCES backbones(id),
    audio INTEGER NOT NULL REFERENCES audio(id),
    times BLOB NOT NULL,                -- float32: start and end of each clip, seconds
    vectors BLOB NOT NULL,
    kind TEXT NOT NULL DEFAULT 'float16',  -- int8: format 1's directions, too coarse for heads
    PRIMARY KEY (backbone, audio)
) WITHOUT ROWID;
CREATE TABLE features (                 -- tempo, key, loudness, ... (earmark.analyses.facts)
    audio INTEGER NOT NULL REFERENCES audio(id),
    name TEXT NOT NULL,
    version INTEGER NOT NULL,           -- of the analysis
    value REAL,                         -- to choose and sort by; NULL where it cannot be told, or heads give it
    facts TEXT NOT NULL,                -- JSON, as in records
    PRIMARY KEY (audio, name)
) WITHOUT ROWID;
CREATE INDEX features_name ON features(name, audio, version, value);
CREATE TABLE labels (                   -- what the user says
    audio INTEGER NOT NULL REFERENCES audio(id),
    head TEXT NOT NULL,
    label TEXT NOT NULL,                -- JSON: a name, or a list of names
    made REAL NOT NULL,
    PRIMARY KEY (audio, head)
) WITHOUT ROWID;
CREATE TABLE clusters (
    model INTEGER NOT NULL REFERENCES models(id),
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    tags TEXT NOT NULL,                 -- JSON: its most telling labels
    center BLOB NOT NULL,               -- float32
    PRIMARY KEY (model, number)
) WITHOUT ROWID;
CREATE TABLE members (
    model INTEGER NOT NULL, audio INTEGER NOT NULL REFERENCES audio(id),
    cluster INTEGER NOT NULL, joined INTEGER NOT NULL DEFAULT 0,  -- 1: came after the clusters were made
    PRIMARY KEY (model, audio)
) WITHOUT ROWID;
CREATE TABLE places (                   -- the map
    model INTEGER NOT NULL, audio INTEGER NOT NULL REFERENCES audio(id),
    x REAL NOT NULL, y REAL NOT NULL, joined INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (model, audio)
) WITHOUT ROWID;
CREATE INDEX results_audio ON results(audio);   -- so that joining two rows of audio reads no whole table
CREATE INDEX embeddings_audio ON embeddings(audio);
CREATE INDEX clips_audio ON clips(audio);
CREATE INDEX members_audio ON members(audio);
CREATE INDEX places_audio ON places(audio);
CREATE TABLE playlists (                -- those that are kept
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    wish TEXT,                          -- JSON: what its songs must be; NULL where they were chosen by hand
    model TEXT,                         -- whose labels and embeddings; NULL: those of the model in use
    updated REAL NOT NULL               -- when its songs were chosen last, seconds since 1970
);
CREATE TABLE entries (
    playlist INTEGER NOT NULL REFERENCES playlists(id) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    track INTEGER NOT NULL REFERENCES tracks(id),
    PRIMARY KEY (playlist, place)
) WITHOUT ROWID;
"""


def create(connection: sqlite3.Connection) -> None:
    """Make the tables, in one transaction: two processes that begin at once make them once."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0 and not tables(connection):
            for statement in statements(_TABLES):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id={APPLICATION}")
            connection.execute(f"PRAGMA user_version={FORMAT}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def tables(connection: sqlite3.Connection) -> set[str]:
    """Names of the tables that there are."""
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def statements(text: str) -> list[str]:
    """The statements of a script, without its comments."""
    plain = "\n".join(line.split("--")[0] for line in text.splitlines())
    found, begun = list[str](), ""
    for piece in plain.split(";"):
        begun += f"{piece};"
        if sqlite3.complete_statement(begun):  # a trigger has statements of its own
            found.append(begun)
            begun = ""
    return [statement for statement in found if statement.strip("; \n")]


def table(name: str) -> str:
    """The statement that makes one table, index or trigger."""
    return next(one for one in statements(_TABLES) if one.split()[2] == name)
