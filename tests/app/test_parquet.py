"""Parquet data sets and addresses: the same records as in a file; a stopped run goes on; refusals in plain words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from buckets import bucket
from commands import Earmark
from earmark.app import parquet as data_set
from earmark.app.analyse import AnalyseRequest, analyse
from earmark.app.embed import EmbedRequest, embed
from earmark.audio.files import walk
from earmark.errors import EarmarkError, StorageError
from earmark.events import Notice, Record
from made_songs import write_song

parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    folder = tmp_path / "songs"
    (folder / "b").mkdir(parents=True)
    for number, name in enumerate(["a 1.wav", "a #2?%41é.wav", "b/c.wav"]):
        write_song(folder / name, 90.0 + 40 * number, number)
    (folder / "none.mp3").write_bytes(b"no audio at all" * 100)
    return folder


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """Objects of an S3 server."""
    with bucket(monkeypatch) as objects:
        yield objects


def put(store: dict[str, bytes], folder: Path, place: str) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            store[f"{place}/{file.relative_to(folder).as_posix()}"] = file.read_bytes()


def test_the_same_records_as_in_a_file(songs: Path, tiny_model: Path, tmp_path: Path, earmark: Earmark) -> None:
    """Columns hold what all heads have in common, and the line of JSON as it would stand in a file."""
    output = tmp_path / "music.parquet"
    lines = earmark("tag", songs, "-m", tiny_model, "-f", "jsonl").out.splitlines()
    said = earmark("tag", songs, "-m", tiny_model, "-o", output)
    assert said.code == 3
    table = parquet.read_table(output)
    assert table["record"].to_pylist() == lines
    for row, line in zip(table.to_pylist(), lines, strict=True):
        record = json.loads(line)
        assert row["path"] == record["path"] and row["error"] == record.get("error")
        for name, head in record.get("heads", {}).items():
            assert dict(row["heads"][name]["scores"]) == head.get("scores", {})
            assert row["heads"][name]["label"] == head.get("label")


def test_features_have_columns(songs: Path, tiny_model: Path, tmp_path: Path, earmark: Earmark) -> None:
    output = tmp_path / "music.parquet"
    earmark("tag", songs, "-m", tiny_model, "-o", output, "--only-features", "tempo,key,loudness,liveness")
    table = parquet.read_table(output)
    for row in table.to_pylist():
        told = json.loads(row["record"]).get("features")
        assert (row["features"] is None) == (told is None) == (row["error"] is not None)
        if told is not None:
            assert row["features"]["key"] == told["key"] and row["features"]["tempo"] == told["tempo"]
            assert row["features"]["liveness"]["value"] is None
            assert row["features"]["loudness"]["lufs"] == told["loudness"]["lufs"]
    earmark("tag", songs, "-m", tiny_model, "-o", output)
    assert "features" not in parquet.read_table(output).column_names, "a finished data set is made anew"


def test_files_behind_an_address(
    songs: Path, tiny_model: Path, store: dict[str, bytes], earmark: Earmark, tmp_path: Path
) -> None:
    """Input and output in a bucket: the same records, called by their addresses; a rerun makes the data set anew."""
    put(store, songs, "music/all")
    store["music/all/.trash/x.wav"] = store["music/all/cover.jpg"] = b"x"
    here = earmark("tag", songs, "-m", tiny_model, "-f", "jsonl")
    there = earmark("tag", "s3://music/all", "-m", tiny_model, "-f", "jsonl")
    assert there.code == 3
    assert there.out == here.out.replace(str(songs), "s3://music/all")
    for _ in range(2):
        said = earmark("tag", "s3://music/all/", "-m", tiny_model, "-o", "s3://results/deep/parquet")
        assert said.code == 3
        names = sorted(name for name in store if name.startswith("results/") and not name.endswith("/"))
        assert [name.rpartition("/")[2] for name in names] == ["_earmark.json", "part-000000000.parquet"]
    (tmp_path / "back.parquet").write_bytes(store[names[1]])
    assert parquet.read_table(tmp_path / "back.parquet")["record"].to_pylist() == there.out.splitlines()


def test_a_stopped_run_goes_on(
    songs: Path, tiny_model: Path, store: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done when it stops is in parts; records of other settings, or of other files, are made anew."""
    monkeypatch.setattr(data_set, "_ROWS", 2)
    request = AnalyseRequest(paths=(str(songs),), model=str(tiny_model), output="s3://results/p", jobs=1)
    run, done = iter(analyse(request)), 0
    while done < 3:
        done += isinstance(next(run), Record)
    run.close()
    assert sorted(store) == [
        "results/p/_earmark.json",
        "results/p/part-000000000.parquet",
        "results/p/part-000000002.parquet",
    ]
    events = list(analyse(request))
    assert [event.message for event in events if isinstance(event, Notice)] == [
        "s3://results/p: going on after 3 of 4 files"
    ]
    assert sum(isinstance(event, Record) for event in events) == 1
    assert "results/p/part-000000003.parquet" in store
    write_song(songs / "a 0.wav", 300.0, 7)
    facts = store["results/p/_earmark.json"].replace(b"true", b"false")
    store["results/p/_earmark.json"] = facts
    events = list(analyse(request))
    assert sum(isinstance(event, Record) for event in events) == 5
    store["results/p/_earmark.json"] = (
        store["results/p/_earmark.json"].replace(b"true", b"false").replace(b"0.1", b"0.0")
    )
    events = list(analyse(request))
    assert any("other settings" in event.message for event in events if isinstance(event, Notice))


