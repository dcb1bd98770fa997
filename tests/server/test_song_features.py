"""Tempo, key and further numbers over REST: the same in records, lists, jobs and doors; to choose and sort by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import mutagen
import pytest
from fastapi.testclient import TestClient

from earmark.analyses.facts import Feature, Key, Loudness, Score, Tempo
from earmark.library.store import open_library
from serving import Collection, begin, client_of, wait

SONGS: dict[str, dict[str, Feature]] = {
    "song 0.flac": {"tempo": Tempo(120.7, 0.9, 60.3), "key": Key("A minor", "8A", 0.8)},
    "song 1.flac": {"tempo": Tempo(90.0, 0.6, 180.0), "key": Key("A minor", "8A", 0.4)},
    "song 2.flac": {"tempo": Tempo(None, 0.1), "key": Key(None, None, 0.1)},
    "song 3.flac": {"tempo": Tempo(174.0, 0.9, 87.0), "key": Key("F# minor", "11A", 0.7)},
}
LOUD = Loudness(-9.8, -0.3, -8.2)
DANCE = Score(0.6, estimate=True)


@pytest.fixture
def numbered(collection: Collection) -> Iterator[TestClient]:
    """A client of an application on a collection whose songs, but the last, have features."""
    with open_library(collection.file) as library, library.change():
        for path, row in library.ids_by_path().items():
            audio = library.tracks_by_id([row])[row].audio
            if audio is not None and (known := SONGS.get(path.rsplit("/", 1)[-1])):
                library.put_features(audio, {**known, "loudness": LOUD, "danceability": DANCE, "energy": Score()})
    with client_of(collection.options) as client:
        yield client


def names(client: TestClient, **query: Any) -> list[str]:
    answer = client.get("/v1/tracks", params=query)
    assert answer.status_code == 200, answer.text
    return [track["path"].rsplit("/", 1)[-1] for track in answer.json()["tracks"]]


def row(client: TestClient, name: str) -> int:
    [found] = [one for one in client.get("/v1/tracks").json()["tracks"] if one["path"].endswith("/" + name)]
    return int(found["id"])


def test_lists_and_records_have_the_same_numbers(numbered: TestClient) -> None:
    shown = {one["path"].rsplit("/", 1)[-1]: one for one in numbered.get("/v1/tracks").json()["tracks"]}
    features = shown["song 0.flac"]["features"]
    assert features["tempo"] == {"value": 120.7, "confidence": 0.9, "alternative": 60.3}
    assert features["key"] == {"value": "A minor", "camelot": "8A", "confidence": 0.8}
    assert features["danceability"] == {"value": 0.6, "estimate": True}
    assert features["energy"]["value"] == pytest.approx(shown["song 0.flac"]["energy"], abs=1e-4)
    assert shown["copy.flac"]["features"] == features and shown["song 4.flac"]["features"] is None
    whole = numbered.get(f"/v1/tracks/{shown['song 0.flac']['id']}").json()
    assert whole["features"] == whole["record"]["features"] == features
    assert "features" not in numbered.get(f"/v1/tracks/{shown['song 4.flac']['id']}").json()["record"]


def test_tempo_and_key_choose(numbered: TestClient) -> None:
    assert names(numbered, tempo_min=100) == ["song 0.flac", "song 3.flac", "copy.flac"]
    assert names(numbered, tempo_min=80, tempo_max=120.7) == ["song 0.flac", "song 1.flac", "copy.flac"]
    for written in ("F# minor", "F#m", "Gbm", "11a", "g♭ min"):
        assert names(numbered, key=written) == ["song 3.flac"], written
    answer = numbered.get("/v1/tracks", params={"key": "H"})
    assert answer.status_code == 404 and answer.json()["detail"].startswith("unknown key 'H'")


@pytest.mark.parametrize(("order", "expected"), [("asc", [1, 0, 3]), ("desc", [3, 0, 1])])
def test_what_has_no_tempo_comes_last_both_ways(numbered: TestClient, order: str, expected: list[int]) -> None:
    found = [name for name in names(numbered, sort="tempo", order=order) if name != "copy.flac"]
    assert found[:3] == [f"song {number}.flac" for number in expected]
    assert set(found[3:]) == {"song 2.flac", "song 4.flac"}
    assert names(numbered, sort="key", order=order)[-2:] == found[3:]
    for sort in ("tempo", "energy", "confidence"):
        assert names(numbered, sort=sort, order=order, failed=True) == ["broken.mp3"]


def test_playlists_paths_and_likes_go_by_them(numbered: TestClient) -> None:
    wish = {"tempo_min": 100, "tempo_max": 180, "key_compatible": True, "minutes": 1}
    found = numbered.post("/v1/playlists/preview", json=wish)
    assert found.status_code == 200, found.text
    assert {one["path"].rsplit("/", 1)[-1] for one in found.json()["tracks"]} <= {
        "song 0.flac",
        "copy.flac",
        "song 3.flac",
    }
    kept = numbered.post("/v1/playlists", json={"name": "fast", "wish": wish}).json()
    assert {name: kept["wish"][name] for name in wish} == wish
    first, last = row(numbered, "song 0.flac"), row(numbered, "song 3.flac")
    answer = numbered.get("/v1/path", params={"from": first, "to": last, "count": 3, "key_compatible": True})
    assert answer.status_code == 200, answer.text
    answer = numbered.get(f"/v1/tracks/{first}/similar", params={"same_key": True})
    assert [one["track"]["path"].rsplit("/", 1)[-1] for one in answer.json()["tracks"]] == ["song 1.flac"]


def test_from_the_library_into_the_file_and_back(numbered: TestClient, collection: Collection) -> None:
    song = collection.music / "Artist 0" / "song 0.flac"
    before = song.read_bytes()
    asked = {"tracks": [row(numbered, song.name)], "fields": ["bpm", "key", "replaygain"], "dry_run": False}
    done = wait(numbered, begin(numbered, kind="write-tags", **asked)["id"])
    assert done["state"] == "done" and done["result"]["changed"] == 1, done
    tags = mutagen.File(song)
    assert [tags[name] for name in ("BPM", "INITIALKEY", "REPLAYGAIN_TRACK_GAIN")] == [["120.7"], ["Am"], ["-8.20 dB"]]
    [run] = numbered.get("/v1/write-tags/runs").json()["runs"]
    assert run["fields"] == ["bpm", "key", "replaygain"]
    wait(numbered, begin(numbered, kind="undo")["id"])
    assert song.read_bytes() == before


def test_an_upload_has_them_where_asked_for(reader: TestClient, songs: Collection) -> None:
    content = (songs.music / "Artist 0" / "song 0.flac").read_bytes()

    def features(query: dict[str, str], form: dict[str, str]) -> Any:
        answer = reader.post("/v1/predict", params=query, data=form, files={"file": ("a.flac", content)})
        assert answer.status_code == 200, answer.text
        return answer.json().get("features")

    assert features({}, {}) is None
    asked = features({"features": "true"}, {})
    assert asked == features({}, {"features": "true"}) and asked["loudness"]["lufs"] is not None
    wrong = reader.post("/v1/predict", data={"features": "perhaps"}, files={"file": ("a.flac", content)})
    assert wrong.status_code == 422


def test_players_see_beats_and_gain(collection: Collection, numbered: TestClient) -> None:
    with client_of(replace(collection.options, player_key="secret")) as door:
        ask = {"apiKey": "secret", "v": "1.16.1", "c": "test", "f": "json", "id": row(numbered, "song 0.flac")}
        song = door.get("/rest/getSong", params=ask).json()["subsonic-response"]["song"]
        assert song["bpm"] == 121 and song["replayGain"] == {"trackGain": -8.2, "trackPeak": 0.966051}
        xml = door.get("/rest/getSong", params=ask | {"f": "xml"}).text
        assert 'bpm="121"' in xml and '<replayGain trackGain="-8.2" trackPeak="0.966051"' in xml
        other = door.get("/rest/getSong", params=ask | {"id": row(numbered, "song 4.flac")}).json()
        assert not {"bpm", "replayGain"} & other["subsonic-response"]["song"].keys()
