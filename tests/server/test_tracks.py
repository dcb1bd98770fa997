"""Tracks over REST: lists by words, filters and pages; files by ranges; waveforms and scores over time."""

from __future__ import annotations

import os
from typing import Any

import pytest
from fastapi.testclient import TestClient

from serving import Collection, client_of
from sounds import melody, write


def ids(client: TestClient, **query: Any) -> list[int]:
    answer = client.get("/v1/tracks", params=query)
    assert answer.status_code == 200, answer.text
    return [track["id"] for track in answer.json()["tracks"]]


def test_pages_end(reader: TestClient) -> None:
    cursor, found = "", []
    while cursor is not None:
        page = reader.get("/v1/tracks", params={"limit": 4, "cursor": cursor}).json()
        found += [track["path"] for track in page["tracks"]]
        cursor = page["cursor"]
    assert len(found) == page["total"] == 6
    assert found == sorted(found)


@pytest.mark.parametrize("sort", ["artist", "title", "album", "year", "seconds", "energy", "confidence", "path"])
def test_lists_are_sorted_both_ways(reader: TestClient, sort: str) -> None:
    up, down = ids(reader, sort=sort), ids(reader, sort=sort, order="desc")
    assert sorted(up) == sorted(down) and len(up) == 6
    if sort in ("energy", "path", "confidence"):
        values = [value(reader, track, sort) for track in up]
        assert values == sorted(values)


def value(client: TestClient, track: int, name: str) -> Any:
    found = client.get(f"/v1/tracks/{track}").json()
    return max(found["record"]["heads"]["genre"]["scores"].values()) if name == "confidence" else found[name]


def test_filters_go_by_probabilities(reader: TestClient) -> None:
    """A song is in the list of a genre that may well hold, also where the model is not sure of it."""
    everything = ids(reader)
    likely = {genre: ids(reader, genre=genre) for genre in ("Rock", "Jazz", "Pop")}
    assert set().union(*likely.values()) == set(everything)
    for genre, found in likely.items():
        for track in found:
            scores = reader.get(f"/v1/tracks/{track}").json()["record"]["heads"]["genre"]["scores"]
            assert scores[genre] >= 0.3 or max(scores, key=scores.__getitem__) == genre
    energies = {track: value(reader, track, "energy") for track in everything}
    middle = min(1, max(0, sorted(energies.values())[3]))  # the made model knows no bounds
    assert set(ids(reader, energy_min=middle)) == {one for one, energy in energies.items() if energy >= middle}
    assert set(ids(reader, energy_max=middle)) == {one for one, energy in energies.items() if energy <= middle}
    sure = value(reader, everything[0], "confidence")
    assert everything[0] in ids(reader, confidence_max=min(1, sure + 1e-6))
    assert everything[0] not in ids(reader, confidence_max=max(0, sure - 0.01))


def test_words_failures_and_what_is_gone(client: TestClient, collection: Collection) -> None:
    answer = client.get("/v1/tracks", params={"q": "song guitar blobfish"}).json()
    assert answer["understood"] and [one["word"] for one in answer["unknown"]] == ["blobfish"]
    failed = client.get("/v1/tracks", params={"failed": True}).json()["tracks"]
    assert [one["path"].rpartition("/")[2] for one in failed] == ["broken.mp3"] and failed[0]["error"]["kind"]
    assert ids(client, vanished=True) == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"genre": "Blobfish"}, 404),
        ({"cluster": "none"}, 404),
        ({"cursor": "../1"}, 422),
        ({"cursor": "-1"}, 422),
        ({"limit": 0}, 422),
        ({"limit": 100000}, 422),
        ({"sort": "path; DROP TABLE tracks"}, 422),
        ({"energy_min": "nan"}, 422),
        ({"colour": "red"}, 422),
    ],
)
def test_a_question_that_makes_no_sense(reader: TestClient, query: dict[str, Any], status: int) -> None:
    answer = reader.get("/v1/tracks", params=query)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_one_track_and_its_copies(reader: TestClient) -> None:
    found = [reader.get(f"/v1/tracks/{track}").json() for track in ids(reader)]
    assert sorted(len(one["copies"]) for one in found) == [0, 0, 0, 0, 1, 1]
    assert set(found[0]["record"]) >= {"path", "seconds", "heads", "audio", "correction", "x", "cluster"}
    short = reader.post("/v1/tracks/lookup", json={"ids": [found[1]["id"], 999, found[0]["id"]]}).json()["tracks"]
    assert [one["id"] for one in short] == [found[1]["id"], found[0]["id"]]