def test_two_runs_into_one_folder(songs: Path, tiny_model: Path, tmp_path: Path) -> None:
    """The second is refused, as of a file; what a run that was killed left behind is no stranger's."""
    request = AnalyseRequest(paths=(str(songs),), model=str(tiny_model), output=str(tmp_path / "a.parquet"), jobs=1)
    (tmp_path / "a.parquet").mkdir()
    (tmp_path / "a.parquet" / ".earmark-x.tmp").write_bytes(b"half")
    run = iter(analyse(request))
    while not isinstance(next(run), Record):
        pass
    with pytest.raises(StorageError, match="another run is writing there"):
        analyse(request).wait()
    run.close()
    analyse(request).wait()
    assert len(parquet.read_table(tmp_path / "a.parquet")) == 4
    assert [one.name for one in tmp_path.glob("a.parquet*")] == ["a.parquet"]


def test_embeddings(songs: Path, tiny_model: Path, tmp_path: Path) -> None:
    import numpy as np

    output = tmp_path / "vectors.parquet"
    done = embed(EmbedRequest(paths=(str(songs),), model=str(tiny_model), output=str(output), jobs=1))
    done.wait()
    arrays = tmp_path / "vectors.npz"
    embed(EmbedRequest(paths=(str(songs),), model=str(tiny_model), output=str(arrays), jobs=1)).wait()
    rows = parquet.read_table(output).to_pylist()
    with np.load(arrays) as held:
        vectors = np.array([row["embedding"] for row in rows if row["embedding"]], np.float32)
        assert vectors.tobytes() == held["embedding"].tobytes()
        assert [row["path"] for row in rows if row["embedding"]] == held["path"].tolist()
        assert (done.result.tracks, done.result.dimensions) == held["embedding"].shape
    assert [failure["error"]["kind"] for failure in done.result.failures] == ["not-audio"]


def test_what_is_not_there(
    songs: Path, tiny_model: Path, store: dict[str, bytes], tmp_path: Path, earmark: Earmark
) -> None:
    """A folder that is not there, a file that goes away, a bucket that refuses, a stranger's folder: each is told."""
    store["music/a.wav"] = (songs / "a 1.wav").read_bytes()
    (entry,) = walk(["s3://music/nothing"])
    assert entry.error is not None and entry.error.kind == "missing"
    said = earmark("tag", "s3://music/nothing.wav", "s3://music/a.wav", "-m", tiny_model, "-f", "jsonl")
    assert [one.get("error", {}).get("kind") for one in said.records] == ["missing", None]
    with pytest.raises(EarmarkError, match="odd://x: cannot be used"):
        list(walk(["odd://x"]))
    stranger = tmp_path / "other.parquet"
    stranger.mkdir()
    (stranger / "part-000000000.parquet").write_bytes(b"mine")
    with pytest.raises(StorageError, match="Earmark did not make"):
        analyse(AnalyseRequest(paths=(str(songs),), model=str(tiny_model), output=str(stranger))).wait()
    assert (stranger / "part-000000000.parquet").read_bytes() == b"mine"
    shutil.rmtree(stranger)
    with pytest.raises(StorageError, match="cannot write there"):
        analyse(AnalyseRequest(paths=(str(songs),), model=str(tiny_model), output=str(stranger / "x.parquet"))).wait()


def test_file_systems_of_fsspec(songs: Path, tmp_path: Path, tiny_model: Path) -> None:
    """What pyarrow does not know, fsspec may: here a file system in memory, read and written by this process."""
    from earmark.engine import InlineEngine

    memory = pytest.importorskip("fsspec").filesystem("memory")
    memory.pipe("/music/b c.wav", (songs / "a 1.wav").read_bytes())
    request = AnalyseRequest(paths=("memory://music",), model=str(tiny_model), output="memory://results/p")
    (record,) = [event.value for event in analyse(request, engine=InlineEngine()) if isinstance(event, Record)]
    assert record["path"] == "memory://music/b c.wav" and "heads" in record
    assert {Path(name).name for name in memory.ls("/results/p", detail=False)} == {
        "_earmark.json", "part-000000000.parquet",
    }  # fmt: skip


def test_a_folder_of_that_very_name(songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who calls a folder as an address looks means the folder."""
    monkeypatch.chdir(tmp_path)
    Path("s3:/").mkdir()
    songs.rename(Path("s3:/") / "songs")
    assert [Path(entry.path).name for entry in walk(["s3://songs"])] == [
        "a #2?%41é.wav",
        "a 1.wav",
        "c.wav",
        "none.mp3",
    ]
