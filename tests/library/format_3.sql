PRAGMA application_id=1164014189;
PRAGMA user_version=3;
BEGIN TRANSACTION;
CREATE TABLE audio (
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL,
    number INTEGER NOT NULL DEFAULT 1,
    seconds REAL NOT NULL,
    song INTEGER NOT NULL DEFAULT 1,
    UNIQUE (hash, number)
);
INSERT INTO "audio" VALUES(1,'00000000000000000000000000000001',1,181.0,1);
INSERT INTO "audio" VALUES(2,'00000000000000000000000000000002',1,182.0,1);
INSERT INTO "audio" VALUES(3,'00000000000000000000000000000003',1,183.0,1);
INSERT INTO "audio" VALUES(4,'00000000000000000000000000000004',1,184.0,1);
CREATE TABLE backbones (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL,
    layer TEXT NOT NULL DEFAULT '',
    dimensions INTEGER NOT NULL,
    UNIQUE (digest, layer)
);
INSERT INTO "backbones" VALUES(1,'of abc','',8);
CREATE TABLE clips (
    backbone INTEGER NOT NULL REFERENCES backbones(id),
    audio INTEGER NOT NULL REFERENCES audio(id),
    times BLOB NOT NULL,
    vectors BLOB NOT NULL,
    kind TEXT NOT NULL DEFAULT 'float16',
    PRIMARY KEY (backbone, audio)
) WITHOUT ROWID;
CREATE TABLE clusters (
    model INTEGER NOT NULL REFERENCES models(id),
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    tags TEXT NOT NULL,
    center BLOB NOT NULL,
    PRIMARY KEY (model, number)
) WITHOUT ROWID;
CREATE TABLE embeddings (
    backbone INTEGER NOT NULL REFERENCES backbones(id),
    audio INTEGER NOT NULL REFERENCES audio(id),
    vector BLOB NOT NULL,
    PRIMARY KEY (backbone, audio)
) WITHOUT ROWID;
INSERT INTO "embeddings" VALUES(1,1,X'88AD6FB01D36083539B412383C36FA37');
INSERT INTO "embeddings" VALUES(1,2,X'91A934B59AB467B098B9F8A5F8B762B3');
INSERT INTO "embeddings" VALUES(1,3,X'65214C2C4B341A2F2EB5562EF4382539');
INSERT INTO "embeddings" VALUES(1,4,X'32B81BB03D2CDE313ABAAFB044B01B31');
CREATE TABLE entries (
    playlist INTEGER NOT NULL REFERENCES playlists(id) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    track INTEGER NOT NULL REFERENCES tracks(id),
    PRIMARY KEY (playlist, place)
) WITHOUT ROWID;
INSERT INTO "entries" VALUES(1,0,1);
INSERT INTO "entries" VALUES(1,1,2);
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO "facts" VALUES('changes of corrections','1');
CREATE TABLE labels (
    audio INTEGER NOT NULL REFERENCES audio(id),
    head TEXT NOT NULL,
    label TEXT NOT NULL,
    made REAL NOT NULL,
    PRIMARY KEY (audio, head)
) WITHOUT ROWID;
INSERT INTO "labels" VALUES(2,'genre','"Folk"',1.79568469821914219854e+09);
CREATE TABLE members (
    model INTEGER NOT NULL, audio INTEGER NOT NULL REFERENCES audio(id),
    cluster INTEGER NOT NULL, joined INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (model, audio)
) WITHOUT ROWID;
CREATE TABLE models (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    backbone INTEGER NOT NULL REFERENCES backbones(id),
    folder TEXT NOT NULL,
    heads TEXT NOT NULL,
    aliases TEXT NOT NULL DEFAULT '{}',
    used REAL NOT NULL,
    UNIQUE (name, digest, backbone)
);
INSERT INTO "models" VALUES(1,'made@1','abc',1,'/nowhere','[{"name": "genre", "task": "multiclass", "labels": ["Rock", "Jazz", "Pop", "Folk", "Metal"], "threshold": 0.4, "thresholds": {}, "aliases": {}, "parents": {}, "also": [], "includes": "", "implies": {}, "contradicts": {}, "unverified": false}, {"name": "moods", "task": "multilabel", "labels": ["happy", "sad", "calm", "tense", "dark", "bright"], "threshold": 0.0, "thresholds": {"happy": 0.5, "sad": 0.5, "calm": 0.5, "tense": 0.5, "dark": 0.5, "bright": 0.5}, "aliases": {}, "parents": {}, "also": [], "includes": "", "implies": {}, "contradicts": {}, "unverified": false}, {"name": "energy", "task": "regression", "labels": [], "threshold": 0.0, "thresholds": {}, "aliases": {}, "parents": {}, "also": [], "includes": "", "implies": {}, "contradicts": {}, "unverified": false}]','{}',1.79568469820974850655e+09);
CREATE TABLE places (
    model INTEGER NOT NULL, audio INTEGER NOT NULL REFERENCES audio(id),
    x REAL NOT NULL, y REAL NOT NULL, joined INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (model, audio)
) WITHOUT ROWID;
CREATE TABLE playlists (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    wish TEXT,
    model TEXT,
    updated REAL NOT NULL
);
INSERT INTO "playlists" VALUES(1,'evening',NULL,NULL,1.79568469821935772895e+09);
CREATE TABLE results (
    model INTEGER NOT NULL REFERENCES models(id),
    audio INTEGER NOT NULL REFERENCES audio(id),
    scores BLOB NOT NULL,
    numbers BLOB NOT NULL,
    warning TEXT,
    analysed REAL NOT NULL,
    PRIMARY KEY (model, audio)
) WITHOUT ROWID;
INSERT INTO "results" VALUES(1,1,X'C313C2093909CE02450A2E19F003C30147055509B402',X'B81E85EB51B8DE3F',NULL,0.0);
INSERT INTO "results" VALUES(1,2,X'9C00072154021001CD068003D62257020A0B47043C01',X'3A92CB7F48BFCD3F',NULL,0.0);
INSERT INTO "results" VALUES(1,3,X'DD22DD0A2905300BDC05DE214507A90B1F0B6405E108',X'613255302AA9E93F',NULL,0.0);
INSERT INTO "results" VALUES(1,4,X'D4057D223509DC049B085508132159018B08DE0A580B',X'5A643BDF4F8DED3F',NULL,0.0);
CREATE TABLE roots (path TEXT PRIMARY KEY, scanned REAL NOT NULL) WITHOUT ROWID;
INSERT INTO "roots" VALUES('/music',1.79568469821061086656e+09);
CREATE TABLE tracks (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    nfc TEXT,
    device TEXT NOT NULL, inode TEXT NOT NULL, size INTEGER NOT NULL, modified INTEGER NOT NULL,
    changed INTEGER NOT NULL DEFAULT 0,
    audio INTEGER REFERENCES audio(id),
    artist TEXT NOT NULL DEFAULT '', title TEXT NOT NULL DEFAULT '', album TEXT NOT NULL DEFAULT '',
    year TEXT NOT NULL DEFAULT '', genre TEXT NOT NULL DEFAULT '',
    error TEXT, message TEXT,
    failed_by INTEGER,
    state TEXT NOT NULL DEFAULT '',
    vanished REAL
);
INSERT INTO "tracks" VALUES(1,'/music/0000/0000001.mp3',NULL,'1','1',1,1,0,1,'Artist 0','Song 1','','2001','',NULL,NULL,NULL,'',NULL);
INSERT INTO "tracks" VALUES(2,'/music/0000/0000002.mp3',NULL,'1','2',2,2,0,2,'Artist 0','Song 2','','2001','',NULL,NULL,NULL,'',NULL);
INSERT INTO "tracks" VALUES(3,'/music/0000/0000003.mp3',NULL,'1','3',3,3,0,3,'Artist 0','Song 3','','2001','',NULL,NULL,NULL,'',NULL);
INSERT INTO "tracks" VALUES(4,'/music/0000/0000004.mp3',NULL,'1','4',4,4,0,4,'Artist 0','Song 4','','2001','',NULL,NULL,NULL,'',NULL);
CREATE INDEX audio_no_song ON audio(id) WHERE song = 0;
CREATE INDEX tracks_audio ON tracks(audio, vanished, error);
CREATE INDEX tracks_order ON tracks(replace(replace(path, '/', char(1)), '\', char(1)));
CREATE INDEX tracks_file ON tracks(inode, size);
CREATE INDEX tracks_failed ON tracks(vanished) WHERE error IS NOT NULL;
CREATE INDEX tracks_vanished ON tracks(id) WHERE vanished IS NOT NULL;
CREATE INDEX tracks_nfc ON tracks(nfc) WHERE nfc IS NOT NULL;
COMMIT;