@pytest.mark.parametrize("track", ["0", "-1", "999", "1e3", "..%2f..%2fetc%2fpasswd", "%00", "9" * 30])
@pytest.mark.parametrize("part", ["", "/audio", "/peaks", "/taggram"])
def test_no_such_track(reader: TestClient, track: str, part: str) -> None:
    answer = reader.get(f"/v1/tracks/{track}{part}")
    assert answer.status_code in (404, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def song(collection: Collection, client: TestClient) -> tuple[int, bytes]:
    track = client.get("/v1/tracks", params={"limit": 1}).json()["tracks"][0]
    with open(track["path"], "rb") as file:  # noqa: PTH123
        return track["id"], file.read()


def test_audio_by_ranges(reader: TestClient, songs: Collection) -> None:
    track, content = song(songs, reader)
    url = f"/v1/tracks/{track}/audio"
    whole = reader.get(url)
    assert whole.status_code == 200 and whole.content == content
    assert whole.headers["content-type"] == "audio/flac" and whole.headers["accept-ranges"] == "bytes"
    for asked, first, last in (("0-0", 0, 0), ("100-199", 100, 199), ("500-", 500, -1), ("-10", -10, -1)):
        part = reader.get(url, headers={"Range": f"bytes={asked}"})
        size = len(content)
        first, last = first % size, last % size
        assert part.status_code == 206 and part.content == content[first : last + 1], asked
        assert part.headers["content-range"] == f"bytes {first}-{last}/{size}"
    none = reader.get(url, headers={"Range": f"bytes={len(content)}-"})
    assert none.status_code == 416 and none.headers["content-range"] == f"bytes */{len(content)}"
    for nonsense in ("bytes=9-5", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes=-"):
        assert reader.get(url, headers={"Range": nonsense}).status_code == 200, nonsense
    tag = whole.headers["etag"]
    assert reader.get(url, headers={"If-None-Match": tag}).status_code == 304
    assert reader.get(url, headers={"Range": "bytes=0-1", "If-Range": tag}).status_code == 206
    assert reader.get(url, headers={"Range": "bytes=0-1", "If-Range": '"other"'}).status_code == 200
    head = reader.head(url)
    assert head.status_code == 200 and head.content == b"" and int(head.headers["content-length"]) == len(content)


def test_only_the_librarys_own_files_are_played(
    client: TestClient, collection: Collection, tmp_path_factory: Any
) -> None:
    """A link that was put in the place of a song and leads out of its folders is not followed."""
    track, _ = song(collection, client)
    path = client.get(f"/v1/tracks/{track}").json()["path"]
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.flac"
    secret.write_bytes(b"a secret")
    os.replace(path, path + ".bak")  # noqa: PTH105
    assert client.get(f"/v1/tracks/{track}/audio").status_code == 404
    os.symlink(secret, path)  # noqa: PTH211
    for part in ("audio", "peaks"):
        answer = client.get(f"/v1/tracks/{track}/{part}")
        assert answer.status_code == 410 and b"secret" not in answer.content, part
    assert client.post("/v1/predict", json={"track": track}).status_code == 410
    os.unlink(path)  # noqa: PTH108
    os.mkfifo(path)
    assert client.get(f"/v1/tracks/{track}/audio").status_code == 404
    os.unlink(path)  # noqa: PTH108
    os.replace(path + ".bak", path)  # noqa: PTH105
    assert client.get(f"/v1/tracks/{track}/audio").status_code == 200


def test_waveforms(reader: TestClient) -> None:
    track = ids(reader)[0]
    found = reader.get(f"/v1/tracks/{track}/peaks", params={"count": 50}).json()
    assert len(found["peaks"]) == 50 and max(found["peaks"]) == 1 and min(found["peaks"]) >= 0
    assert found["seconds"] == pytest.approx(5, abs=0.01)


def test_scores_over_time(reader: TestClient) -> None:
    """From what the library holds, and of all of the track."""
    track = ids(reader)[0]
    stored, whole = (reader.get(f"/v1/tracks/{track}/taggram", params={"whole": one}).json() for one in (False, True))
    assert stored["starts"] and stored["seconds"] == 2
    head = stored["heads"]["genre"]
    assert head["labels"] == ["Rock", "Jazz", "Pop"]
    assert all(sum(row) == pytest.approx(1, abs=0.01) for row in head["scores"])
    assert len(head["scores"]) == len(stored["starts"])
    assert whole["starts"][0] == 0 and len(whole["heads"]["genre"]["scores"]) == len(whole["starts"])


def test_names_that_are_no_text(collection: Collection) -> None:
    """Bytes that are no UTF-8 come out as text, and the song plays."""
    from earmark.app.scan import ScanRequest, scan
    from earmark.engine import InlineEngine

    odd = os.fsdecode(os.fsencode(collection.music) + b"/caf\xe9\n<b>.flac")
    write(collection.music / "plain.flac", melody(5, 22050, 77), 22050).rename(odd)
    asked = ScanRequest(folders=(str(collection.music),), library=str(collection.file), model=str(collection.model))
    scan(asked, InlineEngine()).wait()
    with client_of(collection.options) as client:
        [found] = [one for one in client.get("/v1/tracks").json()["tracks"] if "caf" in one["path"]]
        assert found["path"].endswith("caf\\xe9\n<b>.flac")
        assert client.get(f"/v1/tracks/{found['id']}").json()["record"]["path_bytes"]
        assert client.get(f"/v1/tracks/{found['id']}/audio").status_code == 200
