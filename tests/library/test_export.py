"""Export: everything that is known, in forms that others read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from earmark.analyses.facts import Key, Loudness, Tempo
from earmark.library.cluster import cluster_tracks
from earmark.library.export import everything, jams
from earmark.library.layout import lay_out
from made_library import made_library


def validate_jams(value: dict[str, Any]) -> None:
    """The rules of the JAMS schema (0.3) and of the namespaces used, where the library is not installed."""
    assert set(value) == {"annotations", "file_metadata", "sandbox"}
    facts = value["file_metadata"]
    assert set(facts) <= {"title", "artist", "release", "duration", "identifiers", "jams_version"}
    assert isinstance(facts["duration"], (int, float)) and facts["duration"] >= 0
    assert all(isinstance(facts[key], str) for key in ("title", "artist", "release", "jams_version"))
    assert isinstance(facts["identifiers"], dict)
    for annotation in value["annotations"]:
        assert set(annotation) == {"namespace", "data", "annotation_metadata", "sandbox", "time", "duration"}
        assert annotation["namespace"] in ("tag_open", "tempo", "key_mode")
        about = annotation["annotation_metadata"]
        texts = ("version", "corpus", "annotation_tools", "annotation_rules", "validation", "data_source")
        assert set(about) == {*texts, "curator", "annotator"}
        assert all(isinstance(about[key], str) for key in texts) and isinstance(about["annotator"], dict)
        assert set(about["curator"]) == {"name", "email"}
        for one in annotation["data"]:
            assert set(one) == {"time", "duration", "value", "confidence"}
            assert one["time"] >= 0 and one["duration"] >= 0
            assert isinstance(one["value"], float if annotation["namespace"] == "tempo" else str)
            assert 0 <= one["confidence"] <= 1


def test_jams(tmp_path: Path) -> None:
    with made_library(tmp_path, 5) as (library, model):
        library.set_label(1, "genre", "Polka")
        found = [jams(record) for record in everything(library, model)]
    try:
        from jams import JAMS
    except ImportError:
        pass
    else:
        for one in found:
            JAMS(**one).validate(strict=True)
    for one in found:
        validate_jams(json.loads(json.dumps(one)))
    assert found[0]["file_metadata"]["title"] == "Song 1"
    genre, moods = found[0]["annotations"]
    assert [one["value"] for one in genre["data"]] == ["Polka"]
    assert genre["annotation_metadata"]["data_source"] == "manual annotation"
    assert [one["value"] for one in moods["data"]] == ["happy"] and len(moods["sandbox"]["scores"]) == 6


def test_jams_of_features(tmp_path: Path) -> None:
    with made_library(tmp_path, 2) as (library, model):
        with library.change():
            library.put_features(1, {"tempo": Tempo(120.1, 0.9, 60.0), "key": Key("F# minor", "11A", 0.7)})
            library.put_features(2, {"tempo": Tempo(None, 0.2), "key": Key(), "loudness": Loudness(-9.8, -0.3, -8.2)})
        told, untold = (jams(record) for record in everything(library, model))
    validate_jams(json.loads(json.dumps(told)))
    (tempo,) = [one for one in told["annotations"] if one["namespace"] == "tempo"]
    (key,) = [one for one in told["annotations"] if one["namespace"] == "key_mode"]
    assert [(one["value"], one["confidence"]) for one in tempo["data"]] == [(120.1, 0.9)]
    assert [(one["value"], one["confidence"]) for one in key["data"]] == [("F#:minor", 0.7)]
    assert told["sandbox"]["features"]["tempo"]["alternative"] == 60.0
    assert {one["namespace"] for one in untold["annotations"]} == {"tag_open"}
    assert untold["sandbox"]["features"]["loudness"]["lufs"] == -9.8


def test_everything(tmp_path: Path) -> None:
    with made_library(tmp_path, 5) as (library, model):
        cluster_tracks(library, model)
        lay_out(library, model)
        with library.change():
            library.db.execute("UPDATE tracks SET vanished = 86400 WHERE id = 2")
            library.db.execute(
                "INSERT INTO tracks (path, device, inode, size, modified, error, message)"
                " VALUES ('/music/z.mp3', '', '', 0, 0, 'decode', 'broken')"
            )
        records = list(everything(library, model))
    assert [record["path"][-5] for record in records] == ["1", "2", "3", "4", "5", "z"]
    assert records[0]["heads"]["genre"]["label"] == "Rock" and records[0]["cluster"] and records[0]["x"] is not None
    assert (records[0]["artist"], records[0]["year"], records[0]["vanished"]) == ("Artist 0", "2001", None)
    assert records[1]["vanished"] == "1970-01-02T00:00:00+00:00"
    assert records[5]["error"] == {"kind": "decode", "message": "broken"}


def test_audio_is_equal_for_copies_alone(tmp_path: Path) -> None:
    with made_library(tmp_path, 5) as (library, model):
        with library.change():
            library.db.execute("UPDATE tracks SET audio = 1 WHERE id = 2")
            library.db.execute("UPDATE audio SET hash = (SELECT hash FROM audio WHERE id = 3), number = 2 WHERE id = 4")
            library.db.execute("UPDATE tracks SET state = 'analyse' WHERE id = 5")
        library.set_label(3, "genre", "Polka")
        records = list(everything(library, model))
    audio = [record["audio"] for record in records]
    assert audio[0] == audio[1] and len(set(audio)) == 4, "one key, two recordings: two names"
    assert audio[4] is None, "of format 1, and shared: nobody knows yet"
    assert [record["correction"] for record in records] == [None, None, {"genre": "Polka"}, None, None]


@pytest.mark.parametrize("size", [0, 3])
def test_no_records_is_no_error(tmp_path: Path, size: int) -> None:
    with made_library(tmp_path, size) as (library, model):
        assert len(list(everything(library, model))) == size
